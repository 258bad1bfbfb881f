//! SMTP_CHECK, DNS_CHECK and SSL_GET against servers of the distribution: postfix, unbound, dnsmasq, and OpenSSL with a CA of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use standfast_checkers::judge::{Attempt, Evidence};
use standfast_checkers::probe::attempt;
use standfast_checkers::{
    ConnectSpec, DnsSpec, HttpExtras, HttpSpec, HttpUrl, IdentityError, ProbeSpec, SmtpSpec, TlsIdentity, UdpSpec,
};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(86_400);

/// A server in a directory of its own.
struct Server {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A master that is told to end takes its children along; one that does not listen is killed.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(i32::MAX));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        for _ in 0..100 {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program's path, or a word about why the test is skipped.
fn program(name: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"].iter().map(|place| Path::new(place).join(name));
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    for _ in 0..1000 {
        if there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} does not come");
}

fn postfix() -> Option<Server> {
    let postfix = program("postfix")?;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: postfix starts for root only");
        return None;
    }
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let path = directory.path();
    ["queue", "data"].iter().for_each(|name| fs::create_dir(path.join(name)).unwrap());
    // Its unprivileged half must reach its own data.
    Command::new("chmod").arg("755").arg(path).status().unwrap();
    Command::new("chown").arg("postfix").arg(path.join("data")).status().unwrap();
    let home = path.display();
    write(
        path,
        "main.cf",
        &format!(
            "compatibility_level = 3.6\nqueue_directory = {home}/queue\ndata_directory = {home}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mail.example.org\nmydestination =\n\
             maillog_file = {home}/log\nmaillog_file_prefixes = {home}\nsmtpd_recipient_restrictions = reject\n"
        ),
    );
    write(
        path,
        "master.cf",
        &format!(
            "{address} inet n - n - - smtpd\nanvil unix - - n - 1 anvil\nproxymap unix - - n - - proxymap\n\
             rewrite unix - - n - - trivial-rewrite\npostlog unix-dgram n - n - 1 postlogd\n"
        ),
    );
    let process = start(Command::new(postfix).arg("-c").arg(path).arg("start-fg"));
    wait_for("postfix", || TcpStream::connect(address).is_ok());
    Some(Server { process, directory, address })
}

fn smtp(target: SocketAddr) -> ProbeSpec {
    ProbeSpec::Smtp(SmtpSpec { connect: ConnectSpec::new(target, LIMIT), helo_name: "checker.example.org".to_owned() })
}

#[tokio::test]
async fn postfix_is_satisfied() {
    let Some(server) = postfix() else { return };
    assert_eq!(attempt(&smtp(server.address), 0).await, Attempt::Passed);
    let log = || fs::read_to_string(server.directory.path().join("log")).unwrap_or_default();
    wait_for("the line about a complete conversation", || log().contains("helo=1 quit=1 commands=2"));
}

fn dns_server(name: &str, arguments: impl Fn(&Path, SocketAddr) -> Vec<String>) -> Option<Server> {
    let program = program(name)?;
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let process = start(Command::new(program).args(arguments(directory.path(), address)));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    // A question about the root, which either of them answers somehow.
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01";
    wait_for(name, || {
        // Nobody is there before the server is.
        let _ = socket.send_to(question, address);
        socket.recv(&mut [0; 512]).is_ok()
    });
    Some(Server { process, directory, address })
}

fn unbound() -> Option<Server> {
    dns_server("unbound", |directory, address| {
        let (ip, port, home) = (address.ip(), address.port(), directory.display());
        let text = format!(
            "server:\n interface: {ip}@{port}\n username: \"\"\n chroot: \"\"\n directory: \"{home}\"\n pidfile: \"\"\n\
             use-syslog: no\n do-daemonize: no\n do-ip6: no\n local-zone: \".\" static\n\
             local-data: \". SOA a. b. 1 2 3 4 5\"\n local-data: \"www.example.org. A 192.0.2.1\"\n\
             local-data: \"www.example.org. AAAA 2001:db8::1\"\n local-data: \"example.org. MX 10 mail.example.org.\"\n"
        );
        let file = write(directory, "unbound.conf", &text);
        ["-d".to_owned(), "-c".to_owned(), file.display().to_string()].into()
    })
}

fn dnsmasq() -> Option<Server> {
    dns_server("dnsmasq", |_, address| {
        let words = format!(
            "-k -p {} -a {} --bind-interfaces --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file= \
             --address=/www.example.org/192.0.2.1",
            address.port(),
            address.ip()
        );
        words.split(' ').map(str::to_owned).collect()
    })
}

fn dns(target: SocketAddr, name: &str, record: &str) -> ProbeSpec {
    let record_type = DnsSpec::type_number(record).unwrap();
    ProbeSpec::Dns(DnsSpec { connect: ConnectSpec::new(target, LIMIT), record_type, name: name.to_owned() })
}

#[tokio::test]
async fn unbound_answers() {
    let Some(server) = unbound() else { return };
    let asks = [(".", "SOA"), ("www.example.org", "A"), ("www.example.org.", "AAAA"), ("example.org", "MX")];
    for (name, record) in asks {
        assert_eq!(attempt(&dns(server.address, name, record), 0).await, Attempt::Passed, "{name} {record}");
    }
    let unknown = attempt(&dns(server.address, "nothing.example.org", "A"), 0).await;
    assert!(
        matches!(&unknown, Attempt::Failed(fault) if fault.phrase.contains("NXDOMAIN") || fault.phrase.contains('3')),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn dnsmasq_answers_and_refuses() {
    let Some(server) = dnsmasq() else { return };
    assert_eq!(attempt(&dns(server.address, "www.example.org", "A"), 0).await, Attempt::Passed);
    let refused = attempt(&dns(server.address, "elsewhere.example.net", "A"), 0).await;
    assert!(matches!(refused, Attempt::Failed(_)), "{refused:?}");
    let udp =
        UdpSpec { connect: ConnectSpec::new(server.address, Duration::from_millis(300)), payload: None, reply: None };
    assert_eq!(attempt(&ProbeSpec::Udp(udp), 0).await, Attempt::Passed);
}

fn openssl(directory: &Path, words: &str) {
    let status = Command::new("openssl").current_dir(directory).args(words.split(' ')).stderr(Stdio::null()).status();
    assert!(status.unwrap().success(), "openssl {words}");
}

/// A server with a certificate of ten days, signed by a CA that nobody else knows.
fn tls_server() -> Option<Server> {
    tls_server_with("-quiet")
}

fn tls_server_with(options: &str) -> Option<Server> {
    program("openssl")?;
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let path = directory.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(path, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 3650 -subj /CN=CA"));
    openssl(path, &format!("req {key} -keyout key.pem -out request.pem -subj /CN=www.example.org"));
    openssl(path, "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 10");
    let words = format!("s_server -accept {address} -cert cert.pem -key key.pem -cert_chain ca.pem -www {options}");
    let process = start(Command::new("openssl").current_dir(path).args(words.split(' ')));
    wait_for("openssl", || TcpStream::connect(address).is_ok());
    Some(Server { process, directory, address })
}

fn ssl(target: SocketAddr, least: Option<Duration>) -> ProbeSpec {
    let url = HttpUrl {
        virtualhost: Some("www.example.org".to_owned()),
        body_match: Some("s_server".to_owned()),
        ..HttpUrl::new("/")
    };
    ProbeSpec::Http(HttpSpec {
        tls: true,
        enable_sni: true,
        extras: HttpExtras { expiry_min: least, ..HttpExtras::default() },
        ..HttpSpec::new(ConnectSpec::new(target, LIMIT), vec![url])
    })
}

#[tokio::test]
async fn a_certificate_of_an_own_ca_is_judged_by_its_date_only() {
    let Some(server) = tls_server() else { return };
    assert_eq!(attempt(&ssl(server.address, None), 0).await, Attempt::HttpPassed(Evidence::Status));
    assert_eq!(attempt(&ssl(server.address, Some(DAY * 9)), 0).await, Attempt::HttpPassed(Evidence::Status));
    let outcome = attempt(&ssl(server.address, Some(DAY * 14)), 0).await;
    assert!(matches!(&outcome, Attempt::Failed(fault) if fault.detail.starts_with("it expires in ")), "{outcome:?}");
}

/// A key in each form that openssl writes, and whether it opens with the password.
const KEYS: [(&str, bool); 4] = [
    ("pkcs8 -topk8 -nocrypt -in key.pem -out form.pem", true),
    ("pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in key.pem -out form.pem", true),
    ("pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA256 -passout pass:secret -in key.pem -out form.pem", true),
    ("ec -aes128 -passout pass:secret -in key.pem -out form.pem", false),
];

#[tokio::test]
async fn a_server_that_wants_a_certificate_sees_that_of_the_checks() {
    let Some(server) = tls_server_with("-Verify 1 -CAfile ca.pem -verify_return_error") else { return };
    let path = server.directory.path();
    let mut spec = ssl(server.address, None);
    assert!(matches!(attempt(&spec, 0).await, Attempt::Failed(_)));
    for (words, opens) in KEYS {
        openssl(path, words);
        let identity = TlsIdentity::load(&path.join("cert.pem"), &path.join("form.pem"), Some("secret"));
        assert_eq!(identity.is_ok(), opens, "{words}: {identity:?}");
        let ProbeSpec::Http(http) = &mut spec else { unreachable!("it is an HTTP check") };
        http.identity = identity.ok().or(http.identity.take());
        for sni in [false, true] {
            let ProbeSpec::Http(http) = &mut spec else { unreachable!("it is an HTTP check") };
            http.enable_sni = sni;
            assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Status), "{words}");
        }
    }
    let wrong = TlsIdentity::load(&path.join("cert.pem"), &path.join("form.pem"), Some("wrong"));
    assert!(matches!(wrong, Err(IdentityError::Key(_))));
    openssl(path, "genpkey -algorithm ED25519 -out other.pem");
    let stranger = TlsIdentity::load(&path.join("ca.pem"), &path.join("other.pem"), None);
    assert!(matches!(stranger, Err(IdentityError::Key(_))), "{stranger:?}");
}
