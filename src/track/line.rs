//! What the first line of a file says, told whenever the file changes.

use super::directories::{Directories, start_of};
use super::watch::{Wanted, Watch};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::warn;

/// Bytes of a line that are read.
const LONGEST: u64 = 20;

/// A file that is followed by a thread of its own until this is dropped.
#[derive(Debug)]
pub struct FollowedLine {
    path: PathBuf,
    told: UnboundedReceiver<Option<String>>,
    /// Ends the thread.
    _watch: Watch,
}

/// What changes with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), size: metadata.size(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

impl FollowedLine {
    /// Begins to follow a file.
    #[must_use]
    pub fn start(path: &Path) -> Self {
        let (sender, told) = unbounded_channel();
        let path = path.to_owned();
        let followed = path.clone();
        let watch = Watch::start("reload-time", move |wanted| follow(&followed, &sender, wanted));
        Self { path, told, _watch: watch }
    }

    /// The line, at first and after each change: its first 20 bytes. `None` when the file is gone, empty or not to be read.
    ///
    /// Cancel safe. Follows again what has ended by a fault.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.told.recv().await {
                return line;
            }
            tokio::time::sleep(super::watch::GLANCE).await;
            *self = Self::start(&self.path);
        }
    }
}

fn follow(path: &Path, tell: &UnboundedSender<Option<String>>, wanted: &Wanted) {
    let mut directories = Directories::of(std::iter::once(path));
    let mut seen = look(path, None, tell);
    let mut awaited = false;
    while !wanted.is_over() {
        if directories.next().concern(path) && !wanted.is_over() {
            seen = look(path, seen, tell);
        }
        if directories.are_awaited() && !awaited {
            warn!("The directory of {} is not there and is awaited", path.display());
        }
        awaited = directories.are_awaited();
    }
}

/// Tells of a file that differs from what was seen.
fn look(path: &Path, seen: Option<Stamp>, tell: &UnboundedSender<Option<String>>) -> Option<Stamp> {
    let stamp = std::fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata));
    if stamp != seen {
        // Whoever has stopped listening wants nothing more.
        let _ = tell.send(stamp.and_then(|_| first_line(path)));
    }
    stamp
}

fn first_line(path: &Path) -> Option<String> {
    let bytes = start_of(path, LONGEST).ok().filter(|bytes| !bytes.is_empty())?;
    let line = bytes.split(|byte| matches!(byte, b'\n' | 0)).next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}
