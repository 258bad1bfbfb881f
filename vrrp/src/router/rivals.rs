//! Split brain: another master that stays one.

use super::{Router, Turn, Wish, later};
use crate::effect::{Effect, State};
use crate::packet::Rejection;
use crate::report::ReportKind;
use crate::timer::TimerReason;
use crate::view::Rival;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Adverts of one other master, none of them farther apart than the master down interval, that make a split brain. A master that
/// hears us gives way after its first.
const ADVERTS: u32 = 3;
/// Announcements of `split_brain_heal` keep this distance.
const BETWEEN_HEALINGS: Duration = Duration::from_secs(5);

impl Router {
    /// Another master was heard while being master; `refused` where its adverts are none to us.
    pub(super) fn meet(&mut self, from: IpAddr, priority: u8, refused: Option<Rejection>, turn: &mut Turn<'_>) {
        let window = self.master_down();
        let is_fresh = |rival: &Rival| turn.now.saturating_duration_since(rival.at) <= window;
        let known = self.rival.take().filter(|rival| rival.address == from && is_fresh(rival));
        let mut rival = known.unwrap_or(Rival {
            address: from,
            priority,
            refused: None,
            since: turn.now,
            at: turn.now,
            adverts: 0,
            told: false,
        });
        (rival.priority, rival.at, rival.refused) = (priority, turn.now, refused);
        rival.adverts = rival.adverts.saturating_add(1);
        if rival.adverts >= ADVERTS && !rival.told {
            rival.told = true;
            self.report(ReportKind::SplitBrain { rival: rival.clone(), ours: self.priority.effective() }, turn);
            turn.effects.push_back(Effect::SplitBrain { router: self.id, rival: from, over: false });
        }
        if rival.told {
            self.timers.set(TimerReason::SplitBrain, later(turn.now, window));
        }
        self.rival = Some(rival);
    }

    /// The other master has been silent for a whole master down interval: whoever believed it is told who we are.
    pub(super) fn split_brain_over(&mut self, turn: &mut Turn<'_>) -> Wish {
        let Some(rival) = self.rival.take().filter(|rival| rival.told) else { return Wish::Nothing };
        let heals = self.config.split_brain_heal && self.state == State::Master && self.may_heal(turn.now);
        let lasted = rival.at.saturating_duration_since(rival.since);
        self.report(ReportKind::SplitBrainOver { from: rival.address, lasted, heals }, turn);
        turn.effects.push_back(Effect::SplitBrain { router: self.id, rival: rival.address, over: true });
        if heals {
            self.healed_at = Some(turn.now);
            self.advertise_now(turn);
            self.announce_twice(turn);
        }
        Wish::Nothing
    }

    fn may_heal(&self, now: Instant) -> bool {
        self.healed_at.is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_HEALINGS)
    }
}

/// Whether a refused advert shows another master of the same router, and not a stranger from afar or noise.
pub(super) fn shows_a_master(rejection: &Rejection) -> bool {
    !matches!(
        rejection,
        Rejection::TooShort { .. }
            | Rejection::Truncated { .. }
            | Rejection::TooLong { .. }
            | Rejection::HopLimit { .. }
            | Rejection::PeerHopLimit { .. }
            | Rejection::Type { .. }
            | Rejection::HmacReplayed
    )
}
