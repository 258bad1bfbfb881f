//! The worker's ends of the lines to the sync daemons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst, fence};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Instant;

use standfast_ipvs::Director;
use standfast_ipvs::sync::Message;

use crate::sync::{AdoptedCounts, Counters};

/// Datagrams taken in between two batches of packets: some hundred microseconds.
const AT_ONCE: usize = 16;
/// What a burst has made larger than this is not kept so.
const LARGEST_KEPT: usize = 1 << 18;

/// What the sending daemon gets.
#[derive(Debug)]
pub enum Parcel {
    /// Records to be sent.
    Records(Vec<u8>),
    /// All connections that this daemon asked for by this number are in the parcels before.
    Complete(u64, u32),
}

/// All connections on their way to a daemon that asked for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub(super) daemon: u64,
    pub(super) request: u32,
    /// The place in the tables to go on from; `None` when only the word of the end is left to be given.
    pub(super) place: Option<usize>,
}

/// Places of the tables that are looked at between two batches of packets: some tens of microseconds.
const PLACES: usize = 512;

/// The line to the sending daemon. Buffers go round, so that nothing is allocated.
#[derive(Debug)]
pub struct SyncOut {
    /// Records to be sent.
    pub filled: SyncSender<Parcel>,
    /// Empty buffers; without one, records wait in the director.
    pub spare: Receiver<Vec<u8>>,
    /// Set when there was none: the daemon rings the worker's bell when it gives one back.
    pub starved: Arc<AtomicBool>,
}

impl SyncOut {
    /// Passes on what the director has to tell.
    pub(super) fn serve(&self, director: &mut Director) {
        let Some(outbox) = director.outbox().filter(|outbox| !outbox.is_empty()) else { return };
        let Some(spare) = self.spare_buffer() else { return };
        match self.filled.try_send(Parcel::Records(outbox.take(spare))) {
            // As many buffers go round as there is room for, so that only a daemon that has ended refuses one.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// An empty buffer. Without one the daemon rings when it has given one back: it looks whether somebody waits after that, and who waits
    /// looks for a buffer after saying so.
    fn spare_buffer(&self) -> Option<Vec<u8>> {
        self.spare.try_recv().ok().or_else(|| {
            self.starved.store(true, SeqCst);
            fence(SeqCst);
            self.spare.try_recv().ok()
        })
    }

    /// Goes on with all connections; gives what is left and whether there is more to do at once.
    pub(super) fn serve_whole(&self, whole: Whole, director: &mut Director, now: Instant) -> (Option<Whole>, bool) {
        if director.outbox().is_some_and(|outbox| !outbox.is_empty()) {
            // The daemon rings when it has given a buffer back.
            return (Some(whole), false);
        }
        let Some(place) = whole.place else {
            // There is one place more than buffers, so that the last word always fits.
            let _ = self.filled.try_send(Parcel::Complete(whole.daemon, whole.request));
            return (None, false);
        };
        let place = director.tell_all(place, PLACES, now);
        self.serve(director);
        (Some(Whole { place, ..whole }), true)
    }
}

/// The line from the receiving daemon.
#[derive(Debug)]
pub struct SyncIn {
    inbox: Receiver<Vec<u8>>,
    emptied: SyncSender<Vec<u8>>,
    counters: Arc<Counters>,
    /// What is being taken in, and how far it is.
    open: Option<(Vec<u8>, usize)>,
}

impl SyncIn {
    /// By `inbox` come parcels of datagrams that were checked, one behind the other; their buffers go back by `emptied`. What becomes of
    /// entries is counted.
    #[must_use]
    pub fn new(inbox: Receiver<Vec<u8>>, emptied: SyncSender<Vec<u8>>, counters: Arc<Counters>) -> SyncIn {
        SyncIn { inbox, emptied, counters, open: None }
    }

    /// Takes in what has come, a bounded number of datagrams; gives their number.
    pub(super) fn serve(&mut self, director: &mut Director, now: Instant) -> usize {
        let mut taken = 0;
        while taken < AT_ONCE
            && let Some((parcel, at)) =
                self.open.take().or_else(|| self.inbox.try_recv().ok().map(|parcel| (parcel, 0)))
        {
            match Message::split_datagram(parcel.get(at..).unwrap_or_default()) {
                Some((datagram, _)) => {
                    taken += 1;
                    self.take_in(datagram, director, now);
                    let next = at + datagram.len();
                    self.open = Some((parcel, next));
                }
                None => self.give_back(parcel),
            }
        }
        taken
    }

    fn give_back(&self, mut parcel: Vec<u8>) {
        parcel.clear();
        parcel.shrink_to(LARGEST_KEPT);
        // There is room for all of them.
        let _ = self.emptied.try_send(parcel);
    }

    fn take_in(&self, datagram: &[u8], director: &mut Director, now: Instant) {
        let Some(message) = Message::of_checked(datagram) else { return };
        let mut adopted = AdoptedCounts::default();
        director.adopt_all(&message, now, |adoption| adopted.count(adoption));
        self.counters.count_adopted(&adopted);
    }
}
