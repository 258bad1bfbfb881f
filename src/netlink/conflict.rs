//! Somebody else on the link claims an address that we hold: seen in ARP packets and neighbour advertisements.
//!
//! A filter in the kernel passes only packets about our own addresses, so a busy link does not wake the thread. A claim counts
//! when we still hold the address a second later: at a takeover, the new master announces the address while the old one is
//! letting it go.

use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

/// How long we must go on holding an address until a claim on it counts.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same claim is told again after this.
const PAUSE: Duration = Duration::from_secs(60);
/// Claims that wait at once; further ones are a flood.
const WAITING: usize = 256;
/// Addresses that a filter holds; a classic BPF program has 4096 instructions at most.
const MOST: usize = 400;
const DATAGRAMS: usize = 64;

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
const TARGET_LINK_LAYER: u8 = 2;
const PASS: u32 = 128;

/// Somebody's claim on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// Index of the interface it was heard on.
    pub(super) index: u32,
    /// The address.
    pub(super) address: IpAddr,
    /// Who claims it.
    pub(super) mac: Mac,
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mac(pub(super) [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Listens for claims on the addresses that we hold.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sockets: Option<[Socket; 2]>,
    watched: BTreeSet<IpAddr>,
    waiting: BTreeMap<Claim, Instant>,
    told: BTreeMap<Claim, Instant>,
}

impl Watch {
    /// Watches these addresses from here on; gives the sockets when they were opened for it.
    pub(super) fn set(&mut self, addresses: BTreeSet<IpAddr>) -> io::Result<Option<[BorrowedFd<'_>; 2]>> {
        if addresses == self.watched {
            return Ok(None);
        }
        self.watched = addresses;
        let open = self.sockets.is_none();
        let sockets = match &mut self.sockets {
            Some(sockets) => sockets,
            none => none.insert([socket(ETHERTYPE_ARP)?, socket(ETHERTYPE_IPV6)?]),
        };
        let [arp, ipv6] = &*sockets;
        arp.attach_filter(&arp_filter(&self.watched))?;
        ipv6.attach_filter(&ipv6_filter(&self.watched))?;
        Ok(open.then(|| [arp.as_fd(), ipv6.as_fd()]))
    }

    /// Takes in what waits in the sockets.
    pub(super) fn listen(&mut self, now: Instant) {
        let Some(sockets) = &self.sockets else { return };
        let mut buffer = [0; PASS as usize];
        for socket in sockets {
            for _ in 0..DATAGRAMS {
                let Ok((length, from)) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) else { break };
                let index = from.map_or(0, |from| from.ifindex() as u32);
                let frame = buffer.get(..length).unwrap_or_default();
                if let Some((address, mac)) = read(frame)
                    && self.watched.contains(&address)
                    && self.waiting.len() < WAITING
                {
                    self.waiting.entry(Claim { index, address, mac }).or_insert(now + PATIENCE);
                }
            }
        }
    }

    /// An address was let go: claims on it are no conflict.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.waiting.retain(|claim, _| claim.address != address);
    }

    /// When [`Watch::due`] has something.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }

    /// Claims that count by now and were not told lately.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Claim> {
        let due: Vec<Claim> = self.waiting.iter().filter(|(_, at)| **at <= now).map(|(claim, _)| *claim).collect();
        self.told.retain(|_, until| *until > now);
        for claim in &due {
            self.waiting.remove(claim);
        }
        let news: Vec<Claim> = due.into_iter().filter(|claim| !self.told.contains_key(claim)).collect();
        for claim in &news {
            self.told.insert(*claim, now + PAUSE);
        }
        news
    }
}

fn socket(ethertype: u16) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(ethertype.to_be()));
    Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), Some(protocol))
}

const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
const OUTGOING: u32 = 4;

/// Nothing that we send ourselves.
fn incoming() -> Vec<SockFilter> {
    vec![
        SockFilter::new(LOAD_WORD, 0, 0, PACKET_TYPE),
        SockFilter::new(JUMP_EQUAL, 0, 1, OUTGOING),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// ARP from one of the addresses: the sender's protocol address stands behind its hardware address.
fn arp_filter(addresses: &BTreeSet<IpAddr>) -> Vec<SockFilter> {
    let mut program = incoming();
    program.push(SockFilter::new(LOAD_WORD, 0, 0, 28));
    for address in addresses.iter().filter_map(v4).take(MOST) {
        program.push(SockFilter::new(JUMP_EQUAL, 0, 1, address.to_bits()));
        program.push(SockFilter::new(RETURN, 0, 0, PASS));
    }
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program
}

/// Neighbour advertisements for one of the addresses; its last word decides, the rest is compared later.
fn ipv6_filter(addresses: &BTreeSet<IpAddr>) -> Vec<SockFilter> {
    let mut program = incoming();
    for (at, value) in [(20, u32::from(58_u8)), (54, NEIGHBOUR_ADVERTISEMENT)] {
        program.push(SockFilter::new(LOAD_BYTE, 0, 0, at));
        program.push(SockFilter::new(JUMP_EQUAL, 1, 0, value));
        program.push(SockFilter::new(RETURN, 0, 0, 0));
    }
    program.push(SockFilter::new(LOAD_WORD, 0, 0, 62 + 12));
    for address in addresses.iter().filter_map(v6).take(MOST) {
        program.push(SockFilter::new(JUMP_EQUAL, 0, 1, address.to_bits() as u32));
        program.push(SockFilter::new(RETURN, 0, 0, PASS));
    }
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program
}

fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    }
}

/// The address that a frame claims, and for whom.
fn read(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    match u16::from_be_bytes(*frame.get(12..)?.first_chunk()?) {
        ETHERTYPE_ARP => read_arp(frame.get(14..)?),
        ETHERTYPE_IPV6 => read_advertisement(frame),
        _ => None,
    }
}

/// RFC 826: hardware and protocol type, their lengths, operation, sender.
fn read_arp(packet: &[u8]) -> Option<(IpAddr, Mac)> {
    if packet.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let mac = Mac(*packet.get(8..)?.first_chunk()?);
    let address = Ipv4Addr::from(*packet.get(14..)?.first_chunk::<4>()?);
    Some((address.into(), mac))
}

/// RFC 4861 section 4.4: the target, and its link-layer address in an option or else the frame's source.
fn read_advertisement(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let message = frame.get(54..)?;
    if *frame.get(20)? != 58 || u32::from(*message.first()?) != NEIGHBOUR_ADVERTISEMENT {
        return None;
    }
    let target = Ipv6Addr::from(*message.get(8..)?.first_chunk::<16>()?);
    let option = message.get(24..).filter(|option| option.starts_with(&[TARGET_LINK_LAYER, 1]));
    let mac = option.and_then(|option| option.get(2..)).unwrap_or(frame.get(6..)?);
    Some((target.into(), Mac(*mac.first_chunk()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_vrrp::neighbour;

    const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 9];

    #[test]
    fn announcements_are_read() {
        let address: Ipv4Addr = "10.0.0.9".parse().expect("an address");
        assert_eq!(read(&neighbour::gratuitous_arp(THEIRS, address)), Some((address.into(), Mac(THEIRS))));
        let address: Ipv6Addr = "fd00::9".parse().expect("an address");
        let frame = neighbour::unsolicited_na(THEIRS, address, false);
        assert_eq!(read(&frame), Some((address.into(), Mac(THEIRS))));
        for length in 0..frame.len() {
            let _ = read(&frame[..length]);
        }
        assert_eq!(Mac(THEIRS).to_string(), "02:00:00:00:00:09");
    }

    #[test]
    fn a_claim_counts_after_a_second_and_is_told_once_a_minute() {
        let mut watch = Watch::default();
        let claim = Claim { index: 2, address: IpAddr::from([10, 0, 0, 9]), mac: Mac(THEIRS) };
        let now = Instant::now();
        watch.waiting.insert(claim, now + PATIENCE);
        assert_eq!(watch.due(now), []);
        assert_eq!(watch.due(now + PATIENCE), [claim]);
        watch.waiting.insert(claim, now + PATIENCE * 2);
        assert_eq!(watch.due(now + PATIENCE * 2), [], "told just now");
        watch.waiting.insert(claim, now + PATIENCE + PAUSE);
        assert_eq!(watch.due(now + PATIENCE + PAUSE), [claim]);
        watch.waiting.insert(claim, now);
        watch.forget(claim.address);
        assert_eq!((watch.due(now + PAUSE * 9), watch.next()), (vec![], None));
    }
}
