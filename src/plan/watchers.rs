//! What is watched, or runs beside.

use super::model::{Change, WatcherChange};
use crate::machine::Prepared;
use standfast_parser::model::Config;
use std::collections::BTreeMap;

/// Sessions, tracked scripts, files and processes, and sync daemons that differ.
pub(super) fn watchers(before: &Prepared, after: &Prepared) -> Vec<WatcherChange> {
    let (old, new) = (&before.trackers, &after.trackers);
    let mut found = changes("bfd", &before.sessions, &after.sessions, |session| &session.name);
    found.extend(changes("script", &old.scripts, &new.scripts, |script| &script.name));
    found.extend(changes("file", &old.files, &new.files, |file| &file.name));
    found.extend(changes("process", &old.processes, &new.processes, |process| &process.name));
    found.extend(sync_daemon(&before.config, &after.config));
    found
}

fn changes<T: PartialEq>(kind: &str, old: &[T], new: &[T], name: fn(&T) -> &String) -> Vec<WatcherChange> {
    let by_name =
        |list| -> BTreeMap<&String, &T> { Iterator::map(<[T]>::iter(list), |one| (name(one), one)).collect() };
    let (old, new) = (by_name(old), by_name(new));
    let change = |name: &str, change| WatcherChange { kind: kind.to_owned(), name: name.to_owned(), change };
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| change(name, Change::Removed));
    let come = new.iter().filter_map(|(name, one)| match old.get(name) {
        None => Some(change(name, Change::Added)),
        Some(same) if same == one => None,
        Some(_) => Some(change(name, Change::Changed)),
    });
    gone.chain(come).collect()
}

fn sync_daemon(before: &Config, after: &Config) -> Option<WatcherChange> {
    let (old, new) = (&before.globals.sync_daemon, &after.globals.sync_daemon);
    let change = match (old, new) {
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (old, new) if old == new => return None,
        _ => Change::Changed,
    };
    let name = new.as_ref().or(old.as_ref()).map(|daemon| daemon.interface.clone())?;
    Some(WatcherChange { kind: "sync_daemon".to_owned(), name, change })
}
