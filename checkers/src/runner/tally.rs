use crate::judge::Attempt;
use crate::script::Outcome;
use std::time::Duration;

/// What a checker has done since it runs; another probe in its place counts anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that have ended.
    pub attempts: u64,
    /// Of these, those in which the server did not pass.
    pub failures: u64,
    /// How long the latest one took; `None` before the first.
    pub latest: Option<Duration>,
}

impl Tally {
    pub(super) fn count(&mut self, attempt: &Attempt, took: Duration, dynamic: bool) {
        self.attempts += 1;
        self.failures += u64::from(failed(attempt, dynamic));
        self.latest = Some(took);
    }
}

/// As the judge sees it: a `misc_dynamic` program gives weights from status 2 on.
fn failed(attempt: &Attempt, dynamic: bool) -> bool {
    match attempt {
        Attempt::Passed | Attempt::HttpPassed(_) | Attempt::Unjudged(_) => false,
        Attempt::Failed(_) => true,
        Attempt::Script(Outcome::Exited(0)) => false,
        Attempt::Script(Outcome::Exited(2..)) => !dynamic,
        Attempt::Script(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_those_of_the_server() {
        let mut tally = Tally::default();
        let program = |status| Attempt::Script(Outcome::Exited(status));
        for (attempt, dynamic) in [
            (Attempt::Passed, false),
            (Attempt::Unjudged("no descriptor".to_owned()), false),
            (program(0), false),
            (program(5), true),
            (program(5), false),
            (program(1), true),
            (Attempt::Script(Outcome::TimedOut), true),
        ] {
            tally.count(&attempt, Duration::from_millis(3), dynamic);
        }
        assert_eq!(tally, Tally { attempts: 7, failures: 3, latest: Some(Duration::from_millis(3)) });
    }
}
