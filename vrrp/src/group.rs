//! Sync groups: instances that are master together or not at all.

use crate::effect::{RouterId, State};
use std::sync::Arc;

/// A sync group of a node.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: Arc<str>,
    pub(crate) members: Vec<RouterId>,
    pub(crate) state: State,
}

/// What the members' states amount to: the worst one counts.
pub(crate) fn common_state(states: impl Iterator<Item = State>) -> State {
    let rank = |state: &State| match state {
        State::Deleted | State::Stop => 0,
        State::Fault => 1,
        State::Init => 2,
        State::Backup => 3,
        State::Master => 4,
    };
    states.min_by_key(rank).unwrap_or(State::Init)
}
