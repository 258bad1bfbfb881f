//! Adverts in and out.

use super::freshness::Freshness;
use super::rivals::shows_a_master;
use super::{Router, SHORTEST_INTERVAL, Turn, Wish, later};
use crate::config::{Authentication, AuthenticatorMode, Family, Version};
use crate::effect::{Effect, State, TransitionReason};
use crate::node::Datagram;
use crate::packet::{self, Advert, AdvertSpec, Expectation, PROTOCOL_AH, PROTOCOL_VRRP, Rejection, Seal};
use crate::priority::OWNER;
use crate::report::ReportKind;
use crate::timer::TimerReason;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What an advert says.
#[derive(Debug, Clone, Copy)]
struct Heard {
    from: IpAddr,
    /// In the companion's family.
    second: bool,
    priority: u8,
    interval: Duration,
}

impl Router {
    /// A datagram for this router's identifier came in.
    pub(crate) fn receive(&mut self, datagram: &Datagram<'_>, turn: &mut Turn<'_>) -> Wish {
        if !matches!(self.state, State::Backup | State::Master) || !self.concerns(datagram) {
            return Wish::Nothing;
        }
        match self.check(datagram, turn.clock) {
            Ok(_) if self.config.owner_ignore_adverts && self.priority.effective() == OWNER => {
                self.tell_sparingly(ReportKind::OwnerIgnores(datagram.source), turn);
                Wish::Nothing
            }
            Ok(heard) => self.heard(&heard, turn),
            Err(rejection) => {
                if self.state == State::Master && shows_a_master(&rejection) {
                    let priority = datagram.message().get(2).copied().unwrap_or(0);
                    self.meet(datagram.source, priority, Some(rejection), turn);
                }
                self.reject(rejection, turn);
                Wish::Nothing
            }
        }
    }

    /// Our own adverts that come back, and those of the other kind (unicast or multicast), are none of our business.
    fn concerns(&self, datagram: &Datagram<'_>) -> bool {
        let family = Family::of(&datagram.source);
        let Some(half) = self.config.half(family) else { return false };
        let with_ah = datagram.protocol == PROTOCOL_AH;
        self.source_of(family) != Some(datagram.source)
            && datagram.destination.is_multicast() != half.is_unicast()
            && with_ah == self.ah_key(family).is_some()
    }

    fn ah_key(&self, family: Family) -> Option<[u8; 8]> {
        match (self.config.version, &self.config.authentication) {
            (Version::V2, Authentication::Ah(key)) if family == self.config.family => Some(*key),
            _ => None,
        }
    }

    /// What an advert that passes all checks says.
    fn check(&mut self, datagram: &Datagram<'_>, clock: Duration) -> Result<Heard, Rejection> {
        let (advert, sequence) = self.parse(datagram)?;
        let family = Family::of(&datagram.source);
        let second = family != self.config.family;
        let from_known_master = self.known_master(second) == Some(datagram.source);
        advert.check(&Expectation {
            config: self.config.half(family).unwrap_or(&self.config),
            source: datagram.source,
            destination: datagram.destination,
            ttl: datagram.ttl,
            compare_addresses: !(self.config.skip_check_adv_addr && from_known_master),
        })?;
        self.authenticate(&advert, datagram.source, clock)?;
        // keepalived takes no sequence number lower than one that it has seen, so that ours goes on from the highest.
        self.ah_sequence = self.ah_sequence.max(sequence);
        Ok(Heard { from: datagram.source, second, priority: advert.priority(), interval: advert.interval() })
    }

    fn known_master(&self, second: bool) -> Option<IpAddr> {
        if second { self.second_master } else { self.master.map(|(address, _)| address) }
    }

    fn parse<'a>(&self, datagram: &Datagram<'a>) -> Result<(Advert<'a>, u32), Rejection> {
        let family = Family::of(&datagram.source);
        if let Some(key) = self.ah_key(family) {
            let (message, sequence) = packet::open(key, datagram.ip_header, datagram.payload)?;
            return Ok((Advert::parse(message, family, true)?, sequence));
        }
        let advert = match self.config.authenticator {
            Some(_) => Advert::parse_signed(datagram.payload, family)?,
            None => Advert::parse(datagram.payload, family, false)?,
        };
        Ok((advert, 0))
    }

    /// `auth_hmac`: the window first, because it is cheap; the sender's mark last, because only the HMAC makes it true.
    fn authenticate(&mut self, advert: &Advert<'_>, from: IpAddr, clock: Duration) -> Result<(), Rejection> {
        let Some(authenticator) = &self.config.authenticator else { return Ok(()) };
        if advert.trailer().is_empty() {
            let enforced = authenticator.mode == AuthenticatorMode::Enforce;
            return if enforced { Err(Rejection::HmacMissing) } else { Ok(()) };
        }
        Freshness::check_window(authenticator, packet::claimed_sequence(advert.trailer())?, clock)?;
        let sequence = packet::verify(authenticator, &from, advert.message(), advert.trailer())?;
        self.freshness.take(authenticator, from, sequence, clock)
    }

    pub(crate) fn reject(&mut self, rejection: Rejection, turn: &mut Turn<'_>) {
        self.statistics.reject(&rejection);
        self.tell_sparingly(ReportKind::Rejected(rejection), turn);
    }

    fn tell_sparingly(&mut self, kind: ReportKind, turn: &mut Turn<'_>) {
        if self.rejections.allow(turn.now) {
            self.report(kind, turn);
        }
    }

    fn heard(&mut self, heard: &Heard, turn: &mut Turn<'_>) -> Wish {
        self.statistics.adverts_received += 1;
        self.statistics.priority_zero_received += u64::from(heard.priority == 0);
        match (self.state, heard.priority) {
            (State::Master, 0) => self.resigned_to_master(turn),
            (State::Master, _) => self.heard_as_master(heard, turn),
            (_, 0) => self.resigned_to_backup(heard, turn),
            _ => self.heard_as_backup(heard, turn),
        }
    }

    /// RFC 9568 section 6.4.3: a master answers priority 0 with an advert.
    fn resigned_to_master(&mut self, turn: &mut Turn<'_>) -> Wish {
        self.report(ReportKind::PriorityZeroAsMaster, turn);
        self.advertise_now(turn);
        Wish::Nothing
    }

    /// RFC 9568 section 6.4.2: the master down timer becomes the skew time, unless another master has spoken since.
    ///
    /// At intervals of some milliseconds a new master's first advert may overtake the old one's farewell.
    fn resigned_to_backup(&mut self, heard: &Heard, turn: &mut Turn<'_>) -> Wish {
        self.report(ReportKind::PriorityZeroAsBackup, turn);
        if !self.hears_another_master(heard, turn.now) {
            self.arm(TimerReason::Skew, turn.now);
        }
        Wish::Nothing
    }

    fn hears_another_master(&self, heard: &Heard, now: Instant) -> bool {
        let another = self.known_master(heard.second).is_some_and(|master| master != heard.from);
        let heard = self.armed.filter(|armed| armed.reason == TimerReason::MasterDown);
        another && heard.is_some_and(|armed| now < later(armed.since, self.master_interval))
    }

    fn heard_as_backup(&mut self, heard: &Heard, turn: &mut Turn<'_>) -> Wish {
        let Heard { from, second, priority, interval } = *heard;
        let lower = priority < self.priority.effective();
        if lower && self.config.preempt && !self.delays_preemption(turn) {
            self.report(ReportKind::LowerPriorityAsBackup { from, theirs: priority }, turn);
            return Wish::Nothing;
        }
        if !lower {
            self.preempt_at = None;
        }
        self.wants_master = false;
        if second {
            self.second_master = Some(from);
        } else {
            self.master = Some((from, priority));
            self.adopt_interval(interval, turn);
        }
        self.arm(TimerReason::MasterDown, turn.now);
        Wish::Nothing
    }

    /// RFC 9568 section 6.4.2: a backup counts in the master's interval.
    fn adopt_interval(&mut self, to: Duration, turn: &mut Turn<'_>) {
        let from = self.master_interval;
        let to = to.max(SHORTEST_INTERVAL);
        if self.config.version == Version::V3 && from != to {
            self.master_interval = to;
            self.report(ReportKind::IntervalLearnt { from, to }, turn);
        }
    }

    /// `preempt_delay` counts from the first advert of a lower priority.
    fn delays_preemption(&mut self, turn: &mut Turn<'_>) -> bool {
        if let Some(end) = self.preempt_at {
            return turn.now < end;
        }
        let delay = self.config.preempt_delay;
        if delay.is_zero() {
            return false;
        }
        self.preempt_at = Some(later(turn.now, delay));
        self.report(ReportKind::PreemptDelay(delay), turn);
        true
    }

    /// RFC 9568 section 6.4.3: the better one of two masters stays.
    fn heard_as_master(&mut self, heard: &Heard, turn: &mut Turn<'_>) -> Wish {
        let Heard { from, second, priority, interval } = *heard;
        let ours = self.priority.effective();
        if second && priority == ours {
            // Equals are told apart by one family alone: the other might say the opposite.
            return Wish::Nothing;
        }
        let (reason, report) = match (priority.cmp(&ours), self.source.map(|own| from.cmp(&own))) {
            (Ordering::Greater, _) => (
                TransitionReason::HigherPriority { from, priority },
                ReportKind::HigherPriority { from, theirs: priority, ours },
            ),
            (Ordering::Equal, Some(Ordering::Greater)) => {
                (TransitionReason::HigherAddress { from }, ReportKind::HigherAddress { from, priority })
            }
            _ => {
                self.lesser_master(heard, turn);
                return Wish::GroupAnnounce;
            }
        };
        if priority == OWNER && ours == OWNER {
            self.report(ReportKind::TwoOwners, turn);
            self.priority.disown();
        } else {
            self.report(report, turn);
        }
        if self.config.higher_prio_send_advert {
            self.advertise(ours, turn);
        }
        if !second {
            self.adopt_interval(interval, turn);
        }
        Wish::Backup(reason)
    }

    fn lesser_master(&mut self, heard: &Heard, turn: &mut Turn<'_>) {
        let Heard { from, second, priority, .. } = *heard;
        if !second {
            self.meet(from, priority, None, turn);
        }
        let election = !self.config.lower_prio_no_advert;
        let ours = self.priority.effective();
        self.report(ReportKind::LowerPriorityAsMaster { from, theirs: priority, ours, election }, turn);
        if election {
            self.advertise(ours, turn);
        }
        self.announce_to_the_misled(turn);
        turn.effects.push_back(Effect::MasterReceivedLowerPriority { router: self.id });
    }

    /// Hosts that learnt the lesser master's MAC address have to learn ours again.
    pub(crate) fn announce_to_the_misled(&mut self, turn: &mut Turn<'_>) {
        let announce = self.config.announce;
        if self.config.strict || announce.lower_prio_repeat == 0 {
            return;
        }
        self.announce(announce.lower_prio_repeat, turn);
        if !announce.lower_prio_delay.is_zero() {
            self.timers.set(TimerReason::AnnounceLowerPriority, later(turn.now, announce.lower_prio_delay));
        }
    }

    /// Sends one advert to every destination, of both families with `dual_stack`.
    pub(super) fn advertise(&mut self, priority: u8, turn: &mut Turn<'_>) {
        if self.source.is_none() && (priority != 0 || self.lost_source.is_none()) {
            return;
        }
        self.statistics.priority_zero_sent += u64::from(priority == 0);
        let own = self.config.family;
        let companion = self.config.companion.as_ref().map(|half| half.family);
        for family in std::iter::once(own).chain(companion) {
            self.advertise_in(family, priority, turn);
        }
    }

    fn advertise_in(&mut self, family: Family, priority: u8, turn: &mut Turn<'_>) {
        // A farewell helps the others also where the address has just gone that adverts came from.
        let lost = self.lost_source.filter(|_| priority == 0 && family == self.config.family);
        let Some(source) = self.source_of(family).or(lost) else { return };
        let trailer = self.trailer(family, priority, source, turn.clock);
        let peers = self.config.half(family).map_or(0, |half| half.unicast_peers.len());
        for index in 0..peers.max(1) {
            self.advertise_to(family, index, priority, source, &trailer, turn);
        }
    }

    /// The HMAC trailer of one advert, the same for every destination; empty without `auth_hmac`.
    fn trailer(&mut self, family: Family, priority: u8, source: IpAddr, clock: Duration) -> Vec<u8> {
        let authenticator = self.config.authenticator.as_ref();
        let signs = authenticator.filter(|authenticator| authenticator.mode != AuthenticatorMode::ReceiveOnly);
        let Some(authenticator) = signs else { return Vec::new() };
        let Some(half) = self.config.half(family) else { return Vec::new() };
        let message = AdvertSpec::of(half, priority).without_checksum();
        let sequence = self.freshness.next(authenticator, clock);
        packet::sign(authenticator, &source, &message, sequence).map(Vec::from).unwrap_or_default()
    }

    /// To the unicast peer of this index, or to the group where there is none.
    fn advertise_to(
        &mut self,
        family: Family,
        index: usize,
        priority: u8,
        source: IpAddr,
        trailer: &[u8],
        turn: &mut Turn<'_>,
    ) {
        let Some(half) = self.config.half(family) else { return };
        let destination = half.unicast_peers.get(index).copied().unwrap_or(half.multicast_group);
        let covered = if half.old_unicast_checksum { half.multicast_group } else { destination };
        let message = AdvertSpec::of(half, priority).encode_with(&source, &covered, trailer);
        let ttl = half.ttl();
        self.identification = self.identification.checked_add(1).unwrap_or(1);
        let (protocol, payload) = self.sealed(message, source, destination);
        self.statistics.adverts_sent += 1;
        turn.effects.push_back(Effect::Advertise {
            router: self.id,
            link: self.config.link,
            source,
            destination,
            ttl,
            protocol,
            identification: self.identification,
            payload,
        });
    }

    fn sealed(&mut self, message: Vec<u8>, source: IpAddr, destination: IpAddr) -> (u8, Vec<u8>) {
        let key = self.ah_key(Family::of(&source));
        let (Some(key), IpAddr::V4(source), IpAddr::V4(destination)) = (key, source, destination) else {
            return (PROTOCOL_VRRP, message);
        };
        self.ah_sequence = self.ah_sequence.wrapping_add(1);
        let seal = Seal {
            key,
            source,
            destination,
            identification: self.identification,
            ttl: self.config.ttl(),
            sequence: self.ah_sequence,
        };
        (PROTOCOL_AH, packet::seal(&seal, &message))
    }
}
