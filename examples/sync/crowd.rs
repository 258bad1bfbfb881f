//! The clients.

use super::network::VIP;
use super::server::TICK;
use standfast_labkit::Host;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How often a talker says something.
const PAUSE: Duration = Duration::from_millis(500);

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on; it stood still for this long at most.
    Alive { stall: Duration },
    /// It was reset, or is silent to the end.
    Broken,
}

struct Connection {
    stream: TcpStream,
    talks: bool,
    /// A word of a talker is on its way.
    asked: bool,
    /// The latest byte that came; for a talker the latest word or answer.
    progress: Instant,
    stall: Duration,
    broken: bool,
}

/// Connections that are looked after one after the other.
pub struct Crowd(Vec<Connection>);

impl Crowd {
    pub fn connect(host: &Host, count: usize) -> Crowd {
        let connect = || (0..count).map(|number| Connection::open(number % 2 == 0)).collect();
        Crowd(host.enter(connect).unwrap())
    }

    /// Looks after all for some time.
    pub fn live(&mut self, time: Duration) {
        self.live_until(time, || false);
    }

    /// Looks after all until something happens; the time that it took.
    pub fn live_until(&mut self, time: Duration, mut happened: impl FnMut() -> bool) -> Option<Duration> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.0.iter_mut().filter(|connection| !connection.broken).for_each(Connection::look);
            if happened() {
                return Some(start.elapsed());
            }
            std::thread::sleep(TICK);
        }
        None
    }

    /// Stalls count from here on: to open thousands of connections one after the other takes its time.
    pub fn forget_stalls(&mut self) {
        self.0.iter_mut().for_each(|connection| connection.stall = Duration::ZERO);
    }

    /// Silence since the kill is the end.
    pub fn fates(&self, killed: Instant) -> Vec<Fate> {
        let fate = |connection: &Connection| match connection.broken || connection.progress < killed {
            true => Fate::Broken,
            false => Fate::Alive { stall: connection.stall },
        };
        self.0.iter().map(fate).collect()
    }
}

impl Connection {
    fn open(talks: bool) -> Connection {
        let mut stream = TcpStream::connect((VIP, 80)).expect("a connection through the master");
        stream.set_nodelay(true).unwrap();
        stream.write_all(if talks { b"e" } else { b"s" }).unwrap();
        stream.set_nonblocking(true).unwrap();
        Connection { stream, talks, asked: true, progress: Instant::now(), stall: Duration::ZERO, broken: false }
    }

    fn look(&mut self) {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.broken = true,
            Ok(_) => {
                self.stall = self.stall.max(self.progress.elapsed());
                (self.progress, self.asked) = (Instant::now(), false);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.speak(),
            Err(_) => self.broken = true,
        }
    }

    fn speak(&mut self) {
        if self.talks && !self.asked && self.progress.elapsed() >= PAUSE {
            self.broken = self.stream.write(b"x").is_err();
            (self.progress, self.asked) = (Instant::now(), true);
        }
    }
}
