//! File access, which is the caller's.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Reads configuration files. The parser itself touches no file system.
pub trait Loader {
    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`LoadError`] tells apart what keepalived tells apart: absent, not a regular file, executable.
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LoadError>;

    /// The files that a pattern with `*`, `?`, `[..]` and `{a,b}` names, sorted; none is no error.
    ///
    /// # Errors
    /// Those of reading directories.
    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
}

/// Why a configuration file could not be read.
#[derive(Debug)]
pub enum LoadError {
    /// There is no such file.
    NotFound,
    /// A directory, a device, or a file with an execute bit: keepalived skips those.
    NotPlain,
    /// It is longer than the limit.
    TooLarge,
    /// Anything else.
    Io(io::Error),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such file"),
            Self::NotPlain => f.write_str("not a regular non-executable file"),
            Self::TooLarge => f.write_str("the file is too large"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// Files in memory, for tests and for text that came from elsewhere.
#[derive(Debug, Default, Clone)]
pub struct MemoryLoader {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryLoader {
    /// A loader with one file.
    #[must_use]
    pub fn single(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::default().with(path, bytes)
    }

    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), bytes.into());
        self
    }
}

impl Loader for MemoryLoader {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LoadError> {
        let bytes = self.files.get(path).ok_or(LoadError::NotFound)?;
        if bytes.len() > limit {
            return Err(LoadError::TooLarge);
        }
        Ok(bytes.clone())
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = pattern.to_string_lossy();
        let matches = |path: &PathBuf| crate::glob::matches_path(&pattern, &path.to_string_lossy());
        Ok(self.files.keys().filter(|path| matches(path)).cloned().collect())
    }
}
