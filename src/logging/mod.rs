//! Log lines as keepalived writes them: console, file, syslog; never blocking whoever logs.
//!
//! Code logs with `tracing`. The target chooses keepalived's ident ([`Ident`]): modules of VRRP and the target `vrrp`, modules
//! of health checking and the target `healthcheck`, everything else. ERROR, WARN and INFO are always written, DEBUG is the
//! detail of `-D`, TRACE is never written. Other crates are heard from WARN on.
//!
//! Until [`start_thread`] (no thread may exist before the daemon has forked) a line is written by its caller; after it, lines go
//! through a bounded queue. What does not fit is counted, and the count is logged as soon as there is room.

pub mod clock;
mod queue;
pub mod sinks;

use crate::cli::Options;
use sinks::{Console, LogFile, Sinks, Syslog};
use std::fmt::{self, Write as _};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// A syslog facility code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// `LOG_DAEMON`.
    pub const DAEMON: Self = Self(3);
    /// `LOG_USER`.
    pub const USER: Self = Self(1);

    /// `LOG_LOCAL0` to `LOG_LOCAL7`; larger numbers are taken modulo 8.
    #[must_use]
    pub const fn local(number: u8) -> Self {
        Self(16 + number % 8)
    }

    /// `0`-`7`, `local0`-`local7`, `user`, `daemon`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "daemon" => Some(Self::DAEMON),
            "user" => Some(Self::USER),
            _ => match name.strip_prefix("local").unwrap_or(name).as_bytes() {
                [digit @ b'0'..=b'7'] => Some(Self::local(digit - b'0')),
                _ => None,
            },
        }
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self::DAEMON
    }
}

/// Which of keepalived's processes would have written a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ident {
    /// The parent.
    Main,
    /// VRRP.
    Vrrp,
    /// Health checking and forwarding.
    Checkers,
}

impl Ident {
    fn of_target(target: &str) -> Self {
        const VRRP: [&str; 3] = ["vrrp", "standfast_vrrp", "standfast::vrrp"];
        const CHECKERS: [&str; 5] =
            ["healthcheck", "standfast_checkers", "standfast::health", "standfast_ipvs", "standfast::dataplane"];
        let within = |rooms: &[&str]| rooms.iter().any(|room| belongs_to(target, room));
        match target {
            _ if within(&VRRP) => Self::Vrrp,
            _ if within(&CHECKERS) => Self::Checkers,
            _ => Self::Main,
        }
    }
}

fn belongs_to(target: &str, room: &str) -> bool {
    target.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// One log entry; its text may have several lines.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it was logged.
    pub time: SystemTime,
    /// Its level.
    pub level: Level,
    /// Its ident.
    pub ident: Ident,
    /// The text.
    pub text: String,
    /// Logged before the daemon ran.
    pub startup: bool,
}

static QUEUE: OnceLock<queue::Queue> = OnceLock::new();
static STARTED: AtomicBool = AtomicBool::new(false);
static DIRECT: Mutex<Option<Sinks>> = Mutex::new(None);

/// Installs the process-wide logger, writing directly until [`start_thread`].
///
/// # Errors
/// When the log file cannot be opened; console and syslog work even then.
pub fn init(options: &Options) -> io::Result<()> {
    let (file, problem) = match options.log_file.as_deref().map(LogFile::open).transpose() {
        Ok(file) => (file, Ok(())),
        Err(error) => (None, Err(error)),
    };
    let sinks = Sinks {
        console: if options.foreground && options.log_console { Console::All } else { Console::StartupErrors },
        file,
        syslog: (!options.no_syslog).then(|| Syslog::new(options.log_facility)),
    };
    *DIRECT.lock().unwrap_or_else(PoisonError::into_inner) = Some(sinks);
    let subscriber = tracing_subscriber::registry().with(LogLayer { detail: options.log_detail });
    // A second logger in one process (tests) keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(log_panic));
    problem
}

/// A daemon's standard error is closed; a fault of ours must still be seen.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    tracing::error!("panicked in thread {}: {panic}", thread.name().unwrap_or("without name"));
}

/// Hands the destinations to a thread of their own. Call after the last fork, once.
pub fn start_thread() {
    let sinks = DIRECT.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut sinks) = sinks {
        if let Some(syslog) = &mut sinks.syslog {
            syslog.renew();
        }
        let _ = QUEUE.set(queue::Queue::start(sinks));
    }
}

/// From here on, errors that nobody asked to see on the terminal are not shown there.
pub fn started() {
    STARTED.store(true, Ordering::Relaxed);
}

/// Waits until everything logged so far is written, `patience` at most.
pub fn flush(patience: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(patience);
    }
}

/// Opens the log file again.
pub fn reopen() {
    if let Some(queue) = QUEUE.get() {
        queue.reopen();
    }
}

fn write(entry: Entry) {
    if let Some(queue) = QUEUE.get() {
        queue.push(entry);
    } else if let Ok(mut sinks) = DIRECT.try_lock() {
        // Locked means that writing itself panicked and this is the news of it.
        if let Some(sinks) = sinks.as_mut() {
            sinks.write(&entry);
        }
    }
}

struct LogLayer {
    detail: bool,
}

impl LogLayer {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let ours = target.starts_with("standfast") || target == "vrrp" || target == "healthcheck";
        let limit = match (ours, self.detail) {
            (false, _) => Level::WARN,
            (true, false) => Level::INFO,
            (true, true) => Level::DEBUG,
        };
        metadata.is_event() && *metadata.level() <= limit
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let ident = Ident::of_target(metadata.target());
        let startup = !STARTED.load(Ordering::Relaxed);
        write(Entry { time: SystemTime::now(), level: *metadata.level(), ident, text: text.0, startup });
    }
}

/// The message, then `name=value` of every other field.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_choose_the_ident() {
        let cases = [
            ("vrrp", Ident::Vrrp),
            ("standfast::vrrp::thread", Ident::Vrrp),
            ("standfast_vrrp::router", Ident::Vrrp),
            ("healthcheck", Ident::Checkers),
            ("standfast_checkers::pool", Ident::Checkers),
            ("standfast::supervisor", Ident::Main),
            ("vrrpish", Ident::Main),
            ("standfast", Ident::Main),
        ];
        for (target, ident) in cases {
            assert_eq!(Ident::of_target(target), ident, "{target}");
        }
    }

    #[test]
    fn facilities_have_their_codes() {
        assert_eq!(Facility::from_name("0"), Some(Facility(16)));
        assert_eq!(Facility::from_name("local7"), Some(Facility(23)));
        assert_eq!(Facility::from_name("user"), Some(Facility(1)));
        for bad in ["8", "local8", "", "local", "mail", "77"] {
            assert_eq!(Facility::from_name(bad), None, "{bad}");
        }
    }
}
