//! Compares the parser with what the real program said of real configurations.
//!
//! `STANDFAST_CORPUS` names a directory with `wild` and `issues`; without it the test is skipped.

use standfast_parser::{LoadError, Loader, Options, Parsed, parse};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Disagreements that are meant, by file, with the reason.
const MEANT: &[(&str, &str)] = &[
    ("1.conf", "unknown blocks are skipped whole, and do not close the block around them"),
    ("tracking.conf", "unknown blocks are skipped whole"),
    ("077.conf", "an unknown block is skipped whole"),
    ("103.conf", "entries of a group of virtual servers that have blocks: each is reported once"),
    ("175.conf", "an unknown block is skipped whole"),
    ("011.conf", "statements after an extra brace: each block is reported once"),
    ("2067a.conf", "statements after an extra brace: each block is reported once"),
    ("2012.conf", "a comment that ends in a backslash is reported as such"),
    ("950-test.conf", "an undefined ${NAME} stays a word; its braces open no block"),
    ("check_align.4.conf", "an undefined ${NAME} stays a word; its braces open no block"),
    ("n.conf", "an undefined ${NAME} stays a word; its braces open no block"),
    ("notify.conf", "an undefined ${NAME} stays a word; its braces open no block"),
    ("notify2.conf", "an undefined ${NAME} stays a word; its braces open no block"),
    ("135.conf", "an undefined ${NAME} stays a word; its braces open no block"),
    ("one_one.conf", "faults in a definition are shown where it was written"),
    ("173.conf", "no-break spaces are reported by name and read as blanks"),
    ("1370.conf", "inhibit_on_failure of a sorry server that is a real server, too"),
    ("no_dflt_if.conf", "whether the default interface exists is the machine's to say"),
    ("119.conf", "the script was removed on the machine of the recording"),
    ("510-instances.conf", "the recording ends in the middle"),
];

/// Messages that depend on the machine of the recording.
const OF_THE_MACHINE: &[&str] = &[
    "doesn't exist",
    "Non-existent interface",
    "SECURITY VIOLATION",
    "not found/accessible",
    "Unable to set default user",
    "Error setting global script",
    "Invalid smtp server",
    "Config files missing",
    "unicast with use_vmac",
    "unknown interface",
    "Invalid user/group",
    "removing",
    "Disabling",
    "resolved by path",
    "not executable",
];

struct Disk;

#[expect(clippy::disallowed_methods, reason = "the files are outside the repository")]
impl Loader for Disk {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LoadError> {
        let bytes = fs::read(path).map_err(|_| LoadError::NotFound)?;
        if bytes.len() > limit { Err(LoadError::TooLarge) } else { Ok(bytes) }
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

#[derive(PartialEq, Eq)]
struct Verdict {
    class: u8,
    unknown: BTreeSet<(u32, String)>,
}

fn recorded(text: &str) -> Verdict {
    let body = text.split_once("---\n").map_or("", |(_, body)| body);
    let own = |l: &&str| !l.trim().is_empty() && !OF_THE_MACHINE.iter().any(|m| l.contains(m));
    let lines: Vec<&str> = body.lines().filter(own).collect();
    let class = match lines.iter().any(|l| l.contains("*** Configuration line")) {
        true => 2,
        false if lines.is_empty() => 0,
        false => 5,
    };
    Verdict { class, unknown: lines.iter().filter_map(|l| unknown_of(l)).collect() }
}

/// `(FILE: Line N) Unknown keyword 'X'`.
fn unknown_of(line: &str) -> Option<(u32, String)> {
    let (place, word) = line.split_once("Unknown keyword '")?;
    let number = place.split_once("Line ")?.1.split(')').next()?;
    Some((number.parse().ok()?, word.strip_suffix('\'')?.to_owned()))
}

fn ours(parsed: &Parsed) -> Verdict {
    let unknown = parsed.diagnostics.iter().filter(|d| d.code == "unknown-keyword");
    let word = |d: &standfast_parser::Diagnostic| {
        let span = d.span?;
        let word = d.message.strip_prefix("unknown keyword `")?.split_once("` in ")?.0;
        Some((span.line, word.to_owned()))
    };
    Verdict { class: parsed.verdict().test, unknown: unknown.filter_map(word).collect() }
}

fn agrees(recording: &str, theirs: &Verdict, ours: &Verdict) -> bool {
    // Without its interfaces keepalived ends before it looks at the instances as a whole.
    let cut_short = recording.contains("Non-existent interface") && ours.class == 5;
    theirs.unknown == ours.unknown && (theirs.class == ours.class || cut_short)
}

#[expect(clippy::disallowed_methods, reason = "the files are outside the repository")]
fn compare(recording: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(recording).ok()?).into_owned();
    if text.starts_with("exit: 139") {
        return None;
    }
    let stem = recording.to_string_lossy().replace(".keepalived-t.txt", "");
    let path = [stem.clone(), format!("{stem}.conf")].into_iter().map(PathBuf::from).find(|p| p.is_file())?;
    let parsed = parse(&Disk, &path, &Options::default());
    let (theirs, ours) = (recorded(&text), ours(&parsed));
    if agrees(&text, &theirs, &ours) {
        return None;
    }
    let name = path.file_name()?.to_string_lossy().into_owned();
    let only = |a: &Verdict, b: &Verdict| a.unknown.difference(&b.unknown).take(4).cloned().collect::<Vec<_>>();
    let meant = MEANT.iter().find(|(file, _)| *file == name);
    println!(
        "{name}: class {} there, {} here; only there {:?}, only here {:?}: {}",
        theirs.class,
        ours.class,
        only(&theirs, &ours),
        only(&ours, &theirs),
        meant.map_or("NOT EXPECTED", |(_, why)| why)
    );
    meant.is_none().then_some(name)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the corpus is named by the environment")]
fn real_configurations_are_judged_as_by_the_real_program() {
    let Some(corpus) = std::env::var_os("STANDFAST_CORPUS") else {
        println!("skipped: STANDFAST_CORPUS names no directory");
        return;
    };
    let mut recordings: Vec<PathBuf> = Vec::new();
    for part in ["wild", "issues"] {
        let entries = fs::read_dir(Path::new(&corpus).join(part)).expect("the corpus");
        recordings.extend(entries.map(|e| e.expect("an entry").path()));
    }
    recordings.retain(|p| p.to_string_lossy().ends_with(".keepalived-t.txt"));
    recordings.sort();
    let unexpected: Vec<String> = recordings.iter().filter_map(|r| compare(r)).collect();
    println!("{} compared, {} unexpected", recordings.len(), unexpected.len());
    assert!(unexpected.is_empty(), "{unexpected:?}");
}
