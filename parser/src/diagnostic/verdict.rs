use super::{Diagnostic, Severity, Weight};

/// Exit codes that a set of diagnostics asks for (behaviour note 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Exit code of `--config-test`: 0, 2, 4, 5 or 6.
    pub test: u8,
    /// Exit code with which the daemon refuses to start; `None` when it runs.
    pub daemon: Option<u8>,
}

impl Verdict {
    /// The verdict over some diagnostics.
    #[must_use]
    pub fn of(diagnostics: &[Diagnostic]) -> Self {
        let fatal = |d: &Diagnostic| d.severity == Severity::Fatal;
        let unreadable = |d: &Diagnostic| fatal(d) && d.weight == Weight::Outranks;
        let daemon =
            if diagnostics.iter().any(unreadable) { Some(6) } else { diagnostics.iter().any(fatal).then_some(2) };
        Self { test: test_code(diagnostics.iter().map(|d| d.weight).max()), daemon }
    }
}

fn test_code(heaviest: Option<Weight>) -> u8 {
    match heaviest {
        None | Some(Weight::Silent) => 0,
        Some(Weight::Lesser) => 4,
        Some(Weight::Counts) => 5,
        Some(Weight::Outranks) => 6,
        Some(Weight::Ends) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_argument_outranks_everything() {
        let found = [
            Diagnostic::error("a", "x"),
            Diagnostic::fatal("b", "y").weighing(Weight::Ends),
            Diagnostic::trap("c", "z"),
        ];
        let verdict = Verdict::of(&found);
        assert_eq!((verdict.test, verdict.daemon), (2, Some(2)));
    }

    #[test]
    fn traps_leave_the_exit_code_alone() {
        let verdict = Verdict::of(&[Diagnostic::trap("c", "z")]);
        assert_eq!((verdict.test, verdict.daemon), (0, None));
    }

    #[test]
    fn a_fatal_fault_is_five_in_a_test_and_two_in_the_daemon() {
        let verdict = Verdict::of(&[Diagnostic::fatal("no-vrid", "z")]);
        assert_eq!((verdict.test, verdict.daemon), (5, Some(2)));
    }
}
