//! The queue between those who log and the thread that writes.

use super::sinks::Sinks;
use super::{Entry, Ident};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};
use tracing::Level;

const CAPACITY: usize = 4096;
/// How long a loss may stay unsaid while nothing else is logged.
const LOSS_REPORT: Duration = Duration::from_secs(1);

enum Item {
    Entry(Entry),
    Reopen,
    Flush(SyncSender<()>),
}

/// The sending side.
pub struct Queue {
    sender: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the writing thread. Without one (no thread to be had) every line counts as lost.
    pub fn start(sinks: Sinks) -> Self {
        let (queue, receiver) = Self::pair(CAPACITY);
        let lost = Arc::clone(&queue.lost);
        let writer = Writer { sinks, receiver, lost, reported: 0 };
        // The queue must not outlive its receiver silently: push() counts what a vanished thread cannot take.
        let _ = std::thread::Builder::new().name("log".into()).spawn(move || writer.run());
        queue
    }

    fn pair(capacity: usize) -> (Self, Receiver<Item>) {
        let (sender, receiver) = sync_channel(capacity);
        (Self { sender, lost: Arc::default() }, receiver)
    }

    /// Adds an entry, or counts it as lost when the queue is full.
    pub fn push(&self, entry: Entry) {
        if self.sender.try_send(Item::Entry(entry)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens files again, after everything queued.
    pub fn reopen(&self) {
        let _ = self.sender.try_send(Item::Reopen);
    }

    /// Waits until everything queued is written, `patience` at most.
    pub fn flush(&self, patience: Duration) {
        let (done, waiting) = sync_channel(1);
        if self.sender.try_send(Item::Flush(done)).is_ok() {
            let _ = waiting.recv_timeout(patience);
        }
    }
}

struct Writer {
    sinks: Sinks,
    receiver: Receiver<Item>,
    lost: Arc<AtomicU64>,
    reported: u64,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.receiver.recv_timeout(LOSS_REPORT) {
                Ok(item) => self.handle(item),
                Err(RecvTimeoutError::Timeout) => self.report_losses(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn handle(&mut self, item: Item) {
        match item {
            Item::Entry(entry) => {
                let refused = self.sinks.write(&entry);
                self.lost.fetch_add(refused, Ordering::Relaxed);
            }
            Item::Reopen => self.sinks.reopen(),
            Item::Flush(done) => {
                self.report_losses();
                let _ = done.try_send(());
            }
        }
    }

    /// Losses are said once per quiet moment; a report that is lost itself is not counted again.
    fn report_losses(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.reported {
            let text = format!("{} log line(s) were lost: the log could not keep up", lost - self.reported);
            self.reported = lost;
            let (time, level, ident) = (SystemTime::now(), Level::WARN, Ident::Main);
            self.sinks.write(&Entry { time, level, ident, text, startup: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::sinks::LogFile;
    use std::time::Instant;

    fn entry(text: &str) -> Entry {
        Entry { time: SystemTime::now(), level: Level::INFO, ident: Ident::Main, text: text.to_owned(), startup: false }
    }

    fn file_sinks(path: &std::path::Path) -> Sinks {
        Sinks { file: Some(LogFile::open(path).unwrap()), ..Sinks::default() }
    }

    #[test]
    fn a_full_queue_never_blocks_and_its_losses_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (queue, receiver) = Queue::pair(4);
        let before = Instant::now();
        (0..10).for_each(|number| queue.push(entry(&format!("line {number}"))));
        assert!(before.elapsed() < Duration::from_secs(1));
        let lost = Arc::clone(&queue.lost);
        let writer = Writer { sinks: file_sinks(&path), receiver, lost, reported: 0 };
        drop(queue);
        let mut writer = writer;
        while let Ok(item) = writer.receiver.try_recv() {
            writer.handle(item);
        }
        writer.report_losses();
        writer.report_losses();
        let text = std::fs::read_to_string(&path).unwrap();
        let tails: Vec<&str> = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, tail)| tail).collect();
        let told = "6 log line(s) were lost: the log could not keep up";
        assert_eq!(tails, ["line 0", "line 1", "line 2", "line 3", told]);
    }

    #[test]
    fn flush_waits_for_what_was_logged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let queue = Queue::start(file_sinks(&path));
        (0..100).for_each(|number| queue.push(entry(&format!("line {number}"))));
        queue.flush(Duration::from_secs(10));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 100);
    }
}
