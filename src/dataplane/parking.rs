//! Packets for virtual addresses that the host does not have, or does not have yet.
//!
//! At a failover the first packets may come between the moment when the kernel has the address and the moment when the worker knows. Handed
//! to the host's own stack they would be answered with RST; so they wait a little, and longer on a machine so busy that the word of an
//! address which the kernel has is late: a client whose packet is lost here sends the next one twice as late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::routes::{Cut, Held};

/// After a takeover all connections retransmit at once.
const FRAMES: usize = 4096;
const BYTES: usize = 4 << 20;
const WAIT: Duration = Duration::from_millis(50);
/// A frame waits so often at most: a second.
const WAITS: u8 = 20;

/// A frame that waits, and how often it has done so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parked {
    waits: u8,
    pub(super) held: Held,
}

/// Packets that wait, oldest first. Bounded: what finds no room is dropped, as by a network that fails over.
#[derive(Debug, Default)]
pub(super) struct Parking {
    frames: VecDeque<(Instant, Parked)>,
    bytes: usize,
}

impl Parking {
    /// Keeps a copy of a frame.
    pub(super) fn push(&mut self, bytes: &[u8], ingress: u32, cut: Option<Cut>, now: Instant) {
        if self.has_room(bytes.len()) {
            let held = Held { bytes: bytes.to_vec(), ingress, passage: None, cut };
            self.add(Parked { waits: 1, held }, now);
        }
    }

    /// Has a frame that was taken out wait once more, if it has not waited too often.
    pub(super) fn push_again(&mut self, parked: Parked, now: Instant) {
        if parked.waits < WAITS && self.has_room(parked.held.bytes.len()) {
            self.add(Parked { waits: parked.waits + 1, ..parked }, now);
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.frames.len() < FRAMES && self.bytes + bytes <= BYTES
    }

    fn add(&mut self, parked: Parked, now: Instant) {
        self.bytes += parked.held.bytes.len();
        self.frames.push_back((now + WAIT, parked));
    }

    /// When the oldest has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.frames.front().map(|(due, _)| *due)
    }

    /// Takes out what has waited long enough, and what is `settled`.
    pub(super) fn take(&mut self, now: Instant, settled: impl Fn(&[u8]) -> bool) -> Vec<Parked> {
        let waiting = std::mem::take(&mut self.frames).into_iter();
        let (ready, kept): (VecDeque<_>, _) =
            waiting.partition(|(due, parked)| *due <= now || settled(&parked.held.bytes));
        self.frames = kept;
        self.bytes = self.frames.iter().map(|(_, parked)| parked.held.bytes.len()).sum();
        ready.into_iter().map(|(_, parked)| parked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_wait_until_they_are_settled_or_due() {
        let (mut parking, start) = (Parking::default(), Instant::now());
        parking.push(b"a", 1, None, start);
        parking.push(b"b", 2, None, start);
        assert_eq!(parking.due(), Some(start + WAIT));
        let parked = |bytes: &[u8], ingress| {
            let held = Held { bytes: bytes.to_vec(), ingress, passage: None, cut: None };
            Parked { waits: 1, held }
        };
        assert_eq!(parking.take(start, |bytes| bytes == b"b"), [parked(b"b", 2)]);
        assert_eq!(parking.take(start + WAIT, |_| false), [parked(b"a", 1)]);
        assert_eq!((parking.due(), parking.bytes), (None, 0));
    }

    #[test]
    fn a_frame_waits_a_second_at_most() {
        let (mut parking, mut now, mut waits) = (Parking::default(), Instant::now(), 0);
        parking.push(b"a", 1, None, now);
        while let Some(due) = parking.due() {
            assert_eq!(due, now + WAIT);
            now = due;
            parking.take(now, |_| false).into_iter().for_each(|parked| parking.push_again(parked, now));
            waits += 1;
        }
        assert_eq!(waits, WAITS);
        assert_eq!(parking.bytes, 0);
    }

    #[test]
    fn the_room_is_bounded() {
        let (mut parking, now) = (Parking::default(), Instant::now());
        (0..2 * FRAMES).for_each(|_| parking.push(&[0; 100], 1, None, now));
        assert_eq!(parking.frames.len(), FRAMES);
        (0..1000).for_each(|_| parking.push(&[0; 60_000], 1, None, now + WAIT));
        assert!(parking.bytes <= BYTES);
    }
}
