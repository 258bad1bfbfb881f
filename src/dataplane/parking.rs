//! Packets for virtual addresses that the host does not have, or does not have yet.
//!
//! At a failover the first packets may come between the moment when the kernel has the address and the moment when the worker knows. Handed
//! to the host's own stack they would be answered with RST; so they wait a little.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::routes::{Cut, Held};

const FRAMES: usize = 256;
const BYTES: usize = 1 << 20;
const WAIT: Duration = Duration::from_millis(50);

/// Packets that wait, oldest first. Bounded: what finds no room is dropped, as by a network that fails over.
#[derive(Debug, Default)]
pub(super) struct Parking {
    frames: VecDeque<(Instant, Held)>,
    bytes: usize,
}

impl Parking {
    /// Keeps a copy of a frame.
    pub(super) fn push(&mut self, bytes: &[u8], ingress: u32, cut: Option<Cut>, now: Instant) {
        if self.frames.len() < FRAMES && self.bytes + bytes.len() <= BYTES {
            self.bytes += bytes.len();
            self.frames.push_back((now + WAIT, Held { bytes: bytes.to_vec(), ingress, passage: None, cut }));
        }
    }

    /// When the oldest has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.frames.front().map(|(due, _)| *due)
    }

    /// Takes out what has waited long enough, and what is `settled`.
    pub(super) fn take(&mut self, now: Instant, settled: impl Fn(&[u8]) -> bool) -> Vec<Held> {
        let waiting = std::mem::take(&mut self.frames).into_iter();
        let (ready, kept): (VecDeque<_>, _) = waiting.partition(|(due, held)| *due <= now || settled(&held.bytes));
        self.frames = kept;
        self.bytes = self.frames.iter().map(|(_, held)| held.bytes.len()).sum();
        ready.into_iter().map(|(_, held)| held).collect()
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
        assert_eq!(
            parking.take(start, |bytes| bytes == b"b"),
            [Held { bytes: b"b".to_vec(), ingress: 2, passage: None, cut: None }]
        );
        assert_eq!(
            parking.take(start + WAIT, |_| false),
            [Held { bytes: b"a".to_vec(), ingress: 1, passage: None, cut: None }]
        );
        assert_eq!((parking.due(), parking.bytes), (None, 0));
    }

    #[test]
    fn the_room_is_bounded() {
        let (mut parking, now) = (Parking::default(), Instant::now());
        (0..1000).for_each(|_| parking.push(&[0; 100], 1, None, now));
        assert_eq!(parking.frames.len(), FRAMES);
        (0..1000).for_each(|_| parking.push(&[0; 60_000], 1, None, now + WAIT));
        assert!(parking.bytes <= BYTES);
    }
}
