//! One connection or template as it travels: `struct ip_vs_sync_v4` and `ip_vs_sync_v6` with their options.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Rejection;

/// `IP_VS_CONN_F_*` of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// How the connection is forwarded: 0 NAT, 1 local, 2 tunnel, 3 direct routing, 4 past the director.
    pub const METHOD: u32 = 0x7;
    /// NAT.
    pub const NAT: u32 = 0;
    /// The director itself is the server.
    pub const LOCAL: u32 = 1;
    /// Tunnel.
    pub const TUNNEL: u32 = 2;
    /// Direct routing.
    pub const DR: u32 = 3;
    /// Answers bypass the director.
    pub const NO_OUTPUT: u32 = 0x80;
    /// Counted as inactive.
    pub const INACTIVE: u32 = 0x100;
    /// Sequence numbers are shifted; they follow as an option.
    pub const SEQUENCES: u32 = 0x600;
    /// The client's port is not known yet.
    pub const NO_CLIENT_PORT: u32 = 0x800;
    /// A persistence template.
    pub const TEMPLATE: u32 = 0x1000;

    /// Whether any of these bits is set.
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

/// What a persistence engine remembers a client by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineData<'a> {
    /// The engine's name, 1 to 16 bytes; empty if it was not sent.
    pub name: &'a [u8],
    /// 1 to 255 bytes.
    pub data: &'a [u8],
}

/// A connection or a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Protocol number; 0 in the template of a firewall mark.
    pub protocol: u8,
    /// Flags.
    pub flags: Flags,
    /// The number of the state in the kernel's table of the protocol.
    pub state: u16,
    /// The client; port 0 and a masked address in a template.
    pub client: SocketAddr,
    /// What the client talks to, of the client's family.
    pub service: SocketAddr,
    /// The server, of the client's family.
    pub server: SocketAddr,
    /// The firewall mark of its service.
    pub mark: u32,
    /// Seconds without a packet after which it ends; 0 where the sender did not say (version 0).
    pub timeout: u32,
    /// `struct ip_vs_seq` of both directions: first sequence number, delta and previous delta.
    pub sequences: Option<[u32; 6]>,
    /// Of a persistence engine.
    pub engine: Option<EngineData<'a>>,
    /// The end that a server behind full NAT sees. Only directors of this kind send it; the kernel skips it.
    pub source: Option<SocketAddr>,
}

/// An entry of one address family without its options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<A> {
    pub(crate) protocol: u8,
    pub(crate) flags: Flags,
    pub(crate) state: u16,
    pub(crate) client: (A, u16),
    pub(crate) service: (A, u16),
    pub(crate) server: (A, u16),
    pub(crate) mark: u32,
    pub(crate) timeout: u32,
}

impl Plain<Ipv4Addr> {
    /// Of a record without options.
    pub(super) fn of_v4(record: &[u8; V4_LENGTH]) -> Option<Plain<Ipv4Addr>> {
        Plain::read(record, |octets: [u8; 4]| Ipv4Addr::from(octets))
    }
}

impl Plain<Ipv6Addr> {
    /// Of a record without options.
    pub(super) fn of_v6(record: &[u8; V6_LENGTH]) -> Option<Plain<Ipv6Addr>> {
        Plain::read(record, |octets: [u8; 16]| Ipv6Addr::from(octets))
    }
}

impl<A> Plain<A> {
    #[inline]
    fn read<const N: usize>(record: &[u8], address: impl Fn([u8; N]) -> A) -> Option<Plain<A>> {
        let (fixed, addresses) = record.split_first_chunk::<FIXED>()?;
        let [first, second, third] = *fixed.as_chunks::<8>().0.first_chunk()?;
        let [first, second, third] = [first, second, third].map(u64::from_be_bytes);
        let [client, service, server] = *addresses.as_chunks::<N>().0.first_chunk()?;
        Some(Plain {
            protocol: (first >> 48) as u8,
            flags: Flags(first as u32),
            state: (second >> 48) as u16,
            client: (address(client), (second >> 32) as u16),
            service: (address(service), (second >> 16) as u16),
            server: (address(server), second as u16),
            mark: (third >> 32) as u32,
            timeout: third as u32,
        })
    }
}

/// The longest record: IPv6 with every option, in bytes.
pub const LONGEST_RECORD: usize = V6_LENGTH + (2 + 24) + (2 + 255) + (2 + 16) + (2 + 18);

pub(super) const V4_LENGTH: usize = 36;
pub(super) const V6_LENGTH: usize = 72;
const FIXED: usize = 24;
const SIZE_BITS: u16 = 0x0fff;
pub(super) const KIND_V6: u8 = 1;

const OPTION_SEQUENCES: u8 = 1;
const OPTION_DATA: u8 = 2;
const OPTION_NAME: u8 = 3;
/// Who does not know an option with this bit skips it; any other makes the datagram worthless to it.
const OPTIONAL: u8 = 0x40;
/// Of this program.
const OPTION_SOURCE: u8 = OPTIONAL | 5;
const LONGEST_NAME: usize = 16;

impl<'a> Entry<'a> {
    /// Writes the record of this entry, not padded. Addresses of another family than the client's are cut or extended
    /// to its length: such an entry means nothing.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.fixed().as_flattened());
        match [self.client.ip(), self.service.ip(), self.server.ip()] {
            [IpAddr::V4(client), IpAddr::V4(service), IpAddr::V4(server)] => {
                out.extend_from_slice([client, service, server].map(|address| address.octets()).as_flattened());
            }
            addresses => addresses.into_iter().for_each(|address| put_address(out, address, self.client.is_ipv6())),
        }
        self.encode_options(out);
        let size = (out.len() - start) as u16 & SIZE_BITS;
        if let Some(field) = out.get_mut(start + 2..start + 4) {
            field.copy_from_slice(&size.to_be_bytes());
        }
    }

    /// What stands before the addresses; the size is not known yet.
    fn fixed(&self) -> [[u8; 8]; FIXED / 8] {
        let [client, service, server] = [self.client, self.service, self.server].map(|socket| u64::from(socket.port()));
        let kind = u64::from(self.client.is_ipv6()) * u64::from(KIND_V6);
        let first = kind << 56 | u64::from(self.protocol) << 48 | u64::from(self.flags.0);
        let second = u64::from(self.state) << 48 | client << 32 | service << 16 | server;
        let third = u64::from(self.mark) << 32 | u64::from(self.timeout);
        [first, second, third].map(u64::to_be_bytes)
    }

    fn encode_options(&self, out: &mut Vec<u8>) {
        if let Some(numbers) = self.sequences {
            out.extend([OPTION_SEQUENCES, 24]);
            numbers.iter().for_each(|number| out.extend(number.to_be_bytes()));
        }
        if let Some(EngineData { name, data }) = self.engine {
            put_option(out, OPTION_DATA, data);
            put_option(out, OPTION_NAME, name.get(..LONGEST_NAME).unwrap_or(name));
        }
        if let Some(source) = self.source {
            out.extend([OPTION_SOURCE, if source.is_ipv6() { 18 } else { 6 }]);
            out.extend(source.port().to_be_bytes());
            put_address(out, source.ip(), source.is_ipv6());
        }
    }

    /// Reads the record at the start of `bytes`; also gives its length.
    ///
    /// # Errors
    /// The [`Rejection`] of a datagram that holds such a record.
    pub fn decode(bytes: &'a [u8]) -> Result<(Entry<'a>, usize), Rejection> {
        let fixed: &[u8; FIXED] = bytes.first_chunk().ok_or(Rejection::Count)?;
        let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let long = |at: usize| u32::from(number(at)) << 16 | u32::from(number(at + 2));
        let v6 = match fixed[0] {
            0 => false,
            KIND_V6 => true,
            _ => return Err(Rejection::EntryKind),
        };
        if number(2) & !SIZE_BITS != 0 {
            return Err(Rejection::EntryVersion);
        }
        let size = usize::from(number(2) & SIZE_BITS);
        let record = bytes.get(..size).ok_or(Rejection::Count)?;
        let mut rest = record.get(FIXED..).ok_or(Rejection::EntrySize)?;
        let mut address = || take_address(&mut rest, v6).ok_or(Rejection::EntrySize);
        let [client, service, server] = [address()?, address()?, address()?];
        let mut entry = Entry {
            protocol: fixed[1],
            flags: Flags(long(4)),
            state: number(8),
            client: SocketAddr::new(client, number(10)),
            service: SocketAddr::new(service, number(12)),
            server: SocketAddr::new(server, number(14)),
            mark: long(16),
            timeout: long(20),
            sequences: None,
            engine: None,
            source: None,
        };
        entry.decode_options(rest)?;
        Ok((entry, size))
    }

    /// The length of the record at the start of `bytes`, checked as [`Entry::decode`] does.
    pub(super) fn length(bytes: &[u8]) -> Result<usize, Rejection> {
        let plain = match bytes {
            [0, ..] => V4_LENGTH,
            _ => V6_LENGTH,
        };
        // Nearly all have no options: then nothing but the length is left to check.
        match bytes {
            [0 | KIND_V6, _, high, low, ..]
                if bytes.len() >= plain && usize::from(u16::from_be_bytes([*high, *low])) == plain =>
            {
                Ok(plain)
            }
            _ => Entry::decode(bytes).map(|(_, length)| length),
        }
    }

    /// The record at the start of `bytes` and what follows it, by the length that it says; none at the end. For records of an
    /// [`Outbox`](super::Outbox), which are well formed.
    pub fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let size = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]) & SIZE_BITS;
        bytes.split_at_checked(size.into()).filter(|(record, _)| !record.is_empty())
    }

    fn decode_options(&mut self, mut rest: &'a [u8]) -> Result<(), Rejection> {
        let (mut name, mut data) = (None, None);
        while let [kind, length, tail @ ..] = rest {
            let (value, tail) = tail.split_at_checked((*length).into()).ok_or(Rejection::Option)?;
            rest = tail;
            let fresh = match kind & !OPTIONAL {
                _ if value.is_empty() => false,
                OPTION_SEQUENCES => self.sequences.replace(numbers(value)?).is_none(),
                OPTION_DATA => data.replace(value).is_none(),
                OPTION_NAME => value.len() <= LONGEST_NAME && name.replace(value).is_none(),
                _ if *kind == OPTION_SOURCE => self.source.replace(socket(value)?).is_none(),
                _ => kind & OPTIONAL != 0,
            };
            if !fresh {
                return Err(Rejection::Option);
            }
        }
        match (rest, data, name) {
            ([], None, Some(_)) => return Err(Rejection::Option),
            ([], Some(data), name) => self.engine = Some(EngineData { name: name.unwrap_or_default(), data }),
            ([], None, None) => {}
            _ => return Err(Rejection::Option),
        }
        Ok(())
    }
}

fn put_option(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = value.get(..usize::from(u8::MAX)).unwrap_or(value);
    if !value.is_empty() {
        out.extend([kind, value.len() as u8]);
        out.extend(value);
    }
}

fn put_address(out: &mut Vec<u8>, address: IpAddr, v6: bool) {
    match (address, v6) {
        (IpAddr::V6(address), true) => out.extend(address.octets()),
        (IpAddr::V4(address), false) => out.extend(address.octets()),
        (IpAddr::V4(address), true) => out.extend(address.to_ipv6_mapped().octets()),
        (IpAddr::V6(address), false) => out.extend((address.to_bits() as u32).to_be_bytes()),
    }
}

fn take_address(rest: &mut &[u8], v6: bool) -> Option<IpAddr> {
    match v6 {
        true => rest.split_first_chunk().map(|(bytes, tail)| (IpAddr::V6(Ipv6Addr::from(*bytes)), tail)),
        false => rest.split_first_chunk().map(|(bytes, tail)| (IpAddr::V4(Ipv4Addr::from(*bytes)), tail)),
    }
    .map(|(address, tail)| {
        *rest = tail;
        address
    })
}

fn numbers(value: &[u8]) -> Result<[u32; 6], Rejection> {
    let bytes: &[u8; 24] = value.try_into().map_err(|_| Rejection::Option)?;
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Ok([0, 4, 8, 12, 16, 20].map(number))
}

fn socket(value: &[u8]) -> Result<SocketAddr, Rejection> {
    let (port, mut rest) = value.split_first_chunk().ok_or(Rejection::Option)?;
    let v6 = rest.len() == 16;
    let address = take_address(&mut rest, v6).filter(|_| rest.is_empty()).ok_or(Rejection::Option)?;
    Ok(SocketAddr::new(address, u16::from_be_bytes(*port)))
}
