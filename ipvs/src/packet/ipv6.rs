//! IPv6: RFC 8200.

use std::net::Ipv6Addr;

use super::checksum;
use super::icmp::ReplyBuffer;
use super::{Fragment, Header, word, write};
use crate::address::Address;
use crate::verdict::PassReason;

pub(crate) const SOURCE: usize = 8;
pub(crate) const DESTINATION: usize = 24;
const HOP_LIMIT: usize = 7;
pub(crate) const HEADER: usize = 40;
const ERROR_HOP_LIMIT: u8 = 64;
/// RFC 4443 section 2.4(c): an error never exceeds the minimum MTU.
const ERROR_LENGTH: usize = 1280;
/// More extension headers than this are not walked.
const EXTENSIONS: usize = 8;

pub(crate) fn parse(packet: &[u8]) -> Result<Header<Ipv6Addr>, PassReason> {
    let header = parse_quoted(packet)?;
    if header.end > packet.len() {
        return Err(PassReason::Malformed);
    }
    Ok(header)
}

pub(crate) fn parse_quoted(packet: &[u8]) -> Result<Header<Ipv6Addr>, PassReason> {
    let fixed: &[u8; HEADER] = packet.first_chunk().ok_or(PassReason::Malformed)?;
    if fixed[0] >> 4 != 6 {
        return Err(PassReason::Malformed);
    }
    let end = HEADER + usize::from(word([fixed[4], fixed[5]]));
    let mut header = Header {
        source: address(packet, SOURCE)?,
        destination: address(packet, DESTINATION)?,
        protocol: fixed[6],
        ttl: fixed[HOP_LIMIT],
        l4: HEADER,
        end,
        fragment: Fragment::Whole,
    };
    skip_extensions(packet, &mut header)?;
    if header.l4 > end || header.l4 > packet.len() {
        return Err(PassReason::Malformed);
    }
    Ok(header)
}

fn address(packet: &[u8], at: usize) -> Result<Ipv6Addr, PassReason> {
    let octets: Option<&[u8; 16]> = packet.get(at..).and_then(|rest| rest.first_chunk());
    octets.map(|octets| Ipv6Addr::from_octets(*octets)).ok_or(PassReason::Malformed)
}

fn skip_extensions(packet: &[u8], header: &mut Header<Ipv6Addr>) -> Result<(), PassReason> {
    for _ in 0..EXTENSIONS {
        let Some(length) = extension_length(packet, header)? else { return Ok(()) };
        let next = packet.get(header.l4).ok_or(PassReason::Malformed)?;
        header.protocol = *next;
        header.l4 += length;
        // What follows the fragment header of a later fragment is payload.
        if matches!(header.fragment, Fragment::Later(_)) {
            return Ok(());
        }
    }
    Err(PassReason::Extensions)
}

/// The length of the extension header at `l4`, or none if it is a transport header.
fn extension_length(packet: &[u8], header: &mut Header<Ipv6Addr>) -> Result<Option<usize>, PassReason> {
    let fields: Option<&[u8; 8]> = packet.get(header.l4..).and_then(|rest| rest.first_chunk());
    match (header.protocol, fields) {
        (0 | 60, Some(fields)) => Ok(Some(8 + usize::from(fields[1]) * 8)),
        // A routing header with segments left: the destination is only a stop on the way.
        (43, Some(fields)) if fields[3] == 0 => Ok(Some(8 + usize::from(fields[1]) * 8)),
        (43, Some(_)) => Err(PassReason::Extensions),
        (44, Some(fields)) => {
            header.fragment = fragment(fields);
            Ok(Some(8))
        }
        (0 | 43 | 44 | 60, _) => Err(PassReason::Malformed),
        _ => Ok(None),
    }
}

fn fragment(fields: &[u8; 8]) -> Fragment {
    let identification = u32::from_be_bytes([fields[4], fields[5], fields[6], fields[7]]);
    match word([fields[2], fields[3]]) & 0xfff9 {
        0 => Fragment::Whole,
        1 => Fragment::First(identification),
        _ => Fragment::Later(identification),
    }
}

pub(crate) fn set_address(packet: &mut [u8], at: usize, address: Ipv6Addr) {
    if let Some(field) = packet.get_mut(at..at + 16) {
        field.copy_from_slice(&address.octets());
    }
}

pub(crate) fn set_length(packet: &mut [u8], length: usize) {
    write(packet, 4, length.saturating_sub(HEADER) as u16);
}

pub(crate) fn decrement_hop_limit(packet: &mut [u8]) {
    if let Some(limit) = packet.get_mut(HOP_LIMIT) {
        *limit = limit.wrapping_sub(1);
    }
}

/// An ICMPv6 error about `packet` from `source`, or none where RFC 4443 section 2.4(e) forbids one.
pub(crate) fn error(packet: &[u8], header: &Header<Ipv6Addr>, source: Ipv6Addr, icmp: [u8; 8]) -> Option<ReplyBuffer> {
    if header.source.is_unspecified() || header.source.is_multicast() || header.destination.is_multicast() {
        return None;
    }
    let quote = packet.get(..header.end.min(packet.len()).min(ERROR_LENGTH - HEADER - 8))?;
    let length = quote.len() + 8;
    let mut reply = ReplyBuffer::default();
    reply.extend(&ip_header(source, header.source, length));
    reply.extend(&icmp);
    reply.extend(quote);
    let pseudo = source.sum() + header.source.sum() + length as u32 + u32::from(Ipv6Addr::ICMP);
    let icmp = reply.get_mut(HEADER..)?;
    let sum = !checksum::sum(icmp, pseudo);
    write(icmp, 2, sum);
    Some(reply)
}

fn ip_header(source: Ipv6Addr, destination: Ipv6Addr, payload: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
    header[6] = Ipv6Addr::ICMP;
    header[HOP_LIMIT] = ERROR_HOP_LIMIT;
    header[SOURCE..SOURCE + 16].copy_from_slice(&source.octets());
    header[DESTINATION..DESTINATION + 16].copy_from_slice(&destination.octets());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of UDP from fd00::1 to fd00::2 behind these extension headers, each with the protocol of the next.
    fn packet(first: u8, extensions: &[&[u8]]) -> Vec<u8> {
        let payload: Vec<u8> = extensions.concat().into_iter().chain([0; 8]).collect();
        let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, first, 64];
        for last in [1, 2] {
            packet.extend(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).octets());
        }
        packet.extend(payload);
        packet
    }

    fn parsed(first: u8, extensions: &[&[u8]]) -> Result<(u8, usize, Fragment), PassReason> {
        parse(&packet(first, extensions)).map(|header| (header.protocol, header.l4, header.fragment))
    }

    const HOP_BY_HOP_THEN_FRAGMENT: &[u8] = &[44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const OPTIONS_THEN_UDP: &[u8] = &[17, 0, 1, 4, 0, 0, 0, 0];

    #[test]
    fn extension_headers_are_skipped() {
        assert_eq!(parsed(17, &[]), Ok((17, 40, Fragment::Whole)));
        assert_eq!(parsed(60, &[OPTIONS_THEN_UDP]), Ok((17, 48, Fragment::Whole)));
    }

    #[test]
    fn fragments_are_told_apart() {
        let fragment = |offset_and_more: u8| [17, 0, 0, offset_and_more, 0, 0, 1, 2];
        let parsed = |offset_and_more| parsed(0, &[HOP_BY_HOP_THEN_FRAGMENT, &fragment(offset_and_more)]);
        assert_eq!(parsed(0), Ok((17, 64, Fragment::Whole)), "an atomic fragment is the whole datagram");
        assert_eq!(parsed(1), Ok((17, 64, Fragment::First(0x102))));
        assert_eq!(parsed(8), Ok((17, 64, Fragment::Later(0x102))));
    }

    #[test]
    fn a_stop_on_the_way_is_not_the_destination() {
        let routing = |segments_left: u8| [17, 0, 0, segments_left, 0, 0, 0, 0];
        assert_eq!(parsed(43, &[&routing(1)]), Err(PassReason::Extensions));
        assert_eq!(parsed(43, &[&routing(0)]), Ok((17, 48, Fragment::Whole)));
    }

    #[test]
    fn what_lies_about_its_length_is_malformed() {
        assert_eq!(parsed(60, &[&[17, 200, 0, 0, 0, 0, 0, 0]]), Err(PassReason::Malformed));
        assert_eq!(parsed(0, &[[0; 8].as_slice(); 9]), Err(PassReason::Extensions), "too many extension headers");
        let mut cut = packet(17, &[]);
        cut.pop();
        assert_eq!(parse(&cut), Err(PassReason::Malformed));
    }
}
