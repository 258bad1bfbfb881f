//! Reading adverts and holding them against the configuration.

use super::checksum::{Sum, pseudo_header};
use super::rejection::Rejection;
use super::{ADVERTISEMENT, AH_LEN, AUTHENTICATION_LEN, HEADER_LEN, TRAILER_LEN};
use crate::config::{Authentication, Family, PeerTtl, RouterConfig, Version};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A view of a VRRP message whose length agrees with its header. Nothing else is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert<'a> {
    message: &'a [u8],
    header: [u8; HEADER_LEN],
    family: Family,
    addresses: &'a [u8],
    authentication: &'a [u8],
    trailer: &'a [u8],
}

/// How a datagram reached us, as far as the checks ask for it.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The router that it is meant for.
    pub config: &'a RouterConfig,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit, where the socket told it.
    pub ttl: Option<u8>,
    /// False where `skip_check_adv_addr` spares the comparison of the addresses.
    pub compare_addresses: bool,
}

impl<'a> Advert<'a> {
    /// The virtual router identifier of a message, for finding its router.
    #[must_use]
    pub fn peek_vrid(message: &[u8]) -> Option<u8> {
        message.first_chunk::<HEADER_LEN>().map(|header| header[1])
    }

    /// Looks at a VRRP message: what follows the IP header, and the authentication header where there is one.
    ///
    /// # Errors
    /// [`Rejection::TooShort`], [`Rejection::Truncated`] or [`Rejection::TooLong`].
    pub fn parse(message: &'a [u8], family: Family, with_ah: bool) -> Result<Self, Rejection> {
        let overhead = overhead(family, with_ah);
        let length = overhead + message.len();
        let Some((header, rest)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(Rejection::TooShort { family, length });
        };
        let tail = if header[0] >> 4 == 2 { AUTHENTICATION_LEN } else { 0 };
        let addresses_len = usize::from(header[3]) * family.address_len();
        let expected = overhead + HEADER_LEN + addresses_len + tail;
        if length > expected {
            return Err(Rejection::TooLong { length, expected });
        }
        let split = rest.split_at_checked(addresses_len).filter(|_| length == expected);
        let (addresses, authentication) = split.ok_or(Rejection::Truncated { length, expected })?;
        Ok(Self { message, header: *header, family, addresses, authentication, trailer: &[] })
    }

    /// As [`Advert::parse`], with an HMAC trailer behind the message where the length says so.
    ///
    /// # Errors
    /// Those of [`Advert::parse`].
    pub fn parse_signed(payload: &'a [u8], family: Family) -> Result<Self, Rejection> {
        let split = payload.len().checked_sub(TRAILER_LEN).and_then(|middle| payload.split_at_checked(middle));
        let signed = split.and_then(|(message, trailer)| Some((Self::parse(message, family, false).ok()?, trailer)));
        match signed {
            Some((advert, trailer)) => Ok(Self { trailer, ..advert }),
            None => Self::parse(payload, family, false),
        }
    }

    /// The VRRP message, without a trailer.
    #[must_use]
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// The HMAC trailer; empty where there is none.
    #[must_use]
    pub fn trailer(&self) -> &'a [u8] {
        self.trailer
    }

    /// Version number.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.header[0] >> 4
    }

    /// Packet type; 1 is ADVERTISEMENT.
    #[must_use]
    pub fn packet_type(&self) -> u8 {
        self.header[0] & 0x0f
    }

    /// Virtual router identifier.
    #[must_use]
    pub fn vrid(&self) -> u8 {
        self.header[1]
    }

    /// Priority.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.header[2]
    }

    /// Number of addresses.
    #[must_use]
    pub fn count(&self) -> u8 {
        self.header[3]
    }

    /// Version 2: authentication type.
    #[must_use]
    pub fn authentication_type(&self) -> u8 {
        self.header[4]
    }

    /// Version 2: authentication data; empty for version 3.
    #[must_use]
    pub fn authentication(&self) -> &'a [u8] {
        self.authentication
    }

    /// Advertisement interval: seconds in version 2, centiseconds in twelve bits otherwise.
    #[must_use]
    pub fn interval(&self) -> Duration {
        if self.version() == 2 {
            return Duration::from_secs(self.header[5].into());
        }
        let centiseconds = u16::from_be_bytes([self.header[4] & 0x0f, self.header[5]]);
        Duration::from_millis(u64::from(centiseconds) * 10)
    }

    /// The addresses in the order of the packet.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        let family = self.family;
        self.addresses.chunks_exact(family.address_len()).filter_map(move |octets| match family {
            Family::V4 => octets.first_chunk::<4>().map(|o| Ipv4Addr::from(*o).into()),
            Family::V6 => octets.first_chunk::<16>().map(|o| Ipv6Addr::from(*o).into()),
        })
    }

    /// Whether the router may act on this advert (RFC 9568 section 7.1, RFC 3768 section 7.1).
    ///
    /// # Errors
    /// The first reason against it.
    pub fn check(&self, expectation: &Expectation<'_>) -> Result<(), Rejection> {
        let config = expectation.config;
        self.check_version(config)?;
        check_path(expectation)?;
        if self.packet_type() != ADVERTISEMENT {
            return Err(Rejection::Type { received: self.packet_type() });
        }
        self.check_checksum(expectation)?;
        if config.version == Version::V2 {
            self.check_authentication(&config.authentication)?;
            self.check_interval(config)?;
        }
        self.check_addresses(config, expectation.compare_addresses)
    }

    fn check_version(&self, config: &RouterConfig) -> Result<(), Rejection> {
        let (received, expected) = (self.version(), config.version.number());
        if received == expected { Ok(()) } else { Err(Rejection::Version { received, expected }) }
    }

    fn check_checksum(&self, expectation: &Expectation<'_>) -> Result<(), Rejection> {
        let config = expectation.config;
        let right = match config.version {
            Version::V2 => Sum::default().add(self.message).finish() == 0,
            Version::V3 => {
                let plain = config.v3_checksum_as_v2 && self.family == Family::V4;
                plain && Sum::default().add(self.message).finish() == 0
                    || self.sums_up(&expectation.source, &expectation.destination)
                    || config.old_unicast_checksum && self.sums_up(&expectation.source, &config.multicast_group)
            }
        };
        if right { Ok(()) } else { Err(Rejection::Checksum(config.version)) }
    }

    fn sums_up(&self, source: &IpAddr, destination: &IpAddr) -> bool {
        let trailer = if self.family == Family::V6 { self.trailer } else { &[] };
        let length = self.message.len() + trailer.len();
        pseudo_header(source, destination, length).add(self.message).add(trailer).finish() == 0
    }

    fn check_authentication(&self, ours: &Authentication) -> Result<(), Rejection> {
        let (received, expected) = (self.authentication_type(), ours.type_octet());
        if received > 2 {
            return Err(Rejection::UnknownAuthenticationType(received));
        }
        if received != expected {
            return Err(Rejection::AuthenticationType { received, expected });
        }
        match ours {
            Authentication::Pass(password) if self.authentication != password => Err(Rejection::Password),
            _ => Ok(()),
        }
    }

    fn check_interval(&self, config: &RouterConfig) -> Result<(), Rejection> {
        let (ours, received) = (config.advert_interval.as_secs(), self.header[5]);
        if ours == u64::from(received) { Ok(()) } else { Err(Rejection::Interval { ours, received }) }
    }

    fn check_addresses(&self, config: &RouterConfig, compare: bool) -> Result<(), Rejection> {
        let (received, expected) = (self.count(), config.addresses.len());
        if usize::from(received) != expected {
            return Err(Rejection::AddressCount { received, expected });
        }
        if !compare || self.addresses().eq(config.addresses.iter().copied()) {
            return Ok(());
        }
        let missing = config.addresses.iter().find(|ours| !self.addresses().any(|a| a == **ours));
        missing.map_or(Ok(()), |address| Err(Rejection::AddressMissing { vrid: self.vrid(), address: *address }))
    }
}

fn overhead(family: Family, with_ah: bool) -> usize {
    match family {
        Family::V4 => 20 + if with_ah { AH_LEN } else { 0 },
        Family::V6 => 0,
    }
}

fn check_path(expectation: &Expectation<'_>) -> Result<(), Rejection> {
    let config = expectation.config;
    if config.is_unicast() {
        return check_peer(expectation);
    }
    // RFC 9568 section 5.1.1.3: a TTL other than 255 means that a router forwarded it.
    match expectation.ttl {
        Some(received) if received != 255 => Err(Rejection::HopLimit { received }),
        _ => Ok(()),
    }
}

fn check_peer(expectation: &Expectation<'_>) -> Result<(), Rejection> {
    let (config, source) = (expectation.config, expectation.source);
    if config.check_unicast_source && !config.unicast_peers.contains(&source) {
        return Err(Rejection::UnicastSource(source));
    }
    let limits = config.peer_ttls.iter().find(|limits| limits.peer == source);
    match (limits, expectation.ttl) {
        (Some(PeerTtl { min, max, .. }), Some(received)) if !(*min..=*max).contains(&received) => {
            Err(Rejection::PeerHopLimit { received, min: *min, max: *max })
        }
        _ => Ok(()),
    }
}
