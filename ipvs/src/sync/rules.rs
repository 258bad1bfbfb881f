//! When a connection is told to the other director.

use std::time::Duration;

use crate::connection::State;
use crate::connection::state::{TICKS, ticks};
use crate::service::Protocol;

/// The settings of the sending end, by the names of `net.ipv4.vs` (the kernel's
/// Documentation/networking/ipvs-sysctl.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSettings {
    /// `sync_threshold`, its first number: the packet of each period with which a connection is told.
    pub threshold: u32,
    /// `sync_threshold`, its second number: packets of a period; 0 tells a connection once.
    pub period: u32,
    /// `sync_refresh_period`: a connection is not told again so soon, unless its state or time-out changed; 0 is off.
    pub refresh_period: Duration,
    /// `sync_retries`, 0..=3: how often it is told again within the refresh period all the same.
    pub retries: u8,
    /// `sync_persist_mode`: templates are told, their connections not.
    pub persist_mode: bool,
    /// Not the kernel's: each connection is told with its first packet, with each change of its state, and again when
    /// a quarter of its time is over. Half open ones are told as far as [`SyncSettings::HALF_OPEN_A_SECOND`] goes. The settings above
    /// then mean nothing, `persist_mode` apart.
    pub at_once: bool,
}

impl Default for SyncSettings {
    /// The kernel's.
    fn default() -> Self {
        SyncSettings {
            threshold: 3,
            period: 50,
            refresh_period: Duration::ZERO,
            retries: 0,
            persist_mode: false,
            at_once: false,
        }
    }
}

/// How many more half open connections are told at once.
///
/// One that is told before it is established survives a director that dies in the middle of its handshake, when the client has the
/// server's answer already and would not say SYN again. It costs a second entry each, and a flood of SYNs would become one of entries:
/// so there are only so many a second, and a connection beyond that is told when it is established.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HalfOpen {
    left: u32,
    /// Until when they were counted.
    tick: u32,
}

impl HalfOpen {
    const A_TICK: u32 = SyncSettings::HALF_OPEN_A_SECOND / TICKS;

    pub(crate) const NEW: HalfOpen = HalfOpen { left: SyncSettings::HALF_OPEN_IN_A_ROW, tick: 0 };

    /// Whether one more is told.
    pub(crate) fn take(&mut self, now: u32) -> bool {
        let since = now.wrapping_sub(self.tick);
        let left = self.left.saturating_add(since.saturating_mul(Self::A_TICK)).min(SyncSettings::HALF_OPEN_IN_A_ROW);
        (self.left, self.tick) = (left.saturating_sub(1), now);
        left > 0
    }
}

/// What is remembered of a connection that may have been told. The default is that of a connection whose first packets
/// were not counted, because they passed elsewhere or nobody was told then: it is told with its next one, and counts on
/// from the threshold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    /// Packets of the client; they are not counted while connections are told at once.
    packets: u32,
    /// The tick at which the other director's copy ends; its two low bits count retries.
    end: u32,
    /// The state that was told.
    state: Option<State>,
    /// It began here, while connections were told.
    whole: bool,
}

/// A mark as tables keep it: zeros are the default, so that memory for many costs nothing before it is used.
pub(crate) type Words = [u32; 3];

impl Mark {
    const WHOLE: u32 = 0x100;

    /// Of a connection that begins.
    pub(crate) const NEW: Mark = Mark { packets: 0, end: 0, state: None, whole: true };

    pub(crate) fn of_words([packets, end, rest]: Words) -> Mark {
        let state = (rest & 0xff).checked_sub(1).and_then(|number| State::ALL.get(number as usize).copied());
        Mark { packets, end, state, whole: rest & Self::WHOLE != 0 }
    }

    pub(crate) fn words(self) -> Words {
        let state = self.state.map_or(0, |state| state as u32 + 1);
        [self.packets, self.end, state | if self.whole { Self::WHOLE } else { 0 }]
    }

    /// Counts packets of the client.
    pub(crate) fn count(self, packets: u32) -> Mark {
        Mark { packets: self.packets.wrapping_add(packets), ..self }
    }

    fn packets(&self, settings: &SyncSettings) -> u32 {
        if self.whole { self.packets } else { self.packets.wrapping_add(settings.threshold) }
    }

    fn after(&self, of: &Subject, now: u32) -> Mark {
        Mark { end: now.wrapping_add(of.lifetime) & !3, state: Some(of.state), ..*self }
    }
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) template: bool,
    /// It belongs to a template.
    pub(crate) persistent: bool,
    pub(crate) protocol: u8,
    pub(crate) state: State,
    /// Ticks that it lives without a packet.
    pub(crate) lifetime: u32,
    /// Packets of the client since it was looked at last.
    pub(crate) packets: u32,
}

/// The shortest refresh interval of connections with short time-outs.
const LEAST_REFRESH: u32 = 10 * TICKS;

impl SyncSettings {
    /// So many half open connections are told in a second at most.
    pub const HALF_OPEN_A_SECOND: u32 = 8192;
    /// And so many in a row after a pause.
    pub const HALF_OPEN_IN_A_ROW: u32 = 4096;

    /// Whether the latest packets of the client, which the mark has counted, make the connection be told; the mark as it
    /// is then.
    pub(crate) fn told(&self, of: &Subject, mark: &Mark, now: u32) -> Option<Mark> {
        if self.persist_mode && of.persistent && !of.template {
            return None;
        }
        match self.at_once {
            true => self.told_at_once(of, mark, now),
            false => self.told_as_kernel(of, mark, now),
        }
    }

    fn told_at_once(&self, of: &Subject, mark: &Mark, now: u32) -> Option<Mark> {
        let left = mark.end.wrapping_sub(now) as i32;
        let known = |told| told == of.state || of.is_half_open() && is_half_open(told);
        let fresh = mark.state.is_some_and(known) && left > (of.lifetime / 4 * 3) as i32;
        (!fresh).then(|| mark.after(of, now))
    }

    fn told_as_kernel(&self, of: &Subject, mark: &Mark, now: u32) -> Option<Mark> {
        let changed = mark.state != Some(of.state);
        let mut after = mark.after(of, now);
        match of.kind() {
            Kind::Silent => return None,
            Kind::Closing if changed => return Some(after),
            // The kernel waits for a period more, in which its backup knows nothing of it.
            Kind::Closing | Kind::Open if !mark.whole && mark.state.is_none() => return Some(after),
            Kind::Closing | Kind::Open => {}
        }
        let refresh = ticks(self.refresh_period);
        if refresh > 0 && !self.is_stale(of, mark, &mut after, refresh, now) {
            return None;
        }
        let due = match self.period {
            0 => refresh > 0 || self.is_reached(mark.packets(self), of.packets),
            _ => of.template || self.is_reached(mark.packets(self), of.packets),
        };
        due.then_some(after)
    }

    /// Whether one of the latest packets was the one of its period, or of all, with which a connection is told.
    fn is_reached(&self, counted: u32, latest: u32) -> bool {
        match (self.period, latest) {
            (0, 0..=1) => counted == self.threshold,
            (period, 0..=1) => counted % period == self.threshold,
            _ => self.tellings(counted.into()) > self.tellings(u64::from(counted).saturating_sub(latest.into())),
        }
    }

    /// With how many of so many packets a connection is told.
    fn tellings(&self, packets: u64) -> u64 {
        let (threshold, period) = (u64::from(self.threshold), u64::from(self.period));
        match packets.checked_sub(threshold) {
            Some(_) if period == 0 => u64::from(threshold > 0),
            Some(past) if threshold < period => past / period + 1,
            _ => 0,
        }
    }

    /// Whether a copy that was sent may have been lost or is about to end; counts retries.
    fn is_stale(&self, of: &Subject, mark: &Mark, after: &mut Mark, refresh: u32, now: u32) -> bool {
        let moved = (after.end.wrapping_sub(mark.end) as i32).unsigned_abs();
        if mark.state.is_none() || moved >= refresh.min((of.lifetime / 2).max(LEAST_REFRESH)) {
            return true;
        }
        let retries = mark.end & 3;
        let sent = (mark.end & !3).wrapping_sub(of.lifetime);
        let soon = (now.wrapping_sub(sent.wrapping_add(refresh / 8)) as i32) < 0;
        after.end |= retries + 1;
        retries < u32::from(self.retries.min(3)) && !soon
    }
}

/// How the kernel sees a state.
enum Kind {
    /// It is not told of.
    Silent,
    /// Told of by the count of packets.
    Open,
    /// Told of as soon as it is reached.
    Closing,
}

/// Whether the handshake of a connection in this state is not over.
fn is_half_open(state: State) -> bool {
    use State::{
        None, SctpCookie, SctpCookieEchoed, SctpCookieReplied, SctpCookieSent, SctpCookieWait, SctpInit, SctpInit1,
        SynAck, SynRecv, SynSent,
    };
    let first = matches!(state, None | SynSent | SynRecv | SynAck | SctpInit1 | SctpInit);
    first || matches!(state, SctpCookieSent | SctpCookieReplied | SctpCookieWait | SctpCookie | SctpCookieEchoed)
}

impl Subject {
    /// Whether its handshake is not over.
    pub(crate) fn is_half_open(&self) -> bool {
        !self.template && is_half_open(self.state)
    }

    fn kind(&self) -> Kind {
        if self.template || self.protocol == Protocol::Udp.number() {
            return Kind::Open;
        }
        match self.state {
            State::Established | State::SctpEstablished => Kind::Open,
            State::FinWait | State::TimeWait | State::Close | State::CloseWait => Kind::Closing,
            State::SctpShutdownSent | State::SctpShutdownReceived | State::SctpShutdownAckSent | State::SctpClosed => {
                Kind::Closing
            }
            _ => Kind::Silent,
        }
    }
}
