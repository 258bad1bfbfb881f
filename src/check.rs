//! `--config-test`: what the configuration means here, without running it.

use crate::cli::Options;
use crate::config::Loaded;
use crate::configuration::{self, Namespace};
use crate::machine::{Machine, Prepared};
use crate::run::Exit;
use nix::unistd::SysconfVar;
use standfast_parser::diagnostic::{Style, to_json};
use standfast_parser::model::Globals;
use standfast_parser::print;
use standfast_parser::{Diagnostic, Severity, Weight};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Checks the configuration and writes what there is to say to `output`, or to standard error. Nothing is written when all is well.
///
/// The status is keepalived's: 0, 2, 5 or 6. A file that cannot be read is 6, as it is for the daemon; keepalived's test says 0.
#[must_use]
pub fn run(options: &Options, output: Option<&Path>) -> Exit {
    let (loaded, code) = examine(options);
    report(&loaded, options, output).map_or_else(|error| complain(&error), |()| Exit::Code(code))
}

/// Writes the effective configuration to standard output and what there is to say to standard error. Status as [`run`].
///
/// Passwords and keys are shown to root alone.
#[must_use]
pub fn print(options: &Options) -> Exit {
    let (loaded, code) = examine(options);
    let print = if nix::unistd::geteuid().is_root() { print::print } else { print::print_for_others };
    let text = print(&loaded.config);
    let written = report(&loaded, options, None).and_then(|()| io::stdout().write_all(text.as_bytes()));
    written.map_or_else(|error| complain(&error), |()| Exit::Code(code))
}

fn examine(options: &Options) -> (Loaded, u8) {
    let mut loaded = configuration::read(options, Namespace::Outside);
    if loaded.verdict().daemon != Some(6) {
        let prepared = Machine::new(options).prepare(loaded.config.clone());
        let ended = loaded.diagnostics.iter().any(lacks_interface);
        loaded.diagnostics.extend(script_findings(&prepared, ended));
        loaded.diagnostics.extend(processor_findings(&loaded.config.globals));
    }
    let missing = options.require_all_files && configuration::misses_a_file(&loaded);
    let code = if missing { 6 } else { loaded.verdict().test };
    (loaded, code)
}

/// Processors that this machine does not have.
fn processor_findings(globals: &Globals) -> Option<Diagnostic> {
    let processors = nix::unistd::sysconf(SysconfVar::_NPROCESSORS_CONF).ok()??;
    let parts = [&globals.vrrp_process, &globals.checker_process, &globals.bfd_process];
    let named = parts.iter().flat_map(|part| &part.cpu_affinity);
    let missing = named.copied().find(|processor| i64::from(*processor) >= processors)?;
    let text = format!("there is no processor {missing}: this machine has 0 to {}", processors - 1);
    Some(Diagnostic::new(Severity::Error, Weight::Counts, "missing-processor", text))
}

fn complain(error: &io::Error) -> Exit {
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(io::stderr(), "cannot write the findings: {error}");
    Exit::Failure
}

fn report(loaded: &Loaded, options: &Options, output: Option<&Path>) -> io::Result<()> {
    let Some(path) = output else {
        return io::stderr().write_all(text(loaded, options.json, style()).as_bytes());
    };
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    file.write_all(text(loaded, options.json, Style::Plain).as_bytes())
}

/// Colours on a terminal, unless `NO_COLOR` says anything or the terminal has none.
fn style() -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if io::stderr().is_terminal() && !refused && !dumb { Style::Colour } else { Style::Plain }
}

fn text(loaded: &Loaded, json: bool, style: Style) -> String {
    if json {
        let findings: Vec<_> = loaded.diagnostics.iter().cloned().chain(without_effect(loaded)).collect();
        return format!("{}\n", to_json(&findings, &loaded.sources));
    }
    let mut text = loaded.render(style);
    for note in without_effect(loaded) {
        let place = note.span.map(|span| format!("{}: ", loaded.sources.locate(span))).unwrap_or_default();
        text.push_str(&format!("note: {place}{}\n", note.message));
    }
    text
}

fn without_effect(loaded: &Loaded) -> impl Iterator<Item = Diagnostic> {
    loaded.not_acted_on.iter().map(|keyword| {
        let message = keyword.to_string();
        let mut note = Diagnostic::new(Severity::Note, Weight::Silent, "not-acted-on", message);
        note.span = Some(keyword.span);
        note
    })
}

/// keepalived's test ends at an interface that is not there, before it comes to the scripts.
fn lacks_interface(found: &Diagnostic) -> bool {
    found.code == "missing-interface" && found.severity == Severity::Fatal
}

/// keepalived's test is silent about notification scripts that are missing, not about those that are tracked and about users;
/// it ends with 6 when root would run scripts unsecured, unless it has `ended` before.
fn script_findings(prepared: &Prepared, ended: bool) -> Vec<Diagnostic> {
    let warning = |note: &String| {
        let violation = prepared.security_violated && note.starts_with("SECURITY VIOLATION");
        let counts = note.starts_with("Disabling track script") || note.starts_with("Script user");
        let (severity, weight) = match (violation, counts) {
            (true, _) => (Severity::Security, if ended { Weight::Counts } else { Weight::Outranks }),
            (false, true) => (Severity::Error, Weight::Counts),
            (false, false) => (Severity::Warning, Weight::Silent),
        };
        Diagnostic::new(severity, weight, "script", note.clone())
    };
    let unforwardable =
        |text: &String| Diagnostic::new(Severity::Warning, Weight::Silent, "not-forwarded", text.clone());
    prepared.notes.iter().map(warning).chain(prepared.plan.warnings.iter().map(unforwardable)).collect()
}
