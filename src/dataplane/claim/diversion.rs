//! Packets that come to the engine by a netfilter queue: those with a firewall mark, and answers of servers on this host.

use std::io;
use std::time::Duration;

use nix::sys::socket::SockProtocol;

use super::rules::{Batch, Fate, QueueBy};
use super::{Diverted, Error, will_name};
use crate::dataplane::netlink::Socket;
use crate::dataplane::queue::Queue;

/// The table that diverts packets, and the queue's number.
#[derive(Debug)]
pub(in crate::dataplane) struct Diversion {
    socket: Socket,
    table: String,
    installed: Diverted,
    queue: Option<u16>,
}

impl Diversion {
    /// Nothing is diverted yet.
    ///
    /// # Errors
    /// [`Error::Claim`] where nfnetlink is missing.
    pub(in crate::dataplane) fn open() -> Result<Self, Error> {
        let socket =
            Socket::open(SockProtocol::NetlinkNetFilter, 0).map_err(|e| super::refusal("open nfnetlink", &e))?;
        let table = format!("standfast-{}", std::process::id());
        Ok(Self { socket, table, installed: Diverted::default(), queue: None })
    }

    /// Diverts exactly this. The first time, gives the queue that the worker has to serve.
    ///
    /// # Errors
    /// [`Error::Claim`]; what was diverted still is.
    pub(in crate::dataplane) fn update(&mut self, wanted: &Diverted) -> Result<Option<Queue>, Error> {
        if self.installed == *wanted {
            return Ok(None);
        }
        let fresh = match self.queue {
            Some(_) => None,
            None => Some(Queue::open().map_err(|e| refusal("open a netfilter queue", &e))?),
        };
        let number = self.queue.or(fresh.as_ref().map(Queue::number)).unwrap_or_default();
        let by_expression = self.commit(wanted, number, QueueBy::Expression);
        by_expression
            .or_else(|_| self.commit(wanted, number, QueueBy::Target))
            .map_err(|e| refusal("hand packets to a netfilter queue", &e))?;
        self.installed = wanted.clone();
        self.queue = Some(number);
        Ok(fresh)
    }

    /// What is diverted.
    pub(in crate::dataplane) fn installed(&self) -> &Diverted {
        &self.installed
    }

    fn commit(&mut self, wanted: &Diverted, queue: u16, by: QueueBy) -> io::Result<()> {
        let mut batch = Batch::inet(&self.table);
        batch.divert(!self.installed.is_empty(), wanted, Fate::Queue(queue, by));
        self.socket.exchange(&batch.finish(), |_| ())
    }
}

/// The table that keeps what was diverted from the host's own stack for some seconds after the process.
#[derive(Debug)]
pub(super) struct Silence {
    socket: Socket,
    table: String,
    installed: Diverted,
}

impl Silence {
    /// There is no table yet.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::open(SockProtocol::NetlinkNetFilter, 0)?;
        Ok(Self { socket, table: will_name(), installed: Diverted::default() })
    }

    /// Has exactly this dropped for so long from here on.
    pub(super) fn update(&mut self, wanted: &Diverted, holds: Duration) -> io::Result<()> {
        if self.installed == *wanted {
            return Ok(());
        }
        let exists = !self.installed.is_empty();
        self.commit(|batch| batch.divert(exists, wanted, Fate::Drop(holds)))?;
        self.installed = wanted.clone();
        Ok(())
    }

    /// Lets it hold so long from here on.
    pub(super) fn prolong(&mut self, holds: Duration) -> io::Result<()> {
        if self.installed.is_empty() {
            return Ok(());
        }
        // On a machine that stood still it may have ended.
        let prolonged = self.commit(|batch| batch.prolong(false, holds));
        prolonged.or_else(|_| self.commit(|batch| batch.prolong(true, holds)))
    }

    fn commit(&mut self, fill: impl FnOnce(&mut Batch<'_>)) -> io::Result<()> {
        let mut batch = Batch::inet(&self.table);
        fill(&mut batch);
        self.socket.exchange(&batch.finish(), |_| ())
    }
}

impl Drop for Silence {
    /// An orderly end leaves nothing.
    fn drop(&mut self) {
        if let Err(error) = self.update(&Diverted::default(), Duration::ZERO) {
            tracing::debug!(%error, "what the diversion leaves behind was gone already");
        }
    }
}

fn refusal(doing: &str, error: &io::Error) -> Error {
    let advice = format!(
        "firewall marks and NAT to servers on the director itself need the kernel's nfnetlink_queue with nft_queue, or with \
         xt_NFQUEUE and nft_compat ({error})"
    );
    Error::Claim { doing: doing.to_owned(), advice }
}
