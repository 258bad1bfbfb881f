//! Plays a scenario on a network: three directors `d1`, `d2`, `d3` (10.77.0.1 to .3) and a client `c` (.100) on a switch.
//!
//! Steps: a number waits so many seconds; `start H OPTIONS`, `stop H` (SIGTERM, exit code noted), `kill H` (SIGKILL, all its
//! processes), `run H` (a daemon with the same files beside it or alone, until it ends; exit code noted), `hup H`, `signal H NAME`,
//! `conf H NAME` (another configuration), `unconf H` (none), `ip H ...`, `cut H`, `mend H` (the switch's port), `inject H ...`
//! (see [`crate::inject`]), `ping H ADDRESS`, `mail H` (a server there), `mails H` (what it got), `vips`, and steps with files,
//! see [`files`].

mod files;

use crate::compare::Record;
use crate::inject;
use crate::script::Scenario;
use crate::wire::Capture;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use standfast_labkit::servers::{Mail, MailSink};
use standfast_labkit::{Host, Lab, Process, Switch};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
const LEISURE: Duration = Duration::from_millis(1_600);

/// Who plays `d1` and the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    Keepalived,
    Standfast,
    /// `d1` is ours, the others are keepalived's.
    OursFirst,
    /// `d1` is keepalived's, the others are ours.
    OursSecond,
}

impl Cast {
    fn is_ours(self, host: &str) -> bool {
        match self {
            Self::Keepalived => false,
            Self::Standfast => true,
            Self::OursFirst => host == "d1",
            Self::OursSecond => host != "d1",
        }
    }

    fn program(self, host: &str) -> PathBuf {
        match self.is_ours(host) {
            false => standfast_labkit::find_tool("keepalived").unwrap(),
            true => env!("CARGO_BIN_EXE_standfast").into(),
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Keepalived => "kk",
            Self::Standfast => "ss",
            Self::OursFirst => "sk",
            Self::OursSecond => "ks",
        }
    }
}

struct Stage<'a> {
    scenario: &'a Scenario,
    cast: Cast,
    lab: Lab,
    switch: Switch,
    hosts: BTreeMap<&'static str, (Host, String)>,
    running: BTreeMap<String, Process>,
    helpers: Vec<Process>,
    sinks: BTreeMap<String, MailSink>,
    record: Record,
}

pub fn play(scenario: &Scenario, cast: Cast) -> Record {
    let mut stage = Stage::new(scenario, cast);
    let capture = Capture::start(&stage.hosts["c"].0);
    for step in scenario.steps() {
        stage.step(step);
    }
    stage.end();
    stage.record.wire(&capture.frames());
    stage.record
}

impl<'a> Stage<'a> {
    fn new(scenario: &'a Scenario, cast: Cast) -> Self {
        let lab = Lab::new(&format!("{}-{}", scenario.name, cast.mark())).unwrap();
        let switch = lab.switch("lan").unwrap();
        let names = [("d1", 1), ("d2", 2), ("d3", 3), ("c", 100)];
        let hosts = names.map(|(name, last)| (name, plug(&lab, &switch, name, last)));
        let stage = Self {
            scenario,
            cast,
            lab,
            switch,
            hosts: hosts.into_iter().collect(),
            running: BTreeMap::new(),
            helpers: Vec::new(),
            sinks: BTreeMap::new(),
            record: Record::default(),
        };
        for host in ["d1", "d2", "d3"] {
            std::fs::create_dir_all(stage.directory(host)).unwrap();
            stage.exits(host, "0");
            stage.tells(host);
            if scenario.configurations.iter().any(|(name, _)| *name == host) {
                stage.configure(host, host);
            }
        }
        stage
    }

    fn step(&mut self, step: &str) {
        if let Ok(seconds) = step.parse() {
            return std::thread::sleep(Duration::from_secs_f64(seconds));
        }
        let mut words = step.splitn(3, ' ');
        let (verb, host, rest) = (words.next().unwrap(), words.next().unwrap_or(""), words.next().unwrap_or(""));
        match verb {
            "vips" => self.note_addresses(),
            "start" => self.start(host, rest),
            "stop" => self.stop(host),
            "kill" => self.kill(host),
            "run" => self.run(host),
            "hup" => self.running[host].signal(Signal::SIGHUP).unwrap(),
            "signal" => self.running[host].signal(rest.parse().unwrap()).unwrap(),
            "conf" => self.configure(host, rest),
            "unconf" => std::fs::remove_file(self.file(host, "keepalived.conf")).unwrap(),
            "cut" => self.set_port(host, 0),
            "mend" => self.set_port(host, 3),
            "ip" => self.hosts[host].0.ip(rest).unwrap(),
            "inject" => inject::inject(&self.hosts[host].0, rest),
            "ping" => self.ping(host, rest),
            "mail" => self.open_mail(host),
            "mails" => self.note_mails(host),
            _ => self.step_with_file(verb, host, rest),
        }
    }

    fn directory(&self, host: &str) -> PathBuf {
        self.lab.scratch().join(host)
    }

    fn file(&self, host: &str, name: &str) -> PathBuf {
        self.directory(host).join(name)
    }

    fn configure(&self, host: &str, name: &str) {
        let found = self.scenario.configurations.iter().find(|(known, _)| *known == name).unwrap();
        let text = found.1.replace("DIR", &self.directory(host).display().to_string());
        std::fs::write(self.file(host, "keepalived.conf"), text).unwrap();
    }

    fn start(&mut self, host: &str, options: &str) {
        let process = self.hosts[host].0.start_command(self.daemon(host).args(options.split_whitespace())).unwrap();
        self.note_log(host);
        self.running.insert(host.to_owned(), process);
    }

    fn daemon(&self, host: &str) -> Command {
        let mut command = self.hosts[host].0.command(self.cast.program(host));
        command.env("TMPDIR", self.directory(host));
        command.args(["-n", "-l", "-D", "-P", "-f"]).arg(self.file(host, "keepalived.conf"));
        for (option, file) in [("-p", "pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid"), ("-b", "bfd.pid")] {
            command.arg(option).arg(self.file(host, file));
        }
        command
    }

    /// Its log is not compared: all but its end is about reading the configuration.
    fn run(&mut self, host: &str) {
        let mut process = self.hosts[host].0.start_command(&mut self.daemon(host)).unwrap();
        let ended = process.wait(PATIENCE).and_then(|status| status.code());
        self.record.note(format!("a run on {host} ends with {ended:?}"));
    }

    fn ping(&mut self, host: &str, address: &str) {
        let answer = self.hosts[host].0.run("ping", ["-c", "1", "-W", "1", address]);
        let answered = answer.is_ok_and(|answer| answer.status.success());
        self.record.note(format!("{address} answers {host}: {answered}"));
    }

    fn open_mail(&mut self, host: &str) {
        let sink = MailSink::start(&self.hosts[host].0, "0.0.0.0:25").unwrap();
        self.sinks.insert(host.to_owned(), sink);
    }

    /// Mails come over several connections: they have no order.
    fn note_mails(&mut self, host: &str) {
        let mut mails: Vec<String> = self.sinks[host].mails().iter().map(described).collect();
        mails.sort();
        mails.into_iter().for_each(|mail| self.record.note(mail));
    }

    fn stop(&mut self, host: &str) {
        let (process, began) = (self.running.get_mut(host).unwrap(), Instant::now());
        let _ = process.signal(Signal::SIGTERM);
        let status = process.wait(PATIENCE);
        // keepalived takes a second; the next step comes at the same time for both.
        std::thread::sleep(LEISURE.saturating_sub(began.elapsed()));
        let code = status.map_or_else(|| "none".to_owned(), |status| status.code().unwrap_or(-1).to_string());
        self.record.note(format!("{host} ends with {code}"));
        self.note_log(host);
    }

    fn kill(&mut self, host: &str) {
        let read = |name| std::fs::read_to_string(self.file(host, name)).ok()?.trim().parse().ok();
        let children: Vec<i32> = ["vrrp.pid", "bfd.pid"].into_iter().filter_map(read).collect();
        let process = self.running.get_mut(host).unwrap();
        if !self.cast.is_ours(host) {
            // None of them sees another die.
            let _ = process.signal(Signal::SIGSTOP);
            for child in children {
                let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
            }
        }
        process.kill();
        self.note_log(host);
    }

    fn end(&mut self) {
        for host in self.running.keys().cloned().collect::<Vec<_>>() {
            self.kill(&host);
        }
    }

    /// The log of the process that ran in `host`, if any.
    fn note_log(&mut self, host: &str) {
        if let Some(process) = self.running.remove(host) {
            self.record.log(host, &process.output(), &self.directory(host));
        }
    }

    fn note_addresses(&mut self) {
        for (name, (host, _)) in &self.hosts {
            let mut found = host.addresses("eth0").unwrap_or_default();
            found
                .retain(|address| address.contains("77.0.2") || address.contains(":200/") || address.contains("::77/"));
            found.sort();
            self.record.note(format!("{name} has {found:?}"));
        }
    }

    fn set_port(&self, host: &str, state: u8) {
        let port = &self.hosts[host].1;
        self.switch.host().run_checked("bridge", &format!("link set dev {port} state {state}")).unwrap();
    }
}

fn plug(lab: &Lab, switch: &Switch, name: &str, last: u8) -> (Host, String) {
    let host = lab.host(name).unwrap();
    host.sysctl("net.ipv6.conf.default.accept_dad", "0").unwrap();
    let port = switch.plug(&host, "eth0").unwrap();
    host.ip("link set eth0 down").unwrap();
    host.ip(&format!("link set eth0 address 02:77:00:00:00:{last:02x} up")).unwrap();
    host.ip(&format!("addr add 10.77.0.{last}/24 dev eth0")).unwrap();
    host.ip(&format!("addr add fd77::{last:x}/64 dev eth0 nodad")).unwrap();
    (host, port)
}

/// All of a mail but its date.
fn described(mail: &Mail) -> String {
    let Mail { greeting, sender, recipients, text } = mail;
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("Date: ")).collect();
    format!("mail by {greeting} from {sender} to {recipients:?}: {lines:?}")
}
