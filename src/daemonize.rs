//! Leaving the terminal, and what a process sets up before it has threads.

use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, fork, setsid};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Component, Path};

/// As many as this daemon can use; scripts inherit the limit, and some close every number below it.
const DESCRIPTORS: u64 = 65_536;

/// Forks twice, leaves the session, and points standard input, output and error to `/dev/null`. The process that called ends with
/// status 0 at once, as keepalived's does; this function returns in the daemon. The working directory stays, because relative
/// paths of the command line must keep their meaning.
///
/// Must be called while the process has one thread.
///
/// # Errors
/// The system's; the caller still runs in the foreground then.
pub fn detach() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    fork_and_leave()?;
    setsid()?;
    fork_and_leave()?;
    redirect(&null)
}

fn fork_and_leave() -> io::Result<()> {
    // SAFETY: the process has one thread, so the child may use everything that the parent could.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: ends the parent without running destructors and exit handlers, which belong to the child.
        ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

fn redirect(null: &File) -> io::Result<()> {
    nix::unistd::dup2_stdin(null)?;
    nix::unistd::dup2_stdout(null)?;
    nix::unistd::dup2_stderr(null)?;
    Ok(())
}

/// Sets the mask for files that the daemon creates; keepalived's default takes everything from others and group (0177) from its
/// own dumps, which are created with their mode here, so only an explicit mask is set.
pub fn set_umask(mask: u32) {
    umask(Mode::from_bits_truncate(mask));
}

/// Lets the kernel write a core file of any size.
///
/// # Errors
/// The system's, when the hard limit is lower.
pub fn allow_core_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)?)
}

/// Raises the limit of open descriptors, as far as the system allows: each check under way holds one.
///
/// # Errors
/// The system's.
pub fn allow_many_descriptors() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS), hard)?)
}

/// Moves the process into a network namespace that `ip netns` made.
///
/// Must be called while the process has one thread.
///
/// # Errors
/// `InvalidInput` for a name that is no plain file name, else the system's.
pub fn enter_network_namespace(name: &str) -> io::Result<()> {
    let file = network_namespace(name)?;
    Ok(setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?)
}

/// Runs `task` in a thread of its own in a network namespace that `ip netns` made, or in that of process 1 for an empty name. Sockets and
/// threads that it makes belong there.
///
/// # Errors
/// As [`enter_network_namespace`].
///
/// # Panics
/// When `task` does.
pub fn in_network_namespace<T: Send>(name: &str, task: impl FnOnce() -> T + Send) -> io::Result<T> {
    let file = if name.is_empty() { File::open("/proc/1/ns/net")? } else { network_namespace(name)? };
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(task())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn network_namespace(name: &str) -> io::Result<File> {
    let mut components = Path::new(name).components();
    if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(Path::new("/run/netns").join(name))
}

/// Gives the process another name, as ps(1) shows it.
pub fn set_process_name(name: &str) {
    let Ok(name) = std::ffi::CString::new(name) else { return };
    if let Err(error) = nix::sys::prctl::set_name(&name) {
        tracing::warn!("Cannot change the name of the process: {}", error.desc());
    }
}
