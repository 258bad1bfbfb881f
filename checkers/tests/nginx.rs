//! HTTP_GET and SSL_GET against the nginx of the distribution.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use md5::{Digest, Md5};
use standfast_checkers::judge::{Attempt, Evidence};
use standfast_checkers::probe::attempt;
use standfast_checkers::{BodyPattern, ConnectSpec, HttpProtocol, HttpSpec, HttpUrl, PatternSettings, ProbeSpec};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A body that takes many segments.
fn body() -> Vec<u8> {
    (0..200_000_u32).map(|index| index.to_le_bytes()[0]).chain(*b"the end\n").collect()
}

struct Nginx {
    process: Child,
    _directory: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself; then the test has failed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `None` without nginx, with a word about it.
fn nginx() -> Option<Nginx> {
    let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(program) = program else {
        eprintln!("skipped: nginx is not installed");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let (plain, tls) = (free_port(), free_port());
    fs::write(directory.path().join("check"), body()).unwrap();
    let configuration = directory.path().join("nginx.conf");
    fs::write(&configuration, configure(directory.path(), plain, tls)).unwrap();
    let process = Command::new(program)
        .arg("-c")
        .arg(&configuration)
        .args(["-e", "/dev/null", "-p"])
        .arg(directory.path())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let server = Nginx { process, _directory: directory, plain, tls };
    wait_for(plain);
    Some(server)
}

fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn configure(directory: &Path, plain: SocketAddr, tls: SocketAddr) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (directory, fixtures) = (directory.display(), fixtures.display());
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; master_process off; pid {directory}/pid; events {{}}
         http {{
             access_log off;
             client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
             uwsgi_temp_path {directory}; scgi_temp_path {directory};
             server {{
                 listen {plain};
                 listen {tls} ssl;
                 ssl_certificate {fixtures}/untrusted-certificate.pem;
                 ssl_certificate_key {fixtures}/untrusted-key.pem;
                 root {directory};
                 location = /moved {{ return 301 /check; }}
                 location = /host {{ return 200 \"$host $http_user_agent $server_protocol $ssl_server_name\"; }}
             }}
         }}"
    )
}

fn wait_for(address: SocketAddr) {
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nginx does not listen on {address}");
}

fn url(path: &str) -> HttpUrl {
    HttpUrl::new(path)
}

fn spec(target: SocketAddr, tls: bool, protocol: HttpProtocol, url: HttpUrl) -> ProbeSpec {
    let connect = ConnectSpec::new(target, Duration::from_secs(5));
    ProbeSpec::Http(HttpSpec { tls, enable_sni: true, protocol, ..HttpSpec::new(connect, vec![url]) })
}

fn failure(attempt: Attempt) -> String {
    match attempt {
        Attempt::Failed(fault) => fault.detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_of_nginx_are_measured() {
    let Some(server) = nginx() else { return };
    for (target, tls) in [(server.plain, false), (server.tls, true)] {
        for protocol in [HttpProtocol::V1_0, HttpProtocol::V1_0Close, HttpProtocol::V1_1] {
            // The second path takes the way without reqwest.
            for path in ["/check", "/x/../check"] {
                let check = |url: HttpUrl| spec(target, tls, protocol, url);
                assert_eq!(attempt(&check(url(path)), 0).await, Attempt::HttpPassed(Evidence::Status));
                let digest = HttpUrl { digest: Some(Md5::digest(body()).into()), ..url(path) };
                assert_eq!(attempt(&check(digest), 0).await, Attempt::HttpPassed(Evidence::Digest));
            }
            assert_eq!(failure(attempt(&spec(target, tls, protocol, url("/nothing")), 0).await), "status code 404");
            assert_eq!(failure(attempt(&spec(target, tls, protocol, url("/moved")), 0).await), "status code 301");
        }
    }
}

#[tokio::test]
async fn nginx_hears_what_keepalived_says() {
    let Some(server) = nginx() else { return };
    let hears = async |target, tls, expected: &str| {
        let settings = PatternSettings { regex: format!("^{expected}$"), ..PatternSettings::default() };
        let pattern = Some(BodyPattern::new(settings).unwrap());
        let url = HttpUrl { virtualhost: Some("www.example.com".to_owned()), pattern, ..url("/host") };
        attempt(&spec(target, tls, HttpProtocol::V1_0, url), 0).await
    };
    let plain = hears(server.plain, false, "www\\.example\\.com KeepAliveClient HTTP/1\\.0 ").await;
    assert_eq!(plain, Attempt::HttpPassed(Evidence::Pattern));
    let tls = hears(server.tls, true, "www\\.example\\.com KeepAliveClient HTTP/1\\.0 www\\.example\\.com").await;
    assert_eq!(tls, Attempt::HttpPassed(Evidence::Pattern));
}
