//! The HMAC trailer of `auth_hmac` (draft-cassen-vrrp-auth-hmac, as keepalived after 2.4.1 sends it).
//!
//! ```text
//! | type = 1 | key id | reserved = 0 | seconds (4) | fraction (2) | counter (2) | HMAC-SHA256, first 16 octets |
//! ```
//!
//! The HMAC covers a pseudo header (4 or 6, version, VRID, 0, source in 16 octets), the VRRP message with a zero
//! checksum, and the trailer with a zero HMAC. The destination is not covered, so that one HMAC serves every peer.

use super::HEADER_LEN;
use super::rejection::Rejection;
use crate::config::{Authenticator, HmacKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;

/// Octets of the trailer.
pub const TRAILER_LEN: usize = PREFIX_LEN + TAG_LEN;

const PREFIX_LEN: usize = 12;
const TAG_LEN: usize = 16;
const PSEUDO_LEN: usize = 20;
const TYPE_HMAC_SHA256: u8 = 1;

/// Seconds since 1970 in the upper half, then a 16-bit fraction of a second, then a counter. Ordered as serial numbers
/// (RFC 1982).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The whole seconds, modulo 2^32.
    #[must_use]
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }

    /// Whether it comes after another one, across the wrap of the field.
    #[must_use]
    pub fn is_after(self, other: Self) -> bool {
        let distance = self.0.wrapping_sub(other.0);
        distance != 0 && distance < 1 << 63
    }
}

/// The trailer for a VRRP message whose checksum is zero. `None` where the active key is missing.
#[must_use]
pub fn sign(
    authenticator: &Authenticator,
    source: &IpAddr,
    message: &[u8],
    sequence: Sequence,
) -> Option<[u8; TRAILER_LEN]> {
    let key = key_of(authenticator, authenticator.active_key)?;
    let mut trailer = [0; TRAILER_LEN];
    let (prefix, tag) = trailer.split_at_mut(PREFIX_LEN);
    prefix[0] = TYPE_HMAC_SHA256;
    prefix[1] = authenticator.active_key;
    prefix[4..].copy_from_slice(&sequence.0.to_be_bytes());
    let full = mac(key, source, message, prefix).finalize().into_bytes();
    for (place, octet) in tag.iter_mut().zip(full) {
        *place = octet;
    }
    Some(trailer)
}

/// The sequence of a trailer that has the right HMAC. Whether it is fresh is the caller's to judge.
///
/// # Errors
/// [`Rejection::HmacMalformed`], [`Rejection::HmacKey`] or [`Rejection::HmacInvalid`].
pub fn verify(
    authenticator: &Authenticator,
    source: &IpAddr,
    message: &[u8],
    trailer: &[u8],
) -> Result<Sequence, Rejection> {
    let sequence = claimed_sequence(trailer)?;
    let (prefix, tag) = trailer.split_at_checked(PREFIX_LEN).ok_or(Rejection::HmacMalformed)?;
    let id = prefix[1];
    let key = key_of(authenticator, id).ok_or(Rejection::HmacKey(id))?;
    let right = mac(key, source, message, prefix).verify_truncated_left(tag);
    right.map(|()| sequence).map_err(|_| Rejection::HmacInvalid)
}

/// The sequence that a well-formed trailer claims, before its HMAC is looked at.
///
/// # Errors
/// [`Rejection::HmacMalformed`].
pub fn claimed_sequence(trailer: &[u8]) -> Result<Sequence, Rejection> {
    match trailer.first_chunk::<PREFIX_LEN>() {
        Some([TYPE_HMAC_SHA256, _, 0, 0, sequence @ ..]) if trailer.len() == TRAILER_LEN => {
            Ok(Sequence(u64::from_be_bytes(*sequence)))
        }
        _ => Err(Rejection::HmacMalformed),
    }
}

fn key_of(authenticator: &Authenticator, id: u8) -> Option<&HmacKey> {
    authenticator.keys.iter().find(|key| key.id == id)
}

fn mac(key: &HmacKey, source: &IpAddr, message: &[u8], prefix: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(&block(&key.key).into());
    mac.update(&pseudo_header(source, message));
    let (head, rest) = message.split_at(message.len().min(HEADER_LEN));
    mac.update(head.get(..6).unwrap_or(head));
    mac.update(&[0; 2]);
    mac.update(rest);
    mac.update(prefix);
    mac.update(&[0; TAG_LEN]);
    mac
}

/// A key of at most one block, padded with zeros as HMAC does itself (RFC 2104 section 2).
fn block(key: &[u8]) -> [u8; 64] {
    let mut block = [0; 64];
    for (place, octet) in block.iter_mut().zip(key) {
        *place = *octet;
    }
    block
}

fn pseudo_header(source: &IpAddr, message: &[u8]) -> [u8; PSEUDO_LEN] {
    let mut header = [0; PSEUDO_LEN];
    header[1] = message.first().map_or(0, |octet| octet >> 4);
    header[2] = message.get(1).copied().unwrap_or(0);
    match source {
        IpAddr::V4(v4) => {
            header[0] = 4;
            header[4..8].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            header[0] = 6;
            header[4..].copy_from_slice(&v6.octets());
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AntiReplay, AuthenticatorMode};

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
    }

    fn authenticator() -> Authenticator {
        let key = |id, first: u8| HmacKey { id, key: (first..first + 32).collect() };
        Authenticator {
            keys: vec![key(1, 0), key(2, 7)],
            active_key: 1,
            anti_replay: AntiReplay::Monotonic,
            mode: AuthenticatorMode::Enforce,
        }
    }

    /// The wire images of the draft's appendix: VRID 51, priority 200, key 00..1f.
    const IMAGES: [(&str, &str, &str); 2] = [
        (
            "198.51.100.10",
            "31 33 c8 01 00 64 44 02 c0 00 02 64",
            "01 01 00 00 68 00 00 00 80 00 00 00 1b 84 bc 4e 8e 43 89 2d c6 d9 84 48 f8 ee 22 65",
        ),
        (
            "fe80::10",
            "31 33 c8 01 00 64 a2 e9 fe 80 00 00 00 00 00 00 00 00 00 00 00 00 01 00",
            "01 01 00 00 68 00 00 00 80 00 00 00 c8 c5 61 46 eb fd 66 ee 10 ec 4d 81 86 46 1b 78",
        ),
    ];

    const SEQUENCE: Sequence = Sequence(0x6800_0000_8000_0000);

    #[test]
    fn trailers_are_the_draft_s_octet_for_octet() {
        for (source, message, trailer) in IMAGES {
            let source = source.parse().unwrap();
            assert_eq!(sign(&authenticator(), &source, &hex(message), SEQUENCE).unwrap().to_vec(), hex(trailer));
            assert_eq!(verify(&authenticator(), &source, &hex(message), &hex(trailer)), Ok(SEQUENCE));
        }
    }

    #[test]
    fn whatever_is_changed_is_noticed_but_for_the_checksum() {
        for (source, message, trailer) in IMAGES {
            let (source, message, trailer) = (source.parse().unwrap(), hex(message), hex(trailer));
            for place in 0..message.len() + trailer.len() {
                let mut image = [message.clone(), trailer.clone()].concat();
                image[place] ^= 1;
                let (message, trailer) = image.split_at(message.len());
                let verdict = verify(&authenticator(), &source, message, trailer);
                assert_eq!(verdict.is_ok(), (6..8).contains(&place), "octet {place}: {verdict:?}");
            }
            let other = "198.51.100.11".parse().unwrap();
            assert_eq!(verify(&authenticator(), &other, &message, &trailer), Err(Rejection::HmacInvalid));
        }
    }

    #[test]
    fn keys_are_chosen_by_number() {
        let (source, message, trailer) = IMAGES[0];
        let (source, message) = (source.parse().unwrap(), hex(message));
        let second = Authenticator { active_key: 2, ..authenticator() };
        let signed = sign(&second, &source, &message, SEQUENCE).unwrap();
        assert_ne!(signed.to_vec(), hex(trailer));
        assert_eq!(verify(&authenticator(), &source, &message, &signed), Ok(SEQUENCE));
        let mut unknown = hex(trailer);
        unknown[1] = 9;
        assert_eq!(verify(&authenticator(), &source, &message, &unknown), Err(Rejection::HmacKey(9)));
        assert_eq!(sign(&Authenticator { active_key: 9, ..authenticator() }, &source, &message, SEQUENCE), None);
    }

    #[test]
    fn sequences_are_ordered_across_the_wrap() {
        assert!(Sequence(1).is_after(Sequence(0)));
        assert!(Sequence(0).is_after(Sequence(u64::MAX)));
        assert!(!Sequence(u64::MAX).is_after(Sequence(0)));
        assert!(!Sequence(5).is_after(Sequence(5)));
    }
}
