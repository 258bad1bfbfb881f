//! Moving the program into namespaces of its own, with or without root.

use crate::{Unavailable, root};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

static ENTERED: AtomicBool = AtomicBool::new(false);

/// How the sandbox came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// The program was started by root; any user id can be used inside.
    Root,
    /// An unprivileged user namespace: only user id 0 exists inside, mapped to the caller.
    UserNamespace,
}

/// Goes on in a child that lives in a PID, mount and network namespace, with an empty `/run` and a fresh `/proc`.
///
/// The original process stays behind, waits, and exits with the child's exit code (128 + signal when it was killed by one), so
/// this returns `Ok` in the child only. When either dies, by Ctrl-C or by `SIGKILL`, the kernel kills all that the child started.
///
/// Call it at the beginning of `main`, while there is one thread.
///
/// # Errors
/// In the original process, when the kernel or the container forbids one of the steps.
pub fn enter() -> Result<Privilege, Unavailable> {
    let privilege = leave_namespaces()?;
    let (reading, writing) = nix::unistd::pipe().map_err(|e| Unavailable(format!("cannot make a pipe: {e}")))?;
    // SAFETY: the caller promises a single thread, so the child may go on as an ordinary program.
    match unsafe { fork() }.map_err(|e| Unavailable(format!("cannot start a process in a PID namespace: {e}")))? {
        ForkResult::Parent { child } => {
            drop(writing);
            Err(stay_behind(child, reading))
        }
        ForkResult::Child => {
            drop(reading);
            become_first_process(privilege, writing);
            ENTERED.store(true, Ordering::Relaxed);
            Ok(privilege)
        }
    }
}

/// Where scratch directories go: in a sandbox its own `/run`, which ends with it and which only root can write.
pub(crate) fn scratch_root() -> PathBuf {
    if ENTERED.load(Ordering::Relaxed) { "/run".into() } else { std::env::temp_dir() }
}

/// Is `CAP_SYS_ADMIN` there, so that [`crate::Lab::new`] can work without a sandbox?
pub(crate) fn can_unshare() -> bool {
    std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap_or(false)
}

fn leave_namespaces() -> Result<Privilege, Unavailable> {
    let spaces = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    if geteuid().is_root() && unshare(spaces).is_ok() {
        return Ok(Privilege::Root);
    }
    let (user, group) = (geteuid(), getegid());
    unshare(spaces | CloneFlags::CLONE_NEWUSER).map_err(|e| {
        Unavailable(format!(
            "network namespaces are not permitted here ({e}): run as root, or let users make user namespaces \
             (kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)"
        ))
    })?;
    write_proc("setgroups", "deny")?;
    write_proc("uid_map", &format!("0 {user} 1"))?;
    write_proc("gid_map", &format!("0 {group} 1"))?;
    Ok(Privilege::UserNamespace)
}

fn write_proc(name: &str, text: &str) -> Result<(), Unavailable> {
    std::fs::write(format!("/proc/self/{name}"), text)
        .map_err(|e| Unavailable(format!("cannot set up a user namespace (/proc/self/{name}: {e}); run as root")))
}

fn stay_behind(child: Pid, reading: OwnedFd) -> Unavailable {
    // SAFETY: no handler function is installed, the signal is only ignored: Ctrl-C is for the child, which shares the terminal.
    let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
    let mut complaint = String::new();
    let _ = File::from(reading).read_to_string(&mut complaint);
    let code = wait_code(child);
    if complaint.is_empty() {
        if code > 128 {
            eprintln!("killed by signal {}; the namespaces and all that ran in them are gone", code - 128);
        }
        std::process::exit(code);
    }
    Unavailable(complaint)
}

/// The child: prepares the mounts, forks once more and stays as the namespace's init; returns in the grandchild.
fn become_first_process(privilege: Privilege, writing: OwnedFd) {
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    if let Err(complaint) = prepare_mounts(privilege) {
        let _ = File::from(writing).write_all(complaint.as_bytes());
        std::process::exit(1);
    }
    // SAFETY: still a single thread.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            drop(writing);
            // SAFETY: as above, the signal is only ignored.
            let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
            std::process::exit(wait_code(child));
        }
        Ok(ForkResult::Child) => {
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
        }
        Err(e) => {
            let _ = File::from(writing).write_all(format!("cannot start a second process: {e}").as_bytes());
            std::process::exit(1);
        }
    }
}

fn prepare_mounts(privilege: Privilege) -> Result<(), String> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|e| format!("cannot make the mounts private: {e}"))?;
    match privilege {
        Privilege::Root => mount_proc("/proc").and_then(|()| root::tmpfs("/run")),
        Privilege::UserNamespace => root::build(),
    }
}

pub(crate) fn mount_proc(path: &str) -> Result<(), String> {
    mount(Some("proc"), path, Some("proc"), MsFlags::empty(), None::<&str>)
        .map_err(|e| format!("cannot mount /proc in a PID namespace ({e}); run as root outside of a container"))
}

/// Reaps every child until `main` ends; its exit code.
fn wait_code(main: Pid) -> i32 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => return code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => return 128 + signal as i32,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}
