//! The schedule of gratuitous ARPs and unsolicited neighbour advertisements.
//!
//! Rounds go over all addresses of a router (A B C A B C ...). A configured pause between two packets of an interface
//! holds back only that interface and that address family.

use super::address::AddressSpec;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Packets sent in one turn before the thread looks at its other work.
const TURN: usize = 64;
/// Blocks that one router may have waiting on one interface; a slow pace drops later ones instead of piling them up.
const WAITING: usize = 4;

/// Pauses between two packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    /// `vrrp_garp_interval`, on one interface.
    pub garp: Duration,
    /// `vrrp_gna_interval`, on one interface.
    pub gna: Duration,
    /// `garp_group`: interfaces that share a pause.
    pub groups: Vec<PaceGroup>,
}

/// Interfaces on which announcements take turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaceGroup {
    /// `garp_interval`.
    pub garp: Duration,
    /// `gna_interval`.
    pub gna: Duration,
    /// Names of the interfaces.
    pub interfaces: Vec<String>,
}

impl Pace {
    /// The pause that holds for an interface and a family, and what it is counted by.
    fn pause(&self, interface: &str, is_v4: bool) -> (Duration, Clock) {
        let place = self.groups.iter().position(|group| group.interfaces.iter().any(|name| name == interface));
        let (garp, gna, clock) = match place.and_then(|place| Some((place, self.groups.get(place)?))) {
            Some((place, group)) => (group.garp, group.gna, Clock::Group(place, is_v4)),
            None => (self.garp, self.gna, Clock::Interface(interface.to_owned(), is_v4)),
        };
        (if is_v4 { garp } else { gna }, clock)
    }
}

/// What a pause is counted by: a group or an interface, and whether it is for IPv4.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Clock {
    Group(usize, bool),
    Interface(String, bool),
}

#[derive(Debug)]
struct Block {
    owner: Arc<str>,
    addresses: Vec<IpAddr>,
    rounds: u32,
    position: usize,
}

#[derive(Debug, Default)]
struct Queue {
    blocks: VecDeque<Block>,
}

/// Blocks of announcements that wait for their moment.
#[derive(Debug, Default)]
pub struct Announcer {
    pace: Pace,
    queues: BTreeMap<(String, bool), Queue>,
    not_before: BTreeMap<Clock, Instant>,
    sent: BTreeMap<Arc<str>, u64>,
}

impl Announcer {
    /// Sets the pauses for every packet that follows.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.not_before.clear();
    }

    /// Queues `rounds` rounds over `addresses`.
    pub fn enqueue(&mut self, owner: &Arc<str>, addresses: &[AddressSpec], rounds: u32) {
        let mut parts: BTreeMap<(String, bool), Vec<IpAddr>> = BTreeMap::new();
        for spec in addresses {
            parts.entry((spec.interface.clone(), spec.address.is_ipv4())).or_default().push(spec.address);
        }
        for (key, addresses) in parts.into_iter().filter(|_| rounds > 0) {
            let blocks = &mut self.queues.entry(key).or_default().blocks;
            if blocks.iter().filter(|block| block.owner == *owner).count() < WAITING {
                blocks.push_back(Block { owner: Arc::clone(owner), addresses, rounds, position: 0 });
            }
        }
    }

    /// Forgets what waits for a router that holds its addresses no longer.
    pub fn cancel(&mut self, owner: &str) {
        for queue in self.queues.values_mut() {
            queue.blocks.retain(|block| &*block.owner != owner);
        }
        self.queues.retain(|_, queue| !queue.blocks.is_empty());
    }

    /// Packets sent for each router since the start.
    #[must_use]
    pub fn sent(&self) -> &BTreeMap<Arc<str>, u64> {
        &self.sent
    }

    /// Hands at most a turn of due packets to `send` (interface, address; whether it went out); returns when to call again.
    pub fn run(&mut self, now: Instant, mut send: impl FnMut(&str, IpAddr) -> bool) -> Option<Instant> {
        if self.queues.is_empty() {
            return None;
        }
        self.not_before.retain(|_, moment| *moment > now);
        let mut left = TURN;
        let mut next: Option<Instant> = None;
        for ((interface, is_v4), queue) in &mut self.queues {
            let (pause, clock) = self.pace.pause(interface, *is_v4);
            while left > 0
                && !self.not_before.contains_key(&clock)
                && let Some((owner, address)) = queue.next()
            {
                *self.sent.entry(owner).or_default() += u64::from(send(interface, address));
                left -= 1;
                if !pause.is_zero() {
                    self.not_before.insert(clock.clone(), now + pause);
                }
            }
            if !queue.blocks.is_empty() {
                let due = self.not_before.get(&clock).copied().unwrap_or(now);
                next = Some(next.map_or(due, |known| known.min(due)));
            }
        }
        self.queues.retain(|_, queue| !queue.blocks.is_empty());
        next
    }
}

impl Queue {
    fn next(&mut self) -> Option<(Arc<str>, IpAddr)> {
        let block = self.blocks.front_mut()?;
        let address = block.addresses.get(block.position).map(|address| (Arc::clone(&block.owner), *address));
        block.position += 1;
        if block.position >= block.addresses.len() {
            block.position = 0;
            block.rounds = block.rounds.saturating_sub(1);
        }
        if block.rounds == 0 {
            self.blocks.pop_front();
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(last: &[u8]) -> Vec<AddressSpec> {
        last.iter().map(|last| AddressSpec::new("eth0", IpAddr::from([10, 0, 0, *last]), 32)).collect()
    }

    fn run(announcer: &mut Announcer, now: Instant) -> (Vec<u8>, Option<Instant>) {
        let mut sent = Vec::new();
        let next = announcer.run(now, |_, address| {
            sent.push(match address {
                IpAddr::V4(address) => address.octets()[3],
                IpAddr::V6(address) => address.octets()[15],
            });
            address != IpAddr::from([10, 0, 0, 66])
        });
        (sent, next)
    }

    #[test]
    fn rounds_go_over_all_addresses() {
        let mut announcer = Announcer::default();
        announcer.enqueue(&"VI_1".into(), &specs(&[1, 2, 3]), 2);
        assert_eq!(run(&mut announcer, Instant::now()), (vec![1, 2, 3, 1, 2, 3], None));
    }

    #[test]
    fn a_pause_lets_one_packet_through_at_a_time() {
        let mut announcer = Announcer::default();
        let pause = Duration::from_millis(50);
        announcer.set_pace(Pace { garp: pause, ..Pace::default() });
        announcer.enqueue(&"VI_1".into(), &specs(&[1, 2]), 1);
        let now = Instant::now();
        assert_eq!(run(&mut announcer, now), (vec![1], Some(now + pause)));
        assert_eq!(run(&mut announcer, now), (vec![], Some(now + pause)));
        assert_eq!(run(&mut announcer, now + pause), (vec![2], None));
    }

    #[test]
    fn the_pause_of_one_family_does_not_hold_the_other() {
        let mut announcer = Announcer::default();
        announcer.set_pace(Pace { garp: Duration::from_secs(1), ..Pace::default() });
        let mut addresses = specs(&[1]);
        addresses.push(AddressSpec::new("eth0", "fd00::7".parse().expect("an address"), 64));
        announcer.enqueue(&"VI_1".into(), &addresses, 3);
        let now = Instant::now();
        assert_eq!(run(&mut announcer, now), (vec![7, 7, 7, 1], Some(now + Duration::from_secs(1))));
    }

    #[test]
    fn the_interfaces_of_a_group_share_a_pause_and_others_do_not() {
        let mut announcer = Announcer::default();
        let pause = Duration::from_millis(50);
        let interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
        let group = PaceGroup { garp: pause, gna: Duration::ZERO, interfaces };
        announcer.set_pace(Pace { groups: vec![group], ..Pace::default() });
        let on = |interface: &str, last: u8| AddressSpec::new(interface, IpAddr::from([10, 0, 0, last]), 32);
        announcer.enqueue(&"VI_1".into(), &[on("eth0", 1), on("eth1", 2), on("eth2", 3)], 1);
        let now = Instant::now();
        assert_eq!(run(&mut announcer, now), (vec![1, 3], Some(now + pause)));
        assert_eq!(run(&mut announcer, now + pause), (vec![2], None));
    }

    #[test]
    fn what_went_out_is_counted_by_router() {
        let mut announcer = Announcer::default();
        announcer.enqueue(&"VI_1".into(), &specs(&[1, 66]), 2);
        announcer.enqueue(&"VI_2".into(), &specs(&[3]), 1);
        run(&mut announcer, Instant::now());
        announcer.cancel("VI_1");
        let sent: Vec<_> = announcer.sent().iter().map(|(owner, count)| (&**owner, *count)).collect();
        assert_eq!(sent, [("VI_1", 2), ("VI_2", 1)]);
    }

    #[test]
    fn a_cancelled_router_announces_nothing_more() {
        let mut announcer = Announcer::default();
        announcer.enqueue(&"VI_1".into(), &specs(&[1]), 5);
        announcer.enqueue(&"VI_2".into(), &specs(&[2]), 1);
        announcer.cancel("VI_1");
        assert_eq!(run(&mut announcer, Instant::now()), (vec![2], None));
    }

    #[test]
    fn endless_rounds_are_cut_into_turns_and_blocks_do_not_pile_up() {
        let mut announcer = Announcer::default();
        for _ in 0..100 {
            announcer.enqueue(&"VI_1".into(), &specs(&[1]), u32::MAX);
        }
        let now = Instant::now();
        let (sent, next) = run(&mut announcer, now);
        assert_eq!((sent.len(), next), (TURN, Some(now)));
        let waiting: usize = announcer.queues.values().map(|queue| queue.blocks.len()).sum();
        assert_eq!(waiting, WAITING);
    }
}
