//! Quorum with hysteresis, and the sorry server that steps in.

use super::{Pool, PoolEffect};

/// The sorry server has no weight of its own.
const SORRY_WEIGHT: u32 = 1;

impl Pool {
    /// Looks whether the quorum was gained or lost. At the start the sorry server steps in without having been "lost".
    pub(super) fn update_quorum(&mut self, init: bool) {
        let sum = self.living_weight();
        let threshold = self.threshold();
        let starts_down = init && !self.quorum_up && self.sorry.is_some() && !self.sorry_serves();
        if !self.quorum_up && sum >= threshold {
            self.gain(sum, threshold, init);
        } else if (self.quorum_up && (sum == 0 || sum < threshold)) || starts_down {
            self.lose(sum, threshold, init);
        }
    }

    /// An inhibited sorry server waits in the table.
    pub(super) fn prepare_inhibited_sorry(&mut self) {
        let waiting = self.sorry.as_mut().filter(|sorry| sorry.config.inhibit && !sorry.in_table);
        if let Some(sorry) = waiting {
            sorry.in_table = true;
            self.effect(PoolEffect::AddSorry { weight: 0 });
        }
    }

    fn living_weight(&self) -> i64 {
        self.servers.iter().filter(|server| server.alive).map(|server| i64::from(server.weight())).sum()
    }

    fn threshold(&self) -> i64 {
        let (quorum, hysteresis) = (i64::from(self.quorum), i64::from(self.hysteresis));
        if self.quorum_up { quorum - hysteresis } else { quorum + hysteresis }
    }

    fn gain(&mut self, sum: i64, threshold: i64, init: bool) {
        self.quorum_up = true;
        let sums = format!("{}+{}={threshold} <= {sum}", self.quorum, self.hysteresis);
        self.log(format!("Gained quorum {sums} for VS {}", self.service));
        if self.sorry_serves() {
            self.relieve_sorry();
        }
        let what = if init { "Starting with quorum up" } else { "Gained quorum" };
        self.effect(PoolEffect::QuorumUp { text: format!("=> {what} {sums} <=") });
    }

    fn lose(&mut self, sum: i64, threshold: i64, init: bool) {
        self.quorum_up = false;
        let what = if init { "Starting with quorum down" } else { "Lost quorum" };
        let (quorum, hysteresis) = (self.quorum, self.hysteresis);
        self.log(format!("{what} {quorum}-{hysteresis}={threshold} > {sum} for VS {}", self.service));
        if self.sorry.is_some() && !self.sorry_serves() {
            self.call_sorry();
        }
        self.effect(PoolEffect::QuorumDown {
            text: format!("=> {what} {quorum}+{hysteresis}={threshold} <= {sum} <="),
        });
    }

    /// Nobody is left, which is told but not logged.
    pub(super) fn lose_all(&mut self) {
        let threshold = self.threshold();
        if std::mem::take(&mut self.quorum_up) {
            let (quorum, hysteresis) = (self.quorum, self.hysteresis);
            self.effect(PoolEffect::QuorumDown {
                text: format!("=> Lost quorum {quorum}+{hysteresis}={threshold} <= 0 <="),
            });
        }
    }

    /// The sorry server enters before the living leave, so that no moment is without a server.
    fn call_sorry(&mut self) {
        let Some(sorry) = &mut self.sorry else { return };
        sorry.serving = true;
        let known = std::mem::replace(&mut sorry.in_table, true);
        let verb = if sorry.config.inhibit { "Enabling" } else { "Adding" };
        let line = format!("{verb} sorry server {} to VS {}", sorry.config.name, self.service);
        self.log(line);
        self.effect(if known {
            PoolEffect::SetSorryWeight { weight: SORRY_WEIGHT }
        } else {
            PoolEffect::AddSorry { weight: SORRY_WEIGHT }
        });
        self.log(format!("Removing alive servers from the pool for VS {}", self.service));
        for index in 0..self.servers.len() {
            if self.is_alive(index) {
                self.leave_table(index);
            }
        }
    }

    fn relieve_sorry(&mut self) {
        let Some(sorry) = &mut self.sorry else { return };
        sorry.serving = false;
        sorry.in_table = sorry.config.inhibit;
        let verb = if sorry.config.inhibit { "Disabling" } else { "Removing" };
        let line = format!("{verb} sorry server {} from VS {}", sorry.config.name, self.service);
        let effect =
            if sorry.config.inhibit { PoolEffect::SetSorryWeight { weight: 0 } } else { PoolEffect::RemoveSorry };
        self.log(line);
        self.effect(effect);
        self.log(format!("Adding alive servers to the pool for VS {}", self.service));
        for index in 0..self.servers.len() {
            if self.is_alive(index) {
                self.enter_table(index);
            }
        }
    }

    fn is_alive(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(|server| server.alive)
    }
}
