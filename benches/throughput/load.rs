//! Loads: what the client does, and the servers that it meets.

use super::Site;
use standfast_labkit::{Process, eventually};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SINK: u16 = 5001;
const ECHO: u16 = 5002;
const SHORT: u16 = 5003;
const UDP_ECHO: u16 = 5004;
const UDP_SINK: u16 = 5005;
/// nginx with a small page.
pub(super) const HTTP: u16 = 5006;
/// Ports of the loads' own servers.
pub(super) const TCP_PORTS: [u16; 3] = [SINK, ECHO, SHORT];
/// As above.
pub(super) const UDP_PORTS: [u16; 2] = [UDP_ECHO, UDP_SINK];
const MESSAGE: usize = 64;
/// As many as there are clients that connect at one time.
const SHORT_SERVERS: usize = 32;

/// All loads.
pub(super) const LOADS: [Load; 8] = [
    Load { name: "TCP bulk, 1 stream", unit: "Gbit/s", udp: false, run: |go| bulk(go, 1) },
    Load { name: "8 streams", unit: "Gbit/s", udp: false, run: |go| bulk(go, 8) },
    Load { name: "request/response, 1", unit: "k/s", udp: false, run: |go| request_response(go, 1) },
    Load { name: "32", unit: "k/s", udp: false, run: |go| request_response(go, 32) },
    Load { name: "connect+request+close, 32", unit: "k/s", udp: false, run: |go| short_connections(go, 32) },
    Load { name: "HTTP short (wrk)", unit: "k/s", udp: false, run: http },
    Load { name: "UDP small packets", unit: "kpps", udp: true, run: udp_flood },
    Load { name: "UDP req/resp, 32", unit: "k/s", udp: true, run: |go| udp_request_response(go, 32) },
];

/// One column of the table.
pub(super) struct Load {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) udp: bool,
    run: fn(Go<'_>) -> f64,
}

/// One measurement.
#[derive(Clone, Copy)]
pub(super) struct Go<'a> {
    site: &'a Site,
    servers: &'a Servers,
    target: &'a str,
    time: Duration,
}

impl Load {
    /// Bits, transactions or packets a second.
    pub(super) fn run(&self, site: &Site, servers: &Servers, target: &str, time: Duration) -> f64 {
        (self.run)(Go { site, servers, target, time })
    }
}

/// The servers' side, which counts what arrives.
pub(super) struct Servers {
    bytes: Arc<AtomicU64>,
    packets: Arc<AtomicU64>,
    _nginx: Process,
}

impl Servers {
    pub(super) fn start(site: &Site) -> Servers {
        let (bytes, packets) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&bytes);
        listen(site, SINK, move |stream| sink(stream, &counted));
        listen(site, ECHO, |stream| while exchange(&stream, true).is_some() {});
        serve_in_turn(site, SHORT);
        udp_echo(site);
        udp_sink(site, Arc::clone(&packets));
        Servers { bytes, packets, _nginx: web_server(site) }
    }
}

fn web_server(site: &Site) -> Process {
    let scratch = site.lab.scratch();
    let text = format!(
        "daemon off; worker_processes 2; pid {0}/web.pid; error_log /dev/null;\nevents {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_timeout 0; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         server {{ listen {HTTP} reuseport; location / {{ return 200 'hello'; }} }} }}\n",
        scratch.display()
    );
    let file = site.lab.file("web.conf", &text).unwrap();
    site.server.start("nginx", ["-c", file.to_str().unwrap()]).unwrap()
}

fn listen(site: &Site, port: u16, serve: impl Fn(TcpStream) + Send + Sync + 'static) {
    let listener = site.server.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
}

/// Threads that are there already, each with one connection after the other: to start one for each would take longer than what is measured.
fn serve_in_turn(site: &Site, port: u16) {
    let listener = Arc::new(site.server.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap());
    for _ in 0..SHORT_SERVERS {
        let listener = Arc::clone(&listener);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                exchange(&stream, true);
            }
        });
    }
}

fn sink(mut stream: TcpStream, counted: &AtomicU64) {
    let mut buffer = vec![0; 1 << 18];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        counted.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// A message there and back, begun by the other side if we are the server.
fn exchange(mut stream: &TcpStream, is_server: bool) -> Option<()> {
    let mut message = [7; MESSAGE];
    if !is_server {
        stream.write_all(&message).ok()?;
    }
    stream.read_exact(&mut message).ok()?;
    if is_server {
        stream.write_all(&message).ok()?;
    }
    Some(())
}

fn udp_echo(site: &Site) {
    let socket = site.server.enter(|| UdpSocket::bind(("0.0.0.0", UDP_ECHO))).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], peer);
        }
    });
}

fn udp_sink(site: &Site, packets: Arc<AtomicU64>) {
    let socket = site.server.enter(|| UdpSocket::bind(("0.0.0.0", UDP_SINK))).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while socket.recv(&mut buffer).is_ok() {
            packets.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Waits until every port answers.
pub(super) fn await_path(site: &Site, target: &str) {
    for port in TCP_PORTS.iter().chain(&[HTTP]) {
        let address = format!("{target}:{port}").parse().unwrap();
        let attempt = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok();
        eventually(Duration::from_secs(15), "the path to answer", || site.client.enter(attempt).unwrap());
    }
}

impl Go<'_> {
    fn address(&self, port: u16) -> SocketAddr {
        format!("{}:{port}", self.target).parse().unwrap()
    }

    fn connect(&self, port: u16) -> TcpStream {
        let address = self.address(port);
        let stream = self.site.client.enter(|| TcpStream::connect(address)).unwrap().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
        stream
    }

    /// Lets every worker go round and round, and gives rounds a second.
    fn count(&self, workers: Vec<Box<dyn FnMut() -> bool + Send>>) -> f64 {
        let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let start = Instant::now();
        std::thread::scope(|scope| {
            for mut worker in workers {
                let (done, stop) = (&done, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) && worker() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(self.time);
            stop.store(true, Ordering::Relaxed);
            done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
        })
    }
}

/// What `counter` gains in a second while the workers work.
fn gained(go: Go<'_>, counter: &AtomicU64, workers: Vec<Box<dyn FnMut() -> bool + Send>>) -> f64 {
    let before = counter.load(Ordering::Relaxed);
    let start = Instant::now();
    go.count(workers);
    (counter.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64()
}

fn bulk(go: Go<'_>, streams: usize) -> f64 {
    let worker = |_| -> Box<dyn FnMut() -> bool + Send> {
        let mut stream = go.connect(SINK);
        let chunk = vec![1; 1 << 18];
        Box::new(move || stream.write_all(&chunk).is_ok())
    };
    gained(go, &go.servers.bytes, (0..streams).map(worker).collect()) * 8.0
}

fn request_response(go: Go<'_>, connections: usize) -> f64 {
    let worker = |_| -> Box<dyn FnMut() -> bool + Send> {
        let stream = go.connect(ECHO);
        Box::new(move || exchange(&stream, false).is_some())
    };
    go.count((0..connections).map(worker).collect())
}

/// The server closes first, so that the waiting times of closed connections lie with it.
fn short_connections(go: Go<'_>, clients: usize) -> f64 {
    let address = go.address(SHORT);
    let worker = |_| -> Box<dyn FnMut() -> bool + Send> {
        Box::new(move || {
            let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(3)) else { return true };
            exchange(&stream, false).is_some() && stream.read(&mut [0]).is_ok()
        })
    };
    // Threads stay in the namespace of the thread that starts them.
    go.site.client.enter(|| go.count((0..clients).map(worker).collect())).unwrap()
}

fn http(go: Go<'_>) -> f64 {
    let arguments = format!("-t2 -c32 -d{}s http://{}:{HTTP}/", go.time.as_secs().max(1), go.target);
    let report = go.site.client.run_checked("wrk", &arguments).unwrap();
    let line = report.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")).unwrap();
    line.trim().parse().unwrap()
}

fn udp_flood(go: Go<'_>) -> f64 {
    let address = go.address(UDP_SINK);
    let worker = |_| -> Box<dyn FnMut() -> bool + Send> {
        let socket = go.site.client.enter(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
        socket.connect(address).unwrap();
        Box::new(move || {
            let _ = socket.send(&[7; MESSAGE]);
            true
        })
    };
    gained(go, &go.servers.packets, (0..1).map(worker).collect())
}

fn udp_request_response(go: Go<'_>, clients: usize) -> f64 {
    let address = go.address(UDP_ECHO);
    let worker = |_| -> Box<dyn FnMut() -> bool + Send> {
        let socket = go.site.client.enter(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Box::new(move || {
            let _ = socket.send(&[7; MESSAGE]);
            let _ = socket.recv(&mut [0; 2048]);
            true
        })
    };
    go.count((0..clients).map(worker).collect())
}
