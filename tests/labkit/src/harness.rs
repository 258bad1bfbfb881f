//! A test binary's `main` (`harness = false`): sandbox first, then the tests, with visible skips.

use crate::{Unavailable, require_tools, sandbox};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;

/// One test: panics when it fails.
#[derive(Clone, Copy)]
pub struct Test {
    name: &'static str,
    tools: &'static [&'static str],
    root: bool,
    long: bool,
    device: Option<&'static str>,
    reason: fn() -> Option<String>,
    body: fn(),
}

impl Test {
    /// A test that needs nothing but namespaces and `ip`.
    pub fn new(name: &'static str, body: fn()) -> Test {
        Test { name, tools: &[], root: false, long: false, device: None, reason: || None, body }
    }

    /// Programs that it cannot do without.
    pub fn needs(mut self, tools: &'static [&'static str]) -> Test {
        self.tools = tools;
        self
    }

    /// It needs real root, not the root of a user namespace (for instance to switch to another user).
    pub fn needs_root(mut self) -> Test {
        self.root = true;
        self
    }

    /// It takes minutes: run only with `--ignored` or `--include-ignored`.
    pub fn long(mut self) -> Test {
        self.long = true;
        self
    }

    /// A kind of interface that the kernel must have, as `ip link add type` names it.
    pub fn needs_device(mut self, kind: &'static str) -> Test {
        self.device = Some(kind);
        self
    }

    /// Asks, inside the sandbox, why it cannot run.
    pub fn unless(mut self, reason: fn() -> Option<String>) -> Test {
        self.reason = reason;
        self
    }

    fn obstacle(&self, sandbox: &Result<sandbox::Privilege, Unavailable>) -> Option<String> {
        match sandbox {
            Err(reason) => Some(reason.to_string()),
            Ok(sandbox::Privilege::UserNamespace) if self.root => Some("needs real root".into()),
            Ok(_) => {
                let tools =
                    require_tools(&["ip"]).and(require_tools(self.tools)).err().map(|reason| reason.to_string());
                tools.or_else(|| self.device.and_then(missing_device)).or_else(self.reason)
            }
        }
    }

    fn into_trial(self, obstacle: Option<String>) -> Trial {
        let trial = Trial::ignorable_test(self.name, move || match obstacle {
            Some(reason) => {
                eprintln!("SKIPPED: {}: {reason}", self.name);
                Ok(Completion::ignored_with(reason))
            }
            None => run(self.body),
        });
        trial.with_ignored_flag(self.long)
    }
}

/// Asks for an interface that cannot be made as it stands; a kernel without its kind says another thing than one with it.
fn missing_device(kind: &str) -> Option<String> {
    let asked = std::process::Command::new("ip").args(["link", "add", "sfprobe", "type", kind]).output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    let unknown = ["Unknown device type", "not supported"].iter().any(|text| said.contains(text));
    unknown.then(|| format!("the kernel has no {kind}"))
}

fn run(body: fn()) -> Result<Completion, Failed> {
    body();
    Ok(Completion::Completed)
}

/// Runs the tests of one binary. A test that cannot run here is shown as ignored, with its reason.
///
/// At most six run at once unless `--test-threads` says otherwise: they mostly wait for protocol timers.
pub fn main(tests: impl IntoIterator<Item = Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(6);
    let sandbox = if arguments.list { Ok(sandbox::Privilege::Root) } else { sandbox::enter() };
    let trials = tests
        .into_iter()
        .map(|test| {
            let obstacle = if arguments.list { None } else { test.obstacle(&sandbox) };
            test.into_trial(obstacle)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Lists test functions by their own names: `tests![election, failover]`.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => { [$($crate::harness::Test::new(stringify!($name), $name)),*] };
}
