//! What the kernel does about floods: `drop_entry`, `drop_packet` and `secure_tcp`
//! (Documentation/networking/ipvs-sysctl.rst).
//!
//! Once a second they are judged by the memory that the host has free. The first then ends connections among a
//! thirty-second of the table, chosen at random; the second drops one in so many packets that would open a connection; the
//! third has TCP's states follow another table.

use super::Settings;
use super::path::Path;
use crate::address::Address;
use crate::connection::state::TICKS;
use crate::connection::{Connection, NONE, State};
use crate::service::Protocol;

/// Of so many entries one is looked at in a second.
const SHARE: usize = 32;
/// A connection that may still be in use has had a packet within this time.
const IDLE: u32 = 60 * TICKS;
/// A connection with more packets of its client is in use.
const FEW_PACKETS: usize = 8;

/// When a defence is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Defence {
    /// Never: the sysctl's 0.
    #[default]
    Never,
    /// While less memory is free than [`Settings::amemthresh`]: its 1, which the kernel shows as 2 meanwhile.
    WhenLow,
    /// Always: its 3.
    Always,
}

impl Defence {
    /// The sysctl's number; none above 3.
    pub fn of_number(number: u8) -> Option<Defence> {
        [Defence::Never, Defence::WhenLow, Defence::WhenLow, Defence::Always].get(usize::from(number)).copied()
    }
}

/// Of both address families.
#[derive(Debug, Default)]
pub(super) struct Defences {
    /// Pages that the host has free, once somebody has said so.
    free: Option<u64>,
    /// The tick of the next judgement.
    due: u64,
    ends_entries: bool,
    secures_tcp: bool,
    /// Of so many packets that would open a connection one is dropped; 0 for none.
    rate: u32,
    until_drop: i64,
    /// By packets of the client: idle connections that pass until one is ended.
    until_end: [i64; FEW_PACKETS + 1],
    /// Entries to be looked at, by family, in units of 1/32.
    looks: [usize; 2],
    /// Moves on with each entry looked at.
    dice: u64,
}

impl Defences {
    pub(super) fn set_free(&mut self, pages: u64) {
        self.free = Some(pages);
    }

    /// The tick at which there is something to do.
    pub(super) fn next(&self, settings: &Settings) -> Option<u64> {
        let left = self.looks.iter().any(|looks| *looks >= SHARE);
        settings.has_defence().then_some(if left { 0 } else { self.due })
    }

    /// Decides for the next second, if that has begun; `entries` are the places of both tables.
    pub(super) fn turn(&mut self, tick: u64, settings: &Settings, entries: [usize; 2]) {
        if tick < self.due || !settings.has_defence() {
            return;
        }
        self.due = tick + u64::from(TICKS);
        self.judge(settings);
        for (looks, entries) in self.looks.iter_mut().zip(entries) {
            // Nothing is owed from a second that was too short.
            *looks = if self.ends_entries { *looks % SHARE + entries } else { 0 };
        }
    }

    pub(super) fn judge(&mut self, settings: &Settings) {
        let threshold = u64::from(settings.amemthresh);
        let missing = self.free.and_then(|free| threshold.checked_sub(free)).filter(|missing| *missing > 0);
        self.ends_entries = settings.drop_entry.is_at_work(missing.is_some());
        self.secures_tcp = settings.secure_tcp.is_at_work(missing.is_some());
        match (settings.drop_packet, missing) {
            (Defence::Always, _) => self.rate = settings.am_droprate,
            (Defence::WhenLow, Some(missing)) => {
                self.rate = (threshold / missing) as u32;
                self.until_drop = self.rate.into();
            }
            (Defence::WhenLow, None) | (Defence::Never, _) => self.rate = 0,
        }
    }

    /// How many entries of a family to look at in this call, at most `most`.
    pub(super) fn take_looks(&mut self, family: usize, most: usize) -> usize {
        let Some(looks) = self.looks.get_mut(family) else { return 0 };
        let now = (*looks / SHARE).min(most);
        *looks -= now * SHARE;
        now
    }

    /// Whether TCP's states follow the table of `secure_tcp`.
    #[inline(always)]
    pub(super) fn secures_tcp(&self) -> bool {
        self.secures_tcp
    }

    /// Whether a packet that would open a connection is dropped.
    #[inline]
    pub(super) fn drops_packet(&mut self) -> bool {
        self.rate != 0 && turn(&mut self.until_drop, self.rate.into())
    }
}

impl Defence {
    fn is_at_work(self, low: bool) -> bool {
        self == Defence::Always || self == Defence::WhenLow && low
    }
}

impl Settings {
    pub(super) fn has_defence(&self) -> bool {
        [self.drop_entry, self.drop_packet, self.secure_tcp] != [Defence::Never; 3]
    }
}

/// Counts down; true when it is its turn, which begins anew.
fn turn(left: &mut i64, rate: i64) -> bool {
    *left -= 1;
    let its_turn = *left <= 0;
    if its_turn {
        *left = rate;
    }
    its_turn
}

impl<A: Address> Path<'_, A> {
    /// Looks at entries chosen at random and ends those that a flood may have left.
    #[cold]
    pub(super) fn thin_out(&mut self, looks: usize) {
        for _ in 0..looks {
            self.core.defences.dice = self.core.defences.dice.wrapping_add(1);
            let id = self.table.entry_by_chance(self.core.defences.dice);
            if self.is_dropped(id) {
                let control = self.table.get(id).map_or(NONE, |entry| entry.control);
                self.end_in_defence(id);
                self.end_unused_template(control);
            }
        }
    }

    fn end_in_defence(&mut self, id: u32) {
        self.end(id);
        self.core.counters.ended_in_defence += 1;
    }

    /// A template that nothing has confirmed goes with its last connection.
    fn end_unused_template(&mut self, control: u32) {
        let unused = |entry: &Connection<A>| entry.template && entry.controlled == 0 && entry.state != State::Assured;
        if self.table.get(control).is_some_and(unused) {
            self.end_in_defence(control);
        }
    }

    /// Half open connections and unconfirmed templates go; of established ones those that look forgotten.
    fn is_dropped(&mut self, id: u32) -> bool {
        let Some(entry) = self.table.get(id).filter(|entry| entry.destination != NONE) else { return false };
        match entry.state {
            _ if entry.template && (entry.controlled > 0 || entry.state == State::Assured) => false,
            _ if entry.template && !self.is_of_one_packet(entry) => true,
            State::SynRecv | State::SynAck | State::SctpInit1 | State::SctpInit => true,
            State::Established | State::SctpEstablished => self.is_forgotten(id),
            _ if entry.template || Protocol::from_number(entry.protocol) == Some(Protocol::Udp) => {
                self.is_forgotten(id)
            }
            _ => false,
        }
    }

    fn is_of_one_packet(&self, template: &Connection<A>) -> bool {
        let owner = self.core.registry.destination(template.destination).map_or(NONE, |held| held.owner);
        self.core.registry.service(owner).is_some_and(|service| service.config.one_packet)
    }

    /// Idle for a minute, with few packets before: the fewer they were, the likelier it ends.
    fn is_forgotten(&mut self, id: u32) -> bool {
        let Some(entry) = self.table.get(id) else { return false };
        let packets = usize::from(entry.packets);
        let lifetime = match entry.template {
            true => entry.timeout,
            false => self.core.lifetimes.get(entry.state as usize).copied().unwrap_or(0),
        };
        let left = (entry.expires.wrapping_sub(self.now) as i32).max(0) as u32;
        let idle = lifetime.saturating_sub(left) >= IDLE;
        let left = self.core.defences.until_end.get_mut(packets).filter(|_| idle && packets > 0);
        left.is_some_and(|left| turn(left, packets as i64))
    }
}
