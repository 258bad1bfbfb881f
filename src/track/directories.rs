//! Files that may come, go or be replaced by others of their names: their directories are watched, by inotify.

use super::watch::GLANCE;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tracing::warn;

/// Pace of looking for directories that do not exist, and of reading files where nothing tells of changes.
const RETRY: Duration = Duration::from_secs(1);

/// The directories of some files.
pub(super) struct Directories {
    /// None on a system that refuses it.
    inotify: Option<Inotify>,
    watched: HashMap<WatchDescriptor, PathBuf>,
    missing: BTreeSet<PathBuf>,
    retry_at: Instant,
}

/// What the events since the last look are about.
#[derive(Default)]
pub(super) struct Touched {
    everything: bool,
    paths: BTreeSet<PathBuf>,
}

impl Touched {
    fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    pub(super) fn concern(&self, path: &Path) -> bool {
        self.everything || path.file_name().is_some_and(|name| self.paths.contains(&directory_of(path).join(name)))
    }
}

/// Where a file stands.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl Directories {
    /// Those of these files; they are watched from the first [`next`](Self::next) on.
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a Path>) -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).inspect_err(|error| {
            warn!(target: "vrrp", "Files cannot be watched and are read once a second: {}", error.desc());
        });
        let missing = files.map(directory_of).collect();
        Self { inotify: inotify.ok(), watched: HashMap::new(), missing, retry_at: Instant::now() }
    }

    /// Waits a moment for events. A directory that has come touches all files.
    pub(super) fn next(&mut self) -> Touched {
        if self.inotify.is_none() {
            std::thread::sleep(RETRY);
            return Touched::everything();
        }
        if !self.missing.is_empty() && self.retry_at <= Instant::now() {
            self.retry_at = Instant::now() + RETRY;
            if self.watch_missing() {
                return Touched::everything();
            }
        }
        self.events()
    }

    /// Whether there is one that does not exist.
    pub(super) fn are_awaited(&self) -> bool {
        self.inotify.is_some() && !self.missing.is_empty()
    }

    /// Watches what is not watched yet; true when a directory was added, whose files may have changed meanwhile.
    fn watch_missing(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let before = self.missing.len();
        for directory in std::mem::take(&mut self.missing) {
            let flags = AddWatchFlags::IN_CLOSE_WRITE
                | AddWatchFlags::IN_MOVE
                | AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_MOVE_SELF
                | AddWatchFlags::IN_ONLYDIR;
            match inotify.add_watch(&directory, flags) {
                Ok(descriptor) => {
                    self.watched.insert(descriptor, directory);
                }
                Err(_) => {
                    self.missing.insert(directory);
                }
            }
        }
        self.missing.len() < before
    }

    fn events(&mut self) -> Touched {
        let Some(inotify) = &self.inotify else { return Touched::default() };
        let timeout = PollTimeout::try_from(GLANCE).unwrap_or(PollTimeout::ZERO);
        let mut waiting = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut waiting, timeout), Ok(1..)) {
            return Touched::default();
        }
        let mut touched = Touched::default();
        match inotify.read_events() {
            Ok(events) => events.iter().for_each(|event| self.take(event, &mut touched)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => touched.everything = true,
        }
        touched
    }

    fn take(&mut self, event: &InotifyEvent, touched: &mut Touched) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            touched.everything = true;
            return;
        }
        if event.mask.intersects(AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_MOVE_SELF) {
            if let Some(inotify) = self.inotify.as_ref().filter(|_| event.mask.contains(AddWatchFlags::IN_MOVE_SELF)) {
                // Its name belongs to something else from here on; the kernel answers with IN_IGNORED.
                let _ = inotify.rm_watch(event.wd);
            }
            if let Some(directory) = self.watched.remove(&event.wd) {
                self.missing.insert(directory);
                touched.everything = true;
            }
            return;
        }
        if let (Some(directory), Some(name)) = (self.watched.get(&event.wd), &event.name) {
            touched.paths.insert(directory.join(name));
        }
    }
}

/// The first bytes of a file. A FIFO or device in its place must not hold the thread.
pub(super) fn start_of(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(longest).read_to_end(&mut text)?;
    Ok(text)
}
