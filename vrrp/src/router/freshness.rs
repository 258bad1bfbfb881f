//! Sequence numbers of `auth_hmac`: our own, and the latest of every sender.

use crate::config::{AntiReplay, Authenticator};
use crate::packet::{Rejection, Sequence};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Senders that are remembered. More than one master at a time is a passing state, and only verified senders count.
const SENDERS: usize = 8;

/// What was sent last, and what was heard last from whom; the sender heard last comes first.
#[derive(Debug, Clone, Default)]
pub(super) struct Freshness {
    sent: Option<Sequence>,
    heard: VecDeque<(IpAddr, Sequence)>,
}

/// Time since 1970 as a sequence with counter zero.
fn of_clock(clock: Duration) -> Sequence {
    // Seconds wrap at 2^32 by design.
    let fraction = (u64::from(clock.subsec_nanos()) << 16) / 1_000_000_000;
    Sequence(clock.as_secs() << 32 | fraction << 16)
}

/// Whether a sequence lies within the window around the clock, in either direction.
fn is_current(sequence: Sequence, clock: Duration, window: Duration) -> bool {
    let age = of_clock(clock).seconds().wrapping_sub(sequence.seconds()).cast_signed();
    u64::from(age.unsigned_abs()) <= window.as_secs()
}

impl Freshness {
    /// The next sequence to send: the clock, or one more than the last where the clock has not moved on.
    pub(super) fn next(&mut self, authenticator: &Authenticator, clock: Duration) -> Sequence {
        let now = of_clock(clock);
        let next = match self.sent {
            Some(last) if !now.is_after(last) && !stranded(authenticator, last, clock) => {
                Sequence(last.0.wrapping_add(1))
            }
            _ => now,
        };
        self.sent = Some(next);
        next
    }

    /// A cheap look before the digest is computed.
    pub(super) fn check_window(
        authenticator: &Authenticator,
        sequence: Sequence,
        clock: Duration,
    ) -> Result<(), Rejection> {
        match authenticator.anti_replay {
            AntiReplay::Time { window } if !is_current(sequence, clock, window) => Err(Rejection::HmacStale),
            _ => Ok(()),
        }
    }

    /// Takes a verified sequence, or notices that it was used before.
    pub(super) fn take(
        &mut self,
        authenticator: &Authenticator,
        from: IpAddr,
        sequence: Sequence,
        clock: Duration,
    ) -> Result<(), Rejection> {
        let known = self.heard.iter().position(|(sender, _)| *sender == from);
        let last = known.and_then(|index| self.heard.get(index)).map(|(_, last)| *last);
        // A mark outside the window orders nothing that the window lets through.
        let last = last.filter(|last| !stranded(authenticator, *last, clock));
        if last.is_some_and(|last| !sequence.is_after(last)) {
            return Err(Rejection::HmacReplayed);
        }
        if let Some(index) = known {
            self.heard.remove(index);
        }
        self.heard.push_front((from, sequence));
        self.heard.truncate(SENDERS);
        Ok(())
    }
}

/// A sequence that a step of the clock left behind or ahead, farther than the window.
fn stranded(authenticator: &Authenticator, sequence: Sequence, clock: Duration) -> bool {
    match authenticator.anti_replay {
        AntiReplay::Time { window } => !is_current(sequence, clock, window),
        AntiReplay::Monotonic => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AuthenticatorMode, HmacKey};

    fn authenticator(anti_replay: AntiReplay) -> Authenticator {
        let keys = vec![HmacKey { id: 1, key: vec![1; 32] }];
        Authenticator { keys, active_key: 1, anti_replay, mode: AuthenticatorMode::Enforce }
    }

    const TIME: AntiReplay = AntiReplay::Time { window: Duration::from_secs(5) };

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(1_800_000_000_000 + milliseconds)
    }

    #[test]
    fn sequences_grow_while_the_clock_stands() {
        let mut freshness = Freshness::default();
        let time = authenticator(TIME);
        let first = freshness.next(&time, at(500));
        assert_eq!(first.0, 1_800_000_000 << 32 | 0x8000 << 16);
        assert_eq!(freshness.next(&time, at(500)).0, first.0 + 1);
        assert_eq!(freshness.next(&time, at(0)).0, first.0 + 2, "the clock went back a little");
        assert!(freshness.next(&time, at(1_000)).0 > first.0 + 2);
    }

    #[test]
    fn a_corrected_clock_is_followed_in_time_mode_only() {
        let (time, monotonic) = (authenticator(TIME), authenticator(AntiReplay::Monotonic));
        let mut freshness = Freshness::default();
        let far = freshness.next(&time, at(3_600_000));
        assert_eq!(freshness.clone().next(&time, at(0)), of_clock(at(0)));
        assert_eq!(freshness.next(&monotonic, at(0)).0, far.0 + 1);
    }

    #[test]
    fn the_window_is_as_wide_as_configured_on_both_sides() {
        let time = authenticator(TIME);
        let check = |sent, now| Freshness::check_window(&time, of_clock(at(sent)), at(now));
        assert_eq!(check(0, 5_999), Ok(()));
        assert_eq!(check(0, 6_000), Err(Rejection::HmacStale));
        assert_eq!(check(5_000, 0), Ok(()));
        assert_eq!(check(6_000, 0), Err(Rejection::HmacStale));
    }

    #[test]
    fn a_sequence_is_taken_once_from_each_sender() {
        let time = authenticator(TIME);
        let mut freshness = Freshness::default();
        let (a, b) = ("10.77.0.2".parse().unwrap(), "10.77.0.3".parse().unwrap());
        let mut take = |from, sent| freshness.take(&time, from, of_clock(at(sent)), at(0));
        assert_eq!(take(a, 100), Ok(()));
        assert_eq!(take(a, 100), Err(Rejection::HmacReplayed));
        assert_eq!(take(a, 50), Err(Rejection::HmacReplayed));
        assert_eq!(take(b, 50), Ok(()));
        assert_eq!(take(a, 200), Ok(()));
    }

    #[test]
    fn a_mark_beyond_the_window_expires_and_memory_is_bounded() {
        let time = authenticator(TIME);
        let mut freshness = Freshness::default();
        let a = "10.77.0.2".parse().unwrap();
        assert_eq!(freshness.take(&time, a, of_clock(at(3_600_000)), at(0)), Ok(()));
        assert_eq!(freshness.take(&time, a, of_clock(at(100)), at(100)), Ok(()));
        for octet in 0..=255_u8 {
            freshness.take(&time, IpAddr::from([10, 77, 1, octet]), of_clock(at(0)), at(0)).unwrap();
        }
        assert_eq!(freshness.heard.len(), SENDERS);
    }
}
