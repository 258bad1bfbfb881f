//! The receiving end: checks datagrams and hands them to the data plane's worker.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{self, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use socket2::Socket;
use standfast_ipvs::sync::{Extension, Guard, Message, Rejection, Seal};

use super::mailbox::Mailbox;
use super::neighbourhood::Neighbourhood;
use super::share::Share;
use super::stationery::{Stationery, drawn};
use super::{Counters, Error, Key, Settings, socket};
use crate::dataplane::{self, SyncIn};
use crate::ipvsadm::Daemon;

/// Parcels of datagrams under way between receiver and worker. While all are, what comes is left in the sockets.
const PARCELS: usize = 4;
/// While datagrams come close together they are left to gather for so many milliseconds, so that many are taken at a time: to be woken
/// costs more than most of them.
const GATHER_PAUSE: u16 = 5;
/// How often it says that it is there.
const HELLO_INTERVAL: Duration = Duration::from_secs(1);
const HELLO_PAUSE: u16 = 1000;
/// Until then after its start a signing sender may not have heard of it.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// A log line about datagrams that are not believed is enough for so long.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// The running end. It stops when it is dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    engine: dataplane::Handle,
    bell: Arc<EventFd>,
    /// How far the connections are that were asked for.
    transfer: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// How far the connections are that were asked for.
    pub(super) fn transfer(&self) -> Transfer {
        Transfer::of(&self.transfer)
    }
}

impl Receiver {
    pub(super) fn start(
        settings: &Settings,
        engine: &dataplane::Handle,
        counters: Arc<Counters>,
    ) -> Result<Receiver, Error> {
        let daemon = &settings.daemon;
        let ports = (0..settings.ports).map_while(|ahead| daemon.port.checked_add(ahead));
        let sockets = ports.map(|port| socket::receiver(daemon, port)).collect::<Result<Vec<_>, _>>();
        let sockets = sockets.map_err(Error::system("open its sockets"))?;
        let transfer = Arc::new(AtomicU8::new(Transfer::Awaited as u8));
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let bell = Arc::new(bell.map_err(|error| Error::system("make its bell")(error.into()))?);
        let (number, start) = (drawn(), Instant::now());
        let (filled, inbox) = sync_channel(PARCELS);
        let (emptied, spare) = sync_channel(PARCELS);
        // There is room for all of them.
        (0..PARCELS).for_each(|_| drop(emptied.try_send(Vec::new())));
        let work = Work {
            sockets: sockets.into_iter().map(|socket| Line { socket, lost: 0 }).collect(),
            bell: Arc::clone(&bell),
            syncid: daemon.syncid,
            neighbourhood: Neighbourhood::of(&daemon.interface),
            worker: Worker { filled, spare, parcel: None, engine: engine.clone() },
            counters: Arc::clone(&counters),
            trust: settings.key.as_ref().and_then(Key::seal).map(|seal| (seal, Guard::new(number))),
            share: Share::new(start),
            complain_from: if settings.key.is_some() { start + INTRODUCTION } else { start },
            refused: 0,
            voice: Voice {
                settings: daemon.clone(),
                socket: None,
                stationery: Stationery::new(settings.key.as_ref(), number),
                daemon: number,
                next: start,
                transfer: Arc::clone(&transfer),
            },
        };
        engine.sync_in(Some(SyncIn::new(inbox, emptied, counters)));
        let thread = std::thread::Builder::new().name("sync-backup".to_owned()).spawn(move || work.run());
        let thread = thread.map_err(Error::system("start its thread"))?;
        Ok(Receiver { engine: engine.clone(), bell, transfer, thread: Some(thread) })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.engine.sync_in(None);
        if let Err(error) = self.bell.write(1) {
            tracing::debug!("the bell of the receiving sync daemon: {error}");
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(target: "healthcheck", "the receiving sync daemon ended by a panic");
        }
    }
}

/// How far the connections are for which a receiving daemon asks at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Transfer {
    /// Nobody has answered; perhaps there is no director of this kind.
    Awaited,
    /// They are on their way.
    Coming,
    /// They are here.
    Complete,
}

impl Transfer {
    fn of(shared: &AtomicU8) -> Transfer {
        let states = [Transfer::Awaited, Transfer::Coming, Transfer::Complete];
        states.into_iter().find(|state| *state as u8 == shared.load(Relaxed)).unwrap_or(Transfer::Awaited)
    }
}

/// The way to the data plane's worker.
struct Worker {
    filled: SyncSender<Vec<u8>>,
    spare: mpsc::Receiver<Vec<u8>>,
    /// What is being filled.
    parcel: Option<Vec<u8>>,
    engine: dataplane::Handle,
}

impl Worker {
    /// Whether there is something to put datagrams into.
    fn is_ready(&mut self) -> bool {
        self.parcel = self.parcel.take().or_else(|| self.spare.try_recv().ok());
        self.parcel.is_some()
    }

    fn add(&mut self, datagram: &[u8]) {
        if let Some(parcel) = &mut self.parcel {
            parcel.extend_from_slice(datagram);
        }
    }

    /// Hands over what there is.
    fn send(&mut self) {
        let Some(parcel) = self.parcel.take_if(|parcel| !parcel.is_empty()) else { return };
        match self.filled.try_send(parcel) {
            Ok(()) => self.engine.wake_worker(),
            // There is room for all parcels, and who holds the other end no more has ended.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// A port.
struct Line {
    socket: UdpSocket,
    /// Datagrams that it had no room for.
    lost: u32,
}

/// Says that a director of this kind is there, and asks for all connections until they have come.
struct Voice {
    settings: Daemon,
    /// Opened when the interface has an address to speak from.
    socket: Option<Socket>,
    stationery: Stationery,
    daemon: u64,
    next: Instant,
    transfer: Arc<AtomicU8>,
}

impl Voice {
    const REQUEST: u32 = 1;

    fn speak(&mut self, syncid: u8, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + HELLO_INTERVAL;
        let request = if Transfer::of(&self.transfer) == Transfer::Complete { 0 } else { Self::REQUEST };
        let hello = Extension::Hello { daemon: self.daemon, request };
        if let Err(error) = self.send(&hello.datagram(syncid)) {
            tracing::debug!("the receiving sync daemon cannot speak: {error}");
        }
    }

    fn send(&mut self, datagram: &[u8]) -> io::Result<usize> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => socket::sender(&self.settings, self.settings.port)?,
        };
        self.socket.insert(socket).send(self.stationery.finish(datagram))
    }

    fn hear(&self, said: Option<Extension>) {
        let (daemon, request) = (self.daemon, Self::REQUEST);
        let before = Transfer::of(&self.transfer);
        if said == Some(Extension::Begin { daemon, request }) && before == Transfer::Awaited {
            self.transfer.store(Transfer::Coming as u8, Relaxed);
            tracing::info!(target: "healthcheck", "The connections of the other director are coming");
        }
        if said == Some(Extension::Complete { daemon, request }) && before != Transfer::Complete {
            self.transfer.store(Transfer::Complete as u8, Relaxed);
            tracing::info!(target: "healthcheck", "All connections of the other director have come");
        }
    }
}

struct Work {
    sockets: Vec<Line>,
    bell: Arc<EventFd>,
    syncid: u8,
    neighbourhood: Neighbourhood,
    worker: Worker,
    counters: Arc<Counters>,
    /// Where only signed datagrams are believed.
    trust: Option<(Seal, Guard)>,
    share: Share,
    complain_from: Instant,
    /// What has been complained of.
    refused: u64,
    voice: Voice,
}

impl Work {
    fn run(mut self) {
        let (mut mailbox, mut sockets) = (Mailbox::new(), std::mem::take(&mut self.sockets));
        self.voice.speak(self.syncid, Instant::now());
        while self.wait(&sockets, HELLO_PAUSE) {
            let start = Instant::now();
            self.voice.speak(self.syncid, start);
            let left = self.share.left(start);
            if left == 0 {
                std::thread::sleep(self.share.pause(start));
                continue;
            }
            if !self.worker.is_ready() {
                if !self.wait(&[], GATHER_PAUSE) {
                    return;
                }
                continue;
            }
            let handled = self.serve(&mut sockets, &mut mailbox, left, start);
            self.share.spend(handled);
            self.worker.send();
            if handled > 0 {
                self.complain(start);
            }
            if handled > 1 && !self.wait(&[], GATHER_PAUSE) {
                return;
            }
        }
    }

    /// Waits for datagrams; false at the end.
    fn wait(&self, sockets: &[Line], pause: u16) -> bool {
        let mut ready = vec![PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        ready.extend(sockets.iter().map(|line| PollFd::new(line.socket.as_fd(), PollFlags::POLLIN)));
        if let Err(error) = poll(&mut ready, pause) {
            tracing::debug!("the receiving sync daemon waits: {error}");
        }
        let rung = ready.first().and_then(PollFd::revents);
        !rung.is_some_and(|events| events.contains(PollFlags::POLLIN))
    }

    /// Takes what has come, as many as are left, and what comes with the last of them.
    fn serve(&mut self, sockets: &mut [Line], mailbox: &mut Mailbox, left: u32, now: Instant) -> u32 {
        let left = left as usize;
        let mut handled = 0;
        for Line { socket, lost } in sockets {
            let mut more = true;
            while more && handled < left {
                let fetched = mailbox.fetch(socket, |datagram, host| self.take(datagram, host, now));
                (more, handled) = (fetched.more, handled + fetched.datagrams);
                if let Some(count) = fetched.lost {
                    self.counters.count_crowded(count.wrapping_sub(*lost).into());
                    *lost = count;
                }
            }
        }
        u32::try_from(handled).unwrap_or(u32::MAX)
    }

    fn take(&mut self, datagram: &[u8], host: IpAddr, now: Instant) {
        self.counters.count_received();
        if !self.neighbourhood.holds(host, now) {
            return self.counters.count_foreign();
        }
        match self.check(datagram) {
            Err(why) => self.counters.count_rejected(why),
            Ok(message) if message.count == 0 => self.voice.hear(Extension::parse(message.extension)),
            Ok(_) => self.worker.add(datagram),
        }
    }

    /// What other receivers say of themselves is for senders.
    fn check<'d>(&mut self, datagram: &'d [u8]) -> Result<Message<'d>, Rejection> {
        let message = Message::parse_for(datagram, self.syncid)?;
        let hello = matches!(Extension::parse(message.extension), Some(Extension::Hello { .. }));
        if let Some((seal, guard)) = &mut self.trust {
            let stamp = seal.open(datagram, &message)?;
            if !hello {
                guard.take(&stamp)?;
            }
        }
        Ok(message)
    }

    /// Tells of datagrams that were not believed, once a minute.
    fn complain(&mut self, now: Instant) {
        let tally = self.counters.tally();
        let fresh = tally.refused() - self.refused;
        if fresh > 0 && now >= self.complain_from {
            (self.complain_from, self.refused) = (now + COMPLAINT_INTERVAL, tally.refused());
            tracing::warn!(target: "healthcheck", "{fresh} datagrams of the sync group were not believed; so far: {tally}");
        }
    }
}
