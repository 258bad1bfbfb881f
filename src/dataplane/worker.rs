//! The worker: frames in, verdicts, frames out.

mod questions;

use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use standfast_ipvs::{ConnectionView, Director};
use tokio::sync::oneshot;

use super::carrying::Carrying;
use super::command::{Command, DriverCounters, Snapshot};
use super::control::{Request, Wake};
use super::egress::{BATCH, Egress, Source};
use super::engine::{Action, Engine, Ports};
use super::memory;
use super::packet_socket;
use super::patience::Patience;
use super::queue::Queue;
use super::ring::{FETCH, Ring, SlotInfo, VIRTIO_LEN};
use super::size::PREFIX;
use super::sync::{SyncIn, SyncOut, Whole};
use super::territory::Territory;
use super::topology::NextHop;
use crate::scheduling::run_in_turns;
use questions::Questions;

/// The largest frame of IPv4, and of IPv6 without jumbograms.
const BUFFER_LEN: usize = VIRTIO_LEN + 14 + 4 + 65_536 + 40;
const PACKET_HOST: u8 = 0;
const ORDERS_A_TURN: usize = 64;
/// The kernel's counter of lost frames is 32 bits wide and costs a system call.
const OVERFLOW_INTERVAL: Duration = Duration::from_secs(1);

/// The worker's turns among threads that want its processor: the shortest that Linux gives. In turns of the usual 3 ms its packets wait as long for
/// it, and then fill the buffers of receivers that wait for its processor.
const TURN: Duration = Duration::from_micros(100);

/// What the control thread tells the worker.
#[derive(Debug)]
pub(super) enum Order {
    /// Begin anew, without services.
    Reset,
    /// Apply commands that a director like ours has accepted.
    Commands(Vec<Command>),
    /// The interfaces.
    Ports(Arc<Ports>),
    /// What the claim covers.
    Territory(Box<Territory>),
    /// The way to an address.
    Hop(IpAddr, NextHop),
    /// Serve this netfilter queue from now on.
    Queue(Box<Queue>),
    /// Where to leave what another director is told from now on.
    SyncOut(Option<SyncOut>),
    /// Tell all connections: a daemon of this number asks for them by this number.
    TellAll(u64, u32),
    /// Where to find what another director tells from now on.
    SyncIn(Option<SyncIn>),
    /// Describe yourself.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Connections from the `skip`th on, a thousand or so at most.
    Connections(usize, oneshot::Sender<Vec<ConnectionView>>),
    /// End.
    Stop,
}

/// The control thread's end of the line to the worker.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Orders.
    pub(super) orders: Sender<Order>,
    /// Wakes the worker.
    pub(super) wake: Arc<EventFd>,
}

impl Line {
    /// Sends an order. A worker that is gone has been reported already.
    pub(super) fn send(&self, order: Order) {
        if self.orders.send(order).is_err() || self.wake.write(1).is_err() {
            tracing::debug!("the data plane's worker is gone");
        }
    }
}

/// The kernel side of the worker, which outlives a fault of the engine.
#[derive(Debug)]
struct Frames {
    ring: Ring,
    egress: Egress,
    queue: Option<Box<Queue>>,
    buffers: Vec<Vec<u8>>,
    lengths: [usize; FETCH],
    infos: Vec<SlotInfo>,
}

/// The worker's thread.
pub(super) struct Worker<F> {
    frames: Frames,
    orders: Receiver<Order>,
    wake: Arc<EventFd>,
    control: Wake,
    make_director: F,
    patience: Patience,
    overflow_read: Instant,
    /// The tables' memory that the system was advised of.
    advised: [Range<usize>; 4],
    sync_out: Option<SyncOut>,
    sync_in: Option<SyncIn>,
    whole: Option<Whole>,
    questions: Questions,
    /// While no engine has it.
    carrying: Option<Box<Carrying>>,
}

impl<F: Fn() -> Director> Worker<F> {
    /// A worker on an open ring and sending socket.
    pub(super) fn new(
        (ring, egress): (Ring, Egress),
        (orders, wake): (Receiver<Order>, Arc<EventFd>),
        control: Wake,
        patience: Patience,
        carrying: Option<Carrying>,
        make_director: F,
    ) -> Self {
        let buffers = (0..FETCH).map(|_| vec![0; BUFFER_LEN]).collect();
        let frames =
            Frames { ring, egress, queue: None, buffers, lengths: [0; FETCH], infos: Vec::with_capacity(BATCH) };
        let overflow_read = Instant::now();
        let advised = [const { 0..0 }; 4];
        let (sync_out, sync_in, whole) = (None, None, None);
        Self {
            frames,
            orders,
            wake,
            control,
            make_director,
            patience,
            overflow_read,
            advised,
            sync_out,
            sync_in,
            whole,
            questions: Questions::default(),
            carrying: carrying.map(Box::new),
        }
    }

    /// Works until it is told to stop. A panic costs the connections, not the process.
    pub(super) fn run(mut self) {
        if let Err(error) = run_in_turns(TURN) {
            tracing::debug!(error = error.desc(), "the worker runs in turns of the usual length");
        }
        let mut counters = DriverCounters::default();
        loop {
            let mut engine = Engine::new((self.make_director)(), counters, self.carrying.take());
            let outcome = catch_unwind(AssertUnwindSafe(|| self.work(&mut engine)));
            self.carrying = engine.carrying.take();
            self.carrying.iter_mut().for_each(|carrying| carrying.forget());
            if outcome.is_ok() {
                return;
            }
            counters = DriverCounters { restarts: engine.counters.restarts + 1, ..engine.counters };
            tracing::error!("the data plane's worker failed on a packet and starts anew: its connections are lost");
            self.frames.abandon();
            self.control.send(Request::WorkerRestarted);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn work(&mut self, engine: &mut Engine) {
        let mut busy = Instant::now();
        loop {
            if !self.obey(engine) {
                return self.finish_questions(&[], engine);
            }
            let now = Instant::now();
            let packets = self.frames.batch(engine, now) + self.frames.serve_queue(engine, now);
            let handled = packets + self.serve_sync(engine, now);
            engine.asks.drain(..).for_each(|address| self.control.send(Request::Resolve(address)));
            self.serve_timers(engine, now);
            let handled = handled + self.serve_carriage(engine, now);
            if handled > 0 {
                busy = now;
            } else if self.patience.lasts(now.saturating_duration_since(busy)) {
                std::thread::yield_now();
            } else {
                busy = self.wait(engine, now);
            }
        }
    }

    /// Gives a number above zero when there is more to do.
    fn serve_sync(&mut self, engine: &mut Engine, now: Instant) -> usize {
        let mut busy = false;
        if let Some(line) = &self.sync_out {
            line.serve(&mut engine.director);
            if let Some(whole) = self.whole {
                (self.whole, busy) = line.serve_whole(whole, &mut engine.director, now);
            }
        }
        usize::from(busy) + self.sync_in.as_mut().map_or(0, |line| line.serve(&mut engine.director, now))
    }

    fn serve_timers(&mut self, engine: &mut Engine, now: Instant) {
        if engine.director.poll_timeout().is_some_and(|due| due <= now) {
            if engine.director.watches_memory()
                && let Some(pages) = memory::free_pages()
            {
                engine.director.set_free_memory(pages);
            }
            engine.director.handle_timeout(now);
            self.advise(&engine.director);
        }
        if engine.poll_parking().is_some_and(|due| due <= now) {
            let frames = engine.unpark(now);
            self.frames.send(frames, engine);
        }
    }

    /// Has the tables that have grown large lie on huge pages.
    fn advise(&mut self, director: &Director) {
        let large = director.large_tables();
        if large != self.advised {
            memory::prefer_huge_pages(&large);
            self.advised = large;
        }
    }

    /// Carries out waiting orders; `false` to end.
    fn obey(&mut self, engine: &mut Engine) -> bool {
        for _ in 0..ORDERS_A_TURN {
            match self.orders.try_recv() {
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => break,
                Ok(order) => self.carry_out(order, engine),
            }
        }
        true
    }

    fn carry_out(&mut self, order: Order, engine: &mut Engine) {
        match order {
            Order::Reset => self.reset(engine),
            Order::Commands(commands) => self.apply(&commands, engine),
            Order::Ports(ports) => {
                engine.void_carriage();
                engine.ports = ports;
            }
            Order::Territory(territory) => {
                match engine.territory.lies_within(&territory) {
                    true => engine.renew_carriage(),
                    false => engine.void_carriage(),
                }
                engine.territory = *territory;
                let frames = engine.unpark(Instant::now());
                self.frames.send(frames, engine);
            }
            Order::Hop(address, next) => {
                let frames = engine.learn(address, next, Instant::now());
                self.frames.send(frames, engine);
            }
            Order::Snapshot(_) | Order::Connections(..) => self.questions.ask(order),
            Order::Queue(queue) => self.frames.queue = Some(queue),
            Order::SyncOut(line) => {
                // What waits goes out by the old line.
                self.serve_sync(engine, Instant::now());
                (self.sync_out, self.whole) = (line, None);
            }
            Order::SyncIn(line) => self.sync_in = line,
            Order::TellAll(daemon, request) => self.whole = Some(Whole { daemon, request, place: Some(0) }),
            Order::Stop => {}
        }
    }

    /// Sleeps until there is something to do; gives the moment of waking.
    fn wait(&mut self, engine: &mut Engine, asleep: Instant) -> Instant {
        let due = [engine.director.poll_timeout(), engine.poll_parking(), engine.poll_carriage()];
        let due = due.into_iter().flatten().min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            let left = due.saturating_duration_since(asleep);
            // Timers are served a bounded number at a time: what is due at once is not waited for.
            let wait = if left.is_zero() { left } else { left + Duration::from_millis(1) };
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        });
        let queue = self.frames.queue.as_ref().map_or(self.wake.as_fd(), |queue| queue.as_fd());
        let mut ready = [
            PollFd::new(self.frames.ring.socket(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
            PollFd::new(queue, PollFlags::POLLIN),
        ];
        if let Err(error) = poll(&mut ready, timeout) {
            tracing::debug!(%error, "poll");
        }
        let events = ready.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if events[1].contains(PollFlags::POLLIN)
            && let Err(error) = self.wake.read()
        {
            tracing::trace!(%error, "eventfd");
        }
        // An error waits on the socket (an interface went down, for example): reading the statistics clears nothing, the option does.
        if events[0].contains(PollFlags::POLLERR) {
            self.frames.clear_error();
        }
        let now = Instant::now();
        self.patience.slept(now.saturating_duration_since(asleep));
        if now.saturating_duration_since(self.overflow_read) >= OVERFLOW_INTERVAL {
            self.overflow_read = now;
            self.frames.count_overflow(engine);
        }
        now
    }
}

impl Frames {
    /// Handles the frames that are there, up to a batch; gives their number.
    fn batch(&mut self, engine: &mut Engine, now: Instant) -> usize {
        let queued = self.look();
        if self.infos.is_empty() {
            return 0;
        }
        self.announce(engine);
        let fetched = match queued {
            0 => 0,
            _ => self.ring.fetch(self.buffers.get_mut(..queued).unwrap_or_default(), &mut self.lengths),
        };
        let mut buffer = 0;
        for ahead in 0..self.infos.len() {
            let Some(info) = self.infos.get(ahead).copied() else { break };
            match info.queued {
                true if buffer < fetched => {
                    self.handle_buffer(buffer, &info, engine, now);
                    buffer += 1;
                }
                true => engine.counters.oversized += 1,
                false => self.handle_slot(ahead, info, engine, now),
            }
        }
        self.flush(engine);
        self.ring.release(self.infos.len());
        self.infos.len()
    }

    /// Handles packets of the netfilter queue, up to a batch; gives their number.
    fn serve_queue(&mut self, engine: &mut Engine, now: Instant) -> usize {
        let Some(mut queue) = self.queue.take() else { return 0 };
        let mut handled = 0;
        while handled < BATCH
            && let Some(mut queued) = queue.next()
        {
            handled += 1;
            let action = engine.receive_queued(&mut queued.frame, queued.hop, queued.mark, now);
            queue.settle(queued.id, action.is_none());
            self.depart(action.unwrap_or(Action::Discard), Source::Owned(queued.frame));
        }
        self.queue = Some(queue);
        self.flush(engine);
        handled
    }

    /// Tells the director what comes, so that it fetches many connections from memory at once.
    fn announce(&self, engine: &Engine) {
        let mut packets: [&[u8]; BATCH] = [&[]; BATCH];
        let whole = |info: &SlotInfo| !info.queued && !info.truncated && is_ours(info);
        let slots = self.infos.iter().enumerate().filter(|(_, info)| whole(info));
        let frames = slots.filter_map(|(ahead, info)| self.ring.frame(ahead, info).get(PREFIX..));
        let count = packets.iter_mut().zip(frames).map(|(place, packet)| *place = packet).count();
        engine.director.warm(packets.get(..count).unwrap_or_default());
    }

    /// Collects what the ring holds; gives the number of frames that lie in the socket's queue.
    fn look(&mut self) -> usize {
        self.infos.clear();
        let mut queued = 0;
        while let Some(info) = self.ring.info(self.infos.len()).filter(|_| self.infos.len() < BATCH) {
            queued += usize::from(info.queued);
            if queued > FETCH {
                return FETCH;
            }
            self.infos.push(info);
        }
        queued
    }

    fn handle_slot(&mut self, ahead: usize, info: SlotInfo, engine: &mut Engine, now: Instant) {
        if info.truncated {
            engine.counters.oversized += 1;
        } else if is_ours(&info) {
            let bytes = self.ring.frame_mut(ahead, &info);
            let action = engine.receive(bytes, info.interface, now);
            self.depart(action, Source::Slot(ahead, info));
        }
    }

    fn handle_buffer(&mut self, number: usize, info: &SlotInfo, engine: &mut Engine, now: Instant) {
        let length = self.lengths.get(number).copied().unwrap_or_default();
        let bytes = self.buffers.get_mut(number).and_then(|b| b.get_mut(..length));
        let Some(bytes) = bytes.filter(|_| length == info.length + VIRTIO_LEN) else {
            engine.counters.oversized += 1;
            return;
        };
        if is_ours(info) {
            let action = engine.receive(bytes, info.interface, now);
            self.depart(action, Source::Buffer(number, length));
        }
    }

    fn depart(&mut self, action: Action, source: Source) {
        match action {
            Action::Discard => {}
            Action::Send(interface) => self.egress.push(source, interface),
            Action::Prefixed(prefix, interface) => self.egress.push_prefixed(source, prefix, interface),
            Action::Instead(frames, interface) => {
                frames.into_iter().for_each(|frame| self.egress.push(Source::Owned(frame), interface));
            }
        }
    }

    /// Sends frames that were made or kept here.
    fn send(&mut self, frames: Vec<(Vec<u8>, u32)>, engine: &mut Engine) {
        for (frame, interface) in frames {
            self.egress.push(Source::Owned(frame), interface);
        }
        self.flush(engine);
    }

    fn flush(&mut self, engine: &mut Engine) {
        self.egress.flush(&self.ring, &self.buffers, &mut engine.counters);
    }

    /// Gives the frames of a batch that failed back to the kernel, so that they are not tried again.
    fn abandon(&mut self) {
        self.egress.clear();
        self.ring.release(self.infos.len());
        self.infos.clear();
    }

    fn count_overflow(&self, engine: &mut Engine) {
        if let Ok(dropped) = packet_socket::dropped(self.ring.socket()) {
            engine.counters.overflowed += u64::from(dropped);
        }
    }

    fn clear_error(&self) {
        let error = nix::sys::socket::getsockopt(&self.ring.socket(), nix::sys::socket::sockopt::SocketError);
        tracing::debug!(?error, "the receiving socket reports an error");
    }
}

fn is_ours(info: &SlotInfo) -> bool {
    info.packet_type == PACKET_HOST && !info.tagged
}
