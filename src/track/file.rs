//! `track_file`: numbers in files, read whenever inotify tells of a change.
//!
//! Directories are watched, not files: a file may come, go, or be replaced by another of its name.

use super::TrackerReport;
use super::directories::{Directories, start_of};
use super::watch::{Wanted, Watch};
use standfast_parser::model::{CheckerKind, Config};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::collections::{BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// More than any number and the blanks around it.
const LONGEST: u64 = 128;

/// A file that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTracker {
    /// Name of the `track_file`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// `init_file`: what is written when the tracker begins.
    pub init: Option<i64>,
    /// `overwrite`: it is written also over a file that exists.
    pub overwrite: bool,
}

/// The files that instances and groups track.
#[must_use]
pub fn prepare(config: &Config) -> Vec<FileTracker> {
    let instances = config.instances.iter().flat_map(|instance| &instance.track_files);
    let groups = config.sync_groups.iter().flat_map(|group| &group.track_files);
    let used: BTreeSet<&str> = instances.chain(groups).map(|tracked| tracked.name.as_str()).collect();
    trackers_of(config, &used)
}

fn trackers_of(config: &Config, used: &BTreeSet<&str>) -> Vec<FileTracker> {
    let trackers = config.track_files.iter().filter(|file| used.contains(file.name.as_str()));
    let tracker = |file: &standfast_parser::model::TrackFile| FileTracker {
        name: file.name.clone(),
        path: PathBuf::from(&file.file),
        init: file.init_file,
        overwrite: file.overwrite,
    };
    trackers.map(tracker).collect()
}

/// The files that checkers of real servers follow.
#[must_use]
pub fn prepare_checkers(config: &Config) -> Vec<FileTracker> {
    let servers = config.virtual_servers.iter().flat_map(|service| &service.real_servers);
    let checkers = servers.flat_map(|server| &server.checkers);
    let used: BTreeSet<&str> = checkers
        .filter_map(|checker| match &checker.kind {
            CheckerKind::File(tracked) => Some(tracked.name.as_str()),
            _ => None,
        })
        .collect();
    trackers_of(config, &used)
}

/// Initialises a file as it asks for, and reads its number: 0 where there is none.
#[must_use]
pub fn first_number(tracker: &FileTracker) -> i32 {
    initialise(tracker);
    read(&tracker.path).unwrap_or(0)
}

/// What the files say now, so that no election begins without their votes.
#[must_use]
pub fn first_values(trackers: &[FileTracker]) -> Vec<(TrackerName, TrackerStatus)> {
    let value = |tracker: &FileTracker| TrackerStatus::Value(first_number(tracker));
    trackers.iter().map(|tracker| (TrackerName::File(tracker.name.clone()), value(tracker))).collect()
}

/// Watches files in a thread of its own, which ends when this is dropped.
pub struct FileTrackers {
    report: TrackerReport,
    trackers: Vec<FileTracker>,
    watch: Option<Watch>,
}

impl FileTrackers {
    /// Watches nothing yet.
    #[must_use]
    pub fn new(report: TrackerReport) -> Self {
        Self { report, trackers: Vec::new(), watch: None }
    }

    /// Watches these files. Those that were not watched before are initialised as they ask for.
    pub fn update(&mut self, trackers: Vec<FileTracker>) {
        if trackers == self.trackers {
            return;
        }
        let fresh = trackers.iter().filter(|tracker| !self.trackers.iter().any(|old| old.name == tracker.name));
        let fresh: Vec<FileTracker> = fresh.cloned().collect();
        self.trackers = trackers;
        self.start(fresh);
    }

    /// Starts again what has ended; true when there was any.
    pub fn revive(&mut self) -> bool {
        let died = self.watch.as_ref().is_some_and(Watch::has_died);
        if died {
            self.start(Vec::new());
        }
        died
    }

    fn start(&mut self, fresh: Vec<FileTracker>) {
        self.watch = None;
        if self.trackers.is_empty() {
            return;
        }
        let (trackers, report) = (self.trackers.clone(), self.report.clone());
        self.watch = Some(Watch::start("files", move |wanted| {
            fresh.iter().for_each(initialise);
            follow(&trackers, &report, wanted);
        }));
    }
}

/// Writes the first number. The file is never reached through a symbolic link.
fn initialise(tracker: &FileTracker) {
    let Some(value) = tracker.init else { return };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!tracker.overwrite);
    let opened = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&tracker.path);
    match opened.and_then(|mut file| writeln!(file, "{value}")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            warn!(target: "vrrp", "Unable to initialise track file {} ({}): {error}", tracker.name, tracker.path.display());
        }
        _ => {}
    }
}

fn follow(trackers: &[FileTracker], report: &TrackerReport, wanted: &Wanted) {
    let mut directories = Directories::of(trackers.iter().map(|tracker| tracker.path.as_path()));
    let mut values = HashMap::new();
    trackers.iter().for_each(|tracker| read_and_tell(tracker, &mut values, report));
    while !wanted.is_over() {
        let touched = directories.next();
        for tracker in trackers.iter().filter(|tracker| touched.concern(&tracker.path)) {
            if !wanted.is_over() {
                read_and_tell(tracker, &mut values, report);
            }
        }
    }
}

/// Tells of a number that differs from the last one, or is the first.
fn read_and_tell(tracker: &FileTracker, values: &mut HashMap<String, i32>, report: &TrackerReport) {
    let value = read(&tracker.path).unwrap_or_else(|problem| {
        warn!(target: "vrrp", "track_file {}: {problem}; it counts as 0", tracker.name);
        0
    });
    let before = values.insert(tracker.name.clone(), value);
    if before == Some(value) {
        return;
    }
    if before.is_some() {
        info!(target: "vrrp", "Tracked file {} holds {value}", tracker.name);
    }
    report(TrackerName::File(tracker.name.clone()), TrackerStatus::Value(value));
}

/// The number of a file: 0 for one that is absent or empty.
fn read(path: &Path) -> Result<i32, String> {
    match start_of(path, LONGEST) {
        Ok(text) => number(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn number(text: &[u8]) -> Result<i32, String> {
    let text = String::from_utf8_lossy(text);
    let Some(word) = text.split_whitespace().next() else { return Ok(0) };
    let value = word.parse::<i64>().map_err(|_| format!("`{}` is not a number", word.escape_debug()))?;
    Ok(i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn tracker(path: &Path) -> FileTracker {
        FileTracker { name: "tf".into(), path: path.to_owned(), init: None, overwrite: false }
    }

    fn trackers() -> (FileTrackers, Receiver<TrackerStatus>) {
        let (sender, receiver) = channel();
        (
            FileTrackers::new(Arc::new(move |_, status| {
                let _ = sender.send(status);
            })),
            receiver,
        )
    }

    #[track_caller]
    fn expect(reports: &Receiver<TrackerStatus>, value: i32) {
        assert_eq!(reports.recv_timeout(PATIENCE), Ok(TrackerStatus::Value(value)));
    }

    /// As [`expect`], for a file that is written in place: an event of an earlier write, served late, may find it empty.
    #[track_caller]
    fn expect_rewritten(reports: &Receiver<TrackerStatus>, value: i32) {
        let empty = Ok(TrackerStatus::Value(0));
        let first = reports.recv_timeout(PATIENCE);
        let told = if first == empty { reports.recv_timeout(PATIENCE) } else { first };
        assert_eq!(told, Ok(TrackerStatus::Value(value)));
    }

    #[test]
    fn numbers_are_read_and_nonsense_is_not() {
        assert_eq!(number(b"-60\n"), Ok(-60));
        assert_eq!(number(b" 7 of 9"), Ok(7));
        assert_eq!(number(b"\n"), Ok(0));
        assert_eq!(number(b"99999999999"), Ok(i32::MAX));
        assert_eq!(number(b"-99999999999"), Ok(i32::MIN));
        assert!(number(b"99999999999999999999").is_err() && number(b"x").is_err() && number(&[0xff, 0]).is_err());
    }

    #[test]
    fn every_way_to_change_a_file_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        let (mut files, reports) = trackers();
        files.update(vec![tracker(&path)]);
        expect(&reports, 0);
        // The watch begins soon after the first reading; a write before it is read when it begins.
        fs::write(&path, "5").unwrap();
        expect(&reports, 5);
        fs::write(&path, "-60\n").unwrap();
        expect_rewritten(&reports, -60);
        let other = directory.path().join("other");
        fs::write(&other, "9").unwrap();
        fs::rename(&other, &path).unwrap();
        expect(&reports, 9);
        fs::remove_file(&path).unwrap();
        expect(&reports, 0);
    }

    #[test]
    fn a_directory_may_come_and_be_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("late");
        let path = directory.join("value");
        let (mut files, reports) = trackers();
        files.update(vec![tracker(&path)]);
        expect(&reports, 0);
        fs::create_dir(&directory).unwrap();
        fs::write(&path, "5").unwrap();
        expect(&reports, 5);
        fs::rename(&directory, scratch.path().join("away")).unwrap();
        expect(&reports, 0);
        fs::create_dir(&directory).unwrap();
        fs::write(&path, "6").unwrap();
        expect(&reports, 6);
    }

    #[test]
    fn a_fifo_in_the_place_of_the_file_holds_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (mut files, reports) = trackers();
        files.update(vec![tracker(&path)]);
        expect(&reports, 0);
    }

    #[test]
    fn files_are_initialised_when_absent_or_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        initialise(&FileTracker { init: Some(-3), ..tracker(&path) });
        assert_eq!(read(&path), Ok(-3));
        initialise(&FileTracker { init: Some(4), ..tracker(&path) });
        assert_eq!(read(&path), Ok(-3));
        initialise(&FileTracker { init: Some(4), overwrite: true, ..tracker(&path) });
        assert_eq!(read(&path), Ok(4));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        initialise(&FileTracker { init: Some(8), overwrite: true, ..tracker(&link) });
        assert_eq!(read(&path), Ok(4));
    }
}
