//! Finding a program before it is run, so that a missing script is told at start and not at the first failover.

use std::ffi::OsStr;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a program cannot be run.
#[derive(Debug)]
pub enum ProgramError {
    /// The command has no program.
    Empty,
    /// A name without `/` is in no directory of the search path.
    NotInPath(String),
    /// The path cannot be looked at (missing, or a directory above it cannot be searched).
    Unreachable(PathBuf, io::Error),
    /// It is a directory, a device, a socket...
    NotAFile(PathBuf),
    /// The user who is to run it has no execute permission.
    NotExecutable(PathBuf),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the command is empty"),
            Self::NotInPath(name) => write!(f, "program `{name}` is in no directory of PATH; give its full path"),
            Self::Unreachable(path, error) => write!(f, "program `{}` cannot be found: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "`{}` is not a regular file", path.display()),
            Self::NotExecutable(path) => {
                write!(f, "`{}` is not executable for the user who is to run it; chmod +x it", path.display())
            }
        }
    }
}

impl std::error::Error for ProgramError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(_, error) => Some(error),
            _ => None,
        }
    }
}

/// The file that would be run for `program`: as written if it has a `/`, else the first match in `search_path` (the value of
/// PATH). The answer keeps symbolic links. `uid` and `gid` are those that will run it; 0 needs any execute bit.
///
/// # Errors
/// See [`ProgramError`].
pub fn find_program(program: &str, search_path: &OsStr, uid: u32, gid: u32) -> Result<PathBuf, ProgramError> {
    if program.is_empty() {
        return Err(ProgramError::Empty);
    }
    if program.contains('/') {
        let path = PathBuf::from(program);
        return check(&path, uid, gid).map(|()| path);
    }
    search(program, search_path, uid, gid)
}

fn search(name: &str, search_path: &OsStr, uid: u32, gid: u32) -> Result<PathBuf, ProgramError> {
    let mut found = None;
    for directory in std::env::split_paths(search_path) {
        let path = directory.join(name);
        match check(&path, uid, gid) {
            Ok(()) => return Ok(path),
            Err(ProgramError::Unreachable(..)) => {}
            Err(error) => found = found.or(Some(error)),
        }
    }
    Err(found.unwrap_or_else(|| ProgramError::NotInPath(name.to_owned())))
}

fn check(path: &Path, uid: u32, gid: u32) -> Result<(), ProgramError> {
    let metadata = path.metadata().map_err(|error| ProgramError::Unreachable(path.to_owned(), error))?;
    if !metadata.is_file() {
        return Err(ProgramError::NotAFile(path.to_owned()));
    }
    if may_execute(&metadata, uid, gid) { Ok(()) } else { Err(ProgramError::NotExecutable(path.to_owned())) }
}

fn may_execute(metadata: &Metadata, uid: u32, gid: u32) -> bool {
    let bits = match (uid, metadata.uid() == uid, metadata.gid() == gid) {
        (0, ..) => 0o111,
        (_, true, _) => 0o100,
        (_, _, true) => 0o010,
        _ => 0o001,
    };
    metadata.mode() & bits != 0
}
