//! The signals that the daemon understands, with keepalived's names and numbers.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGUSR1: write the state to files.
    DumpData,
    /// SIGUSR2: write the counters to a file.
    DumpStats,
    /// SIGRTMAX-1: write the counters to a file, and count from zero again.
    ClearStats,
    /// SIGRTMIN+2: write the state as JSON.
    DumpJson,
}

/// The number that `--signum=NAME` prints; `None` for names that nothing answers to.
#[must_use]
pub fn number_of(name: &str) -> Option<i32> {
    Some(match name {
        "STOP" => libc::SIGTERM,
        "RELOAD" => libc::SIGHUP,
        "DATA" => libc::SIGUSR1,
        "STATS" => libc::SIGUSR2,
        "STATS_CLEAR" => clear_signal(),
        "JSON" => json_signal(),
        _ => return None,
    })
}

fn clear_signal() -> i32 {
    libc::SIGRTMAX() - 1
}

fn json_signal() -> i32 {
    libc::SIGRTMIN() + 2
}

/// Signals of this process as a stream of [`Request`]s.
#[derive(Debug)]
pub struct Signals {
    hup: Signal,
    term: Signal,
    int: Signal,
    usr1: Signal,
    usr2: Signal,
    clear: Signal,
    json: Signal,
    ignore_int: bool,
}

impl Signals {
    /// Takes over the signals; from here on none of them ends the process by itself.
    ///
    /// # Errors
    /// The system's, when a handler cannot be installed. Panics outside a tokio runtime.
    pub fn register(ignore_int: bool) -> io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
            clear: signal(SignalKind::from_raw(clear_signal()))?,
            json: signal(SignalKind::from_raw(json_signal()))?,
            ignore_int,
        })
    }

    /// The next request. Cancel safe.
    pub async fn next(&mut self) -> Request {
        loop {
            tokio::select! {
                biased;
                _ = self.term.recv() => return Request::Stop,
                _ = self.int.recv() => if !self.ignore_int { return Request::Stop },
                _ = self.hup.recv() => return Request::Reload,
                _ = self.usr1.recv() => return Request::DumpData,
                _ = self.usr2.recv() => return Request::DumpStats,
                _ = self.clear.recv() => return Request::ClearStats,
                _ = self.json.recv() => return Request::DumpJson,
            }
        }
    }
}
