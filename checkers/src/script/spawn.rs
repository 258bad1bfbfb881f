//! The fork. PR_SET_PDEATHSIG fires when the forking *thread* ends, so one thread that lives as long as the process forks for all.
//! It also keeps the time that a fork of a large, locked address space takes away from the callers' threads.
#![expect(unsafe_code, reason = "pre_exec and prctl have no safe form")]

use super::Command;
use std::io;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Variables through which a caller's environment could change what a program loads or how a shell splits words.
const UNSAFE_VARIABLES: [&str; 4] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET"];

struct Request {
    command: Command,
    fate: Fate,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// What becomes of a program when nobody waits for it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Killed with the future that waits for it, and told to end (SIGTERM) when this process dies.
    Awaited,
    /// Told to end when this process dies.
    Attached,
    /// None of this.
    Detached,
}

/// Starts `command` in its own process group. Programs start in the order of the calls; the child belongs to the calling runtime.
pub(super) fn spawn(command: &Command, fate: Fate) -> impl Future<Output = io::Result<Child>> + Send + 'static {
    let (reply, answer) = oneshot::channel();
    let request = Request { command: command.clone(), fate, runtime: Handle::current(), reply };
    let gone = || io::Error::other("the thread that starts programs has ended");
    let sent = forker().and_then(|forker| forker.send(request).map_err(|_| gone()));
    async move {
        sent?;
        answer.await.map_err(|_| gone())?
    }
}

/// Makes the thread that starts programs, with the scheduling of the calling one, before the first of them.
pub fn make_ready() {
    // Without it each start of a program fails and says so.
    let _ = forker();
}

fn forker() -> io::Result<&'static Sender<Request>> {
    static FORKER: OnceLock<Option<Sender<Request>>> = OnceLock::new();
    FORKER.get_or_init(start_forker).as_ref().ok_or_else(|| io::Error::other("no thread can be had to start programs"))
}

fn start_forker() -> Option<Sender<Request>> {
    let (sender, requests) = channel();
    thread::Builder::new().name("forker".to_owned()).spawn(move || serve(&requests)).ok()?;
    Some(sender)
}

fn serve(requests: &Receiver<Request>) {
    for request in requests {
        let _guard = request.runtime.enter();
        // A caller that has gone drops the child, which kills it.
        let _ = request.reply.send(fork(&request.command, request.fate));
    }
}

fn fork(command: &Command, fate: Fate) -> io::Result<Child> {
    let mut child = tokio::process::Command::new(command.program());
    child.args(command.arguments()).process_group(0).kill_on_drop(fate == Fate::Awaited);
    child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for variable in UNSAFE_VARIABLES {
        child.env_remove(variable);
    }
    let identity = Identity { groups: command.groups.clone(), uid: command.uid, gid: command.gid };
    if identity.groups.is_empty() {
        if let Some(gid) = identity.gid {
            child.gid(gid);
        }
        if let Some(uid) = identity.uid {
            child.uid(uid);
        }
    }
    let parent = std::process::id();
    let prepare = move || {
        identity.assume()?;
        prepare(parent, fate)
    };
    // SAFETY: `prepare` makes system calls only; it neither allocates nor takes a lock, so it may run between fork and exec.
    unsafe { child.pre_exec(prepare) };
    child.spawn()
}

/// Who a program becomes.
struct Identity {
    groups: Vec<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Identity {
    /// With supplementary groups, which the standard library cannot set: groups first, while there is the right to.
    fn assume(&self) -> io::Result<()> {
        let (Some(uid), false) = (self.uid, self.groups.is_empty()) else { return Ok(()) };
        let gid = self.gid.unwrap_or(u32::MAX);
        // SAFETY: the list lives through the call; -1 leaves the group as it is.
        let done = unsafe {
            libc::setgroups(self.groups.len(), self.groups.as_ptr()) == 0
                && libc::setregid(gid, gid) == 0
                && libc::setreuid(uid, uid) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Runs in the child after user and group have changed (a change would clear the death signal).
fn prepare(parent: u32, fate: Fate) -> io::Result<()> {
    let signal = if fate == Fate::Detached { 0 } else { libc::SIGTERM };
    // SAFETY: plain system calls with integer arguments.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, signal) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died before prctl took effect.
        if fate != Fate::Detached && libc::getppid().cast_unsigned() != parent {
            libc::_exit(0);
        }
        // Best effort: every descriptor is opened close-on-exec, this catches those of foreign libraries. Needs Linux 5.11.
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}
