//! Why an advert was dropped, in keepalived's words.

use crate::config::{Family, Version};
use std::fmt;
use std::net::IpAddr;

/// Why an advert was dropped. `Display` is keepalived 2.2.7's log line without the instance's name.
///
/// Lengths count the IP header for IPv4 (20 octets, 44 with AH) and do not for IPv6, as keepalived's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Shorter than a VRRP header.
    TooShort {
        /// Family of the datagram.
        family: Family,
        /// Octets received.
        length: usize,
    },
    /// Shorter than its address count asks for.
    Truncated {
        /// Octets received.
        length: usize,
        /// Octets that the header speaks of.
        expected: usize,
    },
    /// Longer than its address count asks for.
    TooLong {
        /// Octets received.
        length: usize,
        /// Octets that the header speaks of.
        expected: usize,
    },
    /// Another version than the configured one.
    Version {
        /// Version received.
        received: u8,
        /// Version configured.
        expected: u8,
    },
    /// A multicast advert that passed a router.
    HopLimit {
        /// TTL or hop limit received.
        received: u8,
    },
    /// A unicast advert from farther away, or nearer, than its peer is.
    PeerHopLimit {
        /// TTL or hop limit received.
        received: u8,
        /// Lowest one taken.
        min: u8,
        /// Highest one taken.
        max: u8,
    },
    /// Not an ADVERTISEMENT.
    Type {
        /// Type received.
        received: u8,
    },
    /// A wrong checksum.
    Checksum(Version),
    /// Neither none, PASS nor AH.
    UnknownAuthenticationType(u8),
    /// Another authentication than the configured one.
    AuthenticationType {
        /// Type received.
        received: u8,
        /// Type configured.
        expected: u8,
    },
    /// Another password than the configured one.
    Password,
    /// An authentication header that is malformed.
    AhHeader,
    /// An authentication header whose digest is wrong.
    AhDigest,
    /// `auth_hmac` is enforced and there is no trailer.
    HmacMissing,
    /// A trailer of another type, or with reserved bits set.
    HmacMalformed,
    /// A trailer that names a key we have not.
    HmacKey(u8),
    /// A trailer whose HMAC is wrong.
    HmacInvalid,
    /// A trailer whose time is outside the window.
    HmacStale,
    /// A trailer that was heard before.
    HmacReplayed,
    /// Version 2: another advertisement interval than the configured one, in seconds.
    Interval {
        /// Interval configured.
        ours: u64,
        /// Interval received.
        received: u8,
    },
    /// Another number of addresses.
    AddressCount {
        /// Number received.
        received: u8,
        /// Number configured.
        expected: usize,
    },
    /// One of our addresses is not in the advert.
    AddressMissing {
        /// Virtual router identifier.
        vrid: u8,
        /// The address.
        address: IpAddr,
    },
    /// `check_unicast_src`: the source is no peer.
    UnicastSource(IpAddr),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { family, length } => {
                write!(f, "{family} VRRP packet too short - {length} bytes")
            }
            Self::Truncated { length, expected } => {
                write!(f, "vrrp packet too short, length {length} and expect {expected}")
            }
            Self::TooLong { length, expected } => {
                write!(f, "vrrp packet too long, length {length} and expect {expected}")
            }
            Self::Version { received, expected } => {
                write!(f, "wrong version. Received {received} and expect {expected}")
            }
            Self::HopLimit { received } => {
                write!(f, "invalid TTL/HL. Received {received} and expect 255")
            }
            Self::PeerHopLimit { received, min, max } => {
                write!(f, "TTL/HL {received} not in range {min} - {max}")
            }
            Self::Type { received } => {
                write!(f, "Invalid packet type. {received} and expect 1")
            }
            Self::Checksum(version) => write!(f, "Invalid VRRPv{} checksum", version.number()),
            Self::UnknownAuthenticationType(kind) => write!(f, "Invalid auth type: {kind}"),
            Self::AuthenticationType { received, expected } => {
                write!(f, "received a {received} auth, expecting {expected}!")
            }
            Self::Password => f.write_str("received an invalid passwd!"),
            Self::AhHeader => f.write_str("IPSEC-AH : malformed authentication header"),
            Self::AhDigest => {
                f.write_str("IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !")
            }
            Self::HmacMissing => f.write_str("auth_hmac: advert without a trailer"),
            Self::HmacMalformed => f.write_str("auth_hmac: malformed trailer"),
            Self::HmacKey(id) => write!(f, "auth_hmac: unknown key {id}"),
            Self::HmacInvalid => f.write_str("auth_hmac: invalid HMAC"),
            Self::HmacStale => f.write_str("auth_hmac: stale trailer, are the clocks synchronised?"),
            Self::HmacReplayed => f.write_str("auth_hmac: replayed trailer"),
            Self::Interval { ours, received } => {
                write!(f, "advertisement interval mismatch mine={ours} sec rcv'd={received} sec")
            }
            Self::AddressCount { received, expected } => {
                write!(f, "received an unexpected ip number count {received}, expected {expected}!")
            }
            Self::AddressMissing { vrid, address } => {
                write!(f, "ip address associated with VRID {vrid} not present in MASTER advert: {address}")
            }
            Self::UnicastSource(source) => {
                write!(f, "unicast source address {source} not a unicast peer")
            }
        }
    }
}

impl std::error::Error for Rejection {}
