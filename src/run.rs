//! From the command line to a running daemon: everything that happens while the process has one thread.

use crate::cli::{self, Command, Options, VERSION};
use crate::config::Loaded;
use crate::configuration::{self, Namespace};
use crate::pidfile::{self, Paths, PidFile};
use crate::supervisor::{self, PidFiles};
use crate::{check, client, daemonize, logging, replay};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;
use tracing::{error, info, warn};

/// Exit statuses, with keepalived's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well, or another daemon runs already.
    Ok,
    /// The command line is not understood, or the system refused something basic.
    Failure,
    /// The configuration cannot be run.
    Config,
    /// The process may not do what it must.
    Permission,
    /// There is no configuration to be read.
    NoConfig,
    /// Another number, such as those of a configuration test.
    Code(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failure => 1,
            Exit::Config => 2,
            Exit::Permission => 4,
            Exit::NoConfig => 6,
            Exit::Code(code) => code,
        })
    }
}

/// Lines that are still queued when the daemon ends get this long.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// The program: arguments (its own name first) to exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = arguments.into_iter().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_else(|| "standfast".to_owned());
    let words: Vec<String> = words.collect();
    if let Some(exit) = ipvsadm(&program, &words) {
        return exit;
    }
    if let Some(exit) = genhash(&program, &words) {
        return exit;
    }
    if let Some(exit) = client::run(&words) {
        return exit;
    }
    let exit = match cli::parse(&words) {
        Ok(Command::Help) => say(&cli::help(&program)),
        Ok(Command::Version) => say(&format!("{VERSION}\n")),
        Ok(Command::Signal(number)) => {
            // Nobody is left to be told when standard output is closed.
            let _ = writeln!(io::stdout(), "{number}");
            Exit::Ok
        }
        Ok(Command::Test(options, output)) => check::run(&options, output.as_deref()),
        Ok(Command::Print(options)) => check::print(&options),
        Ok(Command::Replay(options, capture)) => replay::run(&options, &capture),
        Ok(Command::Run(options)) => daemon(&options, &words),
        Err(error) => {
            say(&format!("{error}\n"));
            Exit::Code(error.exit_code())
        }
    };
    exit.into()
}

/// The other program that this one is: by the name it is called (`ipvsadm`, `ipvsadm-save`, `ipvsadm-restore`), or by its first word.
fn ipvsadm(program: &str, words: &[String]) -> Option<ExitCode> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let first = words.first().map(String::as_str);
    let words = match (name, first) {
        ("ipvsadm", _) => words.to_vec(),
        ("ipvsadm-save", None | Some("-n")) => [&["-S".to_owned()], words].concat(),
        ("ipvsadm-restore", None) => vec!["-R".to_owned()],
        (_, Some("ipvsadm")) => words.get(1..).unwrap_or_default().to_vec(),
        _ => return None,
    };
    let program = if name.starts_with("ipvsadm") { program } else { "ipvsadm" };
    Some(ExitCode::from(crate::ipvsadm::run(program, &words, &crate::control::socket())))
}

/// By the name it is called, by its first word, or by the option that keepalived has for it.
fn genhash(program: &str, words: &[String]) -> Option<ExitCode> {
    let called = program.rsplit('/').next() == Some("genhash");
    let told = matches!(words.first().map(String::as_str), Some("genhash" | "-T" | "--genhash"));
    let words = if called { words } else { words.get(1..).filter(|_| told)? };
    Some(ExitCode::from(crate::genhash::run(words)))
}

fn say(text: &str) -> Exit {
    // Nobody is left to be told when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
    Exit::Ok
}

fn daemon(options: &Options, words: &[String]) -> Exit {
    if let Some(mask) = options.umask {
        daemonize::set_umask(mask);
    }
    if let Err(error) = logging::init(options) {
        say(&format!("Cannot open the log file: {error}\n"));
    }
    let exit = start(options, words);
    info!("Stopped {VERSION}");
    logging::flush(LOG_PATIENCE);
    exit
}

fn start(options: &Options, words: &[String]) -> Exit {
    info!("Starting {VERSION}");
    info!("Command line: {}", words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "));
    for option in &options.without_effect {
        info!("Option --{option} has no effect here");
    }
    if options.core_dump
        && let Err(error) = daemonize::allow_core_dumps()
    {
        warn!("Cannot allow core dumps: {error}");
    }
    if let Err(error) = daemonize::allow_many_descriptors() {
        warn!("Cannot raise the limit of open descriptors: {error}");
    }
    match configuration::load(options, Namespace::Enter) {
        Ok(loaded) => prepare(options, loaded),
        Err(exit) => exit,
    }
}

fn prepare(options: &Options, loaded: Loaded) -> Exit {
    // The command line goes before the file.
    if let (None, Some(mask)) = (options.umask, loaded.config.globals.umask) {
        daemonize::set_umask(mask.into());
    }
    let pid_files = match lock_pid_files(options, &loaded) {
        Ok(files) => files,
        Err(error @ pidfile::Error::Running { .. }) => {
            error!("{error}");
            return Exit::Ok;
        }
        Err(error) => {
            error!("{error}");
            return Exit::Failure;
        }
    };
    if !options.foreground
        && let Err(error) = daemonize::detach()
    {
        error!("Cannot leave the terminal: {error}");
        return Exit::Failure;
    }
    logging::start_thread();
    supervisor::run(options, loaded, pid_files)
}

fn lock_pid_files(options: &Options, loaded: &Loaded) -> Result<PidFiles, pidfile::Error> {
    let paths = Paths::choose(options, &loaded.config.globals);
    let parts = options.subsystems;
    Ok(PidFiles {
        control: crate::control::socket_of(&paths.main),
        main: PidFile::lock(&paths.main)?,
        vrrp: parts.vrrp.then(|| PidFile::lock(&paths.vrrp)).transpose()?,
        checkers: parts.checkers.then(|| PidFile::lock(&paths.checkers)).transpose()?,
        memory: paths.vrrp.with_extension("addresses"),
    })
}
