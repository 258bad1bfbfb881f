//! Notification FIFOs: one record a line, written without ever waiting for a reader.

use crate::users::Account;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchownat, mkfifo};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tracing::warn;

/// An open FIFO. Dropping it removes the file if this process made it.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    file: File,
    created: bool,
    lost: u64,
}

impl Fifo {
    /// Opens the FIFO, and makes it (mode 0600, owned by `owner`) where there is none.
    ///
    /// It is opened for reading too, so that records written before a reader comes are kept by the kernel.
    ///
    /// # Errors
    /// The system's; `InvalidInput` when the path is something else than a FIFO.
    pub fn open(path: &Path, owner: Account) -> io::Result<Self> {
        let created = create(path, owner)?;
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
        if !file.metadata()?.file_type().is_fifo() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a FIFO"));
        }
        Ok(Self { path: path.to_owned(), file, created, lost: 0 })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a record in one piece, or drops it when the reader has fallen behind by the kernel's buffer. Whether it was written.
    pub fn write(&mut self, record: &str) -> bool {
        let written = self.file.write(record.as_bytes());
        match &written {
            Ok(_) if self.lost > 0 => {
                warn!("notify FIFO {}: its reader is back, {} record(s) were lost", self.path.display(), self.lost);
                self.lost = 0;
            }
            Ok(_) => {}
            Err(error) => {
                if self.lost == 0 {
                    warn!("notify FIFO {}: cannot write: {error}; records are dropped", self.path.display());
                }
                self.lost += 1;
            }
        }
        written.is_ok()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        if self.created {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn create(path: &Path, owner: Account) -> io::Result<bool> {
    match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) if owner == Account::own() => Ok(true),
        Ok(()) => {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            fchownat(AT_FDCWD, path, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            Ok(true)
        }
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn reader(path: &Path) -> File {
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
    }

    #[test]
    fn records_wait_for_their_reader_and_the_file_goes_with_its_maker() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let mut fifo = Fifo::open(&path, Account::own()).unwrap();
        fifo.write("one\n");
        fifo.write("two\n");
        let mut text = [0; 64];
        let length = reader(&path).read(&mut text).unwrap();
        assert_eq!(&text[..length], b"one\ntwo\n");
        drop(fifo);
        assert!(!path.exists());
    }

    #[test]
    fn an_existing_fifo_is_used_and_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        drop(Fifo::open(&path, Account::own()).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn a_reader_that_is_behind_loses_whole_records_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let mut fifo = Fifo::open(&path, Account::own()).unwrap();
        let record = "0123456789012345678901234567890123456789\n";
        for _ in 0..10_000 {
            fifo.write(record);
        }
        assert!(fifo.lost > 0);
        let mut text = vec![0; 1 << 20];
        let mut reader = reader(&path);
        let length = reader.read(&mut text).unwrap();
        assert!(text[..length].chunks(record.len()).all(|chunk| chunk == record.as_bytes()));
        fifo.write(record);
        assert_eq!(fifo.lost, 0);
    }

    #[test]
    fn other_files_are_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        assert!(Fifo::open(&path, Account::own()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
