//! `startup_script` and `shutdown_script`: run once, and waited for.

use crate::notify::command::{Outcome, ScriptPolicy};
use standfast_checkers::script;
use standfast_parser::model::{Globals, LifeScript};
use tracing::{info, warn};

/// Runs the script before anything else is started.
pub(super) async fn start(globals: &Globals) {
    run(globals, "Startup", globals.startup_script.as_ref()).await;
}

/// Runs the script when everything else has ended.
pub(super) async fn stop(globals: &Globals) {
    run(globals, "Shutdown", globals.shutdown_script.as_ref()).await;
}

/// Whatever comes of it, the daemon goes on.
async fn run(globals: &Globals, which: &str, wanted: Option<&LifeScript>) {
    let Some(LifeScript { script, timeout }) = wanted else { return };
    let mut policy = ScriptPolicy::new(globals);
    let command = match policy.prepare(script) {
        Outcome::Ready(command) => command.for_checkers().with_timeout(*timeout),
        Outcome::Disabled(problem) => return warn!("{which} script: {problem}"),
    };
    let text = &script.text;
    let which = which.to_lowercase();
    info!("Running {which} script {}", text.split_whitespace().next().unwrap_or_default());
    match script::run(&command).await {
        Ok(script::Outcome::Exited(0)) => info!("{which} script script succeeded"),
        Ok(script::Outcome::Exited(status)) => warn!("{which} script script failed, status {status}"),
        Ok(script::Outcome::Signaled(signal)) => warn!("{which} script {text} terminated due to signal {signal}"),
        Ok(script::Outcome::TimedOut) => warn!("{which} script {text} timed out after {} s", timeout.as_secs()),
        Err(error) => warn!("{which} script {text} cannot be run: {error}"),
    }
}
