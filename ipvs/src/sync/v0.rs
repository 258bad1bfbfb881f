//! Version 0: a header of four bytes, entries of 24 with IPv4 addresses, or 48 with sequence numbers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Entry, Flags, Message, Rejection};

const LENGTH: usize = 24;
const SEQUENCES: usize = 24;

/// Checks what follows the header.
pub(super) fn parse(count: u8, syncid: u8, body: &[u8]) -> Result<Message<'_>, Rejection> {
    let mut rest = body;
    for _ in 0..count {
        let (_, length) = decode(rest).ok_or(Rejection::Count)?;
        rest = rest.get(length..).ok_or(Rejection::Count)?;
    }
    match rest {
        [] => Ok(Message::v0(syncid, count, body)),
        _ => Err(Rejection::Count),
    }
}

/// The header of a datagram.
pub(super) fn header(syncid: u8, count: u8, length: usize) -> [u8; 4] {
    let [high, low] = (length as u16).to_be_bytes();
    [count, syncid, high, low]
}

/// The entry at the start of `bytes`, and its length.
pub(super) fn decode(bytes: &[u8]) -> Option<(Entry<'static>, usize)> {
    let fixed: &[u8; LENGTH] = bytes.first_chunk()?;
    let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let address = |at: usize| IpAddr::V4(Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]));
    let flags = Flags(number(20).into());
    let sequences = match flags.has(Flags::SEQUENCES) {
        true => Some(sequences(bytes.get(LENGTH..)?)?),
        false => None,
    };
    let entry = Entry {
        protocol: fixed[1],
        flags,
        state: number(22),
        client: SocketAddr::new(address(8), number(2)),
        service: SocketAddr::new(address(12), number(4)),
        server: SocketAddr::new(address(16), number(6)),
        mark: 0,
        timeout: 0,
        sequences,
        engine: None,
        source: None,
    };
    Some((entry, if sequences.is_some() { LENGTH + SEQUENCES } else { LENGTH }))
}

fn sequences(bytes: &[u8]) -> Option<[u32; 6]> {
    let (words, _) = bytes.get(..SEQUENCES)?.as_chunks::<4>();
    let mut numbers = [0; 6];
    numbers.iter_mut().zip(words).for_each(|(number, word)| *number = u32::from_be_bytes(*word));
    Some(numbers)
}

/// Writes an entry; false for what version 0 cannot say (IPv6), and then nothing is written.
pub(super) fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) -> bool {
    let addresses = [entry.client, entry.service, entry.server].map(|socket| socket.ip());
    if addresses.iter().any(IpAddr::is_ipv6) {
        return false;
    }
    out.extend([0, entry.protocol]);
    for port in [entry.client, entry.service, entry.server].map(|socket| socket.port()) {
        out.extend(port.to_be_bytes());
    }
    for address in addresses {
        if let IpAddr::V4(address) = address {
            out.extend(address.octets());
        }
    }
    // The flags above 16 bits concern the sender alone.
    let flags = entry.flags.0 as u16;
    let flags = if entry.sequences.is_some() { flags } else { flags & !(Flags::SEQUENCES as u16) };
    out.extend(flags.to_be_bytes());
    out.extend(entry.state.to_be_bytes());
    if flags & Flags::SEQUENCES as u16 != 0 {
        entry.sequences.iter().flatten().for_each(|number| out.extend(number.to_be_bytes()));
    }
    true
}
