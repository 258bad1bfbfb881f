//! The maximum segment size of TCP (RFC 9293 section 3.7.1), lowered to what fits a tunnel.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::address::Address;
use crate::packet::segment::{Segment, TcpFlags};
use crate::packet::{Fragment, Frame, checksum, read, write};
use crate::service::Protocol;

const TCP_HEADER: usize = 20;
const DATA_OFFSET: usize = 12;
const CHECKSUM: usize = 16;
const END: u8 = 0;
const PADDING: u8 = 1;
const MSS: u8 = 2;

/// Lowers the size that a SYN tells its receiver, so that segments of that size make packets of at most `room` bytes.
/// Any other packet, and a SYN that tells a smaller size or none, stays as it is.
pub fn clamp_mss(frame: &mut Frame<'_>, room: usize) {
    match frame.packet.first().map(|byte| byte >> 4) {
        Some(6) => clamp::<Ipv6Addr>(frame, room.saturating_sub(40 + TCP_HEADER)),
        _ => clamp::<Ipv4Addr>(frame, room.saturating_sub(20 + TCP_HEADER)),
    }
}

fn clamp<A: Address>(frame: &mut Frame<'_>, most: usize) {
    let Ok(header) = A::parse(frame.packet) else { return };
    if header.protocol != Protocol::Tcp.number() || header.fragment != Fragment::Whole {
        return;
    }
    let Some(tcp) = frame.packet.get_mut(header.l4..header.end) else { return };
    if !Segment::parse(Protocol::Tcp, tcp).is_ok_and(|segment| segment.flags.has(TcpFlags::SYN)) {
        return;
    }
    let most = u16::try_from(most).unwrap_or(u16::MAX);
    let Some(at) = place(tcp).filter(|&at| read(tcp, at).is_some_and(|told| told > most)) else { return };
    let (Some(told), Some(field)) = (read(tcp, at), read(tcp, CHECKSUM)) else { return };
    write(tcp, at, most);
    if !frame.checksum_partial {
        let change = checksum::delta(u32::from(told), u32::from(most));
        let change = if at.is_multiple_of(2) { change } else { change.swap_bytes() };
        write(tcp, CHECKSUM, checksum::update(field, u32::from(change)));
    }
}

/// Where the size stands among the options.
fn place(tcp: &[u8]) -> Option<usize> {
    let options = tcp.get(..usize::from(tcp.get(DATA_OFFSET)? >> 4) * 4)?;
    let mut at = TCP_HEADER;
    loop {
        match *options.get(at..)? {
            [] | [END, ..] => return None,
            [PADDING, ..] => at += 1,
            [MSS, 4, _, _, ..] => return Some(at + 2),
            [_, length, ..] => at += usize::from(length.max(2)),
            [_] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN of 10.0.0.1 with these options, with a right checksum.
    fn syn(options: &[u8], flags: u8) -> Vec<u8> {
        let length = (40 + options.len()) as u8;
        let mut packet = vec![0x45, 0, 0, length, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 100];
        let offset = 0x50 + ((options.len() as u8 / 4) << 4);
        packet.extend([3, 0xe8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, offset, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(options);
        let sum = !sum(&packet);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn sum(packet: &[u8]) -> u16 {
        let addresses = checksum::sum(&packet[12..20], 0);
        checksum::sum(&packet[20..], u32::from(addresses) + 6 + packet.len() as u32 - 20)
    }

    fn clamped(mut packet: Vec<u8>, room: usize) -> Vec<u8> {
        clamp_mss(&mut Frame { packet: &mut packet, checksum_partial: false, gso_size: 0 }, room);
        packet
    }

    #[test]
    fn a_syn_tells_what_fits() {
        for options in [&[2, 4, 5, 0xb4][..], &[1, 2, 4, 5, 0xb4, 0, 0, 0], &[8, 3, 0, 2, 4, 5, 0xb4, 0]] {
            let before = syn(options, 2);
            let after = clamped(before.clone(), 1400);
            let at = 40 + options.windows(2).position(|pair| pair == [5, 0xb4]).unwrap();
            assert_eq!(after[at..at + 2], 1360_u16.to_be_bytes(), "{options:?}");
            assert_eq!(sum(&after), 0xffff, "{options:?}");
            assert_eq!(clamped(before.clone(), 1500), before, "it fits");
        }
    }

    #[test]
    fn all_others_stay_as_they_are() {
        let mss = [2, 4, 5, 0xb4];
        let (mut udp, mut fragment) = (syn(&mss, 2), syn(&mss, 2));
        (udp[9], fragment[6]) = (17, 0x20);
        let broken = [&[2, 3, 5, 0xb4][..], &[2, 40, 5, 0xb4], &[5, 0, 2, 4], &[1, 1, 1, 2], &[0, 2, 4, 5]];
        let broken = broken.map(|options| syn(options, 2));
        for packet in [syn(&mss, 16), syn(&[], 2), udp, fragment, syn(&mss, 2)[..30].to_vec()].into_iter().chain(broken)
        {
            assert_eq!(clamped(packet.clone(), 1300), packet);
        }
    }
}
