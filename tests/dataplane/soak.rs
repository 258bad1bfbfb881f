//! Servers join, rest, leave and die while connections come and go: none may be lost but those of a server that died.
//!
//! `STANDFAST_SOAK_SECONDS=600 cargo test --release --test dataplane -- --ignored --nocapture soak`

use super::site::{Site, VIP, add_server, add_service, connect, pattern, service};
use socket2::SockRef;
use standfast::dataplane::{Command, Snapshot};
use standfast_ipvs::{DestinationConfig, Forwarding, Protocol, ServiceId};
use standfast_labkit::Host;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SERVERS: usize = 6;
const CLIENTS: usize = 24;
const MESSAGE: usize = 1000;
/// Between two changes.
const PACE: Duration = Duration::from_millis(400);
/// A connection that a dying server had accepted, or not yet, is its own for so long.
const GRIEF: Duration = Duration::from_secs(2);

/// Greets with its number and echoes messages of a fixed size.
struct Server {
    number: usize,
    host: Host,
    alive: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    fn port(number: usize) -> u16 {
        9000 + number as u16
    }

    fn address(&self) -> String {
        format!("10.1.0.{}", self.number % 2 + 1)
    }

    fn start(number: usize, host: &Host) -> Server {
        let mut server = Server { number, host: host.clone(), alive: Arc::default(), streams: Arc::default() };
        server.rise();
        server
    }

    fn rise(&mut self) {
        let listener = self.host.enter(|| TcpListener::bind(("0.0.0.0", Self::port(self.number)))).unwrap().unwrap();
        self.alive = Arc::new(AtomicBool::new(true));
        let (number, alive, streams) = (self.number, Arc::clone(&self.alive), Arc::clone(&self.streams));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if !alive.load(Relaxed) {
                    return;
                }
                let mut held = streams.lock().unwrap();
                held.retain(|old| old.peer_addr().is_ok());
                held.push(stream.try_clone().unwrap());
                std::thread::spawn(move || echo(stream, number));
            }
        });
    }

    /// Resets all that it has and listens no more.
    fn die(&self) {
        self.alive.store(false, Relaxed);
        // The listener looks up only when somebody comes.
        drop(self.host.enter(|| TcpStream::connect(("127.0.0.1", Self::port(self.number)))));
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn echo(mut stream: TcpStream, number: usize) -> std::io::Result<()> {
    stream.write_all(&[number as u8])?;
    let mut message = [0; MESSAGE];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

/// When each server died last; a connection that fails soon after is its loss.
#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    exchanges: AtomicU64,
    of_the_dead: AtomicU64,
    lost: Mutex<Vec<String>>,
    deaths: Mutex<Vec<(usize, Instant)>>,
}

impl Counts {
    fn failed(&self, server: Option<usize>, begun: Instant, what: &std::io::Error) {
        let deaths = self.deaths.lock().unwrap();
        let died =
            |(number, when): &(usize, Instant)| server.is_none_or(|server| server == *number) && *when + GRIEF >= begun;
        match deaths.iter().any(died) {
            true => _ = self.of_the_dead.fetch_add(1, Relaxed),
            false => self.lost.lock().unwrap().push(format!("server {server:?}, after {:?}: {what}", begun.elapsed())),
        }
    }
}

/// Connections one after the other, some short and some long.
fn come_and_go(host: &Host, seed: u64, counts: &Counts, stop: &AtomicBool) {
    let message = pattern(MESSAGE);
    let mut dice = seed;
    while !stop.load(Relaxed) {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let rounds = if dice >> 61 == 0 { 200 } else { dice >> 33 & 7 };
        let begun = Instant::now();
        let mut server = None;
        match visit(host, rounds, &message, &mut server, counts) {
            Ok(()) => _ = counts.connections.fetch_add(1, Relaxed),
            Err(error) => counts.failed(server, begun, &error),
        }
    }
}

fn visit(host: &Host, rounds: u64, message: &[u8], server: &mut Option<usize>, counts: &Counts) -> std::io::Result<()> {
    let mut stream = connect(host, &format!("{VIP}:80"))?;
    let (mut greeting, mut answer) = ([0], vec![0; message.len()]);
    stream.read_exact(&mut greeting)?;
    *server = Some(usize::from(greeting[0]));
    for _ in 0..rounds {
        stream.write_all(message)?;
        stream.read_exact(&mut answer)?;
        assert!(answer == message, "an echo is another");
        counts.exchanges.fetch_add(1, Relaxed);
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn destination(server: &Server, weight: u32) -> DestinationConfig {
    let id = service(Protocol::Tcp, VIP, 80);
    match add_server(id, &server.address(), Server::port(server.number), Forwarding::Nat) {
        Command::AddDestination(_, config) => DestinationConfig { weight, ..config },
        _ => unreachable!("that is what it makes"),
    }
}

fn active(snapshot: &Snapshot, server: &Server) -> u32 {
    let of = |view: &&standfast_ipvs::DestinationView| view.config.port == Server::port(server.number);
    snapshot.services[0].destinations.iter().find(of).map_or(0, |view| view.active)
}

fn remove(id: ServiceId, server: &Server) -> Command {
    let address = server.address().parse().unwrap();
    Command::RemoveDestination { service: id, address, port: Server::port(server.number) }
}

/// It rests until its connections are over, leaves, and joins again.
fn leave_and_join(site: &Site, id: ServiceId, server: &Server) {
    site.apply(vec![Command::EditDestination(id, destination(server, 0))]);
    let patience = Instant::now() + Duration::from_secs(30);
    while active(&site.snapshot(), server) > 0 {
        assert!(Instant::now() < patience, "connections of a resting server never end");
        std::thread::sleep(PACE / 2);
    }
    site.apply(vec![remove(id, server)]);
    std::thread::sleep(PACE);
    site.apply(vec![Command::AddDestination(id, destination(server, 1))]);
}

fn die_and_rise(site: &Site, id: ServiceId, server: &mut Server, counts: &Counts) {
    counts.deaths.lock().unwrap().push((server.number, Instant::now()));
    server.die();
    site.apply(vec![remove(id, server)]);
    counts.deaths.lock().unwrap().push((server.number, Instant::now()));
    std::thread::sleep(PACE);
    server.rise();
    site.apply(vec![Command::AddDestination(id, destination(server, 1))]);
}

pub fn soak() {
    let seconds = std::env::var("STANDFAST_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let site = Site::new();
    site.answer_through_director();
    let id = service(Protocol::Tcp, VIP, 80);
    let mut servers: Vec<_> = (0..SERVERS).map(|number| Server::start(number, &site.servers[number % 2])).collect();
    site.apply(vec![add_service(id)]);
    site.apply(servers.iter().map(|server| Command::AddDestination(id, destination(server, 1))).collect());
    let (counts, stop) = (Counts::default(), AtomicBool::new(false));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut changes = [0; 3];
    std::thread::scope(|scope| {
        for seed in 0..CLIENTS {
            let (site, counts, stop) = (&site, &counts, &stop);
            scope.spawn(move || come_and_go(&site.client, seed as u64 + 1, counts, stop));
        }
        for turn in 0.. {
            if Instant::now() >= end {
                break;
            }
            let server = &mut servers[turn * 5 % SERVERS];
            match turn % 7 {
                6 => die_and_rise(&site, id, server, &counts),
                0 | 3 => leave_and_join(&site, id, server),
                weight => site.apply(vec![Command::EditDestination(id, destination(server, weight as u32))]),
            }
            changes[match turn % 7 {
                6 => 0,
                0 | 3 => 1,
                _ => 2,
            }] += 1;
            std::thread::sleep(PACE);
        }
        stop.store(true, Relaxed);
    });
    let driver = site.snapshot().driver;
    println!(
        "{seconds} s: {} connections, {} exchanges; {} deaths, {} departures and returns, {} changes of weight; \
         {} connections ended with a server that died; {driver:?}",
        counts.connections.load(Relaxed),
        counts.exchanges.load(Relaxed),
        changes[0],
        changes[1],
        changes[2],
        counts.of_the_dead.load(Relaxed),
    );
    let lost = counts.lost.lock().unwrap();
    assert!(lost.is_empty(), "{} lost: {:#?}", lost.len(), &lost[..lost.len().min(10)]);
    assert!(counts.connections.load(Relaxed) > 0 && driver.restarts == 0);
}
