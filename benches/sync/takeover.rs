//! How long a takeover takes when the backup holds many connections, and when it holds none.

use super::site::{Site, VIP};
use super::{Size, crowd};
use standfast_labkit::Host;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 1_000_000;
/// How often the client asks.
const PACE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(20);

pub fn measure(size: &Size) {
    println!(
        "{:<12} {:>3} {:>9} {:>9} {:>9}   from the kill to the first answer that a client gets",
        "connections", "n", "median", "least", "most"
    );
    for connections in [0, CONNECTIONS] {
        let mut site = Site::new("sync-takeover");
        site.start("lvs_sync_daemon eth1 VI_1");
        echo(&site.server);
        // Where there are daemons, the one has heard of the other.
        std::thread::sleep(Duration::from_secs(4));
        if connections > 0 {
            crowd::open(&site.client, size.rate, connections);
            std::thread::sleep(Duration::from_secs(2));
        }
        let held = site.directors[1].connections();
        let mut times: Vec<f64> = (0..size.rounds).map(|_| round(&mut site).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{held:<12} {:>3} {:>7.3} s {:>7.3} s {:>7.3} s",
            times.len(),
            times[times.len() / 2],
            times[0],
            times[times.len() - 1]
        );
    }
}

/// Kills the master as if its machine had died; the time until a client that asks every two milliseconds has an answer. Then the
/// director comes back, is told all connections, and is master again.
fn round(site: &mut Site) -> Duration {
    let client = Client::new(&site.client);
    assert!(client.answered(PATIENCE), "an answer by the master");
    let first = &mut site.directors[0];
    first.host.ip("link set eth0 down").unwrap();
    first.process().kill();
    let killed = Instant::now();
    client.drain();
    assert!(client.answered(PATIENCE), "an answer by the other director");
    let took = killed.elapsed();
    first.host.ip("link set eth0 up").unwrap();
    first.launch();
    first.await_log("All connections of the other director have come");
    first.await_log("(VI_1) Entering MASTER STATE");
    // The other one has heard of it and receives again.
    std::thread::sleep(Duration::from_secs(3));
    took
}

/// Answers whatever comes to the virtual address by UDP at port 7.
fn echo(server: &Host) {
    let socket = server.enter(|| UdpSocket::bind((VIP, 7))).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // A client that is gone gets none.
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
}

/// Asks again and again.
struct Client {
    socket: UdpSocket,
    stop: Arc<AtomicBool>,
}

impl Client {
    fn new(host: &Host) -> Client {
        let socket = host.enter(|| UdpSocket::bind("10.7.0.1:0")).unwrap().unwrap();
        socket.connect((VIP, 7)).unwrap();
        let (asking, stop) = (socket.try_clone().unwrap(), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !over.load(Relaxed) {
                // While nobody has the address, the kernel says so.
                let _ = asking.send(b"x");
                std::thread::sleep(PACE);
            }
        });
        Client { socket, stop }
    }

    /// Whether an answer comes in time.
    fn answered(&self, limit: Duration) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let start = Instant::now();
        while start.elapsed() < limit {
            if self.socket.recv(&mut [0; 64]).is_ok() {
                return true;
            }
        }
        false
    }

    /// Takes what is under way already.
    fn drain(&self) {
        std::thread::sleep(Duration::from_millis(100));
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 64]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
