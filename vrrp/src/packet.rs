//! VRRP packets: version 2 (RFC 3768, with the authentication of RFC 2338) and version 3 (RFC 9568).
//!
//! ```text
//!  0                   1                   2                   3
//! |Version| Type  | Virtual Rtr ID|   Priority    |  Count  Addr  |
//! |  v2: Auth Type | Adver Int (s) |          Checksum            |
//! |  v3: rsvd | Max Adver Int (cs) |          Checksum            |
//! |                    addresses, 4 or 16 octets each            |
//! |                    v2 only: eight octets of authentication   |
//! ```

mod ah;
mod checksum;
mod emit;
mod parse;
mod rejection;
#[cfg(test)]
mod tests;
mod trailer;

pub use emit::{AdvertSpec, ipv4_header};
pub use parse::{Advert, Expectation};
pub use rejection::Rejection;

pub use ah::{Seal, open, seal};
pub use trailer::{Sequence, TRAILER_LEN, claimed_sequence, sign, verify};

/// IP protocol number of VRRP.
pub const PROTOCOL_VRRP: u8 = 112;
/// IP protocol number of the authentication header.
pub const PROTOCOL_AH: u8 = 51;
/// TOS or traffic class of adverts: CS6, "internetwork control".
pub const TRAFFIC_CLASS: u8 = 0xc0;
/// Octets of the IP authentication header with HMAC-MD5-96.
pub const AH_LEN: usize = 24;

/// Octets before the addresses.
const HEADER_LEN: usize = 8;
/// Octets of version 2 authentication data.
const AUTHENTICATION_LEN: usize = 8;
/// Type 1 in the low half of the first octet: ADVERTISEMENT.
const ADVERTISEMENT: u8 = 1;

/// The Internet checksum over several parts, each of even length but the last.
pub(crate) fn internet_checksum(parts: &[&[u8]]) -> u16 {
    parts.iter().fold(checksum::Sum::default(), |sum, part| sum.add(part)).finish()
}
