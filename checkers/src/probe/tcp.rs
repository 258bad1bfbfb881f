//! `TCP_CHECK`.

use super::connect::{ConnectError, reach};
use crate::judge::{Attempt, Fault};
use crate::spec::ConnectSpec;

pub(super) async fn attempt(spec: &ConnectSpec) -> Attempt {
    match reach(spec).await {
        Ok(()) => Attempt::Passed,
        Err(ConnectError::Local(error)) => Attempt::Unjudged(format!("TCP socket: {error}. Rescheduling.")),
        Err(ConnectError::Timeout) => {
            Attempt::Failed(Fault::new("timeout", format!("no connection within {:?}", spec.timeout)))
        }
        Err(ConnectError::Unreachable(error) | ConnectError::Refused(error)) => {
            Attempt::Failed(Fault::new("failed", error.to_string()))
        }
    }
}
