//! The picture on a terminal.

use super::time::{ago, ahead, length};
use crate::status::{Instance, Server, Service, Session, Status, SyncDaemons};
use std::fmt::Write as _;

/// The whole picture.
pub(super) fn text(status: &Status) -> String {
    let mut text = String::new();
    let uptime = length(status.now_at_ms.saturating_sub(status.started_at_ms));
    let Status { version, host, pid, configuration, .. } = status;
    let _ = writeln!(text, "{version} on {host}, process {pid}, up {uptime}, {configuration}");
    section(
        &mut text,
        &["INSTANCE", "STATE", "SINCE", "PRIORITY", "INTERFACE", "VRID", "MASTER", "ADDRESSES"],
        status.instances.iter().map(|instance| row(status, instance)),
    );
    section(
        &mut text,
        &["GROUP", "STATE", "INSTANCES"],
        status.groups.iter().map(|group| vec![group.name.clone(), group.state.clone(), group.members.join(" ")]),
    );
    section(
        &mut text,
        &["BFD", "STATE", "SINCE", "NEIGHBOR", "DIAGNOSTIC"],
        status.sessions.iter().map(|session| session_row(status, session)),
    );
    section(
        &mut text,
        &["SERVICE / SERVER", "STATE", "WEIGHT", "ACTIVE", "INACTIVE", "CHECKS"],
        status.services.iter().flat_map(|service| service_rows(status, service)),
    );
    if let Some(engine) = &status.engine {
        let _ = write!(
            text,
            "\nEngine: {} connections, {} packets in, {} out",
            engine.connections, engine.received, engine.sent
        );
        if engine.carried_packets > 0 {
            let (packets, connections) = (engine.carried_packets, engine.carried_connections);
            let _ = write!(text, "; the kernel carried {packets} more, of {connections} connections at present");
        }
        if engine.overflowed + engine.unsent > 0 {
            let _ = write!(text, ", {} lost in the ring, {} not sent", engine.overflowed, engine.unsent);
        }
        text.push('\n');
    }
    if let Some(sync) = &status.sync {
        text.push_str(&sync_line(sync));
    }
    if status.forwarder.as_deref() == Some("kernel") {
        text.push_str("\nForwarding: the kernel's IPVS\n");
    }
    text
}

/// `Sync: sends; 9 datagrams sent with 40 entries, 3 received, entries: 2 created, 1 datagrams refused: 1 a replay`.
fn sync_line(sync: &SyncDaemons) -> String {
    let roles = match (sync.sends, sync.receives) {
        (true, true) => "sends and receives",
        (true, false) => "sends",
        (false, true) => "receives",
        (false, false) => "no daemon",
    };
    let (sent, entries, received) = (sync.sent, sync.entries_sent, sync.received);
    let mut text = format!("\nSync: {roles}; {sent} datagrams sent with {entries} entries, {received} received");
    let listed = |counts: &[(String, u64)]| {
        let counted = counts.iter().filter(|(_, count)| *count > 0);
        counted.map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    let (adopted, refused) = (listed(&sync.adopted), listed(&sync.refused));
    if !adopted.is_empty() {
        let _ = write!(text, ", entries: {adopted}");
    }
    if !refused.is_empty() {
        let total: u64 = sync.refused.iter().map(|(_, count)| count).sum();
        let _ = write!(text, ", {total} datagrams refused: {refused}");
    }
    text.push('\n');
    text
}

/// A table below an empty line; nothing where there are no rows.
fn section(text: &mut String, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut all: Vec<Vec<String>> = vec![heads.iter().map(|head| (*head).to_owned()).collect()];
    all.extend(rows);
    if all.len() == 1 {
        return;
    }
    text.push('\n');
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in all {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn row(status: &Status, instance: &Instance) -> Vec<String> {
    let since = instance.history.last().map_or_else(String::new, |change| ago(change.at_ms, status.now_at_ms));
    vec![
        instance.name.clone(),
        instance.state.clone(),
        since,
        priority(instance),
        instance.interface.clone(),
        instance.vrid.to_string(),
        master(instance),
        instance.addresses.iter().chain(&instance.excluded_addresses).cloned().collect::<Vec<_>>().join(" "),
    ]
}

/// `95 (100-5)`.
fn priority(instance: &Instance) -> String {
    let (base, effective) = (instance.base_priority, instance.effective_priority);
    match i32::from(effective) - i32::from(base) {
        0 => base.to_string(),
        moved => format!("{effective} ({base}{moved:+})"),
    }
}

fn master(instance: &Instance) -> String {
    match (&instance.master, &instance.rival) {
        (_, Some(rival)) => format!("also {} ({})!", rival.address, rival.priority),
        (Some(master), None) => format!("{} ({})", master.address, master.priority),
        (None, None) if instance.state == "MASTER" => "this one".to_owned(),
        (None, None) => "none heard".to_owned(),
    }
}

fn session_row(status: &Status, session: &Session) -> Vec<String> {
    vec![
        session.name.clone(),
        session.state.clone(),
        ago(session.since_at_ms, status.now_at_ms),
        session.neighbor.to_string(),
        session.diagnostic.clone(),
    ]
}

fn service_rows(status: &Status, service: &Service) -> Vec<Vec<String>> {
    let sum = |count: fn(&Server) -> u64| service.servers.iter().map(count).sum::<u64>().to_string();
    let mut rows = vec![vec![
        service.name.clone(),
        state_of(service),
        service.living.to_string(),
        sum(|server| server.active),
        sum(|server| server.inactive),
        remark(service),
    ]];
    rows.extend(service.servers.iter().map(|server| server_row(status, server)));
    if let Some(sorry) = &service.sorry {
        let state = if service.sorry_serves { "serves" } else { "idle" };
        rows.push(vec![
            format!("  {sorry}"),
            state.to_owned(),
            String::new(),
            String::new(),
            String::new(),
            "sorry server".to_owned(),
        ]);
    }
    rows
}

fn state_of(service: &Service) -> String {
    match (service.forwarded, service.quorum) {
        (false, _) => "not forwarded".to_owned(),
        (true, true) => "up".to_owned(),
        (true, false) => "no quorum".to_owned(),
    }
}

fn remark(service: &Service) -> String {
    let scheduler = service.scheduler.as_str();
    match (service.by_hand, service.needed) {
        (true, _) => format!("{scheduler}, made by hand"),
        (false, 0 | 1) => scheduler.to_owned(),
        (false, needed) => format!("{scheduler}, quorum {needed}"),
    }
}

fn server_row(status: &Status, server: &Server) -> Vec<String> {
    let weight = match server.weight {
        None => "-".to_owned(),
        Some(weight) if weight == server.full_weight => weight.to_string(),
        Some(weight) => format!("{weight} of {}", server.full_weight),
    };
    let checks = server.checks.iter().map(|check| match (check.up, check.since_at_ms) {
        (true, Some(_)) => format!("{} ok", check.kind),
        (true, None) => format!("{} not yet", check.kind),
        (false, None) => format!("{} not yet (alpha)", check.kind),
        (false, Some(at)) => {
            let since = length(status.now_at_ms.saturating_sub(at));
            format!("{} fails for {since}: {}", check.kind, check.reason)
        }
    });
    let notes = server.notes.iter().map(|note| match note.until_at_ms {
        Some(at) => format!("{} (ends {})", note.what, ahead(at, status.now_at_ms)),
        None => note.what.clone(),
    });
    vec![
        format!("  {}", server.name),
        if server.alive { "up" } else { "down" }.to_owned(),
        weight,
        server.active.to_string(),
        server.inactive.to_string(),
        notes.chain(checks).collect::<Vec<_>>().join("; "),
    ]
}
