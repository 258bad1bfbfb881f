//! From what was played to what is told.

use super::forwarding::{self, Side, Table};
use super::model::{Finding, Loss, LossKind, Outlook};
use super::{restart, routers, watchers};
use crate::config::Loaded;
use crate::dataplane::Snapshot;
use crate::health::{Farm, FarmEffect, HealthEvent, World};
use crate::machine::Prepared;
use crate::notify::Event;
use crate::vrrp::{Performance, Rehearsal};
use standfast_parser::{Diagnostic, SourceMap};
use std::time::Instant;

/// Findings beyond this number are left out.
const MOST_FINDINGS: usize = 500;

/// What runs, at one moment.
#[derive(Debug)]
pub struct Scene {
    /// The configuration that runs, prepared like the one that may follow it.
    pub before: Prepared,
    /// Copies of VRRP; `None` where it does not run.
    pub vrrp: Option<Rehearsal>,
    /// A copy of the pools; `None` where there are none.
    pub farm: Option<Farm>,
    /// The forwarding table; `None` without a data plane.
    pub snapshot: Option<Snapshot>,
}

/// What becomes of a scene with another configuration. Path, outcome and findings are the caller's to fill in.
#[must_use]
pub fn outlook(scene: Scene, after: &Prepared, now: Instant) -> Outlook {
    let Scene { before, vrrp, farm, snapshot } = scene;
    let played = match vrrp {
        Some(rehearsal) => rehearsal.reconfigure(&after.setup, now),
        None => Performance::first(&after.setup),
    };
    let effects = farm.unwrap_or_else(|| Farm::new(World::default())).rehearse(after.plan.clone(), now);
    let old_table = snapshot.as_ref().map(Table::of).unwrap_or_default();
    let new_table = table_after(&old_table, &effects);
    let old = Side { config: &before.config, plan: &before.plan, table: &old_table };
    let new = Side { config: &after.config, plan: &after.plan, table: &new_table };
    let (settings, restart) = restart::others(&before.config, &after.config);
    let (statics, wanted) = (&before.setup.statics, &after.setup.statics);
    let mut outlook = Outlook {
        instances: routers::instances(&played, &before.config, &after.config),
        interfaces_made: played.made.clone(),
        interfaces_removed: played.unmade.clone(),
        statics_set: routers::things(&wanted.without(statics)),
        statics_removed: routers::things(&statics.without(wanted)),
        services: forwarding::services(old, new),
        checks: forwarding::checks(&before.plan, &after.plan),
        events: effects.iter().filter_map(event).collect(),
        watchers: watchers::watchers(&before, after),
        settings,
        restart,
        ..Outlook::default()
    };
    outlook.losses = losses(&played, &outlook, &new_table);
    outlook
}

fn table_after(before: &Table, effects: &[FarmEffect]) -> Table {
    let mut table = before.clone();
    for effect in effects {
        if let FarmEffect::Table(change) = effect {
            table.apply(change, before);
        }
    }
    table
}

/// What scripts and FIFOs would be told.
fn event(effect: &FarmEffect) -> Option<String> {
    match effect {
        FarmEffect::Event(HealthEvent::Told(Event::Server { service, server, up, .. })) => {
            Some(format!("server {server} of {service} {}", if *up { "up" } else { "down" }))
        }
        FarmEffect::Event(HealthEvent::Told(Event::Quorum { service, up, .. })) => {
            Some(format!("quorum of {service} {}", if *up { "gained" } else { "lost" }))
        }
        _ => None,
    }
}

fn losses(played: &Performance, outlook: &Outlook, table: &Table) -> Vec<Loss> {
    let loss = |kind, subject: String, connections, text| Loss { kind, subject, connections, text };
    let masters = routers::abdications(played).map(|(standing, why)| {
        let name = standing.name.to_string();
        let text = format!("{name} gives up being master ({why})");
        loss(LossKind::Master, name, 0, text)
    });
    let addresses = routers::departures(played).map(|spec| {
        let connections = table.connections_to(spec.address);
        let text = match connections {
            0 => format!("{spec} leaves this host"),
            _ => format!("{spec} leaves this host, and {connections} connections to it"),
        };
        loss(LossKind::Address, spec.address.to_string(), connections, text)
    });
    let servers = outlook.services.iter().flat_map(|service| &service.servers);
    let cut = servers.filter(|server| server.connections_lost > 0).map(|server| {
        let (name, service, count) = (&server.name, &server.service, server.connections_lost);
        let text = format!("{name} leaves {service}, and {count} connections are cut");
        loss(LossKind::Connections, format!("{service} {name}"), count, text)
    });
    masters.chain(addresses).chain(cut).collect()
}

/// What there is to say about a file.
#[must_use]
pub fn findings(loaded: &Loaded, after: Option<&Prepared>) -> Vec<Finding> {
    let own = loaded.diagnostics.iter().map(|found| finding(found, &loaded.sources));
    let scripts = after.into_iter().flat_map(|after| after.notes.iter().chain(&after.plan.warnings));
    let scripts = scripts.map(|note| Finding {
        severity: "warning".to_owned(),
        code: "script".to_owned(),
        message: note.clone(),
        file: None,
        line: None,
        column: None,
        help: None,
    });
    own.chain(scripts).take(MOST_FINDINGS).collect()
}

fn finding(found: &Diagnostic, sources: &SourceMap) -> Finding {
    let suggestion = found.suggestion.as_ref().map(|text| format!("did you mean `{text}`?"));
    Finding {
        severity: found.severity.as_str().to_owned(),
        code: found.code.to_owned(),
        message: found.message.clone(),
        file: found.span.map(|span| sources.path(span.file).display().to_string()),
        line: found.span.map(|span| span.line),
        column: found.span.map(|span| span.column),
        help: found.help.clone().or(suggestion),
    }
}
