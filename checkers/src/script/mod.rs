//! Runs programs the way keepalived does: no shell, own process group, killed as a group, nothing inherited.
//!
//! Used for MISC_CHECK, vrrp_script and notifications. [`run`] is bounded: a program that outlives its time-out gets SIGTERM with
//! its whole process group, two seconds later SIGKILL, and no zombie remains. Dropping the future kills the group at once.

mod resolve;
mod spawn;

pub use resolve::{ProgramError, find_program};

use spawn::Fate;
pub use spawn::make_ready;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// How long a program may take to obey SIGTERM, and the kernel to carry out SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// Pace of looking for the end of a program that was told to go.
const REAP_PACE: Duration = Duration::from_millis(5);

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<String>,
    /// User to run as; `None` keeps the daemon's.
    pub uid: Option<u32>,
    /// Group to run as; `None` keeps the daemon's. Supplementary groups are dropped when the user changes.
    pub gid: Option<u32>,
    /// Supplementary groups to run with, when the user is changed.
    pub groups: Vec<u32>,
    /// Limit of the running time; `None` waits for ever.
    pub timeout: Option<Duration>,
}

impl Command {
    /// A program without arguments, identity change or limit. The program is executed by this path; there is no search in PATH.
    pub fn new(program: impl Into<String>) -> Self {
        Self { argv: vec![program.into()], uid: None, gid: None, groups: Vec::new(), timeout: None }
    }

    /// Appends arguments.
    #[must_use]
    pub fn with_arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets the limit of the running time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the user and the group.
    #[must_use]
    pub fn with_identity(mut self, uid: Option<u32>, gid: Option<u32>) -> Self {
        self.uid = uid;
        self.gid = gid;
        self
    }

    /// Sets the supplementary groups. They count only together with [`Command::with_identity`].
    #[must_use]
    pub fn with_groups(mut self, groups: Vec<u32>) -> Self {
        self.groups = groups;
        self
    }

    /// The program.
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The arguments after the program.
    pub fn arguments(&self) -> &[String] {
        self.argv.get(1..).unwrap_or_default()
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this status.
    Exited(u8),
    /// A signal that was not ours ended it.
    Signaled(i32),
    /// It was killed because it took too long.
    TimedOut,
}

/// Runs a command and waits for its end. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// The program could not be started: the error of fork, of changing user or group, or of exec (not found, not executable).
pub async fn run(command: &Command) -> io::Result<Outcome> {
    let mut running = Running::start(command).await?;
    let ended = match command.timeout {
        Some(limit) => timeout(limit, running.child.wait()).await.ok(),
        None => Some(running.child.wait().await),
    };
    match ended {
        Some(status) => {
            running.reaped = true;
            Ok(outcome(status?))
        }
        None => {
            running.kill().await;
            Ok(Outcome::TimedOut)
        }
    }
}

/// Starts a program that nobody stops; [`Command::timeout`] does not count. Programs start in the order of the calls. When this
/// process dies they get SIGTERM, unless they are `detached`. Needs a tokio runtime with I/O.
///
/// # Errors
/// As [`run`].
pub fn launch(command: &Command, detached: bool) -> impl Future<Output = io::Result<Child>> + Send + 'static {
    spawn::spawn(command, if detached { Fate::Detached } else { Fate::Attached })
}

/// A started program; ends with its group when dropped before it was reaped.
struct Running {
    child: Child,
    group: Pid,
    reaped: bool,
}

impl Running {
    async fn start(command: &Command) -> io::Result<Self> {
        let child = spawn::spawn(command, Fate::Awaited).await?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or(io::ErrorKind::Other)?;
        Ok(Self { child, group: Pid::from_raw(id), reaped: false })
    }

    /// SIGTERM, then SIGKILL for what is left of the group. The leader is reaped last, so that the group's number stays ours.
    async fn kill(&mut self) {
        self.signal(Signal::SIGTERM);
        // A failing look means that there is nothing left to wait for.
        let _ = timeout(GRACE, self.ended()).await;
        self.signal(Signal::SIGKILL);
        self.reaped = timeout(GRACE, self.child.wait()).await.is_ok();
    }

    async fn ended(&self) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while matches!(waitid(Id::Pid(self.group), look), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)) {
            sleep(REAP_PACE).await;
        }
    }

    fn signal(&self, signal: Signal) {
        // The group may be gone already.
        let _ = killpg(self.group, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::SIGKILL);
        }
    }
}

fn outcome(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        (None, signal) => Outcome::Signaled(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
