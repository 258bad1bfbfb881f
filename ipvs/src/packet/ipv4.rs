//! IPv4: RFC 791.

use std::net::Ipv4Addr;

use super::checksum;
use super::icmp::ReplyBuffer;
use super::{Fragment, Header, read, word, write};
use crate::verdict::PassReason;

pub(crate) const SOURCE: usize = 12;
pub(crate) const DESTINATION: usize = 16;
const TTL: usize = 8;
const CHECKSUM: usize = 10;
pub(crate) const HEADER: usize = 20;
/// Precedence "internetwork control", as Linux sends its ICMP errors; the type of service is that of the packet.
const ERROR_TOS: u8 = 0xc0;
const TOS_MASK: u8 = 0x1e;
const ERROR_TTL: u8 = 64;
/// RFC 1812 section 4.3.2.3: an error is at most this long.
const ERROR_LENGTH: usize = 576;

#[inline]
pub(crate) fn parse(packet: &[u8]) -> Result<Header<Ipv4Addr>, PassReason> {
    let header = parse_quoted(packet)?;
    if header.end > packet.len() {
        return Err(PassReason::Malformed);
    }
    Ok(header)
}

#[inline]
pub(crate) fn parse_quoted(packet: &[u8]) -> Result<Header<Ipv4Addr>, PassReason> {
    let fixed: &[u8; HEADER] = packet.first_chunk().ok_or(PassReason::Malformed)?;
    let l4 = usize::from(fixed[0] & 15) * 4;
    let end = usize::from(word([fixed[2], fixed[3]]));
    if fixed[0] >> 4 != 4 || l4 < HEADER || l4 > end || l4 > packet.len() {
        return Err(PassReason::Malformed);
    }
    Ok(Header {
        source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
        destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        protocol: fixed[9],
        ttl: fixed[TTL],
        l4,
        end,
        fragment: fragment(fixed),
    })
}

#[inline]
fn fragment(fixed: &[u8; HEADER]) -> Fragment {
    let identification = u32::from(word([fixed[4], fixed[5]]));
    match word([fixed[6], fixed[7]]) & 0x3fff {
        0 => Fragment::Whole,
        0x2000 => Fragment::First(identification),
        _ => Fragment::Later(identification),
    }
}

#[inline(always)]
pub(crate) fn header_intact(packet: &[u8], l4: usize) -> bool {
    let sum = match packet.first_chunk::<HEADER>() {
        Some(fixed) if l4 == HEADER => fixed_sum(fixed),
        _ => packet.get(..l4).map_or(0, |header| checksum::sum(header, 0)),
    };
    sum == 0xffff
}

/// The sum of a header without options, with the bytes of its words in the processor's order.
#[inline(always)]
fn fixed_sum(fixed: &[u8; HEADER]) -> u16 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *fixed;
    let (first, second) = (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p]));
    let (sum, carry) = first.overflowing_add(second);
    let last = u64::from(u32::from_ne_bytes([q, r, s, t])) + u64::from(carry);
    let (sum, carry) = sum.overflowing_add(last);
    checksum::fold_long(sum + u64::from(carry))
}

#[inline]
pub(crate) fn set_address(packet: &mut [u8], at: usize, address: Ipv4Addr, change: u16) {
    let Some(fixed) = packet.first_chunk_mut::<HEADER>() else { return };
    if let Some(field) = fixed.get_mut(at..at + 4) {
        field.copy_from_slice(&address.octets());
    }
    let field = word([fixed[CHECKSUM], fixed[CHECKSUM + 1]]);
    [fixed[CHECKSUM], fixed[CHECKSUM + 1]] = checksum::update(field, u32::from(change)).to_be_bytes();
}

/// Another length, with its checksum.
pub(crate) fn set_length(packet: &mut [u8], length: usize) {
    let (Some(old), Some(field)) = (read(packet, 2), read(packet, CHECKSUM)) else { return };
    write(packet, 2, length as u16);
    write(packet, CHECKSUM, checksum::update(field, u32::from(checksum::delta(u32::from(old), length as u32))));
}

/// What a TTL less by one does to the checksum: the word of TTL and protocol falls by 0x100.
const HOP: u32 = 0xffff - 0x100;

/// Another address and a TTL less by one.
#[inline(always)]
pub(crate) fn hop(packet: &mut [u8], at: usize, address: Ipv4Addr, change: u16) {
    let Some(fixed) = packet.first_chunk_mut::<HEADER>() else { return };
    fixed[TTL] = fixed[TTL].wrapping_sub(1);
    if let Some(field) = fixed.get_mut(at..at + 4) {
        field.copy_from_slice(&address.octets());
    }
    let field = word([fixed[CHECKSUM], fixed[CHECKSUM + 1]]);
    [fixed[CHECKSUM], fixed[CHECKSUM + 1]] = checksum::update(field, u32::from(change) + HOP).to_be_bytes();
}

#[inline]
pub(crate) fn decrement_ttl(packet: &mut [u8]) {
    let Some(fixed) = packet.first_chunk_mut::<HEADER>() else { return };
    fixed[TTL] = fixed[TTL].wrapping_sub(1);
    let field = word([fixed[CHECKSUM], fixed[CHECKSUM + 1]]);
    [fixed[CHECKSUM], fixed[CHECKSUM + 1]] = checksum::update(field, HOP).to_be_bytes();
}

/// An ICMP error about `packet` from `source`, or none where RFC 1122 section 3.2.2 forbids one.
pub(crate) fn error(
    packet: &[u8],
    header: &Header<Ipv4Addr>,
    source: Ipv4Addr,
    icmp: [u8; 8],
    id: u16,
) -> Option<ReplyBuffer> {
    if !may_be_answered(header) {
        return None;
    }
    let quote = packet.get(..header.end.min(packet.len()).min(ERROR_LENGTH - HEADER - 8))?;
    let mut reply = ReplyBuffer::default();
    let tos = ERROR_TOS | quote.get(1)? & TOS_MASK;
    reply.extend(&ip_header(source, header.source, quote.len() + 8, id, tos));
    reply.extend(&icmp);
    reply.extend(quote);
    let icmp = reply.get_mut(HEADER..)?;
    let sum = !checksum::sum(icmp, 0);
    write(icmp, 2, sum);
    Some(reply)
}

fn may_be_answered(header: &Header<Ipv4Addr>) -> bool {
    let later_fragment = matches!(header.fragment, Fragment::Later(_));
    let source = header.source;
    let single = !(source.is_unspecified() || source.is_broadcast() || source.is_multicast() || source.is_loopback());
    let to_group = header.destination.is_multicast() || header.destination.is_broadcast();
    single && !to_group && !later_fragment
}

fn ip_header(source: Ipv4Addr, destination: Ipv4Addr, payload: usize, id: u16, tos: u8) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = 0x45;
    header[1] = tos;
    header[2..4].copy_from_slice(&((HEADER + payload) as u16).to_be_bytes());
    header[4..6].copy_from_slice(&id.to_be_bytes());
    header[TTL] = ERROR_TTL;
    header[9] = 1;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let sum = !checksum::sum(&header, 0);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}
