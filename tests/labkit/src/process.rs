use crate::host::Namespace;
use crate::wait_until;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A command that will run in `namespace` and be killed when the thread that starts it ends.
pub(crate) fn command_in(namespace: &Arc<Namespace>, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(resolve(program.as_ref()));
    let namespace = Arc::clone(namespace);
    // SAFETY: between fork and exec only system calls are made, nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(move || prepare(&namespace)) };
    command.stdin(Stdio::null());
    command
}

fn prepare(namespace: &Namespace) -> io::Result<()> {
    setns(namespace.fd().as_fd(), CloneFlags::CLONE_NEWNET)?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A shell starts background jobs with SIGINT ignored, and programs inherit that.
    // SAFETY: no handler function is installed.
    unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }?;
    Ok(())
}

fn resolve(program: &OsStr) -> PathBuf {
    match program.to_str() {
        Some(name) if !name.contains('/') => crate::find_tool(name).unwrap_or_else(|| name.into()),
        _ => program.into(),
    }
}

/// A running program: killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output and standard error, in the order in which they were written.
    pub output: String,
}

impl Finished {
    /// The exit code; 128 + signal for a killed one.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

impl Process {
    /// Starts `command`, its standard output and error going to the file `log`.
    ///
    /// # Errors
    /// When the program cannot be started; the message names it.
    pub fn start(command: &mut Command, log: PathBuf) -> io::Result<Process> {
        let sink = File::options().create(true).append(true).open(&log)?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdout(sink.try_clone()?)
            .stderr(sink)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("cannot run {name}: {e}")))?;
        Ok(Process { child, log })
    }

    /// The process id, as seen from the lab's own PID namespace.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The file that its output goes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal to this one process.
    ///
    /// # Errors
    /// `ESRCH` when it has been reaped already.
    pub fn signal(&self, signal: Signal) -> nix::Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
    }

    /// Is it alive? (A zombie is not.)
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits at most `limit` for its end; its exit status, `None` if it still runs.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        wait_until(limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })?;
        status
    }

    /// Waits at most `limit`, then kills.
    ///
    /// # Errors
    /// `TimedOut`, with what it wrote so far.
    pub fn finish(mut self, limit: Duration) -> io::Result<Finished> {
        match self.wait(limit) {
            Some(status) => Ok(Finished { status, output: self.output() }),
            None => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("still running after {limit:?}; it wrote: {}", self.output()),
            )),
        }
    }

    /// `SIGKILL`, and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
