//! How the runs of a `vrrp_script` become its state. Pure.

use std::fmt;

/// How one run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// With this exit status; 0 is success.
    Exited(u8),
    /// By a signal that was not ours.
    Signaled(i32),
    /// It took too long and was killed.
    TimedOut,
    /// It could not be started, for this reason.
    NotStarted(String),
}

impl Run {
    fn succeeded(&self) -> bool {
        *self == Self::Exited(0)
    }
}

/// keepalived's words behind the name of the script.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(0) => f.write_str("succeeded"),
            Self::Exited(status) => write!(f, "failed (exited with status {status})"),
            Self::Signaled(signal) => write!(f, "failed (due to signal {signal})"),
            Self::TimedOut => f.write_str("timed_out"),
            Self::NotStarted(reason) => write!(f, "failed (cannot be run: {reason})"),
        }
    }
}

/// What follows from a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The exit status, when it differs from the one before.
    pub other_status: Option<u8>,
    /// The new state, when it changed or is known for the first time: true is up.
    pub change: Option<bool>,
}

/// The state of one script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptJudge {
    rise: u32,
    fall: u32,
    up: Option<bool>,
    /// Runs in a row that contradict `up`.
    contrary: u32,
    last_status: u8,
}

impl ScriptJudge {
    /// A script that has not run yet. `rise` and `fall` count runs in a row, at least one.
    #[must_use]
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), up: None, contrary: 0, last_status: 0 }
    }

    /// Takes other limits and keeps the state.
    pub fn set_limits(&mut self, rise: u32, fall: u32) {
        (self.rise, self.fall) = (rise.max(1), fall.max(1));
    }

    /// The state; `None` before the first run.
    #[must_use]
    pub fn state(&self) -> Option<bool> {
        self.up
    }

    /// keepalived's measure of how far from a change it is: below `rise` it is down, `rise + fall - 1` is up without a
    /// failure since; `None` before the first run.
    #[must_use]
    pub fn result(&self) -> Option<u32> {
        self.up.map(|up| match up {
            true => (self.rise + self.fall - 1).saturating_sub(self.contrary),
            false => self.contrary,
        })
    }

    /// Judges a run. The first one counts at once, later ones need `rise` successes or `fall` failures in a row.
    pub fn judge(&mut self, run: &Run) -> Verdict {
        let other_status = match run {
            Run::Exited(status) if *status != self.last_status => Some(*status),
            _ => None,
        };
        self.last_status = other_status.unwrap_or(self.last_status);
        Verdict { other_status, change: self.count(run.succeeded()) }
    }

    fn count(&mut self, success: bool) -> Option<bool> {
        let needed = match self.up {
            None => 0,
            Some(up) if up == success => {
                self.contrary = 0;
                return None;
            }
            Some(true) => self.fall,
            Some(false) => self.rise,
        };
        self.contrary += 1;
        if self.contrary < needed {
            return None;
        }
        self.contrary = 0;
        self.up = Some(success);
        self.up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Run = Run::Exited(0);

    fn changes(rise: u32, fall: u32, runs: &[Run]) -> Vec<Option<bool>> {
        let mut judge = ScriptJudge::new(rise, fall);
        runs.iter().map(|run| judge.judge(run).change).collect()
    }

    #[test]
    fn the_result_tells_how_far_a_change_is() {
        let mut judge = ScriptJudge::new(2, 3);
        assert_eq!(judge.result(), None);
        let mut after = |run: Run| {
            judge.judge(&run);
            judge.result()
        };
        let runs = [OK, Run::TimedOut, Run::TimedOut, OK, Run::TimedOut, Run::TimedOut, Run::TimedOut, OK, OK];
        let expected = [4, 3, 2, 4, 3, 2, 0, 1, 4].map(Some);
        assert_eq!(runs.map(&mut after), expected);
    }

    #[test]
    fn the_first_run_counts_at_once() {
        assert_eq!(changes(5, 5, &[OK]), [Some(true)]);
        assert_eq!(changes(5, 5, &[Run::TimedOut]), [Some(false)]);
    }

    #[test]
    fn later_runs_need_rise_and_fall_in_a_row() {
        let bad = Run::Exited(1);
        let runs = [OK, bad.clone(), bad.clone(), OK, bad.clone(), bad.clone(), bad.clone(), OK, bad.clone(), OK, OK];
        let expected = [Some(true), None, None, None, None, None, Some(false), None, None, None, Some(true)];
        assert_eq!(changes(2, 3, &runs), expected);
    }

    #[test]
    fn every_kind_of_failure_counts() {
        for bad in [Run::Exited(7), Run::Signaled(9), Run::TimedOut, Run::NotStarted("x".into())] {
            assert_eq!(changes(1, 2, &[OK, bad.clone(), bad]), [Some(true), None, Some(false)]);
        }
    }

    #[test]
    fn statuses_are_told_when_they_differ_as_keepalived_does() {
        let mut judge = ScriptJudge::new(2, 3);
        let mut told = |run: Run| judge.judge(&run).other_status;
        assert_eq!(told(Run::Signaled(9)), None);
        assert_eq!(told(OK), None);
        assert_eq!(told(Run::Exited(7)), Some(7));
        assert_eq!(told(Run::Exited(7)), None);
        assert_eq!(told(Run::TimedOut), None);
        assert_eq!(told(OK), Some(0));
    }

    #[test]
    fn limits_of_zero_are_one() {
        assert_eq!(changes(0, 0, &[OK, Run::Exited(1), OK]), [Some(true), Some(false), Some(true)]);
    }

    #[test]
    fn words_are_those_of_keepalived() {
        assert_eq!(OK.to_string(), "succeeded");
        assert_eq!(Run::Exited(1).to_string(), "failed (exited with status 1)");
        assert_eq!(Run::Signaled(11).to_string(), "failed (due to signal 11)");
        assert_eq!(Run::TimedOut.to_string(), "timed_out");
    }
}
