//! A datagram as a whole, checked before anything in it is used.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::entry::{KIND_V6, Plain};
use super::v0;
use super::{Entry, entry};
use crate::verdict::reasons;

/// The header of version 1: 0, sync id, length, number of entries, version, and two bytes of zero.
pub(super) const HEADER: usize = 8;
const VERSION: u8 = 1;
/// What begins an extension behind the last entry. The kernel looks at no byte there.
pub(super) const EXTENSION: [u8; 4] = *b"SfX1";

reasons! {
    /// Why a datagram changes nothing.
    Rejection {
        /// Shorter than its header.
        Short => "shorter than its header",
        /// The length in the header is another than the datagram's.
        Size => "its length is not what the header says",
        /// Of another sync id.
        SyncId => "of another sync id",
        /// Of a version that is neither 0 nor 1.
        Version => "of an unknown version",
        /// More or fewer bytes than its entries need.
        Count => "its entries do not fill it",
        /// An entry of neither family.
        EntryKind => "an entry of an unknown kind",
        /// An entry of another version.
        EntryVersion => "an entry of an unknown version",
        /// An entry shorter than its fields.
        EntrySize => "an entry shorter than its fields",
        /// An option that is cut, given twice, or unknown and not to be skipped.
        Option => "an option that is wrong or unknown",
        /// Without the signature that is asked for.
        Unsigned => "not signed",
        /// Signed with another key, or changed.
        Signature => "wrongly signed",
        /// Signed for other receivers, or before this one was there.
        Unaddressed => "signed for another daemon",
        /// Taken before.
        Replayed => "a replay",
    }
}

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Linux before 2.6.39: IPv4 alone, without time-outs and marks.
    V0,
    /// Today's.
    V1,
}

/// An entry as the engine takes it in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    V4(Plain<Ipv4Addr>),
    V6(Plain<Ipv6Addr>),
    /// A record with options.
    Record(&'a [u8]),
}

/// A datagram in which everything is well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its version.
    pub version: Version,
    /// The sender's sync id.
    pub syncid: u8,
    /// Number of entries.
    pub count: u8,
    /// What follows the entries: empty, or of directors of this kind.
    pub extension: &'a [u8],
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks a datagram, each entry of it included.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, Rejection> {
        let (&[first, syncid, high, low], rest) = datagram.split_first_chunk().ok_or(Rejection::Short)?;
        if usize::from(u16::from_be_bytes([high, low])) != datagram.len() {
            return Err(Rejection::Size);
        }
        if first != 0 {
            return v0::parse(first, syncid, rest);
        }
        let (&[count, version, spare @ ..], body) = rest.split_first_chunk::<4>().ok_or(Rejection::Short)?;
        if version != VERSION || spare != [0, 0] {
            return Err(Rejection::Version);
        }
        let (body, extension) = body.split_at_checked(length(body, count)?).ok_or(Rejection::Count)?;
        if !extension.is_empty() && !extension.starts_with(&EXTENSION) {
            return Err(Rejection::Count);
        }
        Ok(Message { version: Version::V1, syncid, count, extension, body })
    }

    /// The same, of this sync id; 0 takes any.
    ///
    /// # Errors
    /// As [`Message::parse`], and [`Rejection::SyncId`].
    pub fn parse_for(datagram: &'a [u8], syncid: u8) -> Result<Message<'a>, Rejection> {
        let message = Message::parse(datagram)?;
        match syncid == 0 || message.syncid == syncid {
            true => Ok(message),
            false => Err(Rejection::SyncId),
        }
    }

    /// A datagram that [`Message::parse`] has accepted before, without checking it a second time. Of any other one it gives the entries
    /// up to the first that cannot be read; what follows the entries is not looked at.
    pub fn of_checked(datagram: &'a [u8]) -> Option<Message<'a>> {
        let (&[first, syncid, _, _], rest) = datagram.split_first_chunk()?;
        if first != 0 {
            return Some(Message::v0(syncid, first, rest));
        }
        let (&[count, ..], body) = rest.split_first_chunk::<4>()?;
        Some(Message { version: Version::V1, syncid, count, extension: &[], body })
    }

    /// The datagram at the start of `bytes` and what follows it, by the length in its header; none at the end. For datagrams that
    /// [`Message::parse`] has accepted.
    pub fn split_datagram(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let length = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        bytes.split_at_checked(length.into()).filter(|(datagram, _)| !datagram.is_empty())
    }

    pub(super) fn v0(syncid: u8, count: u8, body: &'a [u8]) -> Message<'a> {
        Message { version: Version::V0, syncid, count, extension: &[], body }
    }

    /// Its entries in order, read no further than need be.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let (version, mut rest) = (self.version, self.body);
        let next = move || {
            let (part, length) = match version {
                Version::V0 => v0::decode(rest).and_then(|(entry, length)| Some((Part::of_v0(&entry)?, length)))?,
                Version::V1 => Part::of_v1(rest)?,
            };
            rest = rest.get(length..).unwrap_or_default();
            Some(part)
        };
        std::iter::from_fn(next).take(self.count.into())
    }

    /// Its entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + Clone + use<'a> {
        let (version, mut rest) = (self.version, self.body);
        let next = move || {
            let (entry, length) = match version {
                Version::V0 => v0::decode(rest)?,
                Version::V1 => Entry::decode(rest).map(|(entry, length)| (entry, padded(length))).ok()?,
            };
            rest = rest.get(length..).unwrap_or_default();
            Some(entry)
        };
        std::iter::from_fn(next).take(self.count.into())
    }
}

impl<'a> Part<'a> {
    /// The entry at the start of these bytes, and its length with the padding behind it.
    #[inline]
    fn of_v1(bytes: &'a [u8]) -> Option<(Part<'a>, usize)> {
        let &[kind, _, high, low] = bytes.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let record = bytes.get(..length).filter(|record| !record.is_empty())?;
        let part = match kind {
            0 => record.try_into().ok().and_then(Plain::of_v4).map(Part::V4),
            KIND_V6 => record.try_into().ok().and_then(Plain::of_v6).map(Part::V6),
            _ => None,
        };
        Some((part.unwrap_or(Part::Record(record)), padded(length)))
    }

    /// Version 0 has no other family.
    fn of_v0(entry: &Entry<'_>) -> Option<Part<'a>> {
        let socket = |address, port| if let IpAddr::V4(address) = address { Some((address, port)) } else { None };
        Some(Part::V4(Plain {
            protocol: entry.protocol,
            flags: entry.flags,
            state: entry.state,
            client: socket(entry.client.ip(), entry.client.port())?,
            service: socket(entry.service.ip(), entry.service.port())?,
            server: socket(entry.server.ip(), entry.server.port())?,
            mark: entry.mark,
            timeout: entry.timeout,
        }))
    }
}

/// The length of `count` entries with the padding between them.
fn length(body: &[u8], count: u8) -> Result<usize, Rejection> {
    let mut end = 0;
    for _ in 0..count {
        let start = padded(end);
        let rest = body.get(start..).ok_or(Rejection::Count)?;
        if rest.len() < entry::V4_LENGTH {
            return Err(Rejection::Count);
        }
        end = start + Entry::length(rest)?;
    }
    // An extension begins aligned, too.
    Ok(if body.len() > end { padded(end).min(body.len()) } else { end })
}

/// Entries begin at multiples of four bytes.
pub(super) const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The header of version 1.
pub(super) fn header(syncid: u8, count: u8, length: usize) -> [u8; HEADER] {
    let [high, low] = (length as u16).to_be_bytes();
    [0, syncid, high, low, count, VERSION, 0, 0]
}
