//! Pid files: a lock that lives as long as the daemon, and its number for scripts.
//!
//! The lock (`flock`) is what keeps a second daemon away, the number in the file is for people and service managers. A file that
//! nobody has locked is stale and taken over, unless the process that it names is a running keepalived: that one writes the same
//! files without locking them.

use crate::cli::Options;
use nix::fcntl::{Flock, FlockArg};
use standfast_parser::model::Globals;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const RUN_DIRECTORY: &str = "/run";
const PID_DIRECTORY: &str = "/run/keepalived";
/// A file that a restart replaces between open and lock, or that a dying daemon still holds, is tried again this often.
const ATTEMPTS: usize = 80;
/// A signal may be under way to a daemon that still looks alive: it gets a quarter of a second.
const ATTEMPTS_ON_THE_LIVING: usize = 10;
/// Pause for a dying daemon: the kernel takes its sockets apart before it lets go of its locks.
const DYING_PAUSE: Duration = Duration::from_millis(25);

/// Why a pid file could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another daemon holds it.
    #[error("daemon is already running")]
    Running {
        /// The number in the file, if there is one.
        pid: Option<i32>,
    },
    /// The system refused.
    #[error("cannot use pid file {path}: {source}")]
    System {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where the three pid files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Of the daemon.
    pub main: PathBuf,
    /// Of VRRP.
    pub vrrp: PathBuf,
    /// Of health checking.
    pub checkers: PathBuf,
}

impl Paths {
    /// Command line first, then keepalived's defaults: `/run/keepalived.pid`, `/run/vrrp.pid`, `/run/checkers.pid`, or files below
    /// `/run/keepalived` with `use_pid_dir`, `instance` or a network namespace.
    #[must_use]
    pub fn choose(options: &Options, globals: &Globals) -> Self {
        let namespace = options.namespace.as_ref().or(globals.net_namespace.as_ref());
        let own_directory = globals.use_pid_dir || globals.instance.is_some() || namespace.is_some();
        let mut directory = PathBuf::from(if own_directory { PID_DIRECTORY } else { RUN_DIRECTORY });
        directory.extend(namespace);
        let suffix = globals.instance.as_ref().map(|name| format!("_{name}")).unwrap_or_default();
        let default = |name: &str| directory.join(format!("{name}{suffix}.pid"));
        Self {
            main: options.pid_file.clone().unwrap_or_else(|| default("keepalived")),
            vrrp: options.vrrp_pid_file.clone().unwrap_or_else(|| default("vrrp")),
            checkers: options.checkers_pid_file.clone().unwrap_or_else(|| default("checkers")),
        }
    }
}

/// A locked pid file. Dropping it removes the file; only the process that wrote its number does so.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: Flock<File>,
    written_by: Option<u32>,
}

impl PidFile {
    /// Locks the file and creates it where needed; its content stays until [`PidFile::write`].
    ///
    /// # Errors
    /// [`Error::Running`] when another daemon holds the file, else the system's refusal.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::System { path: path.to_owned(), source };
        create_directory(path).map_err(failed)?;
        for attempt in 0..ATTEMPTS {
            let file = open(path).map_err(failed)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut file) if is_still(path, &file) => {
                    refuse_keepalived(&mut file)?;
                    return Ok(Self { path: path.to_owned(), file, written_by: None });
                }
                Ok(_) => {}
                Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => match read_pid(&mut file) {
                    Some(pid) if attempt < ATTEMPTS_ON_THE_LIVING || is_dying(pid) => std::thread::sleep(DYING_PAUSE),
                    pid => return Err(Error::Running { pid }),
                },
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
        Err(failed(io::ErrorKind::ResourceBusy.into()))
    }

    /// Writes the number of the calling process.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&mut self) -> Result<(), Error> {
        let pid = std::process::id();
        let text = format!("{pid}\n");
        let result = (|| {
            self.file.rewind()?;
            self.file.set_len(0)?;
            self.file.write_all(text.as_bytes())
        })();
        self.written_by = Some(pid);
        result.map_err(|source| Error::System { path: self.path.clone(), source })
    }
}

/// Whether the process was killed and only waits to be taken apart or reaped: state `Z` or `X` in `/proc/PID/stat` (proc(5)).
fn is_dying(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => is_dying_stat(&stat),
        Err(_) => true,
    }
}

fn is_dying_stat(stat: &str) -> bool {
    // The command may hold blanks and brackets; the state follows its last bracket.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.written_by == Some(std::process::id()) && is_still(&self.path, &self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn create_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.starts_with(PID_DIRECTORY) => std::fs::create_dir_all(parent),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Whether the path still names the file that was opened: the previous owner may have removed it in between.
fn is_still(path: &Path, file: &File) -> bool {
    let (Ok(opened), Ok(named)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (opened.dev(), opened.ino()) == (named.dev(), named.ino())
}

fn refuse_keepalived(file: &mut File) -> Result<(), Error> {
    match read_pid(file) {
        Some(pid) if pid.unsigned_abs() != std::process::id() && is_keepalived(pid) => {
            Err(Error::Running { pid: Some(pid) })
        }
        _ => Ok(()),
    }
}

fn read_pid(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

fn is_keepalived(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "keepalived")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_is_dying_and_a_sleeper_is_not() {
        assert!(is_dying_stat("31813 (stand) fast) Z 1 31813"));
        assert!(!is_dying_stat("31813 (standfast) S 1 31813"));
        assert!(!is_dying(i32::try_from(std::process::id()).unwrap()));
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.pid");
        let mut first = PidFile::lock(&path).unwrap();
        first.write().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(PidFile::lock(&path), Err(Error::Running { pid: Some(pid) }) if pid == own));
        drop(first);
        assert!(!path.exists());
        PidFile::lock(&path).unwrap();
    }

    #[test]
    fn a_stale_file_is_taken_over_whatever_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.pid");
        for stale in ["1\n", "999999999", "not a number", "", "-5", "\u{0}\u{0}"] {
            std::fs::write(&path, stale).unwrap();
            let mut file = PidFile::lock(&path).unwrap();
            file.write().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()), "{stale:?}");
        }
    }

    #[test]
    fn a_file_that_somebody_replaced_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.pid");
        let mut file = PidFile::lock(&path).unwrap();
        file.write().unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "another");
    }

    #[test]
    fn symbolic_links_and_missing_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("victim"), &link).unwrap();
        assert!(matches!(PidFile::lock(&link), Err(Error::System { .. })));
        assert!(matches!(PidFile::lock(&directory.path().join("no/such")), Err(Error::System { .. })));
    }

    #[test]
    fn default_names_are_those_of_keepalived() {
        let names = |options: &Options, globals: &Globals| {
            let paths = Paths::choose(options, globals);
            [paths.main, paths.vrrp, paths.checkers].map(|path| path.display().to_string())
        };
        let plain = Options::default();
        assert_eq!(names(&plain, &Globals::default()), ["/run/keepalived.pid", "/run/vrrp.pid", "/run/checkers.pid"]);
        let in_directory = Globals { use_pid_dir: true, ..Globals::default() };
        assert_eq!(names(&plain, &in_directory)[0], "/run/keepalived/keepalived.pid");
        let instance = Globals { instance: Some("blue".into()), ..Globals::default() };
        assert_eq!(names(&plain, &instance)[1], "/run/keepalived/vrrp_blue.pid");
        let options = Options { namespace: Some("ns1".into()), pid_file: Some("own".into()), ..Options::default() };
        assert_eq!(
            names(&options, &Globals::default()),
            ["own", "/run/keepalived/ns1/vrrp.pid", "/run/keepalived/ns1/checkers.pid"]
        );
    }
}
