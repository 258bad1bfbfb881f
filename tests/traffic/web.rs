//! nginx on the servers, curl on the client.

use super::RUN;
use standfast_labkit::{Host, Lab, Process};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// nginx, until it is dropped.
pub struct Nginx {
    _process: Process,
}

impl Nginx {
    /// Answers `/` with the host's name and keeps files under `/files/`. Port 8080 wants to hear who the client is, and
    /// answers `/` with that.
    pub fn start(lab: &Lab, host: &Host) -> Nginx {
        let root = root(lab, host);
        std::fs::create_dir_all(root.join("files")).unwrap();
        let (name, root) = (host.name(), root.display());
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};"))
            .concat();
        let config = format!(
            "daemon off; master_process off; user root; pid {root}/pid; error_log /dev/null;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_max_body_size 64m; {paths}\n\
             server {{ listen 80; listen [::]:80; root {root}; default_type text/plain;\n\
             location = / {{ return 200 \"{name}\\n\"; }}\n\
             location /files/ {{ dav_methods PUT; }}\n}}\n\
             server {{ listen 8080 proxy_protocol; root {root}; default_type text/plain;\n\
             location = / {{ return 200 \"$proxy_protocol_addr\\n\"; }}\n\
             location /files/ {{ dav_methods PUT; }}\n}} }}\n"
        );
        let file = lab.file(&format!("nginx-{name}.conf"), &config).unwrap();
        let process = host.start("nginx", ["-e", "stderr", "-c", file.to_str().unwrap()]).unwrap();
        Nginx { _process: process }
    }

    /// Writes `/files/body` of a host's nginx.
    pub fn put(lab: &Lab, host: &Host, body: &[u8]) {
        std::fs::write(root(lab, host).join("files/body"), body).unwrap();
    }
}

fn root(lab: &Lab, host: &Host) -> PathBuf {
    lab.scratch().join(format!("nginx-{}", host.name()))
}

/// Runs curl, which must succeed, and gives its output.
pub fn curl(client: &Host, arguments: &str) -> String {
    let mut command = client.command("curl");
    command.args(["-sS", "--fail"]).args(arguments.split_whitespace());
    let finished = client.start_command(&mut command).unwrap().finish(RUN).unwrap();
    assert_eq!(finished.code(), 0, "curl {arguments}: {}", finished.output);
    finished.output
}

/// Answers by their line, each over a connection of its own.
pub fn tally(client: &Host, urls: &str) -> BTreeMap<String, u32> {
    let mut tally = BTreeMap::new();
    for line in curl(client, &format!("-H Connection:close {urls}")).lines() {
        *tally.entry(line.to_owned()).or_default() += 1;
    }
    tally
}
