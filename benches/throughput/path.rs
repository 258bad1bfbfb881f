//! Ways through the director.

use super::Site;
use super::load::{HTTP, Load, TCP_PORTS, UDP_PORTS};
use standfast_labkit::Process;
use std::fmt::Write;

/// What is measured, plain forwarding first.
pub(super) const PATHS: [Path; 7] = [
    Path { name: "plain forwarding", target: "10.1.0.1", udp: true, start: |_| Vec::new() },
    Path { name: "nftables DNAT", target: "10.0.0.100", udp: true, start: nftables },
    Path { name: "HAProxy, TCP mode", target: "10.0.0.100", udp: false, start: haproxy },
    Path { name: "nginx stream", target: "10.0.0.100", udp: true, start: nginx },
    Path { name: "Standfast", target: "10.0.0.100", udp: true, start: |site| standfast(site, "") },
    Path { name: "Standfast, lvs_busy_poll 50", target: "10.0.0.100", udp: true, start: looking },
    Path { name: "Standfast, lvs_offload off", target: "10.0.0.100", udp: true, start: alone },
];

/// Programs that run while a path is measured.
pub(super) type Running = Vec<Process>;

/// A way through the director.
pub(super) struct Path {
    pub(super) name: &'static str,
    /// Where the client connects to.
    pub(super) target: &'static str,
    udp: bool,
    start: fn(&Site) -> Running,
}

impl Path {
    pub(super) fn start(&self, site: &Site) -> Running {
        (self.start)(site)
    }

    pub(super) fn carries(&self, load: &Load) -> bool {
        self.udp || !load.udp
    }
}

fn nftables(site: &Site) -> Running {
    let rules =
        "table ip t { chain p { type nat hook prerouting priority dstnat; ip daddr 10.0.0.100 dnat to 10.1.0.1; }; }";
    let file = site.lab.file("dnat.nft", rules).unwrap();
    site.director.run_checked("nft", &format!("-f {}", file.display())).unwrap();
    Vec::new()
}

fn haproxy(site: &Site) -> Running {
    let mut text = "global\n maxconn 4000\ndefaults\n mode tcp\n option splice-auto\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n".to_owned();
    for port in TCP_PORTS.iter().chain(&[HTTP]) {
        writeln!(text, "listen p{port}\n bind 10.0.0.100:{port}\n server s 10.1.0.1:{port}").unwrap();
    }
    let file = site.lab.file("haproxy.cfg", &text).unwrap();
    vec![site.director.start("haproxy", ["-db", "-f", file.to_str().unwrap()]).unwrap()]
}

fn nginx(site: &Site) -> Running {
    let mut servers = String::new();
    for port in TCP_PORTS.iter().chain(&[HTTP]) {
        writeln!(servers, "server {{ listen 10.0.0.100:{port} reuseport; proxy_pass 10.1.0.1:{port}; }}").unwrap();
    }
    for port in UDP_PORTS {
        writeln!(servers, "server {{ listen 10.0.0.100:{port} udp reuseport; proxy_pass 10.1.0.1:{port}; }}").unwrap();
    }
    let modules = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let load = if std::path::Path::new(modules).exists() { format!("load_module {modules};") } else { String::new() };
    let pid = site.lab.scratch().join("nginx-proxy.pid");
    let text = format!(
        "{load} daemon off; worker_processes auto; pid {}; error_log /dev/null;\n\
         events {{ worker_connections 16384; }}\nstream {{\n{servers}}}\n",
        pid.display()
    );
    let file = site.lab.file("nginx-proxy.conf", &text).unwrap();
    vec![site.director.start("nginx", ["-c", file.to_str().unwrap()]).unwrap()]
}

fn looking(site: &Site) -> Running {
    standfast(site, "global_defs {\n lvs_busy_poll 50\n}\n")
}

/// The engine alone, as where no eBPF program may carry packets.
fn alone(site: &Site) -> Running {
    standfast(site, "global_defs {\n lvs_offload off\n}\n")
}

fn standfast(site: &Site, globals: &str) -> Running {
    let mut text = globals.to_owned();
    let tcp = TCP_PORTS.iter().chain(&[HTTP]).map(|port| (port, "TCP"));
    for (port, protocol) in tcp.chain(UDP_PORTS.iter().map(|port| (port, "UDP"))) {
        writeln!(
            text,
            "virtual_server 10.0.0.100 {port} {{\n lb_algo wlc\n lb_kind NAT\n protocol {protocol}\n \
             real_server 10.1.0.1 {port} {{\n weight 1\n }}\n}}"
        )
        .unwrap();
    }
    let file = site.lab.file("keepalived.conf", &text).unwrap();
    let mut command = site.director.command(env!("CARGO_BIN_EXE_standfast"));
    let pid = |name: &str| site.lab.scratch().join(name);
    command.args(["-n", "-l", "-C", "-f"]).arg(file);
    command.arg("-p").arg(pid("main.pid")).arg("-c").arg(pid("checkers.pid"));
    vec![site.director.start_command(&mut command).unwrap()]
}
