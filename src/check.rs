//! `--config-test`: what the configuration means here, without running it.

use crate::cli::Options;
use crate::config::Loaded;
use crate::configuration::{self, Namespace};
use crate::machine::{Machine, Prepared};
use crate::run::Exit;
use standfast_parser::diagnostic::Style;
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
    let mut loaded = configuration::read(options, Namespace::Outside);
    if loaded.verdict().daemon != Some(6) {
        let prepared = Machine::new(options).prepare(loaded.config.clone());
        loaded.diagnostics.extend(script_findings(&prepared));
    }
    let code =
        if options.require_all_files && configuration::misses_a_file(&loaded) { 6 } else { loaded.verdict().test };
    match write(&loaded, output) {
        Ok(()) => Exit::Code(code),
        Err(error) => {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(io::stderr(), "cannot write the findings: {error}");
            Exit::Failure
        }
    }
}

fn write(loaded: &Loaded, output: Option<&Path>) -> io::Result<()> {
    let Some(path) = output else {
        let style = if io::stderr().is_terminal() { Style::Colour } else { Style::Plain };
        return io::stderr().write_all(text(loaded, style).as_bytes());
    };
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    file.write_all(text(loaded, Style::Plain).as_bytes())
}

fn text(loaded: &Loaded, style: Style) -> String {
    let mut text = loaded.render(style);
    for keyword in &loaded.not_acted_on {
        let place = loaded.sources.locate(keyword.span);
        text.push_str(&format!("note: {place}: {} is accepted and has no effect\n", keyword.keyword));
    }
    text
}

/// keepalived's test is silent about scripts that are missing, and ends with 6 when root would run scripts unsecured.
fn script_findings(prepared: &Prepared) -> Vec<Diagnostic> {
    let warning = |note: &String| {
        let violation = prepared.security_violated && note.starts_with("SECURITY VIOLATION");
        let (severity, weight) =
            if violation { (Severity::Security, Weight::Outranks) } else { (Severity::Warning, Weight::Silent) };
        Diagnostic::new(severity, weight, "script", note.clone())
    };
    let unforwardable =
        |text: &String| Diagnostic::new(Severity::Warning, Weight::Silent, "not-forwarded", text.clone());
    prepared.notes.iter().map(warning).chain(prepared.plan.warnings.iter().map(unforwardable)).collect()
}
