//! `MISC_CHECK`.

use crate::judge::Attempt;
use crate::script;
use crate::spec::MiscSpec;

pub(super) async fn attempt(spec: &MiscSpec) -> Attempt {
    match script::run(&spec.command).await {
        Ok(outcome) => Attempt::Script(outcome),
        Err(error) => Attempt::Unjudged(format!("program {} cannot be run: {error}", spec.command.program())),
    }
}
