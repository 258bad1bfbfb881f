//! keepalived's command line.
//!
//! The grammar is that of `getopt_long`: clusters (`-nlD`), attached and separate values, `--name=value`, unambiguous
//! abbreviations of long names, `--` ends the options. Words that are no options are an error of their own, because keepalived
//! ends with status 0 on them.

mod help;
mod table;

pub use help::{VERSION, help};

use crate::logging::Facility;
use standfast_parser::model::{LvsBackend, WEB_PORT, socket_address};
use std::net::SocketAddr;
use std::path::PathBuf;
use table::{Meaning, OPTIONS, Row, Value};
pub use table::{Row as OptionRow, Value as OptionValue};

/// keepalived's configuration file, read when `-f` names none.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/keepalived/keepalived.conf";

/// Every option, as the parser, the help and the man page have it.
#[must_use]
pub fn options() -> &'static [OptionRow] {
    OPTIONS
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run the daemon.
    Run(Box<Options>),
    /// `-t`: check the configuration; diagnostics go to the file or to standard error.
    Test(Box<Options>, Option<PathBuf>),
    /// `--print-config`: check the configuration and print what it means.
    Print(Box<Options>),
    /// `--replay`: judge the packets of this capture.
    Replay(Box<Options>, PathBuf),
    /// `-h`.
    Help,
    /// `-v`.
    Version,
    /// `--signum`: print this number.
    Signal(i32),
}

/// Which parts of the daemon run; both by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsystems {
    /// VRRP.
    pub vrrp: bool,
    /// Health checking and forwarding.
    pub checkers: bool,
    /// BFD sessions.
    pub bfd: bool,
}

impl Default for Subsystems {
    fn default() -> Self {
        Self { vrrp: true, checkers: true, bfd: true }
    }
}

/// Settings of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `-f`: path or pattern of the configuration; `None` is [`DEFAULT_CONFIG_FILE`].
    pub config_file: Option<PathBuf>,
    /// `-i`.
    pub config_id: Option<String>,
    /// `-e`.
    pub require_all_files: bool,
    /// `-P`, `-C`.
    pub subsystems: Subsystems,
    /// `-n`.
    pub foreground: bool,
    /// `-l`.
    pub log_console: bool,
    /// `-D`.
    pub log_detail: bool,
    /// `-S`.
    pub log_facility: Facility,
    /// `-g`.
    pub log_file: Option<PathBuf>,
    /// `-G`.
    pub no_syslog: bool,
    /// `-u`.
    pub umask: Option<u32>,
    /// `-V`.
    pub keep_addresses: bool,
    /// `-I`.
    pub keep_services: bool,
    /// `--lvs-backend`.
    pub backend: Option<LvsBackend>,
    /// `-R`.
    pub dont_respawn: bool,
    /// `-d`.
    pub dump_config: bool,
    /// `-p`.
    pub pid_file: Option<PathBuf>,
    /// `-r`.
    pub vrrp_pid_file: Option<PathBuf>,
    /// `-c`.
    pub checkers_pid_file: Option<PathBuf>,
    /// `-s`.
    pub namespace: Option<String>,
    /// `-m`, `-M`.
    pub core_dump: bool,
    /// `--ignore-sigint`.
    pub ignore_sigint: bool,
    /// `--json`.
    pub json: bool,
    /// `--web-address`; it goes before the configuration's.
    pub web_address: Option<SocketAddr>,
    /// Long names of options that were accepted and have no effect here.
    pub without_effect: Vec<&'static str>,
}

impl Options {
    /// The configuration file to read.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.config_file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG_FILE))
    }
}

/// Why a command line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such option.
    #[error("unknown option {0}")]
    UnknownOption(String),
    /// Several options begin like this.
    #[error("option {0} is ambiguous: {1}")]
    Ambiguous(String, String),
    /// A value is missing.
    #[error("option {0} needs a value ({1})")]
    MissingValue(String, &'static str),
    /// A value was given to an option that takes none.
    #[error("option --{0} takes no value")]
    SurplusValue(&'static str),
    /// A value has the wrong form.
    #[error("option {0}: `{1}` is not {2}")]
    BadValue(String, String, &'static str),
    /// The option exists in keepalived and nothing like it exists here.
    #[error("option {0} is not available in this program")]
    NotAvailable(String),
    /// Words that belong to no option.
    #[error("Unexpected argument(s): {0}")]
    Surplus(String),
}

impl Error {
    /// keepalived's exit status for the error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Surplus(_) => 0,
            _ => 1,
        }
    }
}

/// Understands the words after the program's name.
///
/// # Errors
/// The first thing that is not understood; surplus words only if all else is.
pub fn parse(words: &[String]) -> Result<Command, Error> {
    let mut state = State::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            state.surplus.extend(words.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            state.long(long, &mut words)?;
        } else if word.len() > 1 && word.starts_with('-') {
            state.cluster(&word[1..], &mut words)?;
        } else {
            state.surplus.push(word.clone());
        }
    }
    state.finish()
}

#[derive(Default)]
struct State {
    options: Options,
    only_vrrp: bool,
    only_checkers: bool,
    command: Option<Command>,
    test: Option<Option<PathBuf>>,
    print: bool,
    replay: Option<PathBuf>,
    surplus: Vec<String>,
}

impl State {
    fn long<'a>(&mut self, text: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), Error> {
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let row = find_long(name)?;
        let value = match (row.value, attached) {
            (Value::None, Some(_)) => return Err(Error::SurplusValue(row.long)),
            (Value::Required(kind), None) => {
                Some(rest.next().cloned().ok_or_else(|| Error::MissingValue(format!("--{}", row.long), kind))?)
            }
            (_, attached) => attached,
        };
        self.apply(row, value, format!("--{}", row.long))
    }

    fn cluster<'a>(&mut self, letters: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), Error> {
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            let name = format!("-{letter}");
            let row = OPTIONS
                .iter()
                .find(|row| row.short == Some(letter))
                .ok_or_else(|| Error::UnknownOption(name.clone()))?;
            if row.value == Value::None {
                self.apply(row, None, name)?;
                continue;
            }
            let attached = Some(letters.as_str()).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
            let value = match (row.value, attached) {
                (Value::Required(kind), None) => {
                    Some(rest.next().cloned().ok_or_else(|| Error::MissingValue(name.clone(), kind))?)
                }
                (_, attached) => attached,
            };
            return self.apply(row, value, name);
        }
        Ok(())
    }

    fn apply(&mut self, row: &Row, value: Option<String>, name: String) -> Result<(), Error> {
        let path = || value.clone().map(PathBuf::from);
        let options = &mut self.options;
        match row.meaning {
            Meaning::UseFile => options.config_file = path(),
            Meaning::Vrrp => self.only_vrrp = true,
            Meaning::Check => self.only_checkers = true,
            Meaning::LogConsole => options.log_console = true,
            Meaning::LogDetail => options.log_detail = true,
            Meaning::LogFacility => options.log_facility = facility(name, value)?,
            Meaning::LogFile => options.log_file = path(),
            Meaning::NoSyslog => options.no_syslog = true,
            Meaning::Umask => options.umask = Some(umask(name, value)?),
            Meaning::DontReleaseVrrp => options.keep_addresses = true,
            Meaning::DontReleaseIpvs => options.keep_services = true,
            Meaning::LvsBackend => options.backend = Some(backend(name, value)?),
            Meaning::DontRespawn => options.dont_respawn = true,
            Meaning::DontFork => options.foreground = true,
            Meaning::DumpConf => options.dump_config = true,
            Meaning::PidFile => options.pid_file = path(),
            Meaning::VrrpPidFile => options.vrrp_pid_file = path(),
            Meaning::CheckersPidFile => options.checkers_pid_file = path(),
            Meaning::Namespace => options.namespace = value,
            Meaning::CoreDump | Meaning::CoreDumpPattern => options.core_dump = true,
            Meaning::AllConfig => options.require_all_files = true,
            Meaning::ConfigId => options.config_id = value,
            Meaning::IgnoreSigint => options.ignore_sigint = true,
            Meaning::Genhash => return Err(Error::NotAvailable(name)),
            Meaning::Signum => self.command = Some(Command::Signal(signal_number(name, value)?)),
            Meaning::ConfigTest => self.test = Some(path()),
            Meaning::Json => options.json = true,
            Meaning::PrintConfig => self.print = true,
            Meaning::Replay => self.replay = path(),
            Meaning::WebAddress => options.web_address = Some(web_address(name, value)?),
            Meaning::Version => self.first(Command::Version),
            Meaning::Help => self.first(Command::Help),
            Meaning::ReleaseVips | Meaning::FlushLogFile => {}
            Meaning::NoBfd => options.subsystems.bfd = false,
            Meaning::All
            | Meaning::BfdPidFile
            | Meaning::AddressMonitoring
            | Meaning::Snmp
            | Meaning::SnmpAgentSocket => options.without_effect.push(row.long),
        }
        Ok(())
    }

    fn first(&mut self, command: Command) {
        self.command.get_or_insert(command);
    }

    fn finish(mut self) -> Result<Command, Error> {
        if let Some(command) = self.command {
            return Ok(command);
        }
        if !self.surplus.is_empty() {
            return Err(Error::Surplus(self.surplus.join(" ")));
        }
        if self.only_vrrp || self.only_checkers {
            let bfd = self.options.subsystems.bfd;
            self.options.subsystems = Subsystems { vrrp: self.only_vrrp, checkers: self.only_checkers, bfd };
        }
        let options = Box::new(self.options);
        if let Some(capture) = self.replay {
            return Ok(Command::Replay(options, capture));
        }
        Ok(match self.test {
            _ if self.print => Command::Print(options),
            Some(output) => Command::Test(options, output),
            None => Command::Run(options),
        })
    }
}

fn find_long(name: &str) -> Result<&'static Row, Error> {
    if let Some(row) = OPTIONS.iter().find(|row| row.long == name) {
        return Ok(row);
    }
    let candidates: Vec<&Row> = OPTIONS.iter().filter(|row| !name.is_empty() && row.long.starts_with(name)).collect();
    match candidates.as_slice() {
        [] => Err(Error::UnknownOption(format!("--{name}"))),
        [row] => Ok(row),
        several => {
            let names: Vec<String> = several.iter().map(|row| format!("--{}", row.long)).collect();
            Err(Error::Ambiguous(format!("--{name}"), names.join(" ")))
        }
    }
}

fn backend(name: String, value: Option<String>) -> Result<LvsBackend, Error> {
    let text = value.unwrap_or_default();
    LvsBackend::of(&text).ok_or(Error::BadValue(name, text, "embedded, kernel or auto"))
}

fn facility(name: String, value: Option<String>) -> Result<Facility, Error> {
    let text = value.unwrap_or_default();
    Facility::from_name(&text).ok_or(Error::BadValue(name, text, "0-7, local0-7, user or daemon"))
}

/// A mask in C's notation: decimal, octal with a leading 0, hexadecimal with 0x.
fn umask(name: String, value: Option<String>) -> Result<u32, Error> {
    let text = value.unwrap_or_default();
    let number = if let Some(digits) = text.strip_prefix("0x") {
        u32::from_str_radix(digits, 16)
    } else if let Some(digits) = text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        u32::from_str_radix(digits, 8)
    } else {
        text.parse()
    };
    number.ok().filter(|mask| *mask <= 0o777).ok_or(Error::BadValue(name, text, "a file creation mask (0 to 0777)"))
}

fn web_address(name: String, value: Option<String>) -> Result<SocketAddr, Error> {
    let text = value.unwrap_or_default();
    socket_address(&text, WEB_PORT).ok_or(Error::BadValue(name, text, "an address with or without a port"))
}

fn signal_number(name: String, value: Option<String>) -> Result<i32, Error> {
    let text = value.unwrap_or_default();
    crate::signals::number_of(&text).ok_or(Error::BadValue(name, text, "STOP, RELOAD, DATA, STATS or JSON"))
}

#[cfg(test)]
mod tests;
