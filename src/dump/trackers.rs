//! Scripts, files, processes and BFD sessions that are tracked.

use super::data::Page;
use super::detail::reversed;
use super::text::{decimal, quoted, true_false};
use super::{Observed, Sources};
use standfast_parser::model::{ParamMatch, TrackProcess, VrrpScript};
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::time::Duration;

pub(super) fn all(page: &mut Page, sources: &Sources<'_>) {
    scripts(page, sources);
    files(page, sources);
    processes(page, sources);
    sessions(page, sources);
}

fn scripts(page: &mut Page, sources: &Sources<'_>) {
    let runs = |script: &&VrrpScript| sources.observed.scripts.contains_key(&script.name);
    let mut used = sources.config.scripts.iter().filter(runs).peekable();
    if used.peek().is_none() {
        return;
    }
    page.heading("VRRP Scripts");
    for script in used {
        let named = TrackerName::Script(script.name.clone());
        page.row(1, "VRRP Script", &script.name);
        page.row(3, "Command", quoted(&script.script));
        page.row(3, "Interval", format_args!("{} sec", plain(script.interval)));
        page.row(3, "Timeout", format_args!("{} sec", plain(script.timeout)));
        page.row(3, "Weight", format_args!("{}{}", script.weight, reversed(script.reverse)));
        page.row(3, "Rise", script.rise);
        page.row(3, "Fall", script.fall);
        standing(page, sources, script, status(sources, &named));
        page.line(3, "VRRP instances :");
        tracking(page, sources, &named);
        if let Some(standing) = sources.observed.scripts.get(&script.name) {
            page.row(3, "State", if standing.running { "running" } else { "idle" });
        }
    }
}

fn standing(page: &mut Page, sources: &Sources<'_>, script: &VrrpScript, status: Option<TrackerStatus>) {
    let known = sources.observed.scripts.get(&script.name);
    if let Some(result) = known.and_then(|standing| standing.result) {
        page.row(3, "Result", result);
    }
    // What is insecure is not run at all.
    page.row(3, "Insecure", "no");
    let ran = known.is_some_and(|standing| standing.result.is_some());
    page.row(3, "Init state", if ran { "unknown" } else { "INIT" });
    page.row(3, "Status", if status == Some(TrackerStatus::Up) { "GOOD" } else { "BAD" });
    if let Some(standing) = known {
        page.row(3, "Script uid:gid", format_args!("{}:{}", standing.account.uid, standing.account.gid));
    }
}

/// Seconds, with three digits behind the point where there are any.
fn plain(time: Duration) -> String {
    match time.subsec_millis() {
        0 => time.as_secs().to_string(),
        part => format!("{}.{part:03}", time.as_secs()),
    }
}

fn files(page: &mut Page, sources: &Sources<'_>) {
    if sources.config.track_files.is_empty() {
        return;
    }
    page.heading("VRRP Track files");
    for file in &sources.config.track_files {
        let named = TrackerName::File(file.name.clone());
        page.row(1, "Track file", &file.name);
        page.row(3, "File", &file.file);
        let status = match status(sources, &named) {
            Some(TrackerStatus::Value(value)) => i64::from(value),
            _ => 0,
        };
        page.row(3, "Status", status);
        page.row(3, "Weight", format_args!("{}{}", file.weight, reversed(file.reverse)));
        tracking(page, sources, &named);
    }
}

fn processes(page: &mut Page, sources: &Sources<'_>) {
    if sources.config.track_processes.is_empty() {
        return;
    }
    page.heading("VRRP Track processes");
    for process in &sources.config.track_processes {
        let named = TrackerName::Process(process.name.clone());
        page.row(1, "VRRP Track process", &process.name);
        command(page, process);
        count(page, sources.observed, process);
        page.row(3, "Have quorum", true_false(status(sources, &named) == Some(TrackerStatus::Up)));
        page.row(3, "Weight", format_args!("{}{}", process.weight, reversed(process.reverse)));
        page.row(3, "Terminate delay", format_args!("{}s", decimal(process.terminate_delay)));
        page.row(3, "Fork delay", format_args!("{}s", decimal(process.fork_delay)));
        page.row(3, "Full command", true_false(process.full_command));
        tracking(page, sources, &named);
    }
}

fn command(page: &mut Page, process: &TrackProcess) {
    let (program, parameters) =
        process.process.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    page.row(3, "Process", program);
    if !parameters.is_empty() {
        let quoted: Vec<String> = parameters.iter().map(|word| format!("'{word}'")).collect();
        page.row(3, "Parameters", quoted.join(" "));
    }
    match process.param_match {
        ParamMatch::None => {}
        ParamMatch::Exact => page.line(3, "Param match"),
        ParamMatch::Partial => page.row(3, "Param match", "partial"),
        ParamMatch::Initial => page.row(3, "Param match", "initial"),
    }
}

fn count(page: &mut Page, observed: &Observed, process: &TrackProcess) {
    page.row(3, "Min processes", process.quorum);
    if let Some(most) = process.quorum_max {
        page.row(3, "Max processes", most);
    }
    page.row(3, "Current processes", observed.processes.get(&process.name).copied().unwrap_or(0));
}

fn sessions(page: &mut Page, sources: &Sources<'_>) {
    let mut tracked = sources.config.bfd_instances.iter().filter(|session| session.vrrp).peekable();
    if tracked.peek().is_none() {
        return;
    }
    page.heading("VRRP Track BFDs");
    for session in tracked {
        let named = TrackerName::Bfd(session.name.clone());
        page.row(1, "VRRP Track BFD", &session.name);
        page.row(3, "Weight", format_args!("{}{}", session.weight, reversed(session.reverse)));
        let up = status(sources, &named) == Some(TrackerStatus::Up);
        page.line(3, format_args!("Bfd is {}", if up { "up" } else { "down" }));
        tracking_as(page, sources, &named, "Tracking VRRP instances :");
    }
}

/// As the instances that watch it know it.
fn status(sources: &Sources<'_>, named: &TrackerName) -> Option<TrackerStatus> {
    let mut votes = sources.views.routers.iter().flat_map(|router| &router.votes);
    votes.find(|vote| vote.tracker == *named).map(|vote| vote.status)
}

fn tracking(page: &mut Page, sources: &Sources<'_>, named: &TrackerName) {
    tracking_as(page, sources, named, "Tracking instances :");
}

fn tracking_as(page: &mut Page, sources: &Sources<'_>, named: &TrackerName, title: &str) {
    page.line(3, title);
    for router in &sources.views.routers {
        let votes = router.votes.iter().filter(|vote| vote.tracker == *named);
        votes.for_each(|vote| {
            page.line(5, format_args!("{}, weight {}{}", router.name, vote.weight, reversed(vote.reverse)));
        });
    }
}
