//! The thread that speaks with the kernel, and the line to it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use standfast_parser::model::LvsTimeouts;
use tokio::sync::oneshot;

use super::census::Census;
use super::clerk::Clerk;
use super::socket::Kernel;
use super::{Error, Order};
use crate::control::{Answer, Failure, Request};
use crate::dataplane::Snapshot;
use crate::health::TableChange;
use crate::ipvsadm::{DaemonSettings, Role, TimeoutSeconds};

/// What is asked of the thread.
#[derive(Debug)]
pub(super) enum Ask {
    /// What the file says of servers and marks.
    Census(Census),
    /// Changes of the pools.
    Changes(Vec<TableChange>),
    /// Time-outs of the file; none has the former ones put back.
    Timeouts(Option<TimeoutSeconds>),
    /// A sync daemon of the file starts or stops.
    Daemon(Role, Option<DaemonSettings>, u8),
    /// Everything with its counters.
    Snapshot(oneshot::Sender<Result<Snapshot, Error>>),
    /// A call of the control socket.
    Call(Request, oneshot::Sender<Result<Answer, Failure>>),
    /// Leave everything as it is from here on.
    LetGo,
    /// End; before it, empty the table.
    Stop {
        /// Empty it.
        flush: bool,
    },
}

/// A line to the kernel's IPVS. Clones lead to the same thread; nobody waits on it.
#[derive(Debug, Clone)]
pub struct Handle {
    asks: Sender<Ask>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Handle {
    /// Opens IPVS in the network namespace of the calling thread, has its module loaded if need be, and starts the thread; `flush`
    /// has it empty the table first (`lvs_flush`).
    ///
    /// # Errors
    /// [`Error::Absent`] on a kernel without IPVS, [`Error::System`] when the system refuses a socket or a thread.
    pub fn start(flush: bool) -> Result<Handle, Error> {
        let kernel = Kernel::open()?;
        let (asks, asked) = channel();
        let thread =
            std::thread::Builder::new().name("kernel-ipvs".to_owned()).spawn(move || run(kernel, flush, &asked));
        let thread = thread.map_err(Error::system("start a thread"))?;
        Ok(Handle { asks, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Takes over what a plan says of servers and marks; before its changes.
    pub fn learn(&self, census: Census) {
        self.ask(Ask::Census(census));
    }

    /// Brings the table in line with changes. Refusals are logged.
    pub fn apply(&self, changes: Vec<TableChange>) {
        self.ask(Ask::Changes(changes));
    }

    /// Sets the time-outs that the file has; the kernel keeps the others. Where the file has none, and at the end, those from before the
    /// daemon are put back.
    pub fn set_timeouts(&self, timeouts: LvsTimeouts) {
        let seconds = |time: Option<Duration>| time.map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        let [tcp, tcpfin, udp] = [timeouts.tcp, timeouts.tcpfin, timeouts.udp].map(seconds);
        let given = timeouts != LvsTimeouts::default();
        self.ask(Ask::Timeouts(given.then_some(TimeoutSeconds { tcp, tcpfin, udp })));
    }

    /// Starts the sync daemon of a role, anew if it runs. What comes of it is logged.
    pub fn start_daemon(&self, role: Role, settings: DaemonSettings) {
        let id = settings.syncid.unwrap_or(0);
        self.ask(Ask::Daemon(role, Some(settings), id));
    }

    /// Stops the sync daemon of a role.
    pub fn stop_daemon(&self, role: Role, id: u8) {
        self.ask(Ask::Daemon(role, None, id));
    }

    /// Services, servers and counters. A receiver that fails means that the thread has ended.
    pub fn snapshot(&self) -> oneshot::Receiver<Result<Snapshot, Error>> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Snapshot(reply));
        answer
    }

    /// Carries out a call about the table, in ipvsadm's words. A receiver that fails means that the thread has ended.
    pub fn call(&self, request: Request) -> oneshot::Receiver<Result<Answer, Failure>> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Call(request, reply));
        answer
    }

    /// Leaves the table as it is from here on (`--dont-release-ipvs`).
    pub fn let_go(&self) {
        self.ask(Ask::LetGo);
    }

    /// Whether the thread is at work.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the thread when it has done what it was asked; `flush` empties the whole table before (`lvs_flush_on_stop`).
    pub fn stop(&self, flush: bool) {
        self.ask(Ask::Stop { flush });
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(target: "healthcheck", "the thread of the kernel's IPVS ended by a panic");
        }
    }

    fn ask(&self, ask: Ask) {
        if self.asks.send(ask).is_err() {
            tracing::debug!("the thread of the kernel's IPVS is gone");
        }
    }
}

fn run(kernel: Kernel, flush: bool, asked: &Receiver<Ask>) {
    let mut clerk = Clerk::new(kernel);
    if flush {
        clerk.order(&Order::Flush);
    }
    while let Ok(ask) = asked.recv() {
        match ask {
            Ask::LetGo => {
                clerk.put_timeouts_back();
                return drain(asked);
            }
            Ask::Stop { flush } => {
                clerk.put_timeouts_back();
                if flush {
                    clerk.order(&Order::Flush);
                }
                return;
            }
            other => clerk.serve(other),
        }
    }
}

/// Answers nobody and changes nothing any more.
fn drain(asked: &Receiver<Ask>) {
    while let Ok(ask) = asked.recv() {
        if matches!(ask, Ask::Stop { .. }) {
            return;
        }
    }
}
