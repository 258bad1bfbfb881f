//! The configuration of a start or a reload: read, checked against this machine, reported to the log.

use crate::cli::Options;
use crate::config::{self, Loaded};
use crate::daemonize;
use crate::machine;
use crate::run::Exit;
use standfast_parser::{Diagnostic, Severity, SourceMap, Weight};
use std::collections::BTreeSet;
use tracing::{error, info, warn};

/// Findings beyond this number are counted, not logged.
const LOG_LIMIT: usize = 500;

/// How the network namespace of `-s` or `net_namespace` is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// The process moves there before it looks at interfaces; it must have one thread.
    Enter,
    /// The process is where it belongs.
    Inside,
    /// The process stays where it is; interfaces elsewhere are not judged.
    Outside,
}

/// Reads the configuration that the options name, and adds what this machine has to say about it.
#[must_use]
pub fn read(options: &Options, namespace: Namespace) -> Loaded {
    let id = options.config_id.clone().unwrap_or_else(machine::short_host_name);
    let mut loaded = config::load(&options.config_path(), &id);
    let wanted = options.namespace.clone().or_else(|| loaded.config.globals.net_namespace.clone());
    if loaded.verdict().daemon.is_some() || (namespace == Namespace::Outside && wanted.is_some()) {
        return loaded;
    }
    if let Some(name) = wanted.filter(|_| namespace == Namespace::Enter)
        && let Err(error) = daemonize::enter_network_namespace(&name)
    {
        let text = format!("cannot enter network namespace {name}: {error}");
        loaded.diagnostics.push(Diagnostic::new(Severity::Fatal, Weight::Counts, "net-namespace", text));
        return loaded;
    }
    let found = machine::check_interfaces(&loaded.interfaces, &loaded.config);
    loaded.diagnostics.extend(found);
    loaded
}

/// Reads a configuration to run it and logs what there is to say.
///
/// # Errors
/// The exit status with which a start must end.
pub fn load(options: &Options, namespace: Namespace) -> Result<Loaded, Exit> {
    info!("Configuration file {}", options.config_path().display());
    let loaded = read(options, namespace);
    log(&loaded);
    match refusal(&loaded, options) {
        Some(exit) => Err(exit),
        None => Ok(loaded),
    }
}

/// The exit status of a daemon that starts with this, if it does not run.
#[must_use]
pub fn refusal(loaded: &Loaded, options: &Options) -> Option<Exit> {
    match loaded.verdict().daemon {
        Some(6) => Some(Exit::NoConfig),
        Some(code) => Some(Exit::Code(code)),
        None => (options.require_all_files && misses_a_file(loaded)).then_some(Exit::NoConfig),
    }
}

/// Whether an included file is missing, which `-e` does not forgive.
#[must_use]
pub fn misses_a_file(loaded: &Loaded) -> bool {
    loaded.diagnostics.iter().any(|found| found.code == "missing-include")
}

/// What is wrong with the form of a configuration, by kind: signs of a file that was cut off or is half edited.
#[must_use]
pub fn faults_of_form(loaded: &Loaded) -> BTreeSet<&'static str> {
    const OF_FORM: [&str; 6] =
        ["missing-close", "extra-close", "unexpected-brace", "unclosed-quote", "deep-nesting", "missing-include"];
    loaded.diagnostics.iter().map(|found| found.code).filter(|code| OF_FORM.contains(code)).collect()
}

/// Logs what there is to say about a configuration.
pub fn log(loaded: &Loaded) {
    for found in loaded.diagnostics.iter().take(LOG_LIMIT) {
        let line = one_line(found, &loaded.sources);
        match found.severity {
            Severity::Fatal => error!("{line}"),
            Severity::Note => info!("{line}"),
            _ => warn!("{line}"),
        }
    }
    if let Some(more) = loaded.diagnostics.len().checked_sub(LOG_LIMIT).filter(|more| *more > 0) {
        warn!("{more} more findings in the configuration are not logged; --config-test shows all");
    }
    for keyword in &loaded.not_acted_on {
        info!("{}: {keyword}", loaded.sources.locate(keyword.span));
    }
}

/// `file:line:column: error: message (help)`.
fn one_line(found: &Diagnostic, sources: &SourceMap) -> String {
    let place = found.span.map(|span| format!("{}: ", sources.locate(span))).unwrap_or_default();
    let suggestion = found.suggestion.as_ref().map(|text| format!(" - did you mean `{text}`?")).unwrap_or_default();
    let help = found.help.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
    format!("{place}{}: {}{suggestion}{help}", found.severity.as_str(), found.message)
}
