//! What a person ordered for servers while the daemon runs. Orders outlive reloads and end with the daemon.
//! Pure: instants are arguments.

use standfast_checkers::pool::ServerId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// An order about a real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOrder {
    /// The server.
    pub server: SocketAddr,
    /// Only in this virtual server: `10.0.0.100:80`, `[10.0.0.100]:tcp:80`, or the name of its group; else wherever it stands.
    pub service: Option<String>,
    /// What is to be done.
    pub action: ServerAction,
}

/// What can be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAction {
    /// No new connections; after the deadline the remaining ones are given up.
    Drain {
        /// `None` lets connections end by themselves.
        deadline: Option<Duration>,
    },
    /// This weight in place of the configured one.
    Weight {
        /// The weight.
        weight: u32,
        /// For so long; `None` is until it is undone.
        lasts: Option<Duration>,
    },
    /// Undoes the former two.
    Undo,
    /// Its checks make no attempts and keep their verdicts.
    Pause {
        /// For so long; `None` is until they are resumed.
        lasts: Option<Duration>,
    },
    /// Undoes a pause.
    Resume,
}

/// The weight that was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) weight: u32,
    /// When the order ends.
    pub(super) until: Option<Instant>,
    /// When the server leaves the table.
    pub(super) cut: Option<Instant>,
}

impl Ordered {
    fn due(&self) -> impl Iterator<Item = Instant> + use<> {
        self.until.into_iter().chain(self.cut)
    }
}

/// The orders for the servers of one virtual server.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    weights: BTreeMap<ServerId, Ordered>,
    pauses: BTreeMap<ServerId, Option<Instant>>,
    /// There was a pause once, so that checks may have to be resumed.
    paused_once: bool,
    /// Servers whose deadline has passed.
    cut: BTreeSet<ServerId>,
}

/// What an order's time brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The remaining connections are given up.
    Cut(ServerId),
    /// The order about the weight is over.
    Over(ServerId),
    /// The pause is over.
    Resumed(ServerId),
}

impl Orders {
    pub(super) fn drain(&mut self, id: ServerId, deadline: Option<Duration>, now: Instant) {
        let cut = deadline.and_then(|deadline| now.checked_add(deadline));
        self.set(id, Ordered { weight: 0, until: None, cut });
    }

    pub(super) fn weigh(&mut self, id: ServerId, weight: u32, lasts: Option<Duration>, now: Instant) {
        let until = lasts.and_then(|lasts| now.checked_add(lasts));
        self.set(id, Ordered { weight, until, cut: None });
    }

    fn set(&mut self, id: ServerId, ordered: Ordered) {
        self.cut.remove(&id);
        self.weights.insert(id, ordered);
    }

    /// True when there was an order.
    pub(super) fn undo(&mut self, id: ServerId) -> bool {
        self.cut.remove(&id);
        self.weights.remove(&id).is_some()
    }

    pub(super) fn pause(&mut self, id: ServerId, lasts: Option<Duration>, now: Instant) {
        self.paused_once = true;
        self.pauses.insert(id, lasts.and_then(|lasts| now.checked_add(lasts)));
    }

    /// True when there was a pause.
    pub(super) fn resume(&mut self, id: ServerId) -> bool {
        self.pauses.remove(&id).is_some()
    }

    pub(super) fn of(&self, id: ServerId) -> Option<Ordered> {
        self.weights.get(&id).copied()
    }

    pub(super) fn is_cut(&self, id: ServerId) -> bool {
        self.cut.contains(&id)
    }

    /// The end of a pause, `None` within where it has none.
    pub(super) fn paused(&self, id: ServerId) -> Option<Option<Instant>> {
        self.pauses.get(&id).copied()
    }

    pub(super) fn paused_once(&self) -> bool {
        self.paused_once
    }

    pub(super) fn retain(&mut self, lives: impl Fn(&ServerId) -> bool) {
        self.weights.retain(|id, _| lives(id));
        self.pauses.retain(|id, _| lives(id));
        self.cut.retain(|id| lives(id));
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let weights = self.weights.values().flat_map(Ordered::due);
        weights.chain(self.pauses.values().copied().flatten()).min()
    }

    /// What is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        for (id, ordered) in &mut self.weights {
            if ordered.cut.take_if(|at| *at <= now).is_some() {
                self.cut.insert(*id);
                due.push(Due::Cut(*id));
            }
        }
        self.weights.retain(|id, ordered| {
            let over = ordered.until.is_some_and(|at| at <= now);
            due.extend(over.then_some(Due::Over(*id)));
            !over
        });
        self.pauses.retain(|id, until| {
            let over = until.is_some_and(|at| at <= now);
            due.extend(over.then_some(Due::Resumed(*id)));
            !over
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ServerId = ServerId(7);

    #[test]
    fn a_drain_cuts_once_and_stays() {
        let (mut orders, start) = (Orders::default(), Instant::now());
        let deadline = Duration::from_secs(30);
        orders.drain(SERVER, Some(deadline), start);
        assert_eq!(orders.poll_timeout(), Some(start + deadline));
        assert_eq!(orders.handle_timeout(start + deadline / 2), []);
        assert_eq!(orders.handle_timeout(start + deadline), [Due::Cut(SERVER)]);
        assert_eq!((orders.poll_timeout(), orders.is_cut(SERVER)), (None, true));
        assert_eq!(orders.of(SERVER).map(|ordered| ordered.weight), Some(0));
        assert!(orders.undo(SERVER) && !orders.is_cut(SERVER) && !orders.undo(SERVER));
    }

    #[test]
    fn weights_and_pauses_end_by_themselves() {
        let (mut orders, start) = (Orders::default(), Instant::now());
        let second = Duration::from_secs(1);
        orders.weigh(SERVER, 9, Some(second), start);
        orders.pause(SERVER, Some(2 * second), start);
        assert_eq!(orders.handle_timeout(start + second), [Due::Over(SERVER)]);
        assert_eq!((orders.of(SERVER), orders.paused(SERVER)), (None, Some(Some(start + 2 * second))));
        assert_eq!(orders.handle_timeout(start + 2 * second), [Due::Resumed(SERVER)]);
        assert_eq!((orders.paused(SERVER), orders.poll_timeout()), (None, None));
    }

    #[test]
    fn a_newer_order_takes_the_place_of_an_older_one() {
        let (mut orders, start) = (Orders::default(), Instant::now());
        orders.drain(SERVER, Some(Duration::from_secs(1)), start);
        orders.weigh(SERVER, 3, None, start);
        assert_eq!((orders.poll_timeout(), orders.of(SERVER).map(|ordered| ordered.weight)), (None, Some(3)));
        orders.retain(|_| false);
        assert_eq!(orders.of(SERVER), None);
    }
}
