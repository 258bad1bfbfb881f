//! Where log lines go: console, file, syslog.

use super::clock::{console_time, syslog_time};
use super::{Entry, Facility, Ident};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::Level;

const SYSLOG_SOCKET: &str = "/dev/log";
/// A syslog daemon that does not read for this long loses the line.
const SYSLOG_PATIENCE: Duration = Duration::from_millis(100);

/// What standard error gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Console {
    /// Nothing.
    #[default]
    Nothing,
    /// What keeps the daemon from starting, for whoever typed the command.
    StartupErrors,
    /// Every line, `-l` with `-n`.
    All,
}

impl Console {
    fn shows(self, entry: &Entry) -> bool {
        match self {
            Self::Nothing => false,
            Self::StartupErrors => entry.startup && entry.level == Level::ERROR,
            Self::All => true,
        }
    }
}

/// The destinations of a process.
#[derive(Debug, Default)]
pub struct Sinks {
    /// What standard error gets.
    pub console: Console,
    /// `-g`.
    pub file: Option<LogFile>,
    /// Syslog, unless `-G`.
    pub syslog: Option<Syslog>,
}

impl Sinks {
    /// Writes one entry everywhere; returns how many lines a destination refused.
    pub fn write(&mut self, entry: &Entry) -> u64 {
        entry.text.lines().map(|line| self.write_line(entry, &printable(line))).sum()
    }

    fn write_line(&mut self, entry: &Entry, line: &str) -> u64 {
        let stamped = format!("{}: {line}\n", console_time(entry.time));
        let mut lost = 0;
        if self.console.shows(entry) {
            lost += u64::from(io::stderr().write_all(stamped.as_bytes()).is_err());
        }
        if let Some(file) = &mut self.file {
            lost += u64::from(file.write(&stamped).is_err());
        }
        if let Some(syslog) = &mut self.syslog {
            lost += u64::from(!syslog.send(entry, line));
        }
        lost
    }

    /// Opens the log file again, after something rotated it.
    pub fn reopen(&mut self) {
        if let Some(file) = &mut self.file {
            file.reopen();
        }
    }
}

/// The file of `-g`.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens the file for appending and creates it where needed.
    ///
    /// # Errors
    /// The system's; a symbolic link in the last component is refused (ELOOP).
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open_append(path)? })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())
    }

    fn reopen(&mut self) {
        if let Ok(file) = open_append(&self.path) {
            self.file = file;
        }
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// A connection to the local syslog socket (syslogd, rsyslog or journald), RFC 3164 style.
#[derive(Debug)]
pub struct Syslog {
    path: PathBuf,
    facility: Facility,
    pid: u32,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// A connection that is made when the first line is written.
    #[must_use]
    pub fn new(facility: Facility) -> Self {
        Self::at(Path::new(SYSLOG_SOCKET), facility)
    }

    /// The same with another socket.
    #[must_use]
    pub fn at(path: &Path, facility: Facility) -> Self {
        Self { path: path.to_owned(), facility, pid: std::process::id(), socket: None }
    }

    /// Takes the pid of the process that goes on after a fork.
    pub fn renew(&mut self) {
        self.pid = std::process::id();
    }

    /// Sends a line. A host without a syslog socket is no loss; a daemon that stopped listening is tried again once.
    fn send(&mut self, entry: &Entry, line: &str) -> bool {
        let datagram = self.datagram(entry, line);
        for _ in 0..2 {
            let Some(socket) = self.connected() else { return true };
            match socket.send(datagram.as_bytes()) {
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.socket = None,
            }
        }
        false
    }

    fn datagram(&self, entry: &Entry, line: &str) -> String {
        let priority = u32::from(self.facility.0) * 8 + severity(entry.level);
        let (time, ident, pid) = (syslog_time(entry.time), entry.ident.name(), self.pid);
        format!("<{priority}>{time} {ident}[{pid}]: {line}")
    }

    fn connected(&mut self) -> Option<&UnixDatagram> {
        if self.socket.is_none() {
            self.socket = connect(&self.path).ok();
        }
        self.socket.as_ref()
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(SYSLOG_PATIENCE))?;
    Ok(socket)
}

/// keepalived writes details at level info, too.
fn severity(level: Level) -> u32 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        _ => 6,
    }
}

/// Control characters would let a peer's text forge lines or drive a terminal.
fn printable(line: &str) -> String {
    if !line.chars().any(char::is_control) {
        return line.to_owned();
    }
    line.chars()
        .map(|c| if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

impl Ident {
    /// The ident that keepalived's process of the same duty uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "Keepalived",
            Self::Vrrp => "Keepalived_vrrp",
            Self::Checkers => "Keepalived_healthcheckers",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn entry(text: &str, ident: Ident, level: Level) -> Entry {
        let time = UNIX_EPOCH + Duration::from_secs(1);
        Entry { time, level, ident, text: text.to_owned(), startup: false }
    }

    fn received(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        let mut lines = Vec::new();
        while let Ok(length) = socket.recv(&mut buffer) {
            lines.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        lines
    }

    #[test]
    fn syslog_datagrams_carry_priority_ident_and_pid() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut sinks = Sinks { syslog: Some(Syslog::at(&path, Facility::local(1))), ..Sinks::default() };
        assert_eq!(sinks.write(&entry("(VI_1) one\ntwo \x1b[2J", Ident::Vrrp, Level::WARN)), 0);
        let lines = received(&receiver);
        let head = format!("Keepalived_vrrp[{}]: ", std::process::id());
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("<140>Jan  1 ") && lines[0].ends_with(&format!(" {head}(VI_1) one")), "{lines:?}");
        assert!(lines[1].ends_with("two \\u{1b}[2J"), "{lines:?}");
    }

    #[test]
    fn a_restarted_syslog_daemon_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut sinks = Sinks { syslog: Some(Syslog::at(&path, Facility::DAEMON)), ..Sinks::default() };
        assert_eq!(sinks.write(&entry("nobody listens", Ident::Main, Level::INFO)), 0);
        let first = UnixDatagram::bind(&path).unwrap();
        assert_eq!(sinks.write(&entry("one", Ident::Main, Level::INFO)), 0);
        assert_eq!(received(&first).len(), 1);
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        assert_eq!(sinks.write(&entry("two", Ident::Main, Level::INFO)), 0);
        assert!(received(&second)[0].ends_with(": two"));
    }

    #[test]
    fn a_syslog_daemon_that_does_not_read_costs_a_bounded_wait() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let mut sinks = Sinks { syslog: Some(Syslog::at(&path, Facility::DAEMON)), ..Sinks::default() };
        let lost: u64 =
            (0..600).map_while(|_| Some(sinks.write(&entry("x", Ident::Main, Level::INFO))).filter(|n| *n == 0)).sum();
        assert_eq!(lost, 0);
        assert_eq!(sinks.write(&entry("x", Ident::Main, Level::INFO)), 1);
    }

    #[test]
    fn the_file_is_appended_to_and_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let mut sinks = Sinks { file: Some(LogFile::open(&path).unwrap()), ..Sinks::default() };
        sinks.write(&entry("before", Ident::Main, Level::INFO));
        std::fs::rename(&path, directory.path().join("old")).unwrap();
        sinks.reopen();
        sinks.write(&entry("after", Ident::Main, Level::INFO));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("1970: after\n"));
    }

    #[test]
    fn a_log_file_behind_a_symbolic_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("target"), &link).unwrap();
        assert!(LogFile::open(&link).is_err());
    }
}
