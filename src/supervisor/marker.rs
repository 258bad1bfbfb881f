//! `reload_file`: there while the configuration is read, so that whoever writes it can wait.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use tracing::warn;

/// Removes the file when it is dropped.
pub(super) struct Marker(PathBuf);

impl Marker {
    /// Makes the file, or empties one that is there. It is never reached through a symbolic link.
    pub(super) fn set(path: &str) -> Option<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o644).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        match options.open(path) {
            Ok(_) => Some(Self(path.into())),
            Err(error) => {
                warn!("Cannot make the reload_file {path}: {error}");
                None
            }
        }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            warn!("Cannot remove the reload_file {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_empty_while_it_lasts_and_gone_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reload");
        std::fs::write(&path, "wait").unwrap();
        let marker = Marker::set(path.to_str().unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        drop(marker);
        assert!(!path.exists());
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("reload"), directory.path().join("victim"));
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(Marker::set(path.to_str().unwrap()).is_none());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }
}
