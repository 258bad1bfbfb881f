//! The IP authentication header (RFC 2402) with HMAC-MD5-96 (RFC 2403), as keepalived fills it.
//!
//! The digest covers the IP header with TOS and checksum zero, the TTL zero in unicast adverts alone (TTL of multicast and
//! identification count, other than RFC 2402 has it), the authentication header with a zero digest, and the VRRP message.

use super::emit::ipv4_header;
use super::rejection::Rejection;
use super::{AH_LEN, PROTOCOL_AH, PROTOCOL_VRRP};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use std::net::Ipv4Addr;

const DIGEST_LEN: usize = 12;
const IP_HEADER_LEN: usize = 20;

/// What goes into an authentication header.
#[derive(Debug, Clone, Copy)]
pub struct Seal {
    /// The key, padded with zeros.
    pub key: [u8; 8],
    /// IP source; it is the security parameters index, too.
    pub source: Ipv4Addr,
    /// IP destination.
    pub destination: Ipv4Addr,
    /// IPv4 identification.
    pub identification: u16,
    /// TTL.
    pub ttl: u8,
    /// Sequence number, counted from 1.
    pub sequence: u32,
}

/// Authentication header and VRRP message: what follows the IP header with protocol 51.
#[must_use]
pub fn seal(seal: &Seal, message: &[u8]) -> Vec<u8> {
    let length = AH_LEN + message.len();
    let ip = ipv4_header(seal.source, seal.destination, PROTOCOL_AH, seal.ttl, seal.identification, length);
    let mut head = Vec::with_capacity(length);
    head.extend([PROTOCOL_VRRP, 4, 0, 0]);
    head.extend(seal.source.octets());
    head.extend(seal.sequence.to_be_bytes());
    let digest = digest(seal.key, &ip, &head, message);
    head.extend(digest);
    head.extend(message);
    head
}

/// The VRRP message and the sequence number inside an authentication header.
///
/// `ip_header` is the IP header as received, `payload` what follows it.
///
/// # Errors
/// [`Rejection::AhHeader`] or [`Rejection::AhDigest`].
pub fn open<'a>(key: [u8; 8], ip_header: &[u8], payload: &'a [u8]) -> Result<(&'a [u8], u32), Rejection> {
    let ip = ip_header.first_chunk::<IP_HEADER_LEN>().ok_or(Rejection::AhHeader)?;
    let (ah, message) = payload.split_first_chunk::<AH_LEN>().ok_or(Rejection::AhHeader)?;
    let (head, received) = ah.split_at(AH_LEN - DIGEST_LEN);
    let [PROTOCOL_VRRP, 4, _, _, _, _, _, _, s0, s1, s2, s3] = *head else {
        return Err(Rejection::AhHeader);
    };
    if received != digest(key, ip, head, message) {
        return Err(Rejection::AhDigest);
    }
    Ok((message, u32::from_be_bytes([s0, s1, s2, s3])))
}

fn digest(key: [u8; 8], ip: &[u8; IP_HEADER_LEN], head: &[u8], message: &[u8]) -> [u8; DIGEST_LEN] {
    let mut ip = *ip;
    ip[1] = 0;
    ip[10] = 0;
    ip[11] = 0;
    if !Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]).is_multicast() {
        ip[8] = 0;
    }
    // A key shorter than the block is padded with zeros by HMAC itself (RFC 2104 section 2), so that 8 octets fit any key.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(&key);
    let mut mac = Hmac::<Md5>::new(&block.into());
    mac.update(&ip);
    mac.update(head);
    mac.update(&[0; DIGEST_LEN]);
    mac.update(message);
    let full = mac.finalize().into_bytes();
    std::array::from_fn(|index| full[index])
}
