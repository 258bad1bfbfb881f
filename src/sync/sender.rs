//! The sending end: takes records from the data plane's worker, packs them into datagrams and sends these.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst, fence};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use standfast_ipvs::sync::{Entry, Extension, Format, Outbox, Packer, Seal};

use super::ears::{Ears, Pace};
use super::post::Post;
use super::stationery::{Stationery, drawn};
use super::{Counters, Error, Settings, socket};
use crate::dataplane::{self, Parcel, SyncOut};

/// Buffers of records under way between worker and sender, 64 KiB each.
const BUFFERS: usize = 8;
/// How often it is looked who hears, at least.
const ATTENTION: Duration = Duration::from_secs(1);
/// How long records gather when connections are told at once. The thread sleeps for so long before it looks at what the worker has
/// filled, so that a busy worker need not wake it for each handful of records, and datagrams are full.
const NAP: Duration = Duration::from_millis(2);
/// Datagrams sent in so long, no more: fewer than a receiver takes, so that all connections told in one go are not lost on the way.
const DATAGRAMS_A_NAP: u32 = 40;
/// A log line about datagrams that cannot be sent is enough for so long.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// The running end. It stops when it is dropped.
#[derive(Debug)]
pub(super) struct Sender {
    engine: dataplane::Handle,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    pub(super) fn start(
        settings: &Settings,
        engine: &dataplane::Handle,
        counters: Arc<Counters>,
    ) -> Result<Sender, Error> {
        let daemon = &settings.daemon;
        let format = Format {
            version: settings.version,
            syncid: daemon.syncid,
            longest: usize::from(daemon.maxlen) - seal_room(settings).min(daemon.maxlen.into()),
            patience: Format::PATIENCE,
        };
        let ports = (0..settings.ports).map_while(|ahead| daemon.port.checked_add(ahead));
        let lane = |port| {
            socket::sender(daemon, port).map(|socket| Lane { post: Post::new(socket), packer: Packer::new(format) })
        };
        let lanes = ports.map(lane).collect::<Result<Vec<_>, _>>().map_err(Error::system("open its sockets"))?;
        let ears = Ears::open(settings, Arc::clone(&counters)).map_err(Error::system("open its sockets"))?;
        // One place more, for the last word about all connections.
        let (filled, batches) = sync_channel(BUFFERS + 1);
        let (emptied, spare) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            // There is room for all of them.
            let _ = emptied.try_send(Vec::with_capacity(Outbox::CAPACITY));
        }
        let starved = Arc::new(AtomicBool::new(false));
        let back = Back { emptied, starved: Arc::clone(&starved), engine: engine.clone() };
        let stationery = Stationery::new(settings.key.as_ref(), drawn());
        let work = Work {
            lanes,
            batches,
            back,
            ears,
            stationery,
            counters,
            complained: None,
            posted: 0,
            naps: 1,
            hurries: false,
        };
        let thread = std::thread::Builder::new().name("sync-master".to_owned()).spawn(move || work.run());
        let thread = thread.map_err(Error::system("start its thread"))?;
        engine.sync_out(Some((settings.rules, SyncOut { filled, spare, starved })));
        Ok(Sender { engine: engine.clone(), thread: Some(thread) })
    }
}

impl Drop for Sender {
    /// The worker lets go of the queue, and with that the thread ends.
    fn drop(&mut self) {
        self.engine.sync_out(None);
        if self.thread.take().is_some_and(|thread| thread.is_finished() && thread.join().is_err()) {
            tracing::error!(target: "healthcheck", "the sending sync daemon ended by a panic");
        }
    }
}

/// One port.
struct Lane {
    post: Post,
    packer: Packer,
}

/// Where emptied buffers go.
struct Back {
    emptied: SyncSender<Vec<u8>>,
    starved: Arc<AtomicBool>,
    engine: dataplane::Handle,
}

impl Back {
    fn give(&self, batch: Vec<u8>) {
        // The worker may be gone.
        let _ = self.emptied.try_send(batch);
        fence(SeqCst);
        if self.starved.swap(false, SeqCst) {
            self.engine.wake_worker();
        }
    }
}

struct Work {
    lanes: Vec<Lane>,
    batches: Receiver<Parcel>,
    back: Back,
    ears: Ears,
    stationery: Stationery,
    counters: Arc<Counters>,
    complained: Option<Instant>,
    /// Datagrams so far.
    posted: u64,
    /// How long to sleep before the next round.
    naps: u32,
    /// No datagram waits for more entries beyond a round.
    hurries: bool,
}

impl Work {
    fn run(mut self) {
        loop {
            let due = self.lanes.iter().filter_map(|lane| lane.packer.poll_timeout()).min();
            let pause = due.map_or(ATTENTION, |due| due.saturating_duration_since(Instant::now()).min(ATTENTION));
            match self.batches.recv_timeout(pause) {
                Ok(parcel) => self.round(parcel),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
            let now = Instant::now();
            self.each_lane(|packer, send| packer.handle_timeout(now, send));
            self.dispatch();
            self.listen(now);
        }
    }

    /// Takes a parcel, and those that come within a short time.
    fn round(&mut self, first: Parcel) {
        std::thread::sleep(NAP.saturating_mul(self.naps));
        let mut parcel = Some(first);
        let before = self.posted;
        while let Some(next) = parcel.take() {
            match next {
                Parcel::Records(records) => self.pack(records, Instant::now()),
                Parcel::Complete(daemon, request) => self.complete(daemon, request),
            }
            if self.posted - before < DATAGRAMS_A_NAP.into() {
                parcel = self.batches.try_recv().ok();
            }
        }
        if self.hurries {
            self.each_lane(|packer, send| packer.flush(send));
        }
        self.dispatch();
        self.naps = u32::try_from(self.posted - before).unwrap_or(u32::MAX).div_ceil(DATAGRAMS_A_NAP).max(1);
    }

    /// Who hears of connections decides how they are told.
    fn listen(&mut self, now: Instant) {
        if let Some(pace) = self.ears.listen(now, &self.back.engine) {
            self.hurries = pace == Pace::AtOnce;
            self.flush();
        }
        self.stationery.address(self.ears.hearers(now));
        if let Some(promise) = self.ears.take_promise() {
            self.say(promise);
        }
    }

    /// The last word goes out behind everything else.
    fn complete(&mut self, daemon: u64, request: u32) {
        self.flush();
        self.say(Extension::Complete { daemon, request });
    }

    fn flush(&mut self) {
        self.each_lane(|packer, send| packer.flush(send));
        self.dispatch();
    }

    fn say(&mut self, words: Extension) {
        let datagram = words.datagram(self.ears.syncid());
        let datagram = self.stationery.finish(&datagram);
        let mut fault = None;
        if let Some(lane) = self.lanes.first_mut() {
            lane.post.push(datagram);
            lane.post.flush(|_, outcome| fault = outcome.err());
        }
        self.complain(fault);
    }

    fn pack(&mut self, batch: Vec<u8>, now: Instant) {
        let mut rest = batch.as_slice();
        match self.lanes.len() {
            1 => self.with_lane(0, |packer, send| packer.push_all(rest, now, send)),
            lanes => {
                while let Some((record, tail)) = Entry::split_record(rest) {
                    self.with_lane(lane_of(record, lanes), |packer, send| packer.push(record, now, send));
                    rest = tail;
                }
            }
        }
        self.back.give(batch);
    }

    fn each_lane(&mut self, mut work: impl FnMut(&mut Packer, &mut dyn FnMut(&[u8]))) {
        for lane in 0..self.lanes.len() {
            self.with_lane(lane, &mut work);
        }
    }

    /// Has a lane's packer work; what comes of it waits for [`Work::dispatch`].
    fn with_lane(&mut self, lane: usize, work: impl FnOnce(&mut Packer, &mut dyn FnMut(&[u8]))) {
        let Some(Lane { post, packer }) = self.lanes.get_mut(lane) else { return };
        let (counters, stationery, mut fault) = (&self.counters, &mut self.stationery, None);
        let (unfit, mut posted) = (packer.unfit(), 0);
        work(packer, &mut |datagram| {
            if post.is_full() {
                fault = send(post, counters).or(fault.take());
            }
            posted += 1;
            post.push(stationery.finish(datagram));
        });
        self.counters.count_unsent(packer.unfit() - unfit);
        self.posted += posted;
        self.complain(fault);
    }

    /// Sends what waits.
    fn dispatch(&mut self) {
        let counters = &self.counters;
        let fault = self.lanes.iter_mut().filter_map(|lane| send(&mut lane.post, counters)).last();
        self.complain(fault);
    }

    fn complain(&mut self, fault: Option<io::Error>) {
        let (Some(fault), now) = (fault, Instant::now()) else { return };
        if self.complained.is_none_or(|last| now >= last + COMPLAINT_INTERVAL) {
            self.complained = Some(now);
            tracing::warn!(target: "healthcheck", "Connections cannot be told to the other director: {fault}");
        }
    }
}

/// Sends what waits and counts it; the latest fault.
fn send(post: &mut Post, counters: &Counters) -> Option<io::Error> {
    let mut fault = None;
    post.flush(|datagram, outcome| match outcome {
        Ok(()) => counters.count_sent(entries_of(datagram)),
        Err(error) => {
            counters.count_unsent(entries_of(datagram));
            fault = Some(error);
        }
    });
    fault
}

fn seal_room(settings: &Settings) -> usize {
    settings.key.as_ref().map_or(0, |_| Seal::ROOM)
}

/// The number of entries: both versions have it in their header.
fn entries_of(datagram: &[u8]) -> u64 {
    datagram.first().filter(|first| **first != 0).or(datagram.get(4)).copied().unwrap_or(0).into()
}

/// All entries of a client's port go the same way, so that they stay in order.
fn lane_of(record: &[u8], lanes: usize) -> usize {
    let port = Entry::decode(record).map_or(0, |(entry, _)| entry.client.port());
    usize::from(port).checked_rem(lanes).unwrap_or(0)
}
