//! Full NAT tells a server who its client is, by a header of the PROXY protocol (haproxy's doc/proxy-protocol.txt) in front
//! of the client's bytes. All that the client sends comes later in the server's sequence, and the server's
//! acknowledgements count the header too: both are moved.

use std::fmt::{self, Write};
use std::net::IpAddr;

use crate::address::Address;
use crate::forward::nat::pseudo_sum;
use crate::packet::icmp::ReplyBuffer;
use crate::packet::{Frame, Header, checksum, read, write};
use crate::service::{ClientTold, Protocol};
use crate::verdict::DropReason;

const SEQUENCE: usize = 4;
const ACKNOWLEDGEMENT: usize = 8;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;
const FIN: u8 = 1;
const PSH: u8 = 8;
const OPTIONS: usize = 20;
/// RFC 2018.
const SACK: u8 = 5;
/// A line of version 1 is never longer.
const LONGEST: usize = 107;
/// In a mark: the header is a line. Lengths are below.
const TEXT: u8 = 0x80;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prologue {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Prologue {
    /// The header for a connection of a client to a service; none where the service tells its servers by other means.
    pub(crate) fn new<A: Address>(told: ClientTold, client: (A, u16), service: (A, u16)) -> Option<Prologue> {
        let mut prologue = Prologue { bytes: [0; LONGEST], length: 0 };
        match told {
            ClientTold::ProxyText => prologue.text(client, service).ok()?,
            ClientTold::ProxyBinary => prologue.binary(client, service),
            ClientTold::Nothing | ClientTold::Option => return None,
        }
        Some(prologue)
    }

    /// What a connection remembers of it: its length, and whether it is text.
    pub(crate) fn mark(&self) -> u8 {
        let text = if self.bytes.first() == Some(&b'P') { TEXT } else { 0 };
        text | self.length as u8
    }

    /// The header that a mark stands for.
    pub(crate) fn of_mark<A: Address>(mark: u8, client: (A, u16), service: (A, u16)) -> Option<Prologue> {
        let told = if mark & TEXT == 0 { ClientTold::ProxyBinary } else { ClientTold::ProxyText };
        Prologue::new(told, client, service)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Section 2.1.
    fn text<A: Address>(&mut self, client: (A, u16), service: (A, u16)) -> fmt::Result {
        let family = if client.0.ip().is_ipv4() { "TCP4" } else { "TCP6" };
        let (source, destination) = (client.0.ip(), service.0.ip());
        write!(self, "PROXY {family} {source} {destination} {} {}\r\n", client.1, service.1)
    }

    /// Section 2.2: version 2, command PROXY, a stream.
    fn binary<A: Address>(&mut self, client: (A, u16), service: (A, u16)) {
        let (family, length) = if client.0.ip().is_ipv4() { (0x11, 12) } else { (0x21, 36) };
        self.push(SIGNATURE);
        self.push(&[0x21, family, 0, length]);
        for address in [client.0.ip(), service.0.ip()] {
            match address {
                IpAddr::V4(address) => self.push(&address.octets()),
                IpAddr::V6(address) => self.push(&address.octets()),
            }
        }
        self.push(&client.1.to_be_bytes());
        self.push(&service.1.to_be_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(self.length..).unwrap_or_default();
        self.length += free.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
    }
}

impl Write for Prologue {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// Where a connection's header stands: before the byte of this number, as the client counts, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Insertion {
    pub(crate) first: u32,
    length: u8,
}

impl Insertion {
    /// By a connection's mark, which is 0 without a header.
    pub(crate) fn of_mark(mark: u8, first: u32) -> Option<Insertion> {
        (mark != 0).then_some(Insertion { first, length: mark & !TEXT })
    }

    /// A number of the server's reckoning in the client's: of the header itself, the client knows no more than where it is.
    fn back(self, number: u32) -> u32 {
        match number.wrapping_sub(self.first) as i32 {
            ..=0 => number,
            beyond if beyond <= i32::from(self.length) => self.first,
            _ => number.wrapping_sub(u32::from(self.length)),
        }
    }

    /// Whether the server has the whole header, by an acknowledgement of its own.
    pub(crate) fn is_over(self, acknowledgement: u32) -> bool {
        acknowledgement.wrapping_sub(self.first) as i32 >= i32::from(self.length)
    }

    /// Moves the sequence number of a client's segment.
    pub(crate) fn advance(self, segment: &mut [u8], partial: bool) {
        let Some(number) = sequence(segment) else { return };
        set(segment, SEQUENCE, number, number.wrapping_add(u32::from(self.length)), partial);
    }

    /// Moves the acknowledgements of a server's segment, the selective ones too.
    pub(crate) fn acknowledge(self, segment: &mut [u8], partial: bool) {
        let Some(number) = acknowledgement(segment) else { return };
        set(segment, ACKNOWLEDGEMENT, number, self.back(number), partial);
        let mut at = OPTIONS;
        let end = segment.get(DATA_OFFSET).map_or(0, |offset| usize::from(offset >> 4) * 4).min(segment.len());
        while let Some(&[kind, length]) = segment.get(at..end).and_then(|rest| rest.first_chunk()) {
            if kind == 0 {
                return;
            }
            if kind == SACK {
                self.acknowledge_edges(segment, at + 2, (at + usize::from(length)).min(end), partial);
            }
            at += if kind == 1 { 1 } else { usize::from(length.max(2)) };
        }
    }

    fn acknowledge_edges(self, segment: &mut [u8], from: usize, to: usize, partial: bool) {
        for at in (from..to).step_by(4).filter(|at| at + 4 <= to) {
            if let Some(edge) = long(segment, at) {
                set(segment, at, edge, self.back(edge), partial);
            }
        }
    }

    /// Moves the sequence number of a client's segment that an ICMP error quotes, or that comes back.
    pub(crate) fn take_back(self, segment: &mut [u8], partial: bool) {
        let Some(number) = sequence(segment) else { return };
        set(segment, SEQUENCE, number, self.back(number), partial);
    }
}

/// The sequence number of a segment.
pub(crate) fn sequence(segment: &[u8]) -> Option<u32> {
    long(segment, SEQUENCE)
}

/// The acknowledgement of a segment.
pub(crate) fn acknowledgement(segment: &[u8]) -> Option<u32> {
    long(segment, ACKNOWLEDGEMENT)
}

fn long(segment: &[u8], at: usize) -> Option<u32> {
    segment.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Writes a number, and mends a checksum that covers it. A segment that is quoted may end before its checksum.
fn set(segment: &mut [u8], at: usize, old: u32, new: u32, partial: bool) {
    let Some(place) = segment.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) else { return };
    *place = new.to_be_bytes();
    if partial || old == new {
        return;
    }
    let Some(field) = read(segment, CHECKSUM) else { return };
    let words = |number: u32| (number >> 16) + (number & 0xffff);
    // A number may stand at an odd place among the options: then its bytes weigh the other way round.
    let change = checksum::delta(words(old), words(new));
    let change = if at.is_multiple_of(2) { change } else { change.swap_bytes() };
    write(segment, CHECKSUM, checksum::update(field, u32::from(change)));
}

/// The packet of a client's first byte with the header in front of its bytes. Where they do not fit behind it, the header goes alone:
/// the client sends them again. Both ends of the packet are rewritten already. A segment with a wrong checksum is refused:
/// with bytes inserted it would become right.
pub(crate) fn begin<A: Address>(
    frame: &Frame<'_>,
    header: &Header<A>,
    ends: (A, A),
    prologue: &Prologue,
) -> Result<ReplyBuffer, DropReason> {
    let pseudo = |length| pseudo_sum(ends.0, ends.1, Protocol::Tcp.number(), length);
    let segment = frame.packet.get(header.l4..header.end).ok_or(DropReason::Internal)?;
    if !frame.checksum_partial && checksum::sum(segment, pseudo(segment.len())) != 0xffff {
        return Err(DropReason::TcpChecksum);
    }
    let fits = frame.gso_size == 0 && header.end + prologue.length <= ReplyBuffer::CAPACITY;
    rebuilt(frame, header, prologue.bytes(), fits, pseudo).ok_or(DropReason::Internal)
}

/// The packet without its bytes: of a SYN, they would come before the header.
pub(crate) fn bare<A: Address>(frame: &Frame<'_>, header: &Header<A>, ends: (A, A)) -> Option<ReplyBuffer> {
    let pseudo = |length| pseudo_sum(ends.0, ends.1, Protocol::Tcp.number(), length);
    rebuilt(frame, header, &[], false, pseudo)
}

/// Whether a segment carries bytes.
pub(crate) fn carries_bytes(segment: &[u8]) -> bool {
    segment.get(DATA_OFFSET).is_some_and(|offset| usize::from(offset >> 4) * 4 < segment.len())
}

fn rebuilt<A: Address>(
    frame: &Frame<'_>,
    header: &Header<A>,
    inserted: &[u8],
    whole: bool,
    pseudo: impl Fn(usize) -> u32,
) -> Option<ReplyBuffer> {
    let tcp_header = usize::from(*frame.packet.get(header.l4 + DATA_OFFSET)? >> 4) * 4;
    let start = header.l4 + tcp_header;
    let payload = frame.packet.get(start..header.end).filter(|_| tcp_header >= OPTIONS)?;
    let mut packet = ReplyBuffer::default();
    packet.extend(frame.packet.get(..start)?);
    packet.extend(inserted);
    packet.extend(if whole { payload } else { &[] });
    let length = packet.len();
    A::set_length(packet.get_mut(0..)?, length);
    let tcp = packet.get_mut(header.l4..)?;
    let flags = tcp.get_mut(FLAGS)?;
    *flags |= if inserted.is_empty() { 0 } else { PSH };
    *flags &= if whole || payload.is_empty() { 0xff } else { !FIN };
    write(tcp, CHECKSUM, 0);
    let sum = !checksum::sum(tcp, pseudo(tcp.len()));
    write(tcp, CHECKSUM, sum);
    Some(packet)
}
