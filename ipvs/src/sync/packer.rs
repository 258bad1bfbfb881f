//! From records to datagrams.

use std::time::{Duration, Instant};

use super::message::{self, padded};
use super::{Entry, Version, entry, v0};

/// What datagrams look like and when they leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The version of the protocol.
    pub version: Version,
    /// The sync id.
    pub syncid: u8,
    /// The longest datagram in bytes. An entry that is longer by itself is not sent.
    pub longest: usize,
    /// How long a datagram waits for more entries. The kernel gives it two seconds.
    pub patience: Duration,
}

impl Format {
    /// The kernel's patience.
    pub const PATIENCE: Duration = Duration::from_secs(2);
}

/// Fills datagrams: one leaves when no more fits, or when its first entry has waited long enough.
#[derive(Debug)]
pub struct Packer {
    format: Format,
    datagram: Vec<u8>,
    count: u8,
    since: Option<Instant>,
    unfit: u64,
}

impl Packer {
    /// An empty one.
    pub fn new(format: Format) -> Packer {
        let mut packer = Packer { format, datagram: Vec::new(), count: 0, since: None, unfit: 0 };
        packer.begin();
        packer
    }

    /// Entries that cannot be said in this version or with this length so far.
    pub fn unfit(&self) -> u64 {
        self.unfit
    }

    /// Adds a record. `send` gets the datagram that it found no room in, and its own if that is full now.
    pub fn push(&mut self, record: &[u8], now: Instant, send: &mut dyn FnMut(&[u8])) {
        let mut body = std::mem::take(&mut self.datagram);
        let start = body.len();
        let Some(end) = self.append(record, &mut body) else {
            body.truncate(start);
            self.datagram = body;
            self.unfit += 1;
            return;
        };
        if end > self.format.longest && self.count > 0 {
            body.truncate(start);
            self.datagram = body;
            self.flush(send);
            return self.push(record, now, send);
        }
        if end > self.format.longest {
            body.truncate(start);
            self.unfit += 1;
        } else {
            self.count += 1;
            self.since.get_or_insert(now);
        }
        self.datagram = body;
        if self.is_full() {
            self.flush(send);
        }
    }

    /// Adds records that follow one another, as [`Packer::push`] does with each.
    pub fn push_all(&mut self, records: &[u8], now: Instant, send: &mut dyn FnMut(&[u8])) {
        let mut rest = records;
        while let Some((record, tail)) = Entry::split_record(rest) {
            let (length, count) = self.fitting(rest);
            if let Some((run, tail)) = rest.split_at_checked(length).filter(|_| count > 0) {
                self.datagram.extend_from_slice(run);
                self.count += count;
                self.since.get_or_insert(now);
                rest = tail;
                if self.is_full() {
                    self.flush(send);
                }
            } else {
                self.push(record, now, send);
                rest = tail;
            }
        }
    }

    /// How many bytes of the records fit as they are, and how many records that is: each needs padding neither before nor behind it.
    fn fitting(&self, records: &[u8]) -> (usize, u8) {
        let start = self.datagram.len();
        if self.format.version == Version::V0 || !start.is_multiple_of(4) {
            return (0, 0);
        }
        let (mut rest, mut length, mut count) = (records, 0, 0);
        while let Some((record, tail)) = Entry::split_record(rest)
            && record.len().is_multiple_of(4)
            && start + length + record.len() <= self.format.longest
            && count < u8::MAX - self.count
        {
            (rest, length, count) = (tail, length + record.len(), count + 1);
        }
        (length, count)
    }

    /// Appends what the version has for a record; gives the end.
    fn append(&self, record: &[u8], body: &mut Vec<u8>) -> Option<usize> {
        match self.format.version {
            Version::V1 => {
                body.resize(padded(body.len()), 0);
                body.extend(record);
            }
            Version::V0 => {
                let (entry, _) = Entry::decode(record).ok()?;
                v0::encode(&entry, body).then_some(())?;
            }
        }
        Some(body.len())
    }

    fn is_full(&self) -> bool {
        let least = match self.format.version {
            Version::V0 => 24,
            Version::V1 => entry::V4_LENGTH,
        };
        self.count == u8::MAX || (self.count > 0 && padded(self.datagram.len()) + least > self.format.longest)
    }

    /// When to call [`Packer::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.since.map(|since| since + self.format.patience)
    }

    /// Sends a datagram whose time has come.
    pub fn handle_timeout(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.flush(send);
        }
    }

    /// Sends what there is.
    pub fn flush(&mut self, send: &mut dyn FnMut(&[u8])) {
        if self.count == 0 {
            return;
        }
        let (syncid, length) = (self.format.syncid, self.datagram.len());
        match self.format.version {
            Version::V0 => self.write_header(&v0::header(syncid, self.count, length)),
            Version::V1 => self.write_header(&message::header(syncid, self.count, length)),
        }
        send(&self.datagram);
        self.begin();
    }

    fn write_header(&mut self, header: &[u8]) {
        if let Some(place) = self.datagram.get_mut(..header.len()) {
            place.copy_from_slice(header);
        }
    }

    fn begin(&mut self) {
        let header = match self.format.version {
            Version::V0 => 4,
            Version::V1 => 8,
        };
        self.datagram.clear();
        self.datagram.resize(header, 0);
        self.count = 0;
        self.since = None;
    }
}
