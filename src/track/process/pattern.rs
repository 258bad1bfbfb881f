//! Which processes are meant.

use super::ProcessTracker;
use standfast_parser::model::ParamMatch;
use std::fs::File;
use std::io::Read as _;

/// Longest name that the kernel keeps (`TASK_COMM_LEN` less its end).
const LONGEST_NAME: usize = 15;
/// What is read of a command line; no configured one comes near.
const LONGEST_COMMAND: u64 = 16 * 1024;
/// `/proc/PID/stat` up to the state.
const LONGEST_STAT: u64 = 128;

/// A process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    name: Vec<u8>,
    /// Words with a zero octet between them; empty for threads of the kernel.
    command: Vec<u8>,
}

impl Process {
    /// `None` when it is gone, or has ended and waits for its parent.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let stat = start_of(pid, "stat", LONGEST_STAT)?;
        let (open, close) = (stat.iter().position(|c| *c == b'(')?, stat.iter().rposition(|c| *c == b')')?);
        let name = stat.get(open + 1..close)?.to_vec();
        let state = stat.get(close + 2)?;
        let mut command = start_of(pid, "cmdline", LONGEST_COMMAND)?;
        while command.last() == Some(&0) {
            command.pop();
        }
        (!matches!(state, b'Z' | b'X' | b'x')).then_some(Self { name, command })
    }
}

fn start_of(pid: u32, file: &str, limit: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/{file}")).ok()?.take(limit).read_to_end(&mut text).ok()?;
    Some(text)
}

/// What a process must look like.
#[derive(Debug)]
pub(super) enum Pattern {
    /// Its name.
    Name(Vec<u8>),
    /// The first word of its command line.
    Program(Vec<u8>),
    /// Its whole command line.
    Exact(Vec<u8>),
    /// The first words of its command line.
    FirstWords(Vec<u8>),
    /// The beginning of its command line, the last word in part.
    Beginning(Vec<u8>),
}

impl Pattern {
    /// Names that the kernel cuts, and arguments, can only be compared with the command line.
    pub(super) fn new(tracker: &ProcessTracker) -> Self {
        let command = tracker.command.join("\0").into_bytes();
        match tracker.param_match {
            ParamMatch::Exact => Self::Exact(command),
            ParamMatch::Partial => Self::FirstWords(command),
            ParamMatch::Initial => Self::Beginning(command),
            ParamMatch::None if tracker.command.len() > 1 => Self::Exact(command),
            ParamMatch::None if tracker.full_command || command.len() > LONGEST_NAME => Self::Program(command),
            ParamMatch::None => Self::Name(command),
        }
    }

    pub(super) fn matches(&self, process: &Process) -> bool {
        let command = process.command.as_slice();
        match self {
            Self::Name(name) => process.name == *name,
            Self::Program(program) => command.split(|c| *c == 0).next() == Some(program),
            Self::Exact(words) => command == words.as_slice(),
            Self::FirstWords(words) => {
                command.strip_prefix(words.as_slice()).is_some_and(|rest| matches!(rest, [] | [0, ..]))
            }
            Self::Beginning(words) => command.starts_with(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn matches(words: &[&str], param_match: ParamMatch, full_command: bool, name: &str, command: &str) -> bool {
        let tracker = ProcessTracker {
            name: "p".into(),
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            param_match,
            full_command,
            quorum: 1,
            quorum_max: None,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
        };
        let command = command.replace(' ', "\0").into_bytes();
        Pattern::new(&tracker).matches(&Process { name: name.as_bytes().to_vec(), command })
    }

    #[test]
    fn a_name_alone_is_the_process_s_name() {
        let plain = |word: &str, name: &str, command: &str| matches(&[word], ParamMatch::None, false, name, command);
        assert!(plain("sshd", "sshd", "/usr/sbin/sshd -D"));
        assert!(!plain("ssh", "sshd", "/usr/sbin/sshd -D"));
        assert!(!plain("/usr/sbin/sshd", "sshd", "sshd"));
        assert!(plain("a-name-of-more-than-15", "a-name-of-more-", "a-name-of-more-than-15 -x"));
    }

    #[test]
    fn a_full_command_is_the_first_word_of_the_command_line() {
        let full = |command: &str| matches(&["/usr/sbin/sshd"], ParamMatch::None, true, "sshd", command);
        assert!(full("/usr/sbin/sshd -D") && full("/usr/sbin/sshd"));
        assert!(!full("/usr/sbin/sshd2") && !full("sshd") && !full(""));
    }

    #[test]
    fn arguments_match_whole_or_in_part() {
        let with = |how, command: &str| matches(&["/bin/a", "-x", "one"], how, false, "a", command);
        let cases = [
            ("/bin/a -x one", [true, true, true]),
            ("/bin/a -x one two", [false, true, true]),
            ("/bin/a -x one2", [false, false, true]),
            ("/bin/a -x", [false, false, false]),
            ("/bin/b -x one", [false, false, false]),
        ];
        for (command, [exact, partial, initial]) in cases {
            assert_eq!(with(ParamMatch::None, command), exact, "{command}");
            assert_eq!(with(ParamMatch::Exact, command), exact, "{command}");
            assert_eq!(with(ParamMatch::Partial, command), partial, "{command}");
            assert_eq!(with(ParamMatch::Initial, command), initial, "{command}");
        }
        assert!(!matches(&["/bin/a"], ParamMatch::Exact, false, "a", "/bin/a -x"), "no arguments are allowed");
    }

    #[test]
    fn this_process_can_be_read_and_none_that_does_not_exist() {
        let own = Process::read(std::process::id()).unwrap();
        assert!(!own.name.is_empty() && !own.command.is_empty());
        assert_eq!(Process::read(u32::MAX), None);
    }
}
