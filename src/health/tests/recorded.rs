//! What keepalived logged and did to the kernel's table, replayed: the same configuration and the same fates of the servers must
//! bring the same lines and changes. Order counts within one server; several servers that change at once come in any order.

use super::*;
use standfast_checkers::judge::{Attempt, Evidence, Fault, Judge};
use standfast_checkers::script::{Command, Outcome};
use standfast_checkers::{CheckerSpec, ProbeSpec};
use standfast_ipvs::{DestinationConfig, ServiceConfig, ServiceId};
use standfast_parser::{MemoryLoader, Options};
use std::collections::BTreeMap;

#[test]
fn http_checks_with_a_quorum_and_a_sorry_server() {
    replay(include_str!("recorded/http.txt"));
}

#[test]
fn inhibition_in_alpha_and_omega_mode() {
    replay(include_str!("recorded/inhibit.txt"));
}

#[test]
fn weights_from_programs() {
    replay(include_str!("recorded/misc.txt"));
}

#[test]
fn a_quorum_with_hysteresis() {
    replay(include_str!("recorded/hysteresis.txt"));
}

/// keepalived asks a server that was down once before the reload only once more, ours twice: what stays keeps its state.
#[test]
fn reloads_by_differences() {
    replay(include_str!("recorded/reload.txt"));
}

/// Longer than any round with its retries and time-outs.
const PHASE: Duration = Duration::from_secs(40);

fn replay(recording: &str) {
    let (config, events) = recording.split_once("\n=====\n").unwrap();
    let mut site = Site::new(config);
    for phase in events.split("\n## ") {
        let (deed, expected) = match phase.split_once('\n') {
            Some((deed, lines)) if !deed.starts_with(['L', 'T']) => (Some(deed), lines),
            _ if phase.starts_with(['L', 'T']) => (None, phase),
            _ => (Some(phase), ""),
        };
        let (config, expected) = expected.split_once("-----\n").unwrap_or(("", expected));
        let mut expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        let mut seen = match deed {
            Some("stop") => site.stop(),
            Some("reload") => site.reload(config),
            Some(deeds) => site.go_on_with(deeds),
            None => site.pass(PHASE),
        };
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected, "after `{}`", deed.unwrap_or("start"));
    }
}

/// The checkers of a configuration with a clock of their own, and the fates of the servers.
struct Site {
    farm: Farm,
    ids: Ids,
    checkers: Vec<(CheckerSpec, Judge, Instant)>,
    /// Servers that fail, by address; exit statuses of programs, by their argument.
    failing: BTreeMap<String, bool>,
    statuses: BTreeMap<String, u8>,
    table: BTreeMap<(ServiceId, SocketAddr), DestinationConfig>,
    services: BTreeMap<ServiceId, ServiceConfig>,
    now: Instant,
}

impl Site {
    fn new(config: &str) -> Self {
        let mut ids = Ids::default();
        let mut plan = plan(config, &mut ids);
        let now = Instant::now();
        let checkers = std::mem::take(&mut plan.checkers).into_iter().map(|spec| begin(spec, now, false)).collect();
        let mut farm = Farm::default();
        farm.load(plan, now);
        let (failing, statuses) = (BTreeMap::new(), BTreeMap::new());
        let (table, services) = (BTreeMap::new(), BTreeMap::new());
        Self { farm, ids, checkers, failing, statuses, table, services, now }
    }

    /// Checkers that stay as they are go on, others begin anew.
    fn reload(&mut self, config: &str) -> Vec<String> {
        let mut plan = plan(config, &mut self.ids);
        let mut running = std::mem::take(&mut self.checkers);
        for spec in std::mem::take(&mut plan.checkers) {
            let known = running.iter().position(|(known, ..)| *known == spec);
            self.checkers.push(known.map_or_else(|| begin(spec, self.now, true), |index| running.swap_remove(index)));
        }
        self.farm.load(plan, self.now);
        self.pass(PHASE)
    }

    fn go_on_with(&mut self, deeds: &str) -> Vec<String> {
        for deed in deeds.split(", ") {
            match deed.split(' ').collect::<Vec<_>>().as_slice() {
                ["script", name, "exits", status] => {
                    self.statuses.insert((*name).to_owned(), status.parse().unwrap());
                }
                [server, fate] => {
                    self.failing.insert((*server).to_owned(), *fate == "fails");
                }
                other => panic!("{other:?}"),
            }
        }
        self.pass(PHASE)
    }

    fn pass(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut lines = self.drain();
        let due = |site: &Self| (0..site.checkers.len()).min_by_key(|index| site.checkers[*index].2);
        while let Some(index) = due(self).filter(|index| self.checkers[*index].2 <= end) {
            self.attempt(index);
            lines.extend(self.drain());
        }
        self.now = end;
        lines
    }

    fn attempt(&mut self, index: usize) {
        let outcome = self.outcome(&self.checkers[index].0.probe);
        let (spec, judge, next) = &mut self.checkers[index];
        let now = *next;
        let judgement = judge.observe(&outcome, now, now);
        *next = judgement.next;
        for event in judgement.events {
            self.farm.handle(&event.about(spec.id), now);
        }
    }

    fn outcome(&self, probe: &ProbeSpec) -> Attempt {
        let (target, passed) = match probe {
            ProbeSpec::Tcp(connect) => (connect.target, Attempt::Passed),
            ProbeSpec::Http(http) => (http.connect.target, Attempt::HttpPassed(Evidence::Status)),
            ProbeSpec::Misc(misc) => {
                let status = self.statuses.get(&misc.command.arguments()[0]).copied().unwrap_or(0);
                return Attempt::Script(Outcome::Exited(status));
            }
            other => panic!("{other:?}"),
        };
        let fails = self.failing.get(&target.to_string()).copied().unwrap_or(false);
        if fails { Attempt::Failed(Fault::new("failed", "refused")) } else { passed }
    }

    fn stop(&mut self) -> Vec<String> {
        self.farm.stop(self.now);
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(effect) = self.farm.poll_effect() {
            match effect {
                FarmEffect::Log(line) => lines.push(format!("L {line}")),
                FarmEffect::Table(change) => lines.push(format!("T {}", self.carry_out(change))),
                FarmEffect::Event(_) => {}
                FarmEffect::Warn(line) => panic!("{line}"),
            }
        }
        lines
    }

    /// The change in the notation of the recordings.
    fn carry_out(&mut self, change: TableChange) -> String {
        match change {
            TableChange::AddService(service) => {
                let line = format!("+ {}", head(&service));
                self.services.insert(service.id, service);
                line
            }
            TableChange::RemoveService(id) => format!("- {}", head(&self.services.remove(&id).unwrap())),
            TableChange::AddDestination(id, server) => {
                let line = format!("+ {} -> {} {}", at(&id), place(&server), method(&server));
                self.table.insert((id, SocketAddr::new(server.address, server.port)), server);
                line
            }
            TableChange::EditDestination(id, server) => {
                let key = (id, SocketAddr::new(server.address, server.port));
                let (new, where_) = (method(&server), place(&server));
                let old = self.table.insert(key, server).unwrap();
                format!("~ {} -> {where_}: {} => {new}", at(&id), method(&old))
            }
            TableChange::RemoveDestination(id, server) => {
                let old = self.table.remove(&(id, server)).unwrap();
                format!("- {} -> {server} {}", at(&id), method(&old))
            }
            TableChange::EditService(service) => {
                let old = self.services.insert(service.id, service.clone()).unwrap();
                format!("~ {} => {}", head(&old), manner(&service))
            }
        }
    }
}

fn head(service: &ServiceConfig) -> String {
    let ServiceId::Address(key) = service.id else { panic!("{service:?}") };
    format!("{} {} {}", key.protocol, at(&service.id), manner(service))
}

fn manner(service: &ServiceConfig) -> String {
    let ops = if service.one_packet { " ops" } else { "" };
    let persistence = service.persistence.as_ref();
    let persistent = persistence.map_or_else(String::new, |it| format!(" persistent {}", it.timeout.as_secs()));
    format!("{}{ops}{persistent}", service.scheduler)
}

fn plan(config: &str, ids: &mut Ids) -> Plan {
    let parsed = standfast_parser::parse(&MemoryLoader::single("a", config), "a".as_ref(), &Options::default());
    let program = |script: &standfast_parser::model::Script| {
        let (program, arguments) = script.argv.split_first()?;
        Some(Command::new(program.as_str()).with_arguments(arguments.iter().cloned()))
    };
    Plan::new(&parsed.config, ids, &mut { program })
}

fn begin(spec: CheckerSpec, now: Instant, joins: bool) -> (CheckerSpec, Judge, Instant) {
    let judge = Judge::new(spec.settings.clone(), spec.probe.judge_kind(), &spec.service, &spec.virtual_service);
    let judge = if joins { judge.joining() } else { judge };
    let first = judge.first_attempt(now, u32::MAX / 3);
    (spec, judge, first)
}

fn at(id: &ServiceId) -> String {
    let ServiceId::Address(key) = id else { panic!("{id:?}") };
    format!("{}:{}", key.address, key.port)
}

fn place(server: &DestinationConfig) -> String {
    format!("{}:{}", server.address, server.port)
}

fn method(server: &DestinationConfig) -> String {
    let method = match server.forwarding {
        Forwarding::Nat => "Masq",
        Forwarding::Dr => "Route",
        _ => "Tunnel",
    };
    format!("{method} {}", server.weight)
}
