//! The man pages in `docs/man` are those that the tables of options and keywords give.
//!
//! `UPDATE_MANUAL=1 cargo test --test manual` writes them anew.

mod client;
mod configuration;
mod daemon;
mod ipvsadm;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn pages() -> [(&'static str, String); 4] {
    [
        ("standfast.8", daemon::page()),
        ("standfast.conf.5", configuration::page()),
        ("standfast-ipvsadm.8", ipvsadm::page()),
        ("standfast-client.1", client::page()),
    ]
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man")
}

#[test]
fn the_pages_are_fresh() {
    for (name, wanted) in pages() {
        let path = directory().join(name);
        if std::env::var_os("UPDATE_MANUAL").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == wanted, "docs/man/{name} is old: UPDATE_MANUAL=1 cargo test --test manual");
    }
}

/// Skipped where there is no groff.
#[test]
fn groff_has_nothing_to_say_about_them() {
    for (name, text) in pages() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, text).unwrap();
        let run = Command::new("groff").args(["-ww", "-z", "-man", "-Kutf8", "-Tutf8"]).arg(&path).output();
        let Ok(output) = run else { return eprintln!("skipped: there is no groff") };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn every_option_and_subcommand_has_its_place() {
    let [(_, daemon), _, (_, ipvsadm), (_, client)] = pages();
    let plain = |text: &str| text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    let (daemon, ipvsadm, client) = (plain(&daemon), plain(&ipvsadm), plain(&client));
    for row in standfast::cli::options() {
        assert!(daemon.contains(&format!("--{}", row.long)), "--{} is missing", row.long);
    }
    for command in standfast::client::command_line().get_subcommands() {
        assert!(client.contains(&format!("standfast {}", command.get_name())), "{} is missing", command.get_name());
    }
    for word in standfast::ipvsadm::USAGE.split([' ', ',', '\n']).filter(|word| word.starts_with("--")) {
        assert!(ipvsadm.contains(word), "{word} is missing");
    }
}
