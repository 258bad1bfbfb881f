//! The daemon under test, shared by the end-to-end tests.

#![expect(dead_code, reason = "every test binary uses its own part")]

pub mod site;

use standfast_labkit::{Finished, Host, Lab, Process, Switch, eventually};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Long enough for an election (3.6 s) on a busy machine.
pub const ELECTION: Duration = Duration::from_secs(8);
/// Long enough for anything that should happen at once.
pub const SOON: Duration = Duration::from_secs(3);

/// The program under test and its first arguments: `STANDFAST_UNDER_TEST`, for instance `/usr/sbin/keepalived -P` to check the
/// expectations themselves.
pub fn program() -> (PathBuf, Vec<String>) {
    match std::env::var("STANDFAST_UNDER_TEST") {
        Ok(command) => {
            let mut words = command.split_whitespace().map(str::to_owned);
            (words.next().unwrap().into(), words.collect())
        }
        Err(_) => (env!("CARGO_BIN_EXE_standfast").into(), Vec::new()),
    }
}

/// A daemon with files of its own: configuration, pid files, and what scripts write.
pub struct Daemon {
    pub host: Host,
    pub directory: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Daemon {
    /// Writes `config` into a directory for this host; `DIR` in it stands for that directory. Starts nothing.
    pub fn prepare(lab: &Lab, host: &Host, config: &str) -> Daemon {
        let directory = lab.scratch().join(format!("{}-daemon", host.name()));
        std::fs::create_dir_all(&directory).unwrap();
        let (program, arguments) = program();
        let daemon = Daemon { host: host.clone(), directory, program, arguments, process: None };
        daemon.configure(config);
        daemon
    }

    /// As [`Daemon::prepare`], and starts it.
    pub fn start(lab: &Lab, host: &Host, config: &str) -> Daemon {
        let mut daemon = Daemon::prepare(lab, host, config);
        daemon.launch();
        daemon
    }

    /// Another program than the one under test, for instance the distribution's keepalived as the peer.
    pub fn with_program(mut self, program: &str) -> Daemon {
        self.program = standfast_labkit::find_tool(program).unwrap_or_else(|| program.into());
        self.arguments.clear();
        self
    }

    /// A program by its path in place of the one under test.
    pub fn with_path(mut self, path: PathBuf) -> Daemon {
        self.program = path;
        self.arguments.clear();
        self
    }

    /// More arguments, split at blanks.
    pub fn with_arguments(mut self, arguments: &str) -> Daemon {
        self.arguments.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// Rewrites the configuration file.
    pub fn configure(&self, config: &str) {
        let config = config.replace("DIR", &self.directory.display().to_string());
        std::fs::write(self.config(), config).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.directory.join("keepalived.conf")
    }

    pub fn launch(&mut self) {
        let mut command = self.host.command(&self.program);
        command.args(["-n", "-l", "-D", "-f"]).arg(self.config()).args(&self.arguments);
        for (option, file) in [("-p", "parent.pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid")] {
            command.arg(option).arg(self.directory.join(file));
        }
        self.process = Some(self.host.start_command(&mut command).unwrap());
    }

    /// Runs to its end with these arguments in place of the usual ones.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = self.host.command(&self.program);
        self.host.start_command(command.args(&self.arguments).args(arguments)).unwrap().finish(ELECTION).unwrap()
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Waits for a text in the log.
    #[track_caller]
    pub fn await_log(&self, text: &str, limit: Duration) {
        let found = standfast_labkit::wait_until(limit, || self.log().contains(text));
        assert!(found.is_some(), "no `{text}` within {limit:?} in the log of {}:\n{}", self.host.name(), self.log());
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: nix::sys::signal::Signal) {
        self.process().signal(signal).unwrap();
    }

    /// `SIGTERM`, and waits; the exit code.
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        let status = self.process().wait(ELECTION);
        status.unwrap_or_else(|| panic!("does not stop:\n{}", self.log())).code().unwrap_or(-1)
    }

    /// The lines of a file in its directory; none when it does not exist.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until `line` is in the file.
    #[track_caller]
    pub fn await_line(&self, name: &str, line: &str, limit: Duration) {
        let found = standfast_labkit::wait_until(limit, || self.lines(name).iter().any(|l| l == line));
        assert!(found.is_some(), "no line `{line}` in {name}: {:?}\n{}", self.lines(name), self.log());
    }

    /// An executable script in its directory.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        write_script(&self.directory.join(name), text)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {}:\n{}---", self.host.name(), self.log());
        }
    }
}

pub fn write_script(path: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}

/// Two directors and a client on one switch, 10.7.0.0/24: client .1, directors .11 and .12, interface `eth0` everywhere.
pub struct Pair {
    pub client: Host,
    pub directors: [Host; 2],
    pub ports: [String; 2],
    pub switch: Switch,
    pub lab: Lab,
}

impl Pair {
    pub fn new(name: &str) -> Pair {
        let lab = Lab::new(name).unwrap();
        let switch = lab.switch("lan").unwrap();
        let client = plugged(&lab, &switch, "client", "10.7.0.1/24").0;
        let (first, first_port) = plugged(&lab, &switch, "director1", "10.7.0.11/24");
        let (second, second_port) = plugged(&lab, &switch, "director2", "10.7.0.12/24");
        Pair { client, directors: [first, second], ports: [first_port, second_port], switch, lab }
    }

    /// Starts the daemon on the director of this index (0 or 1).
    pub fn start(&self, index: usize, config: &str) -> Daemon {
        Daemon::start(&self.lab, &self.directors[index], config)
    }

    /// Cuts the director's cable at the switch, or mends it.
    pub fn set_port(&self, index: usize, state: &str) {
        self.switch.host().ip(&format!("link set {} {state}", self.ports[index])).unwrap();
    }
}

/// A host with `eth0` in the switch and an address; also the switch's port.
pub fn plugged(lab: &Lab, switch: &Switch, name: &str, address: &str) -> (Host, String) {
    let host = lab.host(name).unwrap();
    let port = switch.plug(&host, "eth0").unwrap();
    host.ip(&format!("addr add {address} dev eth0")).unwrap();
    (host, port)
}

/// Waits until `host` has the address on `eth0`.
#[track_caller]
pub fn await_address(host: &Host, address: &str, limit: Duration) -> Duration {
    eventually(limit, &format!("{address} on {}", host.name()), || host.has_address("eth0", address))
}

/// Waits until `host` has it no more.
#[track_caller]
pub fn await_no_address(host: &Host, address: &str, limit: Duration) -> Duration {
    eventually(limit, &format!("no {address} on {}", host.name()), || !host.has_address("eth0", address))
}
