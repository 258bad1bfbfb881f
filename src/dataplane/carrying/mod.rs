//! What the kernel carries for the worker: which connections, what they are credited with, and when that ends.
//!
//! A connection that the director offers gets a slot, and its flows enter the kernel's tables at the end of a turn that leaves the ring empty:
//! otherwise what is carried would overtake what waits there. About once a second a round reads what was carried, some slots a turn; questions about connections and counters wait for a round of their own. Whatever may have
//! changed for all flows at once makes all of them void, by one store; the round after that gives their slots back, and
//! their next packets offer the connections again.

mod offers;
#[cfg(test)]
mod tests;
mod voids;

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use standfast_ipvs::{Carried, ConnectionId, Credit, Director};

use super::offload::{Carriage, Carrier, Flow, Tally};
pub(super) use voids::changes_ways;

/// So many connections are carried at most; the others are the engine's alone.
pub(super) const CONNECTIONS: u32 = 1 << 16;
/// Connections that may begin to be carried in one turn, as many as packets in a batch.
const ENTERING: usize = 64;
/// How long flows wait at most for an empty ring.
const ENTERS_WITHIN: Duration = Duration::from_millis(5);
/// From one round to the next: no carried connection times out sooner than ten of these.
const ROUND: Duration = Duration::from_secs(1);
/// Slots that are read between two batches of packets: some tens of microseconds.
const SLOTS_A_TURN: usize = 128;
/// A freed slot is not used again before so many others are free: a packet may be under way in the kernel by the flow that it had.
const RESTING: usize = 256;
/// Where nearly as many are carried as may be, connections as idle as this make room.
const IDLE: Duration = Duration::from_secs(10);
const CROWD: usize = CONNECTIONS as usize / 8 * 7;

/// Who carries: the kernel, by programs.
pub(super) trait Carries: Debug + Send {
    /// Whether packets that arrive on an interface can be carried.
    fn carries_on(&self, interface: u32) -> bool;
    /// Has a flow carried; it ends with that of the slot's neighbour (`slot ^ 1`). False if it cannot be.
    fn add(&mut self, slot: u32, flow: &Flow, carriage: &Carriage) -> bool;
    /// Ends a slot's flow.
    fn remove(&mut self, slot: u32);
    /// Ends all flows.
    fn void(&mut self);
    /// Whether a slot's flow is carried.
    fn is_carried(&self, slot: u32) -> bool;
    /// What a slot has carried.
    fn tally(&self, slot: u32) -> Tally;
    /// Begins a slot at zero.
    fn clear(&mut self, slot: u32);
}

impl Carries for Carrier {
    fn carries_on(&self, interface: u32) -> bool {
        self.carries_on(interface)
    }

    fn add(&mut self, slot: u32, flow: &Flow, carriage: &Carriage) -> bool {
        self.add(slot, flow, carriage)
    }

    fn remove(&mut self, slot: u32) {
        self.remove(slot);
    }

    fn void(&mut self) {
        self.void();
    }

    fn is_carried(&self, slot: u32) -> bool {
        self.is_carried(slot)
    }

    fn tally(&self, slot: u32) -> Tally {
        self.tally(slot)
    }

    fn clear(&mut self, slot: u32) {
        self.clear(slot);
    }
}

/// A flow and what becomes of its packets.
type Leg = (Flow, Carriage);

/// A connection as it enters the kernel: from the client, and from the server if its packets pass here.
#[derive(Debug)]
struct Legs {
    to_server: Leg,
    to_client: Option<Leg>,
}

/// A connection that is carried, and what it was credited with so far.
#[derive(Debug)]
struct Slot {
    /// None while the slot is free.
    connection: Option<ConnectionId>,
    seen: [Tally; 2],
    epoch: u64,
    /// When it was found to have carried something, or taken.
    busy: Instant,
}

/// The worker's side of all connections that the kernel carries.
#[derive(Debug)]
pub(super) struct Carrying {
    kernel: Box<dyn Carries>,
    slots: Vec<Slot>,
    free: VecDeque<u32>,
    numbers: HashMap<ConnectionId, u32>,
    entering: Vec<(u32, Legs)>,
    /// When the first of them was accepted.
    entering_since: Instant,
    epoch: u64,
    /// The slot that the round reads next; none between two rounds.
    hand: Option<usize>,
    due: Instant,
    packets: u64,
}

impl Carrying {
    /// Nothing is carried yet. Memory for all connections is reserved; the system commits it as it is used.
    pub(super) fn new(kernel: impl Carries + 'static, now: Instant) -> Self {
        let most = CONNECTIONS as usize;
        Self {
            kernel: Box::new(kernel),
            slots: Vec::with_capacity(most),
            free: VecDeque::with_capacity(most),
            numbers: HashMap::with_capacity(most),
            entering: Vec::with_capacity(ENTERING),
            entering_since: now,
            epoch: 0,
            hand: None,
            due: now,
            packets: 0,
        }
    }

    /// How many connections are carried.
    pub(super) fn connections(&self) -> usize {
        self.numbers.len()
    }

    /// How many packets were carried, as far as they were read.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    /// When the next round is due.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.numbers.is_empty()).then_some(self.due)
    }

    /// Has a connection carried as soon as the ring is empty; with no room its next packets offer it again.
    fn accept(&mut self, director: &mut Director, connection: ConnectionId, legs: Legs, now: Instant) {
        if self.entering.len() >= ENTERING || !director.carry(connection) {
            return;
        }
        let slot = Slot { connection: Some(connection), seen: [Tally::default(); 2], epoch: self.epoch, busy: now };
        let Some(number) = self.place(slot) else { return director.recall(connection) };
        tallies(number).into_iter().for_each(|tally| self.kernel.clear(tally));
        self.numbers.insert(connection, number);
        if self.entering.is_empty() {
            self.entering_since = now;
        }
        self.entering.push((number, legs));
    }

    fn place(&mut self, slot: Slot) -> Option<u32> {
        if self.free.len() < RESTING && (self.slots.len() as u32) < CONNECTIONS {
            self.slots.push(slot);
            return Some(self.slots.len() as u32 - 1);
        }
        let number = self.free.pop_front()?;
        *self.slots.get_mut(number as usize)? = slot;
        Some(number)
    }

    /// Has what was accepted carried, if nothing of it waits in the ring, or it has done so for long.
    fn enter(&mut self, director: &mut Director, ring_is_empty: bool, now: Instant) {
        if !ring_is_empty && now.saturating_duration_since(self.entering_since) < ENTERS_WITHIN {
            return;
        }
        while let Some((number, legs)) = self.entering.pop() {
            if self.add(number, &legs) {
                continue;
            }
            if let Some(connection) = self.give_back(number, director, now) {
                director.decline(connection);
            }
        }
    }

    fn add(&mut self, number: u32, legs: &Legs) -> bool {
        let legs = [Some(&legs.to_server), legs.to_client.as_ref()].into_iter().flatten();
        tallies(number).into_iter().zip(legs).all(|(slot, (flow, carriage))| self.kernel.add(slot, flow, carriage))
    }

    /// Ends what the director has released, and credits it.
    fn settle(&mut self, director: &mut Director, now: Instant) {
        while let Some(released) = director.next_released() {
            let Some(number) = self.numbers.remove(&released.connection) else { continue };
            let credit = self.vacate(number);
            director.credit_released(&released, &credit, now);
        }
    }

    /// Ends a slot's flows and frees it; gives what is left to be credited.
    fn vacate(&mut self, number: u32) -> Credit {
        self.entering.retain(|(entering, _)| *entering != number);
        tallies(number).into_iter().for_each(|tally| self.kernel.remove(tally));
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.connection = None;
            self.free.push_back(number);
        }
        self.read(number)
    }

    /// What a slot has carried since it was read last.
    fn read(&mut self, number: u32) -> Credit {
        let Some(slot) = self.slots.get_mut(number as usize) else { return Credit::default() };
        let mut carried = [Carried::default(); 2];
        for ((tally, seen), carried) in tallies(number).into_iter().zip(&mut slot.seen).zip(&mut carried) {
            let tally = self.kernel.tally(tally);
            *carried = since(&tally, seen);
            *seen = tally;
        }
        let [to_server, to_client] = carried;
        let credit = Credit { to_server, to_client };
        self.packets += credit.packets();
        credit
    }

    /// Begins a round, from the first slot on if one is under way.
    pub(super) fn begin_round(&mut self) {
        self.hand = Some(0);
    }

    /// Goes on with the round, which begins when it is due; true while there is more of it to do.
    fn go_round(&mut self, director: &mut Director, now: Instant) -> bool {
        if self.hand.is_none() && self.due().is_some_and(|due| due <= now) {
            self.hand = Some(0);
            // The pace is kept, so that as many rounds fall into each interval of the director's rates.
            self.due = if now < self.due + ROUND { self.due + ROUND } else { now + ROUND };
        }
        let Some(hand) = self.hand else { return false };
        let last = (hand + SLOTS_A_TURN).min(self.slots.len());
        (hand..last).for_each(|number| self.visit(number as u32, director, now));
        self.hand = (last < self.slots.len()).then_some(last);
        self.hand.is_some()
    }

    fn visit(&mut self, number: u32, director: &mut Director, now: Instant) {
        let Some((slot, connection)) = self.slots.get(number as usize).and_then(|slot| Some((slot, slot.connection?)))
        else {
            return;
        };
        let crowded = self.numbers.len() > CROWD && now.saturating_duration_since(slot.busy) > IDLE;
        if slot.epoch != self.epoch || crowded || self.is_lost(number) {
            self.give_back(number, director, now);
            return;
        }
        let credit = self.read(number);
        if credit.packets() > 0 {
            director.credit(connection, &credit, now);
            self.slots.get_mut(number as usize).into_iter().for_each(|slot| slot.busy = now);
        }
    }

    /// Has a connection carried no more; gives its name.
    fn give_back(&mut self, number: u32, director: &mut Director, now: Instant) -> Option<ConnectionId> {
        let connection = self.slots.get(number as usize)?.connection?;
        let credit = self.vacate(number);
        if credit.packets() > 0 {
            director.credit(connection, &credit, now);
        }
        self.numbers.remove(&connection);
        director.recall(connection);
        Some(connection)
    }

    /// Whether the kernel has given up a connection that it was to carry: at a FIN or RST that the engine has not got, for example.
    fn is_lost(&self, number: u32) -> bool {
        let enters = self.entering.iter().any(|(entering, _)| *entering == number);
        !enters && tallies(number).first().is_some_and(|there| !self.kernel.is_carried(*there))
    }

    /// Ends all flows at once; a round then gives back what they had.
    fn void(&mut self, director: &mut Director) {
        self.kernel.void();
        self.entering.clear();
        self.epoch += 1;
        director.renew_offers();
        if !self.numbers.is_empty() {
            self.hand = Some(0);
        }
    }

    /// Ends all flows, of which no director knows any more.
    pub(super) fn forget(&mut self) {
        self.kernel.void();
        self.entering.clear();
        self.epoch += 1;
        self.hand = None;
        self.numbers.clear();
        let taken = (0..self.slots.len() as u32).filter(|number| self.is_taken(*number)).collect::<Vec<_>>();
        taken.into_iter().for_each(|number| _ = self.vacate(number));
    }

    fn is_taken(&self, number: u32) -> bool {
        self.slots.get(number as usize).is_some_and(|slot| slot.connection.is_some())
    }
}

/// The numbers of a slot's tallies: from the client, from the server.
fn tallies(number: u32) -> [u32; 2] {
    [2 * number, 2 * number + 1]
}

fn since(tally: &Tally, seen: &Tally) -> Carried {
    Carried {
        packets: tally.packets.saturating_sub(seen.packets),
        bytes: tally.bytes.saturating_sub(seen.bytes),
        latest: tally.latest,
    }
}
