//! Starting, steering and stopping the data plane.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use standfast_ipvs::sync::SyncSettings;
use standfast_ipvs::{ConnectionView, Director};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::carrying::{CONNECTIONS, Carrying};
use super::command::{Command, Snapshot};
use super::control::{Control, Request, Wake};
use super::offload::{self, Carrier, Programs, Unavailable};
use super::packet_socket::{self, RingLayout};
use super::patience::Patience;
use super::ring::Ring;
use super::sync::{SyncIn, SyncOut};
use super::worker::{Line, Order, Worker};
use super::{Error, egress, reinjection};

const FRAME_BYTES: u32 = 2048;
const BLOCK_BYTES: u32 = 1 << 16;
const SHADOW_CONNECTIONS: usize = 16;
const BUSY_POLL: Duration = Duration::from_micros(50);

/// How the data plane is started.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The engine's options; the seed is drawn anew.
    pub engine: standfast_ipvs::Options,
    /// Slots of the receive ring, 2 KiB each; rounded up to a multiple of 32.
    pub ring_frames: u32,
    /// Bytes of large frames that may wait in the receiving socket, and of all frames in the sending one.
    pub queue_bytes: usize,
    /// Send past the interfaces' queueing disciplines (`PACKET_QDISC_BYPASS`).
    pub bypass_qdisc: bool,
    /// How long the worker looks for packets at most before it sleeps, while they come so close to one another. None: 50 microseconds, or not at
    /// all where the kernel carries connections, since what remains gains less from it than the same processors lose.
    pub busy_poll: Option<Duration>,
    /// Have the kernel carry the plain packets of established connections, where it can.
    pub offload: bool,
}

impl Default for Options {
    /// An 8 MiB ring, 32 MiB of queue, and whatever the kernel can carry.
    fn default() -> Self {
        Self {
            engine: standfast_ipvs::Options::default(),
            ring_frames: 4096,
            queue_bytes: 32 << 20,
            bypass_qdisc: true,
            busy_poll: None,
            offload: true,
        }
    }
}

/// The data plane of this thread's network namespace.
#[derive(Debug)]
pub struct Dataplane;

impl Dataplane {
    /// What the kernel or this process lack for carrying connections, if it is something ordinary.
    #[must_use]
    pub fn lacks_for_offload() -> Option<String> {
        offload::open(1).err().filter(Unavailable::is_ordinary).map(|reason| reason.to_string())
    }

    /// Opens the sockets, creates the claim and starts the two threads. They belong to the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Socket`] or [`Error::Claim`], with what is missing.
    pub fn start(options: Options) -> Result<Handle, Error> {
        let engine = standfast_ipvs::Options { seed: [random(), random()], ..options.engine };
        let layout = ring_layout(options.ring_frames);
        let receiver = packet_socket::open_receiver(layout, options.queue_bytes)
            .map_err(|e| Error::socket("open the receiving packet socket", e))?;
        let filter_end = receiver.try_clone().map_err(|e| Error::socket("duplicate the packet socket", e))?;
        let ring = Ring::map(receiver, layout).map_err(|e| Error::socket("map the receive ring", e))?;
        let egress = egress::open(options.bypass_qdisc, options.queue_bytes)
            .map_err(|e| Error::socket("open the sending packet socket", e))?;
        let (requests, requested) = channel();
        let wake = Wake { requests, event: Arc::new(event()?) };
        let (orders, ordered) = channel();
        let line = Line { orders, wake: Arc::new(event()?) };
        let (worker_wake, bell) = (Arc::clone(&line.wake), Arc::clone(&line.wake));
        let shadow = Director::new(standfast_ipvs::Options { connection_limit: SHADOW_CONNECTIONS, ..engine });
        let (programs, carrier) = open_offload(options.offload).unzip();
        let control = Control::open((requested, Arc::clone(&wake.event)), line, (filter_end, programs), shadow)?;
        reinjection::allow();
        let worker_control = wake.clone();
        let worker = spawn("dataplane", move || {
            let line = (ordered, worker_wake);
            let unasked = if carrier.is_some() { Duration::ZERO } else { BUSY_POLL };
            let patience = Patience::new(options.busy_poll.unwrap_or(unasked));
            let carrying = carrier.map(|carrier| Carrying::new(carrier, Instant::now()));
            Worker::new((ring, egress), line, worker_control, patience, carrying, || Director::new(engine)).run();
        })?;
        let control = spawn("dataplane-ctl", move || control.run_guarded());
        let control = control.inspect_err(|_| wake.send(Request::Stop))?;
        Ok(Handle { wake, bell, threads: Arc::new(Mutex::new(vec![control, worker])) })
    }
}

/// A line to the running data plane. Clones steer the same one.
#[derive(Debug, Clone)]
pub struct Handle {
    wake: Wake,
    /// The worker's.
    bell: Arc<EventFd>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Handle {
    /// Applies commands in order while forwarding goes on. The answers come when the claim stands and the commands are on their way
    /// to the worker; with a claim error none of them is carried out. A receiver that fails means that the data plane is stopped.
    pub fn apply(&self, commands: Vec<Command>) -> oneshot::Receiver<Vec<Result<(), Error>>> {
        let (reply, answer) = oneshot::channel();
        self.wake.send(Request::Apply(commands, reply));
        answer
    }

    /// Services, destinations and counters.
    pub fn snapshot(&self) -> oneshot::Receiver<Snapshot> {
        let (reply, answer) = oneshot::channel();
        self.wake.send(Request::Snapshot(reply));
        answer
    }

    /// Connections from the `skip`th on, a thousand or so; none past the end.
    pub fn connections(&self, skip: usize) -> oneshot::Receiver<Vec<ConnectionView>> {
        let (reply, answer) = oneshot::channel();
        self.wake.send(Request::Connections(skip, reply));
        answer
    }

    /// Lets the claim hold so long after the process has been killed, from some seconds after the start on; zero takes that back.
    pub fn outlive(&self, lasts: Duration) {
        self.wake.send(Request::Outlive(lasts));
    }

    /// Has another director told of connections by these rules, through this line; `None` ends it.
    pub fn sync_out(&self, line: Option<(SyncSettings, SyncOut)>) {
        let (settings, line) = line.unzip();
        self.wake.send(Request::Pass(Box::new(Order::SyncOut(line))));
        drop(self.apply(vec![Command::SetSync(settings)]));
    }

    /// Changes the rules by which another director is told.
    pub fn set_sync_rules(&self, rules: SyncSettings) {
        drop(self.apply(vec![Command::SetSync(Some(rules))]));
    }

    /// Has all connections told, because a daemon of this number asks for them by this number.
    pub fn tell_all(&self, daemon: u64, request: u32) {
        self.wake.send(Request::Pass(Box::new(Order::TellAll(daemon, request))));
    }

    /// Takes in what another director tells, from this line; `None` ends it.
    pub fn sync_in(&self, line: Option<SyncIn>) {
        self.wake.send(Request::Pass(Box::new(Order::SyncIn(line))));
    }

    /// Has the worker look at its lines.
    pub fn wake_worker(&self) {
        if let Err(error) = self.bell.write(1) {
            tracing::debug!("the worker's bell: {error}");
        }
    }

    /// Whether both threads are at work. The worker survives its own panics; one of the control thread ends both.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        !threads.is_empty() && !threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends both threads and with them the claim; waits for it.
    pub fn stop(&self) {
        self.wake.send(Request::Stop);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the data plane ended by a panic");
            }
        }
    }
}

/// What has the kernel carry connections; says whether it does.
fn open_offload(wanted: bool) -> Option<(Programs, Carrier)> {
    if !wanted {
        info!(target: "healthcheck", "The kernel carries no connections: lvs_offload is off");
        return None;
    }
    match offload::open(CONNECTIONS) {
        Ok(both) => {
            info!(target: "healthcheck", "The kernel carries the packets of established connections, of {CONNECTIONS} at most");
            Some(both)
        }
        Err(reason) if reason.is_ordinary() => {
            info!(target: "healthcheck", "The kernel carries no connections: {reason}");
            None
        }
        Err(reason) => {
            warn!(target: "healthcheck", "The kernel carries no connections: {reason}");
            None
        }
    }
}

fn ring_layout(frames: u32) -> RingLayout {
    let per_block = BLOCK_BYTES / FRAME_BYTES;
    let block_count = frames.div_ceil(per_block).clamp(1, 1 << 14);
    RingLayout { block_size: BLOCK_BYTES, block_count, frame_size: FRAME_BYTES, frame_count: block_count * per_block }
}

fn event() -> Result<EventFd, Error> {
    EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|e| Error::socket("make an event descriptor", e.into()))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(|e: io::Error| Error::socket("start a thread", e))
}

/// A number that strangers cannot guess: the standard library keys its hasher from the system's random numbers.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
