//! Superpackets cut into packets, where the kernel cannot do it on the way out: behind a tunnel's headers.

use super::ring::VIRTIO_LEN;
use super::size::{PREFIX, Virtio, fold, half, put, seal_header, sum};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SEQUENCE: usize = 4;
const FLAGS: usize = 13;
/// FIN and PSH belong to the last segment, CWR to the first (RFC 3168 section 6.1.2).
const ONLY_LAST: u8 = 0x09;
const ONLY_FIRST: u8 = 0x80;

/// Where the headers of a superpacket's frame lie.
#[derive(Debug, Clone, Copy)]
struct Layout {
    v6: bool,
    protocol: u8,
    /// Where the transport header begins, in the frame.
    l4: usize,
    /// Where the payload begins.
    payload: usize,
}

impl Layout {
    fn read(bytes: &[u8], virtio: &Virtio) -> Option<Self> {
        let payload = VIRTIO_LEN + virtio.headers(bytes)?;
        let l4 = VIRTIO_LEN + virtio.transport(bytes)?;
        let protocol = if virtio.is_udp() { UDP } else { TCP };
        let layout = Self { v6: bytes.get(PREFIX)? >> 4 == 6, protocol, l4, payload };
        (l4 >= PREFIX + 20 && payload <= bytes.len()).then_some(layout)
    }
}

/// Cuts a superpacket (a frame with virtio-net header first) into frames of at most `payload` bytes of payload, with whole
/// checksums. Gives nothing if the headers make no sense.
pub(super) fn split(bytes: &[u8], virtio: &Virtio, payload: usize) -> Vec<Vec<u8>> {
    let Some(layout) = Layout::read(bytes, virtio).filter(|_| payload > 0) else { return Vec::new() };
    let Some((headers, data)) = bytes.split_at_checked(layout.payload) else { return Vec::new() };
    let count = data.len().div_ceil(payload);
    let segment = |(number, piece): (usize, &[u8])| {
        let mut frame = [&[0; VIRTIO_LEN][..], headers.get(VIRTIO_LEN..).unwrap_or_default(), piece].concat();
        let place = Place { number, offset: number * payload, last: number + 1 == count };
        layout.number(&mut frame, place);
        layout.seal(&mut frame, number);
        frame
    };
    data.chunks(payload).enumerate().map(segment).collect()
}

/// A segment among the others.
#[derive(Debug, Clone, Copy)]
struct Place {
    number: usize,
    offset: usize,
    last: bool,
}

impl Layout {
    /// What tells a segment from the others.
    fn number(&self, frame: &mut [u8], place: Place) {
        if self.protocol == UDP {
            return put(frame, self.l4 + 4, (frame.len() - self.l4) as u16);
        }
        let at = self.l4 + SEQUENCE;
        if let Some(field) = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *field = u32::from_be_bytes(*field).wrapping_add(place.offset as u32).to_be_bytes();
        }
        if let Some(flags) = frame.get_mut(self.l4 + FLAGS) {
            *flags &= if place.last { u8::MAX } else { !ONLY_LAST };
            *flags &= if place.number == 0 { u8::MAX } else { !ONLY_FIRST };
        }
    }

    /// Lengths and checksums.
    fn seal(&self, frame: &mut [u8], number: usize) {
        if self.v6 {
            put(frame, PREFIX + 4, (frame.len() - PREFIX - 40) as u16);
        } else {
            let id = half(frame, PREFIX + 4).unwrap_or_default();
            put(frame, PREFIX + 4, id.wrapping_add(number as u16));
            let flags = half(frame, PREFIX + 6).unwrap_or_default();
            let header = usize::from(frame.get(PREFIX).copied().unwrap_or_default() & 15) * 4;
            seal_header(frame, header, (frame.len() - PREFIX) as u16, flags);
        }
        let at = self.l4 + if self.protocol == UDP { 6 } else { 16 };
        put(frame, at, 0);
        let checksum = match !fold(sum(frame.get(self.l4..).unwrap_or_default()) + self.pseudo(frame)) {
            0 if self.protocol == UDP => 0xffff,
            sum => sum,
        };
        put(frame, at, checksum);
    }

    fn pseudo(&self, frame: &[u8]) -> u32 {
        let addresses = if self.v6 { PREFIX + 8..PREFIX + 40 } else { PREFIX + 12..PREFIX + 20 };
        let length = (frame.len() - self.l4) as u32;
        sum(frame.get(addresses).unwrap_or_default()) + u32::from(self.protocol) + length
    }
}

#[cfg(test)]
mod tests {
    use super::super::size::complete_checksum;
    use super::*;

    /// A superpacket as a sender with offloads leaves it.
    fn superpacket(v6: bool, protocol: u8, payload: usize, segment: u16) -> Vec<u8> {
        let header = if protocol == UDP { 8 } else { 32 };
        let (kind, ip) = match (protocol, v6) {
            (UDP, _) => (5, if v6 { 40 } else { 20 }),
            (_, false) => (1, 20),
            (_, true) => (4, 40),
        };
        let mut frame = vec![1, kind, 0, 0];
        frame.extend(segment.to_ne_bytes());
        frame.extend(
            (14 + ip as u16).to_ne_bytes().iter().chain(&(if protocol == UDP { 6u16 } else { 16 }).to_ne_bytes()),
        );
        frame.extend([2; 12]);
        let length = (header + payload) as u16;
        if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend([7; 32]);
        } else {
            frame.extend([8, 0, 0x45, 0]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend([0xff, 0xff, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        }
        let l4 = frame.len();
        frame.extend([1, 2, 3, 4, 0xff, 0xff, 0xff, 0xf0]);
        if protocol == TCP {
            frame.extend([0, 0, 0, 1, 0x80, 0x99, 1, 1, 0, 0, 0, 0]);
            frame.extend([1; 12]);
        }
        frame.extend((0..payload).map(|i| (i * 7) as u8));
        let layout = Layout { v6, protocol, l4, payload: l4 + header };
        let pseudo = fold(layout.pseudo(&frame));
        put(&mut frame, l4 + if protocol == UDP { 6 } else { 16 }, pseudo);
        frame
    }

    fn transport_sum(frame: &[u8], layout: &Layout) -> u16 {
        fold(sum(&frame[layout.l4..]) + layout.pseudo(frame))
    }

    #[test]
    fn segments_are_whole_packets_that_make_the_stream() {
        for (v6, protocol) in [(false, TCP), (true, TCP), (false, UDP), (true, UDP)] {
            let whole = superpacket(v6, protocol, 4000, 1400);
            let virtio = Virtio::parse(&whole).unwrap();
            let layout = Layout::read(&whole, &virtio).unwrap();
            let pieces = split(&whole, &virtio, 1400);
            let payload: Vec<u8> = pieces.iter().flat_map(|piece| piece[layout.payload..].to_vec()).collect();
            assert_eq!((pieces.len(), payload == whole[layout.payload..]), (3, true));
            for (number, piece) in pieces.iter().enumerate() {
                assert_eq!(transport_sum(piece, &layout), 0xffff, "{v6} {protocol} {number}");
                assert_eq!(piece[..VIRTIO_LEN], [0; VIRTIO_LEN]);
                let length = half(piece, PREFIX + if v6 { 4 } else { 2 }).unwrap();
                assert_eq!(usize::from(length) + if v6 { 40 } else { 0 }, piece.len() - PREFIX);
                if !v6 {
                    assert_eq!(fold(sum(&piece[PREFIX..PREFIX + 20])), 0xffff);
                    assert_eq!(half(piece, PREFIX + 4), Some(0xffff_u16.wrapping_add(number as u16)));
                }
            }
        }
    }

    #[test]
    fn sequence_and_flags_go_with_the_segment() {
        let whole = superpacket(false, TCP, 4000, 1400);
        let pieces = split(&whole, &Virtio::parse(&whole).unwrap(), 1400);
        let field = |piece: &Vec<u8>| (half(piece, PREFIX + 26).unwrap(), piece[PREFIX + 33]);
        let fields: Vec<_> = pieces.iter().map(field).collect();
        assert_eq!(fields, [(0xfff0, 0x90), (0x0568, 0x10), (0x0ae0, 0x19)]);
    }

    /// One segment is what completing the checksum makes of the packet.
    #[test]
    fn a_single_segment_is_the_packet() {
        let mut whole = superpacket(false, TCP, 1000, 1400);
        let virtio = Virtio::parse(&whole).unwrap();
        let piece = split(&whole, &virtio, 1400).remove(0);
        complete_checksum(&mut whole, &virtio);
        seal_header(&mut whole, 20, 1052, 0x4000);
        assert_eq!(piece[VIRTIO_LEN..], whole[VIRTIO_LEN..]);
    }

    #[test]
    fn short_frames_do_no_harm() {
        for (v6, protocol) in [(false, TCP), (true, TCP), (false, UDP)] {
            let whole = superpacket(v6, protocol, 100, 40);
            let virtio = Virtio::parse(&whole).unwrap();
            for length in 0..whole.len() {
                split(&whole[..length], &virtio, 40);
            }
            split(&whole, &virtio, 0);
        }
    }
}
