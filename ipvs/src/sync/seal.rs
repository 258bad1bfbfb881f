//! Signed datagrams between two directors of this kind: HMAC-SHA-256 (RFC 2104) behind the last entry, where the kernel
//! looks at no byte, and what keeps recorded ones from being taken again.
//!
//! A receiver draws a number and says it every second. A sender names the numbers that it hears in each datagram, and
//! numbers its datagrams. So a datagram is taken once, by a receiver that was there when it was made; no clocks are
//! compared.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::message::{EXTENSION, Message, Rejection};

const KIND: u8 = 3;
const MAC: usize = 32;
/// The mark, the kind and three zeros, session, sequence, numbers of receivers, and the code over everything before it.
const LENGTH: usize = 8 + 16 + 8 * Seal::MOST_HEARERS + MAC;

/// A key that both directors have.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// What a seal says beyond that its datagram is genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the sender, drawn at its start.
    pub session: u64,
    /// Number of the datagram; the first is 1.
    pub sequence: u64,
    /// Numbers of the receivers that the sender has heard; 0 for no further one.
    pub hearers: [u64; Seal::MOST_HEARERS],
}

impl Seal {
    /// So many receivers can be named.
    pub const MOST_HEARERS: usize = 4;
    /// Bytes that a seal adds to a datagram, with the padding before it.
    pub const ROOM: usize = LENGTH + 3;

    /// With a key of any length; fewer than 32 octets are weaker than the code.
    pub fn new(key: &[u8]) -> Option<Seal> {
        Hmac::new_from_slice(key).ok().map(Seal)
    }

    /// Appends the seal to a datagram of version 1 and corrects the length in its header.
    pub fn close(&self, datagram: &mut Vec<u8>, stamp: &Stamp) {
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        let length = u16::try_from(datagram.len() + LENGTH).unwrap_or(u16::MAX);
        if let Some(field) = datagram.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        datagram.extend(EXTENSION);
        datagram.extend([KIND, 0, 0, 0]);
        for number in [stamp.session, stamp.sequence].into_iter().chain(stamp.hearers) {
            datagram.extend(number.to_be_bytes());
        }
        let code = self.0.clone().chain_update(&*datagram).finalize().into_bytes();
        datagram.extend(code);
    }

    /// Checks the seal of a message.
    ///
    /// # Errors
    /// [`Rejection::Unsigned`] or [`Rejection::Signature`].
    pub fn open(&self, datagram: &[u8], message: &Message<'_>) -> Result<Stamp, Rejection> {
        let (_, seal) = split(message.extension);
        let seal = seal.ok_or(Rejection::Unsigned)?;
        let (signed, code) =
            datagram.split_at_checked(datagram.len().saturating_sub(MAC)).ok_or(Rejection::Unsigned)?;
        self.0.clone().chain_update(signed).verify_slice(code).map_err(|_| Rejection::Signature)?;
        let mut numbers =
            seal.get(8..).unwrap_or_default().as_chunks::<8>().0.iter().map(|octets| u64::from_be_bytes(*octets));
        let mut next = || numbers.next().unwrap_or_default();
        Ok(Stamp { session: next(), sequence: next(), hearers: std::array::from_fn(|_| next()) })
    }
}

/// What stands before the seal of an extension, and the seal, if it has one.
pub(super) fn split(extension: &[u8]) -> (&[u8], Option<&[u8]>) {
    match extension.split_at_checked(extension.len().wrapping_sub(LENGTH)) {
        Some((rest, seal)) if seal.starts_with(&EXTENSION) && seal.get(4) == Some(&KIND) => (rest, Some(seal)),
        _ => (extension, None),
    }
}

/// Which datagrams of one sender were taken: those of a row of 64 numbers are known one by one, older ones are refused.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    /// The largest number.
    last: u64,
    /// Bit n: the number `last - n` was taken.
    taken: u64,
}

impl Window {
    /// Whether this number is taken for the first time.
    fn take(&mut self, number: u64) -> bool {
        if number > self.last {
            let ahead = u32::try_from(number - self.last).unwrap_or(u32::MAX);
            self.taken = self.taken.checked_shl(ahead).unwrap_or(0) | 1;
            self.last = number;
            return true;
        }
        let bit = u32::try_from(self.last - number).ok().and_then(|behind| 1_u64.checked_shl(behind)).unwrap_or(0);
        let fresh = bit != 0 && self.taken & bit == 0 && number > 0;
        self.taken |= bit;
        fresh
    }
}

/// A receiver's memory of what it has taken.
#[derive(Debug)]
pub struct Guard {
    /// The receiver's number.
    number: u64,
    sessions: Vec<(u64, Window)>,
}

impl Guard {
    /// So many senders are known since the receiver drew its number; more are refused. A director that comes and goes is
    /// a sender each time.
    pub const MOST_SESSIONS: usize = 1024;

    /// Of the receiver that has drawn this number.
    pub fn new(number: u64) -> Guard {
        Guard { number, sessions: Vec::new() }
    }

    /// Takes a genuine datagram, if it was made for this receiver and was not taken before.
    ///
    /// # Errors
    /// [`Rejection::Unaddressed`] or [`Rejection::Replayed`].
    pub fn take(&mut self, stamp: &Stamp) -> Result<(), Rejection> {
        if self.number == 0 || !stamp.hearers.contains(&self.number) {
            return Err(Rejection::Unaddressed);
        }
        let known = self.sessions.iter().position(|(session, _)| *session == stamp.session);
        let at = match known {
            Some(at) => at,
            None if self.sessions.len() < Self::MOST_SESSIONS => {
                self.sessions.push((stamp.session, Window::default()));
                self.sessions.len() - 1
            }
            None => return Err(Rejection::Replayed),
        };
        let fresh = self.sessions.get_mut(at).is_some_and(|(_, window)| window.take(stamp.sequence));
        if fresh { Ok(()) } else { Err(Rejection::Replayed) }
    }
}
