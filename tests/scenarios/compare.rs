//! What a play leaves behind, and where two plays differ.

use crate::wire::Frame;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Parts of lines that tell of a process and its options, or of a clock.
const PRIVATE: &[&str] = &[
    "Keepalived v",
    "Standfast",
    "standfast",
    "Copyright",
    "Built with",
    "Running on",
    "Command line:",
    "configuration file",
    "Configuration file",
    "'/usr",
    "'-",
    "Starting",
    "Startup complete",
    "NOTICE:",
    "Registering",
    "Stopping",
    "Stopped",
    "Reload",
    "probably isn't what you want",
    "thread timer expired",
    "eventfd",
    "pid ",
    "Please log an issue",
    "and include a full copy",
    "copies of the keepalived",
    "Respawning",
    "delayed 0 seconds",
    "deprecated",
    "vrrp.rttime",
    "Initializing ipvs",
    "control socket",
    "Control socket",
    "Opening file",
    "CPU usage",
    "WARNING - interface",
    "Non-existent interface",
    "which doesn't currently exist",
    "DIR/keepalived.conf:",
    "nopreempt",
    "process event",
    "left behind by a daemon",
    "Tracked file",
    "Split brain",
    "is also used by",
];

/// Lines that come again and again, at times that depend on the beginning of a second: each counts once, wherever it stands.
const RECURRING: &[&str] = &[
    "received lower priority",
    "Sending/queueing",
    "Sending gratuitous",
    "Sending unsolicited",
    "send advert error",
    "Remote SMTP server",
    "SMTP alert",
    "Error 100",
    "Network is down",
    "expect idle",
    "Assigned address",
    "Deassigned address",
    "received an unexpected ip number",
    "received an invalid passwd",
    "wrong version",
    "interval mismatch",
    "not present in MASTER advert",
    "auth, expecting",
    "Interface dum0p",
    "Interface late0p",
    "VRRP sockpool",
];

/// Everything that can be told of a play.
#[derive(Debug, Default)]
pub struct Record {
    logs: BTreeMap<String, Vec<String>>,
    notes: Vec<String>,
    adverts: BTreeMap<String, Vec<String>>,
    announcements: Vec<String>,
}

impl Record {
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds the log of a host; `directory` is its own and is called DIR.
    pub fn log(&mut self, host: &str, text: &str, directory: &Path) {
        let lines = self.logs.entry(host.to_owned()).or_default();
        for line in text.lines() {
            let line = without_time(line).replace(&directory.display().to_string(), "DIR");
            // Long lines go on after blanks.
            if !line.starts_with(' ') && !line.is_empty() && !PRIVATE.iter().any(|part| line.contains(part)) {
                lines.push(without_numbers_of_files(&line));
            }
        }
    }

    pub fn wire(&mut self, frames: &[Frame]) {
        for frame in frames {
            if let Some((source, advert)) = advert(&frame.bytes) {
                let told = self.adverts.entry(source).or_default();
                if told.last() != Some(&advert) {
                    told.push(advert);
                }
            } else if let Some(announcement) = announcement(&frame.bytes) {
                self.announcements.push(announcement);
            }
        }
        self.announcements.sort();
        self.announcements.dedup();
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, lines) in &self.logs {
            lines.iter().try_for_each(|line| writeln!(f, "{host}: {line}"))?;
        }
        for (source, adverts) in &self.adverts {
            writeln!(f, "wire {source}: {}", adverts.join(", "))?;
        }
        writeln!(f, "wire: {}", self.announcements.join(", "))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// Lines of a difference, `-` for keepalived's and `+` for ours; none if there is none.
pub fn differences(theirs: &Record, ours: &Record, known: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let (a, b) = (sections(theirs, known), sections(ours, known));
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let empty = Vec::new();
        let (a, b) = (a.get(name).unwrap_or(&empty), b.get(name).unwrap_or(&empty));
        if a != b {
            found.push(format!("{name}:"));
            found.extend(diff(a, b));
        }
    }
    found
}

fn sections(record: &Record, known: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut sections = BTreeMap::new();
    let wanted = |line: &&String| !known.iter().any(|part| line.contains(part));
    for (host, lines) in &record.logs {
        let (recurring, ordered): (Vec<&String>, Vec<&String>) =
            lines.iter().filter(wanted).partition(|line| RECURRING.iter().any(|part| line.contains(part)));
        let mut once: Vec<String> = recurring.into_iter().cloned().collect();
        once.sort();
        once.dedup();
        let ordered: Vec<String> = ordered.into_iter().cloned().collect();
        for line in ordered {
            let told: &mut Vec<String> = sections.entry(format!("log of {host} on {}", subject(&line))).or_default();
            if told.last() != Some(&line) {
                told.push(line);
            }
        }
        sections.insert(format!("log of {host}, each line once"), once);
    }
    for (source, adverts) in &record.adverts {
        sections.insert(format!("adverts of {source}"), adverts.iter().filter(wanted).cloned().collect());
    }
    sections.insert("announcements".to_owned(), record.announcements.iter().filter(wanted).cloned().collect());
    sections.insert("notes".to_owned(), record.notes.iter().filter(wanted).cloned().collect());
    sections
}

/// The instance or group that a line is about. Deadlines of several instances that fall together have no order.
fn subject(line: &str) -> &str {
    let named = line.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(name, _)| name);
    named.filter(|name| name.starts_with("VI_") || *name == "G1" || *name == "chk").unwrap_or("the rest")
}

/// The longest common subsequence, told as removals and additions.
fn diff(a: &[String], b: &[String]) -> Vec<String> {
    let mut lengths = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i][j] =
                if a[i] == b[j] { lengths[i + 1][j + 1] + 1 } else { lengths[i + 1][j].max(lengths[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push(format!("    {}", a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && lengths[i + 1][j] >= lengths[i][j + 1] {
            lines.push(format!("  - {}", a[i]));
            i += 1;
        } else {
            lines.push(format!("  + {}", b[j]));
            j += 1;
        }
    }
    lines
}

/// `Sat Nov 21 00:21:05 2026: text` without its time.
fn without_time(line: &str) -> String {
    line.split_once(" 20").and_then(|(_, rest)| rest.split_once(": ")).map_or(line, |(_, text)| text).to_owned()
}

/// `fd(12,13)` as `fd(N,N)`, `process(7)` as `process(N)`, and the suffix of an interface's random address.
fn without_numbers_of_files(line: &str) -> String {
    if let Some((before, rest)) = line.split_once("for process(") {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        return format!("{before}for process(N){after}");
    }
    let Some((before, rest)) = line.split_once("fd(") else { return without_random_address(line) };
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    format!("{before}fd(N,N){after}")
}

fn without_random_address(line: &str) -> String {
    let foreign = |word: &&str| word.starts_with("fe80::") && !word.starts_with("fe80::77");
    line.split(' ').map(|word| if foreign(&word) { "fe80::N" } else { word }).collect::<Vec<_>>().join(" ")
}

fn advert(frame: &[u8]) -> Option<(String, String)> {
    let (source, message) = match frame.get(12..14)? {
        [8, 0] if matches!(frame.get(23)?, 51 | 112) => {
            let source = Ipv4Addr::from(*frame.get(26..)?.first_chunk::<4>()?).to_string();
            (source, frame.get(if frame.get(23)? == &51 { 58.. } else { 34.. })?)
        }
        [0x86, 0xdd] if frame.get(20)? == &112 => {
            (Ipv6Addr::from(*frame.get(22..)?.first_chunk::<16>()?).to_string(), frame.get(54..)?)
        }
        _ => return None,
    };
    let (version, vrid, priority) = (message.first()? >> 4, message.get(1)?, message.get(2)?);
    Some((format!("{source} vrid {vrid}"), format!("v{version} prio {priority}")))
}

fn announcement(frame: &[u8]) -> Option<String> {
    match frame.get(12..14)? {
        [8, 6] if frame.get(28..32)? == frame.get(38..42)? => {
            let address = Ipv4Addr::from(*frame.get(28..)?.first_chunk::<4>()?);
            Some(format!("GARP {address} from {}", frame.get(27)?))
        }
        [0x86, 0xdd] if frame.get(20)? == &58 && frame.get(54)? == &136 => {
            let target = Ipv6Addr::from(*frame.get(62..)?.first_chunk::<16>()?);
            Some(format!("NA {target} from {}", frame.get(11)?)).filter(|_| frame.get(22..38) == frame.get(62..78))
        }
        _ => None,
    }
}
