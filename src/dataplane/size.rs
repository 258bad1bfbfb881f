//! Packets and the size of the outgoing link.

use super::ring::VIRTIO_LEN;

/// Bytes before the IP header: virtio-net and Ethernet.
pub(super) const PREFIX: usize = VIRTIO_LEN + 14;

/// Bytes of the fixed IPv6 header.
pub(super) const V6_HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
const EXTENSIONS: usize = 8;

const NEEDS_CHECKSUM: u8 = 1;
/// Kinds of superpackets (`VIRTIO_NET_HDR_GSO_*`); those of TCP may have this bit too.
const ECN: u8 = 0x80;
const UDP_FRAGMENTS: u8 = 3;
const UDP_SEGMENTS: u8 = 5;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// The virtio-net header (`struct virtio_net_hdr`, host byte order).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Virtio {
    /// The transport checksum is only begun.
    pub(super) partial: bool,
    /// Whether the frame is a superpacket.
    pub(super) superpacket: bool,
    udp: bool,
    /// Payload bytes of each of its segments.
    pub(super) segment: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

impl Virtio {
    /// Reads the header at the start of a frame.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [flags, kind, _, _, s0, s1, c0, c1, o0, o1] = *bytes.first_chunk::<VIRTIO_LEN>()?;
        Some(Self {
            partial: flags & NEEDS_CHECKSUM != 0,
            superpacket: kind != 0,
            udp: matches!(kind & !ECN, UDP_FRAGMENTS | UDP_SEGMENTS),
            segment: u16::from_ne_bytes([s0, s1]),
            checksum_start: u16::from_ne_bytes([c0, c1]),
            checksum_offset: u16::from_ne_bytes([o0, o1]),
        })
    }

    /// Whether a superpacket is one of UDP.
    pub(super) fn is_udp(&self) -> bool {
        self.udp
    }

    /// Where the transport header of a superpacket begins, counted from the Ethernet header.
    pub(super) fn transport(&self, bytes: &[u8]) -> Option<usize> {
        if self.partial {
            return Some(usize::from(self.checksum_start));
        }
        let first = *bytes.get(PREFIX)?;
        Some(14 + if first >> 4 == 6 { 40 } else { usize::from(first & 15) * 4 })
    }

    /// Where the payload of a superpacket begins, counted from the Ethernet header.
    pub(super) fn headers(&self, bytes: &[u8]) -> Option<usize> {
        let transport = self.transport(bytes)?;
        if self.udp {
            return Some(transport + 8);
        }
        let data_offset = *bytes.get(VIRTIO_LEN + transport + 12)? >> 4;
        Some(transport + usize::from(data_offset) * 4)
    }

    /// Tells the kernel how much of a superpacket is headers, so that it need not copy all of it into linear memory.
    pub(super) fn shorten_headers(&self, bytes: &mut [u8]) {
        if !self.superpacket || !self.partial {
            return;
        }
        let headers = self.headers(bytes).and_then(|h| u16::try_from(h).ok());
        if let (Some(headers), Some(field)) = (headers, bytes.get_mut(2..4)) {
            field.copy_from_slice(&headers.to_ne_bytes());
        }
    }
}

/// Whether a frame fits a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does.
    Fits,
    /// It does not, and must not be fragmented.
    TooBig,
    /// It has to be fragmented.
    Fragment,
    /// It is a superpacket whose segments may be made smaller, to this payload.
    Resegment(u16),
}

/// Judges a frame (virtio-net header first) against the largest IP packet of a link. What came in fragments may leave in
/// fragments.
pub(super) fn fit(bytes: &[u8], virtio: &Virtio, mtu: usize, came_in_fragments: bool) -> Fit {
    let length = bytes.len().saturating_sub(PREFIX);
    if length <= mtu {
        return Fit::Fits;
    }
    let may_split = came_in_fragments
        || half(bytes, PREFIX + 6).is_some_and(|f| f & DONT_FRAGMENT == 0)
            && bytes.get(PREFIX).is_some_and(|b| b >> 4 == 4);
    if !virtio.superpacket {
        return if may_split { Fit::Fragment } else { Fit::TooBig };
    }
    let headers = virtio.headers(bytes).unwrap_or_default().saturating_sub(14);
    match headers + usize::from(virtio.segment) {
        segment if segment <= mtu => Fit::Fits,
        _ if may_split && mtu > headers => Fit::Resegment(u16::try_from(mtu - headers).unwrap_or(u16::MAX)),
        _ => Fit::TooBig,
    }
}

/// Sets the payload of a superpacket's segments.
pub(super) fn resegment(bytes: &mut [u8], payload: u16) {
    if let Some(field) = bytes.get_mut(4..6) {
        field.copy_from_slice(&payload.to_ne_bytes());
    }
}

/// Splits an IPv4 packet (in a frame with virtio-net header) into frames whose packets fit the link. RFC 791 section 3.2. Options are
/// repeated in every fragment.
pub(super) fn fragment(bytes: &mut [u8], virtio: &Virtio, mtu: usize) -> Vec<Vec<u8>> {
    complete_checksum(bytes, virtio);
    let Some((prefix, packet)) = bytes.split_at_checked(PREFIX) else { return Vec::new() };
    let header_length = usize::from(packet.first().copied().unwrap_or_default() & 15) * 4;
    let Some((header, payload)) = packet.split_at_checked(header_length) else { return Vec::new() };
    let room = mtu.saturating_sub(header_length) & !7;
    if room == 0 || header_length < 20 {
        return Vec::new();
    }
    let flags = half(header, 6).unwrap_or_default();
    let count = payload.len().div_ceil(room);
    let piece = |(i, data): (usize, &[u8])| {
        let more = if i + 1 < count { MORE_FRAGMENTS } else { flags & MORE_FRAGMENTS };
        let offset = (flags & 0x1fff) + (i * room / 8) as u16;
        let ethernet = prefix.get(VIRTIO_LEN..).unwrap_or_default();
        let mut frame = [&[0; VIRTIO_LEN], ethernet, header, data].concat();
        seal_header(&mut frame, header_length, (header_length + data.len()) as u16, more | offset);
        frame
    };
    payload.chunks(room).enumerate().map(piece).collect()
}

/// Where an IPv6 packet has its fragment header, or would have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentHeader {
    /// Where it begins.
    pub(super) at: usize,
    /// Where the header before it names it.
    pub(super) named_at: usize,
    /// It is there.
    pub(super) present: bool,
}

/// Finds it behind the headers that every fragment repeats. None if there are too many or they make no sense.
pub(super) fn fragment_header(packet: &[u8]) -> Option<FragmentHeader> {
    let mut found = FragmentHeader { at: V6_HEADER, named_at: 6, present: false };
    for _ in 0..EXTENSIONS {
        match *packet.get(found.named_at)? {
            FRAGMENT => return packet.get(found.at + 7).map(|_| FragmentHeader { present: true, ..found }),
            HOP_BY_HOP | ROUTING | OPTIONS => {
                let length = usize::from(*packet.get(found.at + 1)?) * 8 + 8;
                found = FragmentHeader { at: found.at + length, named_at: found.at, present: false };
            }
            _ => return (found.at <= packet.len()).then_some(found),
        }
    }
    None
}

/// Splits an IPv6 packet that came in fragments of this identification into frames whose packets fit the link.
pub(super) fn fragment_v6(bytes: &mut [u8], virtio: &Virtio, mtu: usize, identification: u32) -> Vec<Vec<u8>> {
    complete_checksum(bytes, virtio);
    let Some((prefix, packet)) = bytes.split_at_checked(PREFIX) else { return Vec::new() };
    let Some(place) = fragment_header(packet).filter(|place| !place.present) else { return Vec::new() };
    let Some((headers, payload)) = packet.split_at_checked(place.at) else { return Vec::new() };
    let room = mtu.saturating_sub(place.at + 8) & !7;
    if room == 0 {
        return Vec::new();
    }
    let count = payload.len().div_ceil(room);
    let protocol = headers.get(place.named_at).copied().unwrap_or_default();
    let piece = |(i, data): (usize, &[u8])| {
        let field = ((i * room) as u16 | u16::from(i + 1 < count)).to_be_bytes();
        let id = identification.to_be_bytes();
        let ethernet = prefix.get(VIRTIO_LEN..).unwrap_or_default();
        let mut frame = [&[0; VIRTIO_LEN], ethernet, headers, &[protocol, 0], &field, &id, data].concat();
        if let Some(named) = frame.get_mut(PREFIX + place.named_at) {
            *named = FRAGMENT;
        }
        put(&mut frame, PREFIX + 4, (place.at + 8 - V6_HEADER + data.len()) as u16);
        frame
    };
    payload.chunks(room).enumerate().map(piece).collect()
}

/// Writes length, flags with offset, and the checksum into an IPv4 header.
pub(super) fn seal_header(frame: &mut [u8], header_length: usize, length: u16, flags: u16) {
    for (at, value) in [(2, length), (6, flags), (10, 0)] {
        put(frame, PREFIX + at, value);
    }
    let header = frame.get(PREFIX..PREFIX + header_length).unwrap_or_default();
    let checksum = !fold(sum(header));
    put(frame, PREFIX + 10, checksum);
}

/// Completes a checksum that the sender left to the hardware.
pub(super) fn complete_checksum(bytes: &mut [u8], virtio: &Virtio) {
    if !virtio.partial {
        return;
    }
    let start = VIRTIO_LEN + usize::from(virtio.checksum_start);
    let covered = bytes.get(start..).unwrap_or_default();
    let checksum = match !fold(sum(covered)) {
        0 => 0xffff,
        other => other,
    };
    put(bytes, start + usize::from(virtio.checksum_offset), checksum);
}

/// The sum of 16-bit words, not folded.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let odd = rest.first().map_or(0, |b| u32::from(*b) << 8);
    words.iter().map(|w| u32::from(u16::from_be_bytes(*w))).sum::<u32>() + odd
}

/// A sum in 16 bits.
pub(super) fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// The 16-bit word at a place.
pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Writes the 16-bit word at a place, if there is one.
pub(super) fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..).and_then(|b| b.first_chunk_mut()) {
        *field = value.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP datagram with a checksum that covers only the pseudo header, as a sender with offload leaves it.
    fn datagram(payload: usize, flags: u16) -> Vec<u8> {
        let length = 28 + payload as u16;
        let mut frame = vec![NEEDS_CHECKSUM, 0, 0, 0, 0, 0];
        frame.extend(34u16.to_ne_bytes().iter().chain(&6u16.to_ne_bytes()));
        frame.extend([2; 12]);
        frame.extend([8, 0, 0x45, 0]);
        frame.extend(length.to_be_bytes().iter().chain(&[0, 7]).chain(&flags.to_be_bytes()));
        frame.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2]);
        frame.extend((length - 20).to_be_bytes());
        let pseudo = fold(sum(&frame[PREFIX + 12..PREFIX + 20]) + 17 + u32::from(length - 20));
        frame.extend(pseudo.to_be_bytes());
        frame.extend((0..payload).map(|i| (i * 7) as u8));
        frame
    }

    #[test]
    fn fragments_put_together_are_the_packet_with_its_checksum_complete() {
        let mut frame = datagram(1400, 0);
        let virtio = Virtio::parse(&frame).unwrap();
        assert_eq!(fit(&frame, &virtio, 1428, false), Fit::Fits);
        assert_eq!(fit(&frame, &virtio, 600, false), Fit::Fragment);
        let fragments = fragment(&mut frame, &virtio, 600);
        assert_eq!(fragments.len(), 3);
        let mut whole = Vec::new();
        for (i, f) in fragments.iter().enumerate() {
            let packet = &f[PREFIX..];
            assert!(packet.len() <= 600 && usize::from(half(packet, 2).unwrap()) == packet.len());
            assert_eq!(fold(sum(&packet[..20])), 0xffff, "header checksum");
            assert_eq!(usize::from(half(packet, 6).unwrap() & 0x1fff) * 8, whole.len());
            assert_eq!(half(packet, 6).unwrap() & MORE_FRAGMENTS != 0, i < 2);
            whole.extend_from_slice(&packet[20..]);
        }
        let pseudo = sum(&frame[PREFIX + 12..PREFIX + 20]) + 17 + 1408;
        assert_eq!(fold(sum(&whole) + pseudo), 0xffff, "UDP checksum");
    }

    #[test]
    fn what_must_not_be_fragmented_is_too_big() {
        let frame = datagram(1400, DONT_FRAGMENT);
        assert_eq!(fit(&frame, &Virtio::parse(&frame).unwrap(), 1000, false), Fit::TooBig);
    }

    #[test]
    fn segments_of_superpackets_are_judged() {
        let superpacket = |flags| {
            let mut frame = datagram(4000, flags);
            frame[1] = 1;
            frame[4..6].copy_from_slice(&1400u16.to_ne_bytes());
            frame[PREFIX + 20 + 12] = 5 << 4;
            frame
        };
        let judge = |frame: &[u8], mtu| fit(frame, &Virtio::parse(frame).unwrap(), mtu, false);
        assert_eq!(judge(&superpacket(DONT_FRAGMENT), 1440), Fit::Fits);
        assert_eq!(judge(&superpacket(DONT_FRAGMENT), 1439), Fit::TooBig);
        assert_eq!(judge(&superpacket(0), 1000), Fit::Resegment(960));
    }

    #[test]
    fn short_frames_do_no_harm() {
        let whole = datagram(100, 0);
        let virtio = Virtio::parse(&whole).unwrap();
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            fit(&cut, &virtio, 68, false);
            virtio.shorten_headers(&mut cut);
            fragment(&mut cut, &virtio, 68);
        }
    }
}
