//! Answers to "why": the state of one thing, with its reasons.

use super::time::{ago, ahead, length, moment};
use crate::status::{Group, Instance, Remembered, Server, Service, Session, Status, Vote};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// What was asked about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'s> {
    Instance(&'s Instance),
    Group(&'s Group),
    Session(&'s Session),
    Service(&'s Service),
    Server(&'s Service, &'s Server),
}

/// The client behind `from`.
pub(super) fn client(words: &[String]) -> Result<Option<(IpAddr, Option<u16>)>, String> {
    match words {
        [] => Ok(None),
        [from, client] if from == "from" => {
            let address = client.parse().map(|ip| (ip, None));
            let address = address.or_else(|_| client.parse().map(|full: SocketAddr| (full.ip(), Some(full.port()))));
            address.map(Some).map_err(|_| format!("`{client}` is neither an address nor an address with a port"))
        }
        _ => Err("expected: why SUBJECT from CLIENT".to_owned()),
    }
}

/// What has this name.
pub(super) fn find<'s>(status: &'s Status, subject: &str) -> Result<Found<'s>, String> {
    let instance = status.instances.iter().find(|instance| instance.name == subject).map(Found::Instance);
    let group = || status.groups.iter().find(|group| group.name == subject).map(Found::Group);
    let session = || status.sessions.iter().find(|session| session.name == subject).map(Found::Session);
    let service = || status.services.iter().find(|service| is_called(&service.name, subject)).map(Found::Service);
    instance.or_else(group).or_else(session).or_else(service).or_else(|| server(status, subject)).ok_or_else(|| {
        let names = status.instances.iter().map(|instance| instance.name.as_str());
        let names = names.chain(status.groups.iter().map(|group| group.name.as_str()));
        let names = names.chain(status.services.iter().map(|service| service.name.as_str()));
        format!("nothing here is called {subject}; there are: {}", names.collect::<Vec<_>>().join(" "))
    })
}

fn server<'s>(status: &'s Status, subject: &str) -> Option<Found<'s>> {
    let all = status.services.iter().flat_map(|service| service.servers.iter().map(move |server| (service, server)));
    all.filter(|(_, server)| is_called(&server.name, subject))
        .map(|(service, server)| Found::Server(service, server))
        .next()
}

/// `[10.0.0.100]:tcp:80` is also called `10.0.0.100:80`, and `FWM 7` is also called 7.
fn is_called(name: &str, subject: &str) -> bool {
    let without_protocol = ["]:tcp:", "]:udp:", "]:sctp:"].iter().find_map(|middle| {
        let (address, port) = name.strip_prefix('[')?.split_once(middle)?;
        Some(if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") })
    });
    name == subject || without_protocol.as_deref() == Some(subject) || name.strip_prefix("FWM ") == Some(subject)
}

impl Found<'_> {
    pub(super) fn json(&self) -> String {
        match self {
            Found::Instance(instance) => super::json(instance),
            Found::Group(group) => super::json(group),
            Found::Session(session) => super::json(session),
            Found::Service(service) => super::json(service),
            Found::Server(_, server) => super::json(server),
        }
    }

    pub(super) fn text(&self, status: &Status) -> String {
        match self {
            Found::Instance(found) => instance(status, found),
            Found::Group(found) => group(status, found),
            Found::Session(found) => session(status, found),
            Found::Service(found) => service(status, found),
            Found::Server(of, found) => format!("{}\n", server_line(status, of, found)),
        }
    }
}

fn instance(status: &Status, found: &Instance) -> String {
    let mut text = format!("{} is {}", found.name, found.state);
    if let Some(change) = found.history.last() {
        let _ = write!(
            text,
            " since {} ({}): {}",
            moment(change.at_ms),
            ago(change.at_ms, status.now_at_ms),
            change.reason
        );
    }
    text.push('\n');
    text += &priority(found);
    text += &others(status, found);
    if let Some(next) = &found.next {
        let _ = writeln!(text, "next: {} {}", next.reason, ahead(next.at_ms, status.now_at_ms));
    }
    if found.history.len() > 1 {
        text.push_str("before:\n");
        for change in found.history.iter().rev().skip(1) {
            let _ = writeln!(text, "  {}  {} -> {}: {}", moment(change.at_ms), change.from, change.to, change.reason);
        }
    }
    text
}

fn priority(found: &Instance) -> String {
    let mut text = format!("priority {}: {} configured", found.effective_priority, found.base_priority);
    if found.votes.is_empty() {
        text.push_str(", nothing is tracked");
    }
    text.push('\n');
    for vote in &found.votes {
        let _ = writeln!(text, "  {}: {}", vote.tracker, effect(vote));
    }
    if let Some(tracker) = &found.waits_for {
        let _ = writeln!(text, "waits for the first verdict of {tracker}");
    }
    text
}

fn effect(vote: &Vote) -> String {
    let effect = match vote.effect.as_str() {
        "fault" => "a fault: it may be neither master nor backup".to_owned(),
        "pending" => "awaited before it may leave INIT".to_owned(),
        _ => format!("{:+}", vote.adjustment),
    };
    let reverse = if vote.reverse { ", reversed" } else { "" };
    let group = if vote.of_group { ", by way of its group" } else { "" };
    format!("{}, {effect} (weight {}{reverse}{group})", vote.verdict, vote.weight)
}

/// Other routers, and what becomes of them.
fn others(status: &Status, found: &Instance) -> String {
    let mut text = String::new();
    if let Some(master) = &found.master {
        let relation = match master.priority.cmp(&found.effective_priority) {
            std::cmp::Ordering::Greater => "a higher priority",
            std::cmp::Ordering::Equal => "the same priority",
            std::cmp::Ordering::Less if !found.preempts => "a lower priority, left in place by nopreempt",
            std::cmp::Ordering::Less => "a lower priority",
        };
        let _ = writeln!(text, "the master is {}, priority {}: {relation}", master.address, master.priority);
    }
    if let Some(at) = found.preempts_at_ms {
        let _ = writeln!(text, "a lesser master is left in place; that ends {}", ahead(at, status.now_at_ms));
    }
    if let Some(rival) = &found.rival {
        let refused =
            rival.refused.as_ref().map_or_else(String::new, |why| format!(", its adverts are refused: {why}"));
        let _ = writeln!(
            text,
            "SPLIT: {} (priority {}) is master, too, heard {} times, last {}{refused}",
            rival.address,
            rival.priority,
            rival.adverts,
            ago(rival.heard_at_ms, status.now_at_ms)
        );
    }
    if let Some(group) = &found.group {
        let state = status.groups.iter().find(|known| known.name == *group).map_or("", |known| known.state.as_str());
        let waits = if found.wants_master { "; it would be master, but others of the group are not ready" } else { "" };
        let _ = writeln!(text, "sync group {group} is {state}{waits}");
    }
    let _ = writeln!(
        text,
        "adverts every {} from {}; silence of {} ends a master",
        length(found.advert_interval_ms),
        found.source.map_or_else(|| "nowhere".to_owned(), |source| source.to_string()),
        length(found.master_down_ms)
    );
    text
}

fn group(status: &Status, found: &Group) -> String {
    let mut text = format!("{} is {}\n", found.name, found.state);
    for member in status.instances.iter().filter(|instance| found.members.contains(&instance.name)) {
        let reason = member.history.last().map_or("", |change| change.reason.as_str());
        let _ = writeln!(text, "  {} is {}: {reason}", member.name, member.state);
    }
    text
}

fn session(status: &Status, found: &Session) -> String {
    let Session { name, neighbor, state, remote_state, diagnostic, .. } = found;
    let since = ago(found.since_at_ms, status.now_at_ms);
    format!(
        "BFD session {name} with {neighbor} is {state} since {since} (the other end: {remote_state}): {diagnostic}\n"
    )
}

fn service(status: &Status, found: &Service) -> String {
    let mut text = format!("{} ", found.name);
    text += match (found.forwarded, found.by_hand, found.quorum) {
        (false, ..) => "is checked, but the engine does not forward it (the log says why)",
        (true, true, _) => "was made by hand with ipvsadm; nothing is checked",
        (true, false, true) => "is up",
        (true, false, false) => "has lost its quorum",
    };
    let _ = writeln!(text, ": the living servers weigh {}, a quorum is {}", found.living, found.needed.max(1));
    if let Some(sorry) = &found.sorry {
        let _ = writeln!(text, "sorry server {sorry} {}", if found.sorry_serves { "serves" } else { "is idle" });
    }
    for server in &found.servers {
        let _ = writeln!(text, "  {}", server_line(status, found, server));
    }
    text
}

/// Whether an entry of the engine belongs to a virtual server: by its address, or by one of its servers where the service
/// is a firewall mark or a group.
pub(super) fn is_of(service: &Service, entry: &Remembered) -> bool {
    let mut servers = service.servers.iter();
    is_called(&service.name, &entry.service.to_string())
        || (!service.name.starts_with('[') && servers.any(|server| is_called(&server.name, &entry.server.to_string())))
}

/// Which server a client has or would get, and by which rule.
pub(super) fn client_text(status: &Status, service: &Service, entries: &[Remembered], client: IpAddr) -> String {
    let mut text = String::new();
    for entry in entries.iter().filter(|entry| !entry.template) {
        let Remembered { client, server, state, expires_in_ms, .. } = entry;
        let _ =
            writeln!(text, "{client} is connected to {server} ({state}, remembered for {})", length(*expires_in_ms));
    }
    if let Some(entry) = entries.iter().find(|entry| entry.template) {
        let left = length(entry.expires_in_ms);
        let _ = writeln!(text, "new connections of {client} go to {}: persistence, for another {left}", entry.server);
        return text;
    }
    if entries.is_empty() {
        let _ = writeln!(text, "nothing is remembered of {client}");
    }
    let _ = writeln!(text, "a new connection gets {} ({})", rule(&service.scheduler), service.scheduler);
    for server in &service.servers {
        let _ = writeln!(text, "  {}", server_line(status, service, server));
    }
    text
}

/// What a scheduler does, in a few words.
fn rule(scheduler: &str) -> &'static str {
    match scheduler {
        "rr" => "the next server in turn that has a weight above 0",
        "wrr" => "the next server in turn, each as often as its weight says",
        "lc" => "the server with the fewest connections",
        "wlc" => "the server with the fewest connections for its weight",
        "sed" => "the server that would have the fewest active connections for its weight, this one included",
        "nq" => "an idle server, else the one that would have the fewest active connections for its weight",
        "sh" => "the server that the client's address hashes to",
        "dh" => "the server that the virtual address hashes to",
        "mh" => "the server that the client's address hashes to, by a table that changes little with the servers",
        "lblc" | "lblcr" => "the server that the virtual address went to last, unless that is overloaded",
        "fo" => "the living server with the highest weight",
        "ovf" => "the server with the highest weight that has fewer active connections than its weight",
        "twos" => "the less loaded one of two servers drawn by lot",
        _ => "a server by its scheduler",
    }
}

fn server_line(status: &Status, of: &Service, server: &Server) -> String {
    let standing = match server.weight {
        Some(0) => "takes no new connections".to_owned(),
        Some(weight) => format!("takes new connections with weight {weight}"),
        None => "is not in the table".to_owned(),
    };
    let mut text = format!("{} of {} {standing}", server.name, of.name);
    let mut reasons: Vec<String> = server
        .notes
        .iter()
        .map(|note| match note.until_at_ms {
            Some(at) => format!("{}, which ends {}", note.what, ahead(at, status.now_at_ms)),
            None => note.what.clone(),
        })
        .collect();
    reasons.extend(server.checks.iter().map(|check| match (check.up, check.since_at_ms) {
        (true, None) => format!("{} has no verdict yet", check.kind),
        (false, None) => format!("{} has not passed yet (alpha)", check.kind),
        (true, Some(at)) => format!("{} passes since {}", check.kind, moment(at)),
        (false, Some(at)) => {
            format!("{} fails since {} ({}): {}", check.kind, moment(at), ago(at, status.now_at_ms), check.reason)
        }
    }));
    if reasons.is_empty() {
        reasons.push("nothing checks it".to_owned());
    }
    let _ = write!(text, ": {}", reasons.join("; "));
    text
}
