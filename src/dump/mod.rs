//! State written to files on request, in keepalived's formats: SIGUSR1, SIGUSR2, SIGRTMIN+2.

mod bfd;
mod data;
mod detail;
mod files;
mod global;
mod interfaces;
mod json;
mod sockets;
mod statics;
mod stats;
mod text;
mod trackers;

pub use bfd::bfd_data;
pub use data::{check_data, global_data, vrrp_data};
pub use files::Dump;
pub use json::vrrp_json;
pub use stats::vrrp_stats;

use crate::notify::command::ScriptPolicy;
use crate::track::ScriptStanding;
use crate::vrrp::Views;
use standfast_parser::model::Config;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// What dumps are made of.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The configuration that runs.
    pub config: &'a Config,
    /// The state of VRRP.
    pub views: &'a Views,
    /// What the trackers have counted.
    pub observed: &'a Observed,
    /// Who runs scripts.
    pub policy: &'a ScriptPolicy,
    /// Name of this machine, the default `router_id`.
    pub host: &'a str,
    /// The present on both clocks, to turn instants into times of day.
    pub now: (Instant, SystemTime),
}

/// What trackers count besides their votes.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Where each script stands, by name.
    pub scripts: BTreeMap<String, ScriptStanding>,
    /// How many processes of each tracker run, by name.
    pub processes: BTreeMap<String, u32>,
}

impl Sources<'_> {
    /// The time of day of an instant; moments before the epoch become the epoch.
    fn time_of(&self, at: Instant) -> SystemTime {
        crate::logging::clock::time_of(at, self.now)
    }
}

/// The directory of the dumps: `TMPDIR`, or `/tmp`.
#[must_use]
pub fn directory() -> PathBuf {
    std::env::var_os("TMPDIR").filter(|path| !path.is_empty()).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// Writes a file in one step: readers see the old one or the whole new one, mode 0600. Nothing that lies at the path, symbolic
/// links included, is followed or written to; it is replaced.
///
/// # Errors
/// The system's.
pub fn write_file(path: &Path, content: &str) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let written = file.write_all(content.as_bytes()).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// A file of ours beside the path, under a name that nobody has taken.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    const ATTEMPTS: u32 = 100;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    for attempt in 0..ATTEMPTS {
        let temporary = path.with_file_name(format!(".{name}.{}.{attempt}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod file_tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_link_at_the_path_is_replaced_and_its_target_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("keepalived.data"), directory.path().join("victim"));
        std::fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        write_file(&path, "state\n").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "state\n");
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600);
    }

    #[test]
    fn squatters_on_the_temporary_name_are_passed_by() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keepalived.data");
        let squatted = directory.path().join(format!(".keepalived.data.{}.0", std::process::id()));
        symlink("/dev/null", &squatted).unwrap();
        write_file(&path, "state\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "state\n");
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keepalived.data");
        std::fs::create_dir(&path).unwrap();
        assert!(write_file(&path, "state\n").is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write_file(&directory.path().join("no/such/place"), "x").is_err());
    }
}
