//! Fragments put together again, as IPVS sees packets only whole. RFC 791 section 3.2, RFC 8200 section 4.5.
//!
//! Bounded in datagrams, pieces, bytes and time. A datagram with overlapping pieces is dropped (RFC 5722).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::ring::VIRTIO_LEN;
use super::size::{PREFIX, V6_HEADER, fragment_header, half, put, seal_header};

const DATAGRAMS: usize = 256;
const PIECES: usize = 128;
const BYTES: usize = 4 << 20;
const LIFETIME: Duration = Duration::from_secs(30);
const LONGEST: usize = 65_535;

const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Source, destination, identification, protocol.
type Key = (IpAddr, IpAddr, u32, u8);

/// A datagram whose pieces are still coming.
#[derive(Debug)]
struct Datagram {
    begun: Instant,
    /// Ethernet and IP header of the first piece, without the fragment header.
    head: Vec<u8>,
    pieces: Vec<(usize, Vec<u8>)>,
    length: Option<usize>,
    held: usize,
    largest: usize,
}

/// A datagram put together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// The frame, virtio-net header first.
    pub(super) bytes: Vec<u8>,
    /// Bytes of the largest fragment: it is sent on in fragments no larger.
    pub(super) largest: usize,
    /// The identification of its fragments.
    pub(super) identification: u32,
}

/// Datagrams whose pieces are still coming.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    bytes: usize,
}

/// Whether the frame (virtio-net header first) holds a fragment.
pub(super) fn is_fragment(bytes: &[u8]) -> bool {
    match bytes.get(PREFIX).map(|b| b >> 4) {
        Some(4) => half(bytes, PREFIX + 6).is_some_and(|f| f & (MORE_FRAGMENTS | OFFSET) != 0),
        Some(6) => {
            let packet = bytes.get(PREFIX..).unwrap_or_default();
            let field =
                fragment_header(packet).filter(|found| found.present).and_then(|found| half(packet, found.at + 2));
            // Neither an offset nor more to come: the whole datagram, with a header that says nothing.
            field.is_some_and(|f| f & !6 != 0)
        }
        _ => false,
    }
}

impl Fragments {
    /// Takes a fragment; gives the datagram if it is complete.
    pub(super) fn add(&mut self, bytes: &[u8], now: Instant) -> Option<Whole> {
        let piece = Piece::parse(bytes)?;
        self.make_room(piece.payload.len(), now);
        let datagram = self.datagrams.entry(piece.key).or_insert_with(|| Datagram::new(now));
        self.bytes += piece.payload.len();
        let sound = datagram.take(&piece);
        let complete = datagram.length == Some(datagram.held) && !datagram.head.is_empty();
        if sound && !complete {
            return None;
        }
        let datagram = self.remove(&piece.key)?;
        sound.then(|| datagram.join(&piece.key)).flatten()
    }

    fn make_room(&mut self, bytes: usize, now: Instant) {
        if self.datagrams.len() < DATAGRAMS / 2 && self.bytes + bytes < BYTES / 2 {
            return;
        }
        let old: Vec<Key> = self
            .datagrams
            .iter()
            .filter(|(_, d)| now.saturating_duration_since(d.begun) > LIFETIME)
            .map(|(key, _)| *key)
            .collect();
        old.iter().for_each(|key| drop(self.remove(key)));
        while self.datagrams.len() >= DATAGRAMS || self.bytes + bytes > BYTES {
            let Some(oldest) = self.datagrams.iter().min_by_key(|(_, d)| d.begun).map(|(key, _)| *key) else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.bytes -= datagram.held;
        Some(datagram)
    }
}

impl Datagram {
    fn new(begun: Instant) -> Self {
        Self { begun, head: Vec::new(), pieces: Vec::new(), length: None, held: 0, largest: 0 }
    }

    /// Takes a piece; `false` if it contradicts the others.
    fn take(&mut self, piece: &Piece<'_>) -> bool {
        let end = piece.offset + piece.payload.len();
        let overlaps = self.pieces.iter().any(|(at, data)| *at < end && piece.offset < at + data.len());
        let beyond = self.length.is_some_and(|length| end > length);
        self.held += piece.payload.len();
        self.largest = self.largest.max(piece.packet_length);
        if !piece.more {
            let shorter = self.pieces.iter().any(|(at, data)| at + data.len() > end);
            if shorter || self.length.is_some_and(|length| length != end) {
                return false;
            }
            self.length = Some(end);
        }
        if piece.offset == 0 {
            self.head = piece.head.clone();
        }
        self.pieces.push((piece.offset, piece.payload.to_vec()));
        !overlaps && !beyond && end <= LONGEST && self.pieces.len() <= PIECES
    }

    fn join(mut self, key: &Key) -> Option<Whole> {
        self.pieces.sort_unstable_by_key(|(offset, _)| *offset);
        let mut bytes = vec![0; VIRTIO_LEN];
        bytes.extend_from_slice(&self.head);
        self.pieces.iter().for_each(|(_, data)| bytes.extend_from_slice(data));
        let header = self.head.len() - (PREFIX - VIRTIO_LEN);
        let length = u16::try_from(bytes.len() - PREFIX).ok()?;
        match key.0 {
            IpAddr::V4(_) => seal_header(&mut bytes, header, length, 0),
            IpAddr::V6(_) => put(&mut bytes, PREFIX + 4, length.checked_sub(V6_HEADER as u16)?),
        }
        Some(Whole { bytes, largest: self.largest, identification: key.2 })
    }
}

struct Piece<'a> {
    key: Key,
    /// Ethernet and IP header, without the fragment header.
    head: Vec<u8>,
    payload: &'a [u8],
    offset: usize,
    more: bool,
    packet_length: usize,
}

impl<'a> Piece<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.get(PREFIX)? >> 4 {
            4 => Self::parse_v4(bytes),
            6 => Self::parse_v6(bytes),
            _ => None,
        }
    }

    fn parse_v6(bytes: &'a [u8]) -> Option<Self> {
        let packet = bytes.get(PREFIX..)?;
        let found = fragment_header(packet).filter(|found| found.present)?;
        let end = V6_HEADER + usize::from(half(packet, 4)?);
        let payload = packet.get(found.at + 8..end)?;
        let field = half(packet, found.at + 2)?;
        let more = field & 1 != 0;
        let address = |at: usize| packet.get(at..).and_then(|b| b.first_chunk::<16>()).map(|a| IpAddr::from(*a));
        let protocol = *packet.get(found.at)?;
        let identification = u32::from_be_bytes(*packet.get(found.at + 4..)?.first_chunk()?);
        let mut head = bytes.get(VIRTIO_LEN..PREFIX + found.at)?.to_vec();
        *head.get_mut(PREFIX - VIRTIO_LEN + found.named_at)? = protocol;
        let sound = !payload.is_empty() && (!more || payload.len() % 8 == 0);
        let key = (address(8)?, address(24)?, identification, protocol);
        let offset = usize::from(field & !7);
        sound.then_some(Self { key, head, payload, offset, more, packet_length: end })
    }

    fn parse_v4(bytes: &'a [u8]) -> Option<Self> {
        let packet = bytes.get(PREFIX..)?;
        let header = usize::from(packet.first()? & 15) * 4;
        let packet_length = usize::from(half(packet, 2)?);
        let payload = packet.get(header..packet_length)?;
        let field = half(packet, 6)?;
        let more = field & MORE_FRAGMENTS != 0;
        let address = |at: usize| packet.get(at..).and_then(|b| b.first_chunk::<4>()).map(|a| IpAddr::from(*a));
        let key = (address(12)?, address(16)?, u32::from(half(packet, 4)?), *packet.get(9)?);
        let sound = header >= 20 && !payload.is_empty() && (!more || payload.len() % 8 == 0);
        let head = bytes.get(VIRTIO_LEN..PREFIX + header)?.to_vec();
        let offset = usize::from(field & OFFSET) * 8;
        sound.then_some(Self { key, head, payload, offset, more, packet_length })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::size::{Virtio, fragment, fragment_v6};
    use super::*;

    fn datagram(id: u16, payload: usize) -> Vec<u8> {
        let length = 20 + payload as u16;
        let mut frame = vec![0; VIRTIO_LEN];
        frame.extend([2; 12]);
        frame.extend([8, 0, 0x45, 0]);
        frame.extend(length.to_be_bytes().iter().chain(&id.to_be_bytes()).chain(&[0, 0, 64, 17, 0, 0]));
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend((0..payload).map(|i| (i * 7) as u8));
        seal_header(&mut frame, 20, length, 0);
        frame
    }

    fn split(whole: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        fragment(&mut whole.to_vec(), &Virtio::parse(whole).unwrap(), mtu)
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_make_the_datagram(
            payload in 600usize..20_000,
            mtu in 200usize..1500,
            order in any::<prop::sample::Index>(),
        ) {
            let whole = datagram(7, payload);
            prop_assume!(payload.div_ceil((mtu - 20) & !7) <= PIECES && payload + 20 > mtu);
            let mut pieces = split(&whole, mtu);
            let count = pieces.len();
            pieces.rotate_left(order.index(count));
            pieces.swap(0, count - 1);
            let (mut fragments, now) = (Fragments::default(), Instant::now());
            let last = pieces.pop().unwrap();
            for piece in &pieces {
                prop_assert!(is_fragment(piece));
                prop_assert_eq!(fragments.add(piece, now), None);
            }
            let joined = fragments.add(&last, now).unwrap();
            prop_assert!(joined.bytes == whole);
            prop_assert!(joined.largest <= mtu);
            prop_assert_eq!((fragments.bytes, fragments.datagrams.len()), (0, 0));
        }
    }

    /// A UDP datagram of IPv6 behind a hop-by-hop header.
    fn datagram_v6(payload: usize) -> Vec<u8> {
        let mut frame = vec![0; VIRTIO_LEN];
        frame.extend([2; 12]);
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((payload as u16 + 8).to_be_bytes());
        frame.extend([0, 64]);
        frame.extend([1; 16].iter().chain(&[3; 16]));
        frame.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend((0..payload).map(|i| (i * 7) as u8));
        frame
    }

    proptest! {
        #[test]
        fn pieces_of_ipv6_make_the_datagram(payload in 1600usize..20_000, mtu in 1280usize..1500, turn in 0usize..9) {
            let whole = datagram_v6(payload);
            let mut pieces = fragment_v6(&mut whole.clone(), &Virtio::parse(&whole).unwrap(), mtu, 77);
            let count = pieces.len();
            prop_assert!(count > 1 && pieces.iter().all(|piece| piece.len() - PREFIX <= mtu && is_fragment(piece)));
            pieces.rotate_left(turn % count);
            let (mut fragments, now) = (Fragments::default(), Instant::now());
            let last = pieces.pop().unwrap();
            for piece in &pieces {
                prop_assert_eq!(fragments.add(piece, now), None);
            }
            let joined = fragments.add(&last, now).unwrap();
            prop_assert!(joined.bytes == whole);
            prop_assert_eq!((joined.identification, fragments.bytes), (77, 0));
            for length in 0..last.len().min(120) {
                is_fragment(&last[..length]);
                prop_assert_eq!(fragments.add(&last[..length], now), None);
            }
        }
    }

    #[test]
    fn an_overlap_spoils_the_datagram() {
        let (mut fragments, now) = (Fragments::default(), Instant::now());
        let (coarse, fine) = (split(&datagram(7, 2000), 1020), split(&datagram(7, 2000), 420));
        assert_eq!(fragments.add(&coarse[0], now), None);
        assert_eq!(fragments.add(&fine[2], now), None);
        assert!(fragments.datagrams.is_empty());
        assert_eq!(fragments.add(&coarse[1], now), None);
    }

    #[test]
    fn memory_is_bounded_and_old_datagrams_go() {
        let (mut fragments, start) = (Fragments::default(), Instant::now());
        for id in 0..500 {
            fragments.add(&split(&datagram(id, 60_000), 30_020)[0], start);
            assert!(fragments.bytes <= BYTES && fragments.datagrams.len() <= DATAGRAMS);
        }
        let later = start + LIFETIME + Duration::from_secs(1);
        fragments.add(&split(&datagram(9999, 3000), 1500)[0], later);
        assert_eq!(fragments.datagrams.len(), 1);
    }

    #[test]
    fn truncated_fragments_are_ignored() {
        let piece = split(&datagram(7, 3000), 1500).remove(0);
        let mut fragments = Fragments::default();
        for length in 0..piece.len() {
            is_fragment(&piece[..length]);
            assert_eq!(fragments.add(&piece[..length], Instant::now()), None);
        }
        assert!(fragments.datagrams.is_empty());
    }
}
