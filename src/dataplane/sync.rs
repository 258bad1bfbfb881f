//! The worker's ends of the lines to the sync daemons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Instant;

use standfast_ipvs::Director;
use standfast_ipvs::sync::Message;

use crate::sync::Counters;

/// Datagrams taken in between two batches of packets: some hundred microseconds.
const AT_ONCE: usize = 16;

/// The line to the sending daemon. Buffers go round, so that nothing is allocated.
#[derive(Debug)]
pub struct SyncOut {
    /// Records to be sent.
    pub filled: SyncSender<Vec<u8>>,
    /// Empty buffers; without one, records wait in the director.
    pub spare: Receiver<Vec<u8>>,
    /// Set when there was none: the daemon rings the worker's bell when it gives one back.
    pub starved: Arc<AtomicBool>,
}

impl SyncOut {
    /// Passes on what the director has to tell.
    pub(super) fn serve(&self, director: &mut Director) {
        let Some(outbox) = director.outbox().filter(|outbox| !outbox.is_empty()) else { return };
        let Ok(spare) = self.spare.try_recv() else { return self.starved.store(true, Relaxed) };
        match self.filled.try_send(outbox.take(spare)) {
            // As many buffers go round as there is room for, so that only a daemon that has ended refuses one.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// The line from the receiving daemon.
#[derive(Debug)]
pub struct SyncIn {
    /// Datagrams that were checked.
    pub inbox: Receiver<Vec<u8>>,
    /// Where their buffers go back to.
    pub emptied: SyncSender<Vec<u8>>,
    /// Counts what becomes of entries.
    pub counters: Arc<Counters>,
}

impl SyncIn {
    /// Takes in what has come, a bounded number of datagrams; gives their number.
    pub(super) fn serve(&self, director: &mut Director, now: Instant) -> usize {
        let mut taken = 0;
        while taken < AT_ONCE
            && let Ok(datagram) = self.inbox.try_recv()
        {
            taken += 1;
            let entries = Message::parse(&datagram).into_iter().flat_map(|message| message.entries());
            entries.for_each(|entry| self.counters.count_adopted(director.adopt(&entry, now)));
            // A buffer too many is let go.
            let _ = self.emptied.try_send(datagram);
        }
        taken
    }
}
