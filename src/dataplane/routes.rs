//! The worker's view of the ways to servers, and the packets that wait for one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::encapsulation::Passage;
use super::topology::NextHop;

/// After a takeover all connections retransmit at once, and their packets wait for the same few neighbours.
const HELD_FRAMES_A_HOP: usize = 1024;
const HELD_BYTES: usize = 4 << 20;
const ADDRESSES: usize = 16 * 1024;
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A frame that waits for its next hop.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The frame, virtio-net header first.
    pub(super) bytes: Vec<u8>,
    /// Number of the hop that it came from.
    pub(super) ingress: u32,
    /// The tunnel that it is to take.
    pub(super) passage: Option<Passage>,
    /// The fragments that it came in.
    pub(super) cut: Option<Cut>,
}

/// How the sender had cut a packet that is whole now: it travels on in pieces that are no larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// The largest fragment, in bytes from its IP header on.
    pub(super) largest: usize,
    /// The identification of the fragments.
    pub(super) identification: u32,
}

#[derive(Debug)]
struct Entry {
    next: NextHop,
    asked: Instant,
    held: Vec<Held>,
}

/// What is known of the way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// Where packets go.
    pub(super) next: NextHop,
    /// The control thread should be asked to look (again).
    pub(super) ask: bool,
}

/// Ways by address. Bounded: servers come from the configuration, but clients whose hop was forgotten are looked up here too.
#[derive(Debug, Default)]
pub(super) struct Routes {
    entries: HashMap<IpAddr, Entry>,
    held_bytes: usize,
    latest: Option<(IpAddr, NextHop)>,
}

impl Routes {
    /// The way to `address`. Asks are spaced by a second.
    pub(super) fn way(&mut self, address: IpAddr, now: Instant) -> Way {
        match self.latest {
            Some((known, next)) if known == address => return Way { next, ask: false },
            _ => {}
        }
        let Some(entry) = self.entries.get_mut(&address) else {
            self.remember(address, NextHop::Pending, now);
            return Way { next: NextHop::Pending, ask: true };
        };
        if matches!(entry.next, NextHop::Via { .. }) {
            self.latest = Some((address, entry.next));
            return Way { next: entry.next, ask: false };
        }
        let ask = now.saturating_duration_since(entry.asked) >= ASK_AGAIN;
        if ask {
            entry.asked = now;
        }
        Way { next: entry.next, ask }
    }

    /// What was found of an address, if anybody asked.
    pub(super) fn known(&self, address: IpAddr) -> Option<NextHop> {
        self.entries.get(&address).map(|entry| entry.next)
    }

    /// Keeps a copy of a frame until the way is known; `false` if there is no room.
    pub(super) fn hold(
        &mut self,
        address: IpAddr,
        bytes: &[u8],
        ingress: u32,
        (passage, cut): (Option<Passage>, Option<Cut>),
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&address) else { return false };
        if entry.held.len() >= HELD_FRAMES_A_HOP || self.held_bytes + bytes.len() > HELD_BYTES {
            return false;
        }
        self.held_bytes += bytes.len();
        entry.held.push(Held { bytes: bytes.to_vec(), ingress, passage, cut });
        true
    }

    /// Takes in what the control thread found; gives the frames that waited if the waiting is over.
    pub(super) fn learn(&mut self, address: IpAddr, next: NextHop, now: Instant) -> Vec<Held> {
        self.latest = None;
        let Some(entry) = self.entries.get_mut(&address) else {
            self.remember(address, next, now);
            return Vec::new();
        };
        entry.next = next;
        if next == NextHop::Pending {
            return Vec::new();
        }
        let held = std::mem::take(&mut entry.held);
        self.held_bytes -= held.iter().map(|h| h.bytes.len()).sum::<usize>();
        held
    }

    fn remember(&mut self, address: IpAddr, next: NextHop, now: Instant) {
        if self.entries.len() >= ADDRESSES {
            self.entries.clear();
            self.held_bytes = 0;
        }
        self.entries.insert(address, Entry { next, asked: now, held: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIA: NextHop = NextHop::Via { interface: 2, mac: [2; 6], source: [4; 6], mtu: 1500, local: None };

    fn address(n: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + n).into())
    }

    #[test]
    fn an_unknown_address_is_asked_for_once_a_second_and_its_frames_wait() {
        let (mut routes, start) = (Routes::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(routes.way(address(1), at(0)), Way { next: NextHop::Pending, ask: true });
        assert!(routes.hold(address(1), b"first", 7, (None, None)));
        assert_eq!(routes.way(address(1), at(900)), Way { next: NextHop::Pending, ask: false });
        assert!(routes.way(address(1), at(1001)).ask);
        let held = routes.learn(address(1), VIA, at(1002));
        assert_eq!(held, [Held { bytes: b"first".to_vec(), ingress: 7, passage: None, cut: None }]);
        assert_eq!(routes.way(address(1), at(1003)), Way { next: VIA, ask: false });
        assert_eq!(routes.held_bytes, 0);
    }

    #[test]
    fn a_server_that_moves_is_followed() {
        let (mut routes, now) = (Routes::default(), Instant::now());
        routes.learn(address(1), VIA, now);
        assert_eq!(routes.way(address(1), now).next, VIA);
        routes.learn(address(1), NextHop::Unreachable, now);
        assert_eq!(routes.way(address(1), now).next, NextHop::Unreachable);
    }

    #[test]
    fn frames_that_wait_are_bounded() {
        let (mut routes, now) = (Routes::default(), Instant::now());
        let big = vec![0; 60_000];
        let held = (0..100).flat_map(|n| std::iter::repeat_n(n, 20)).filter(|n| {
            routes.way(address(*n), now);
            routes.hold(address(*n), &big, 0, (None, None))
        });
        assert_eq!(held.count(), HELD_BYTES / 60_000);
        let mut one = Routes::default();
        one.way(address(1), now);
        assert_eq!(
            (0..2 * HELD_FRAMES_A_HOP).filter(|_| one.hold(address(1), b"x", 0, (None, None))).count(),
            HELD_FRAMES_A_HOP
        );
    }

    #[test]
    fn addresses_are_bounded() {
        let (mut routes, now) = (Routes::default(), Instant::now());
        for n in 0..3 * ADDRESSES as u32 {
            routes.way(address(n), now);
        }
        assert!(routes.entries.len() <= ADDRESSES);
    }
}
