//! A client that never stops asking, and what can be read from its notes.

use standfast_labkit::Host;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Sixteen askers, each every 80 ms: one request every 5 ms.
const ASKERS: u32 = 16;
const PACE: Duration = Duration::from_millis(80);
/// A virtual machine whose host is busy stands still for half a second at times, which must not count as a lost request.
const PATIENCE: Duration = Duration::from_secs(1);

/// One request: its own connection, its answer (the server's name) or why there was none.
struct Attempt {
    start: Instant,
    end: Instant,
    answer: Result<String, io::ErrorKind>,
}

/// The requests made so far, and those to come until it is dropped.
pub struct Traffic {
    attempts: Arc<Mutex<Vec<Attempt>>>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    pub fn start(client: &Host, target: SocketAddr) -> io::Result<Traffic> {
        let traffic = Traffic { attempts: Arc::default(), stop: Arc::default() };
        let start = Instant::now();
        for asker in 0..ASKERS {
            let (attempts, stop) = (Arc::clone(&traffic.attempts), Arc::clone(&traffic.stop));
            client.spawn(move || ask_forever(target, start + PACE / ASKERS * asker, &attempts, &stop))?;
        }
        Ok(traffic)
    }

    /// How many were answered between the two moments, by server.
    pub fn answers(&self, from: Instant, to: Instant) -> BTreeMap<String, u32> {
        let mut count = BTreeMap::new();
        self.visit(|attempt| {
            if let (true, Ok(server)) = (attempt.start >= from && attempt.end <= to, &attempt.answer) {
                *count.entry(server.clone()).or_default() += 1;
            }
        });
        count
    }

    /// How many were begun between the two moments and got no answer.
    pub fn failures(&self, from: Instant, to: Instant) -> u32 {
        let mut count = 0;
        self.visit(|attempt| {
            count += u32::from(attempt.answer.is_err() && attempt.start >= from && attempt.start <= to);
        });
        count
    }

    /// The longest time without an answer by a web server, beginning with the last one before `from`. The sorry server does not
    /// count: a killed daemon leaves its address on the host, whose own web server then answers until the other director takes over.
    pub fn longest_silence(&self, from: Instant, to: Instant) -> Duration {
        let mut ends = Vec::new();
        self.visit(|attempt| {
            let by_web = attempt.answer.as_ref().is_ok_and(|server| server.starts_with("web"));
            ends.extend(by_web.then_some(attempt.end));
        });
        ends.sort_unstable();
        let before = ends.partition_point(|end| *end < from).saturating_sub(1);
        let after = ends.partition_point(|end| *end <= to);
        let window = ends.get(before..after).unwrap_or_default();
        window.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(to - from)
    }

    /// When the first request begun after `from` was answered by `server`.
    pub fn first_answer(&self, from: Instant, server: &str) -> Option<Duration> {
        let mut first: Option<Instant> = None;
        self.visit(|attempt| {
            if attempt.start >= from && attempt.answer.as_deref() == Ok(server) {
                first = Some(first.map_or(attempt.end, |end| end.min(attempt.end)));
            }
        });
        first.map(|end| end - from)
    }

    /// How long after `from` the last request was begun that a host without a web server refused.
    pub fn last_refusal(&self, from: Instant) -> Option<Duration> {
        let mut last: Option<Instant> = None;
        self.visit(|attempt| {
            if attempt.start >= from && attempt.answer == Err(io::ErrorKind::ConnectionRefused) {
                last = Some(last.map_or(attempt.start, |start| start.max(attempt.start)));
            }
        });
        last.map(|start| start - from)
    }

    pub fn total(&self) -> usize {
        self.attempts.lock().map(|attempts| attempts.len()).unwrap_or_default()
    }

    fn visit(&self, visitor: impl FnMut(&Attempt)) {
        if let Ok(attempts) = self.attempts.lock() {
            attempts.iter().for_each(visitor);
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask_forever(target: SocketAddr, mut next: Instant, attempts: &Mutex<Vec<Attempt>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let start = Instant::now();
        let answer = ask(target).map_err(|error| error.kind());
        if let Ok(mut attempts) = attempts.lock() {
            attempts.push(Attempt { start, end: Instant::now(), answer });
        }
        next += PACE;
        if next < Instant::now() {
            next = Instant::now();
        }
    }
}

fn ask(target: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: www.example.net\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    match response.rsplit_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.trim().to_owned()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
