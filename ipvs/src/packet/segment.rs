//! The transport header: ports, flags and checksums of TCP and UDP.

use super::checksum::{self, Change};
use super::crc32c;
use super::{Header, read, word, write};
use crate::address::Address;
use crate::connection::Key;
use crate::service::Protocol;
use crate::verdict::PassReason;

const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
const SCTP_CHECKSUM: usize = 8;
const SCTP_CHUNK: usize = 12;
/// INIT (RFC 9260 section 3.3.2).
pub(crate) const SCTP_INIT: u8 = 1;

/// The ports and flags of a transport header whose fixed part is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) protocol: Protocol,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) flags: TcpFlags,
}

/// The flags byte of TCP, the type of SCTP's first chunk; zero for UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TcpFlags(pub(crate) u8);

impl TcpFlags {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const ACK: u8 = 16;

    #[inline]
    pub(crate) const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

impl Segment {
    /// What this segment's connection is looked up by.
    #[inline]
    pub(crate) fn key<A: Address>(&self, header: &Header<A>) -> Key<A> {
        Key {
            source: header.source,
            destination: header.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: header.protocol,
            template: false,
        }
    }

    /// Reads the transport header at the start of `l4`.
    #[inline(always)]
    pub(crate) fn parse(protocol: Protocol, l4: &[u8]) -> Result<Segment, PassReason> {
        let short = PassReason::Malformed;
        let (ports, flags): (&[u8; 4], u8) = match protocol {
            Protocol::Tcp => {
                let fixed: &[u8; 20] = l4.first_chunk().ok_or(short)?;
                (fixed.first_chunk().ok_or(short)?, fixed[13])
            }
            Protocol::Udp => {
                let fixed: &[u8; 8] = l4.first_chunk().ok_or(short)?;
                (fixed.first_chunk().ok_or(short)?, 0)
            }
            Protocol::Sctp => {
                // With the first chunk's header.
                let fixed: &[u8; 16] = l4.first_chunk().ok_or(short)?;
                (fixed.first_chunk().ok_or(short)?, fixed[SCTP_CHUNK])
            }
        };
        Ok(Segment {
            protocol,
            source_port: word([ports[0], ports[1]]),
            destination_port: word([ports[2], ports[3]]),
            flags: TcpFlags(flags),
        })
    }
}

/// What a transport checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// The packet that it is in.
    Packet,
    /// More than the fragment that it is in.
    Datagram,
    /// Only the pseudo header, and it is not complemented.
    Partial,
}

/// Mends the checksum of the transport header at the start of `l4` after a change. `pseudo` is the pseudo header's sum
/// as rewritten, for a UDP datagram that carries no checksum and gets one, as under IPVS.
#[inline(always)]
pub(crate) fn mend_checksum(
    protocol: Protocol,
    l4: &mut [u8],
    change: Change,
    coverage: Coverage,
    pseudo: impl FnOnce(usize) -> u32,
) {
    let at = match protocol {
        Protocol::Tcp => TCP_CHECKSUM,
        Protocol::Udp => UDP_CHECKSUM,
        Protocol::Sctp => return mend_sctp(l4, change, coverage),
    };
    let Some(field) = read(l4, at) else { return };
    let whole = u32::from(change.addresses) + u32::from(change.ports);
    let mended = match (coverage, protocol, field) {
        (Coverage::Partial, ..) => checksum::update_partial(field, change.addresses),
        (Coverage::Packet, Protocol::Udp, 0) => computed(l4, pseudo(l4.len())),
        (Coverage::Datagram, Protocol::Udp, 0) => 0,
        (_, Protocol::Udp, _) => some(checksum::update(field, whole)),
        (_, Protocol::Tcp | Protocol::Sctp, _) => checksum::update(field, whole),
    };
    write(l4, at, mended);
}

/// SCTP's checksum covers ports but no addresses, and cannot be mended: it is computed anew if the packet is whole, as in the
/// kernel.
#[cold]
fn mend_sctp(l4: &mut [u8], change: Change, coverage: Coverage) {
    if coverage != Coverage::Packet || change.ports.is_multiple_of(0xffff) {
        return;
    }
    let sum = crc32c::of_sctp(l4);
    if let Some(field) = l4.get_mut(SCTP_CHECKSUM..).and_then(|rest| rest.first_chunk_mut()) {
        *field = sum.to_le_bytes();
    }
}

/// A UDP checksum of zero means "none": RFC 768 sends the other zero.
fn some(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

#[cold]
fn computed(l4: &mut [u8], pseudo: u32) -> u16 {
    some(!checksum::sum(l4, pseudo))
}
