//! Writing adverts.

use super::checksum::{Sum, pseudo_header};
use super::{ADVERTISEMENT, AUTHENTICATION_LEN, HEADER_LEN, TRAFFIC_CLASS};
use crate::config::{Authentication, RouterConfig, Version};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// What an advert says.
#[derive(Debug, Clone, Copy)]
pub struct AdvertSpec<'a> {
    /// Protocol version.
    pub version: Version,
    /// Virtual router identifier.
    pub vrid: u8,
    /// Priority; 0 resigns.
    pub priority: u8,
    /// Advertisement interval, rounded down to what the version can say.
    pub interval: Duration,
    /// Authentication; version 3 has none.
    pub authentication: &'a Authentication,
    /// Addresses, of which the first 255 fit.
    pub addresses: &'a [IpAddr],
    /// Version 3 over IPv4: leave the pseudo header out of the checksum.
    pub plain_checksum: bool,
}

impl<'a> AdvertSpec<'a> {
    /// The advert of a router.
    #[must_use]
    pub fn of(config: &'a RouterConfig, priority: u8) -> Self {
        Self {
            version: config.version,
            vrid: config.vrid,
            priority,
            interval: config.advert_interval,
            authentication: &config.authentication,
            addresses: &config.addresses,
            plain_checksum: config.v3_checksum_as_v2,
        }
    }

    /// The VRRP message. The checksum of version 3 covers `source` and `destination`.
    #[must_use]
    pub fn encode(&self, source: &IpAddr, destination: &IpAddr) -> Vec<u8> {
        self.encode_with(source, destination, &[])
    }

    /// The VRRP message with a trailer behind it, see [`sign`](super::sign).
    #[must_use]
    pub fn encode_with(&self, source: &IpAddr, destination: &IpAddr, trailer: &[u8]) -> Vec<u8> {
        let mut message = self.without_checksum();
        let checksum = self.checksum(source, destination, &message, trailer).to_be_bytes();
        message.splice(6..HEADER_LEN, checksum);
        message.extend(trailer);
        message
    }

    /// The kernel computes IPv6 checksums over all that follows the IP header; over IPv4 a trailer is not covered.
    fn checksum(&self, source: &IpAddr, destination: &IpAddr, message: &[u8], trailer: &[u8]) -> u16 {
        let trailer = if destination.is_ipv6() { trailer } else { &[] };
        let sum = match self.version {
            Version::V2 => Sum::default(),
            Version::V3 if self.plain_checksum && destination.is_ipv4() => Sum::default(),
            Version::V3 => pseudo_header(source, destination, message.len() + trailer.len()),
        };
        sum.add(message).add(trailer).finish()
    }

    /// The VRRP message with a zero checksum.
    #[must_use]
    pub fn without_checksum(&self) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let mut message = Vec::with_capacity(HEADER_LEN + 16 * usize::from(count));
        message.push(self.version.number() << 4 | ADVERTISEMENT);
        message.extend([self.vrid, self.priority, count]);
        message.extend(self.fifth_and_sixth_octet());
        message.extend([0, 0]);
        for address in self.addresses.iter().take(count.into()) {
            match address {
                IpAddr::V4(v4) => message.extend(v4.octets()),
                IpAddr::V6(v6) => message.extend(v6.octets()),
            }
        }
        message.extend(self.authentication_data());
        message
    }

    fn fifth_and_sixth_octet(&self) -> [u8; 2] {
        match self.version {
            Version::V2 => {
                let seconds = u8::try_from(self.interval.as_secs()).unwrap_or(u8::MAX);
                [self.authentication.type_octet(), seconds]
            }
            Version::V3 => {
                let centiseconds = (self.interval.as_millis() / 10).min(0x0fff);
                u16::try_from(centiseconds).unwrap_or(0x0fff).to_be_bytes()
            }
        }
    }

    fn authentication_data(&self) -> impl IntoIterator<Item = u8> + use<> {
        let data = match (self.version, self.authentication) {
            (Version::V3, _) => None,
            (Version::V2, Authentication::Pass(password)) => Some(*password),
            (Version::V2, _) => Some([0; AUTHENTICATION_LEN]),
        };
        data.into_iter().flatten()
    }
}

/// The IPv4 header of an advert as keepalived builds it: no options, TOS 0xC0, DF clear, checksum filled in.
///
/// `payload_len` is the number of octets that follow.
#[must_use]
pub fn ipv4_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    ttl: u8,
    identification: u16,
    payload_len: usize,
) -> [u8; 20] {
    let total = u16::try_from(20 + payload_len).unwrap_or(u16::MAX).to_be_bytes();
    let id = identification.to_be_bytes();
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    let mut header = [
        0x45,
        TRAFFIC_CLASS,
        total[0],
        total[1],
        id[0],
        id[1],
        0,
        0,
        ttl,
        protocol,
        0,
        0,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ];
    let checksum = Sum::default().add(&header).finish().to_be_bytes();
    header[10] = checksum[0];
    header[11] = checksum[1];
    header
}
