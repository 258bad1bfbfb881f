//! An outlook on a terminal.

use crate::plan::{
    Change, CheckChange, Finding, InstanceChange, Outcome, Outlook, ServerChange, ServiceChange, SettingChange,
    WatcherChange,
};
use std::fmt::Write as _;

/// Lines of one part; the rest is counted.
const MOST_LINES: usize = 60;

/// Exit status of `plan`.
pub(super) fn status(outlook: &Outlook) -> u8 {
    match outlook.outcome {
        Outcome::Refused => 1,
        _ if !outlook.losses.is_empty() => 4,
        _ if !outlook.is_empty() => 3,
        _ => 0,
    }
}

pub(super) fn text(outlook: &Outlook) -> String {
    let mut text = headline(outlook);
    let verb = if outlook.outcome == Outcome::Applied { "cost" } else { "costs" };
    part(&mut text, &format!("What it {verb}"), outlook.losses.iter().map(|loss| format!("! {}", loss.text)));
    part(&mut text, "Instances", outlook.instances.iter().flat_map(|one| instance(one, &outlook.interfaces_made)));
    part(&mut text, "Interfaces", changes(&outlook.interfaces_removed, &outlook.interfaces_made));
    part(&mut text, "Static addresses, routes and rules", changes(&outlook.statics_removed, &outlook.statics_set));
    part(&mut text, "Virtual servers", outlook.services.iter().flat_map(service));
    part(&mut text, "Checks", outlook.checks.iter().map(check));
    part(&mut text, "Told to scripts and FIFOs", outlook.events.iter().map(|event| format!("  {event}")));
    part(&mut text, "Watched", outlook.watchers.iter().map(watcher));
    part(&mut text, "Other settings", outlook.settings.iter().map(|change| setting(change, "")));
    part(&mut text, "Waits for a restart of the daemon", outlook.restart.iter().map(|change| setting(change, "")));
    part(&mut text, "About the file", outlook.findings.iter().map(finding));
    text
}

fn headline(outlook: &Outlook) -> String {
    let file = &outlook.configuration;
    match (&outlook.refused, outlook.outcome) {
        (Some(reason), _) => format!("{file} is not applied: {reason}\n"),
        (None, Outcome::Applied) if outlook.is_empty() => format!("Read {file}: nothing changed\n"),
        (None, Outcome::Applied) => format!("Read {file} and changed:\n"),
        (None, _) if outlook.is_empty() => format!("A reload of {file} changes nothing\n"),
        (None, _) => format!("A reload of {file} would change:\n"),
    }
}

/// A heading and lines below an empty line; nothing where there are no lines.
fn part(text: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{heading}:");
    for line in lines.iter().take(MOST_LINES) {
        let _ = writeln!(text, "  {line}");
    }
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        let _ = writeln!(text, "  ... and {more} lines more, see --json");
    }
}

fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Drained => '>',
        Change::Changed => '~',
    }
}

fn instance(instance: &InstanceChange, made: &[String]) -> Vec<String> {
    let InstanceChange { name, change, .. } = instance;
    let renamed = instance.renamed_from.as_ref().map(|old| format!(" (was {old})")).unwrap_or_default();
    let mut lines = vec![format!("{} {name}{renamed}, {}", sign(*change), fate(instance))];
    lines.extend(
        instance.transitions.iter().map(|transition| format!("    becomes {transition}{}", until(transition, made))),
    );
    lines.extend(instance.removes.iter().map(|thing| format!("    takes off {thing}")));
    lines.extend(instance.sets.iter().map(|thing| format!("    sets {thing}")));
    lines.extend(instance.settings.iter().map(|change| setting(change, "    ")));
    lines
}

/// An interface that the reload makes is not there yet when the instance begins.
fn until(transition: &str, made: &[String]) -> &'static str {
    let waits = |name: &String| transition.ends_with(&format!("interface {name} is down"));
    if made.iter().any(waits) { ", until it is made" } else { "" }
}

/// State, priority and adverts in a line.
fn fate(instance: &InstanceChange) -> String {
    let states = match (&instance.state_before, &instance.state_after) {
        (Some(before), Some(after)) if before == after => format!("stays {before}"),
        (Some(before), Some(after)) => format!("{before} -> {after}"),
        (Some(before), None) => format!("{before}, is removed"),
        (None, Some(after)) => format!("begins as {after}"),
        (None, None) => String::new(),
    };
    let priority = match (instance.priority_before, instance.priority_after) {
        (Some(before), Some(after)) if before != after => format!(", priority {before} -> {after}"),
        _ => String::new(),
    };
    let resigns = if instance.resigns > 0 { ", resigns with priority 0" } else { "" };
    let adverts = if instance.adverts > 0 { ", advertises at once" } else { "" };
    let announces = if instance.announces { ", announces its addresses" } else { "" };
    format!("{states}{priority}{resigns}{adverts}{announces}")
}

fn changes<'a>(gone: &'a [String], come: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let gone = gone.iter().map(|name| format!("- {name}"));
    gone.chain(come.iter().map(|name| format!("+ {name}")))
}

fn service(service: &ServiceChange) -> Vec<String> {
    let mut lines = vec![format!("{} {}", sign(service.change), service.name)];
    let whole = [service.name.clone()];
    lines.extend(service.gives_up.iter().filter(|id| !whole.contains(id)).map(|id| format!("    - {id}")));
    lines.extend(service.gains.iter().filter(|id| !whole.contains(id)).map(|id| format!("    + {id}")));
    lines.extend(service.servers.iter().map(|one| server(one, &service.name)));
    lines.extend(service.settings.iter().map(|change| setting(change, "    ")));
    lines
}

fn server(server: &ServerChange, service: &str) -> String {
    let of = if server.service == service { String::new() } else { format!(" of {}", server.service) };
    let arrow = |before: Option<String>, after: Option<String>| match (before, after) {
        (Some(before), Some(after)) if before == after => before,
        (Some(before), Some(after)) => format!("{before} -> {after}"),
        (before, after) => before.or(after).unwrap_or_default(),
    };
    let weight = |weight: Option<u32>| weight.map(|weight| weight.to_string());
    let weights = arrow(weight(server.weight_before), weight(server.weight_after));
    let methods = arrow(server.method_before.clone(), server.method_after.clone());
    let connections = match (server.connections, server.change) {
        (0, _) => String::new(),
        (count, Change::Removed) => format!(", {count} connections are cut"),
        (count, Change::Drained) => format!(", {count} connections may end"),
        (count, _) => format!(", {count} connections go on"),
    };
    format!("    {} {}{of}, weight {weights}, {methods}{connections}", sign(server.change), server.name)
}

fn check(check: &CheckChange) -> String {
    format!("{} {} of {} in {}", sign(check.change), check.kind, check.server, check.service)
}

fn watcher(watcher: &WatcherChange) -> String {
    format!("{} {} {}", sign(watcher.change), watcher.kind.replace('_', " "), watcher.name)
}

fn setting(change: &SettingChange, indent: &str) -> String {
    let within = if change.within.is_empty() { String::new() } else { format!("{}: ", change.within) };
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{indent}~ {within}{before} -> {after}"),
        (Some(before), None) => format!("{indent}- {within}{before}"),
        (None, Some(after)) => format!("{indent}+ {within}{after}"),
        (None, None) => String::new(),
    }
}

/// `file:line:column: error: message (help)`.
fn finding(finding: &Finding) -> String {
    let place = match (&finding.file, finding.line, finding.column) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
        _ => String::new(),
    };
    let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{place}{}: {}{help}", finding.severity, finding.message)
}
