//! A root directory that belongs to the user namespace's root.
//!
//! In a user namespace the machine's `/` seems to be nobody's, so programs that check every directory above a script (as
//! keepalived's script security does) would refuse all of them. Here `/` is a small tmpfs of our own, with all that the machine has at
//! the top bound into it, a private `/run` and a fresh `/proc`.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::Path;

const STAGE: &str = "/run";
const NONE: Option<&str> = None;

/// Builds the root on `/run` and moves into it; the working directory stays.
pub(crate) fn build() -> Result<(), String> {
    let here = std::env::current_dir().map_err(|e| format!("cannot tell the working directory: {e}"))?;
    tmpfs(STAGE)?;
    for entry in std::fs::read_dir("/").map_err(|e| format!("cannot list /: {e}"))?.flatten() {
        bind(&entry.path())?;
    }
    for name in ["proc", "run", "old"] {
        let path = format!("{STAGE}/{name}");
        std::fs::create_dir(&path).map_err(|e| format!("cannot make {path}: {e}"))?;
    }
    crate::sandbox::mount_proc(&format!("{STAGE}/proc"))?;
    tmpfs(&format!("{STAGE}/run"))?;
    let old = format!("{STAGE}/old");
    nix::unistd::pivot_root(STAGE, old.as_str()).map_err(|e| format!("cannot change the root directory: {e}"))?;
    std::env::set_current_dir("/").map_err(|e| format!("cannot enter the new root: {e}"))?;
    umount2("/old", MntFlags::MNT_DETACH).map_err(|e| format!("cannot leave the old root: {e}"))?;
    let _ = std::fs::remove_dir("/old");
    std::env::set_current_dir(&here).map_err(|e| format!("cannot go back to {}: {e}", here.display()))
}

/// Makes a top-level entry appear under the stage: links as links, directories by binding, files not at all.
fn bind(path: &Path) -> Result<(), String> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    let target = format!("{STAGE}/{name}");
    if let Ok(link) = std::fs::read_link(path) {
        return std::os::unix::fs::symlink(link, &target).map_err(|e| format!("cannot make {target}: {e}"));
    }
    if !path.is_dir() || ["proc", "run", "old"].contains(&name) {
        return Ok(());
    }
    std::fs::create_dir(&target).map_err(|e| format!("cannot make {target}: {e}"))?;
    mount(Some(path), target.as_str(), NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .map_err(|e| format!("cannot bind {}: {e}", path.display()))
}

/// An empty file system that root owns.
pub(crate) fn tmpfs(path: &str) -> Result<(), String> {
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
        .map_err(|e| format!("cannot mount a private {path}: {e}"))
}
