//! Metrics, health and a status page over HTTP, where `web_address` asks for them.
//!
//! | path | what |
//! |---|---|
//! | `/` | the status page, one file, kept up to date through `/events` |
//! | `/events` | server-sent events: the picture every second or so, the journal as it grows |
//! | `/metrics` | OpenMetrics, see `docs/metrics.md` |
//! | `/healthz` | 200 while every part that is configured answers, else 503 |
//! | `/status.json` | the picture, see `docs/control.md` |
//!
//! Read only, without a password and without anything secret. It is served by a thread of its own with a nice value, so that a
//! flood of requests takes time neither from VRRP nor from the checks. Whatever the number of clients, the daemon is asked for one
//! picture a second at most. Connections, their number, the size and time of a request and the patience with slow readers are bounded.

mod desk;
mod feed;
mod listen;
pub mod metrics;
mod page;
mod patience;
mod process;
mod respond;
#[cfg(test)]
mod tests;

pub use desk::{Desk, Health, Question, Vitals};
pub use process::Process;

use crate::scheduling::{Part, Priority, Scheduling};
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Below everything else that the machine does.
const NICE: i8 = 10;

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
    /// Dropping it ends the thread.
    _life: watch::Sender<()>,
}

impl Server {
    /// Starts to serve in the network namespace of the caller, once the server `before` has given its address up. An address
    /// that cannot be had is logged and tried again.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(address: SocketAddr, desk: Desk, before: Option<Server>) -> io::Result<Self> {
        let (life, end) = watch::channel(());
        let before = before.map(|server| server.thread);
        let body = move || {
            // A panic of the one before was told by the hook of the log.
            let _ = before.map(JoinHandle::join);
            run(address, desk, end);
        };
        let thread = std::thread::Builder::new().name("web".to_owned()).spawn(body)?;
        Ok(Self { address, thread, _life: life })
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Everything that is still under way ends with the runtime.
fn run(address: SocketAddr, desk: Desk, mut end: watch::Receiver<()>) {
    Scheduling { priority: Priority::Nice(NICE), ..Scheduling::default() }.apply(Part::WebServer);
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                () = listen::serve(address, desk) => {}
                // Nothing is ever sent: an error is the end.
                _ = end.changed() => {}
            }
        }),
        Err(error) => tracing::error!("Cannot serve metrics and the status page: {error}"),
    }
}
