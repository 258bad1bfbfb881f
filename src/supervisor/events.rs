//! From what the parts say to what scripts, FIFOs and mails are told.

use crate::notify::{Event, State};
use crate::vrrp::VrrpEvent;
use standfast_vrrp::State as VrrpState;
use std::collections::HashMap;
use std::sync::Arc;

/// Remembers what events leave out.
#[derive(Debug, Default)]
pub(super) struct Translator {
    priorities: HashMap<Arc<str>, u8>,
}

impl Translator {
    /// What follows from an event; nothing for states that nobody is told about.
    pub(super) fn vrrp(&mut self, event: &VrrpEvent) -> Option<Event> {
        match event {
            VrrpEvent::Transition { router, to, priority, .. } => {
                self.priorities.insert(Arc::clone(router), *priority);
                let (name, priority) = (router.to_string(), *priority);
                let event = told(*to).map(|state| Event::Instance { name, state, priority });
                if *to == VrrpState::Deleted {
                    self.priorities.remove(router);
                }
                event
            }
            VrrpEvent::GroupTransition { group, to } => {
                told(*to).map(|state| Event::Group { name: group.to_string(), state })
            }
            VrrpEvent::MasterReceivedLowerPriority { router } => {
                let priority = self.priorities.get(router).copied().unwrap_or(0);
                Some(Event::LowerPriorityReceived { name: router.to_string(), priority })
            }
            VrrpEvent::PriorityChanged { router, priority, state } => {
                self.priorities.insert(Arc::clone(router), *priority);
                let (name, master) = (router.to_string(), *state == VrrpState::Master);
                Some(Event::PriorityChanged { name, master, priority: *priority })
            }
            VrrpEvent::SplitBrain { router, rival, over } => {
                (!over).then(|| Event::SplitBrain { name: router.to_string(), rival: *rival })
            }
            VrrpEvent::Restarted { .. } | VrrpEvent::Ended { .. } => None,
        }
    }
}

pub(super) fn told(state: VrrpState) -> Option<State> {
    match state {
        VrrpState::Init => None,
        VrrpState::Backup => Some(State::Backup),
        VrrpState::Master => Some(State::Master),
        VrrpState::Fault => Some(State::Fault),
        VrrpState::Stop => Some(State::Stop),
        VrrpState::Deleted => Some(State::Deleted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_vrrp::TransitionReason;

    fn transition(to: VrrpState, priority: u8) -> VrrpEvent {
        let reason = TransitionReason::Started;
        VrrpEvent::Transition { router: "VI_1".into(), from: VrrpState::Init, to, priority, reason }
    }

    #[test]
    fn a_lower_priority_is_told_with_the_priority_of_the_instance() {
        let mut translator = Translator::default();
        assert_eq!(translator.vrrp(&transition(VrrpState::Init, 100)), None);
        translator.vrrp(&transition(VrrpState::Master, 150));
        let lower = VrrpEvent::MasterReceivedLowerPriority { router: "VI_1".into() };
        let expected = Event::LowerPriorityReceived { name: "VI_1".into(), priority: 150 };
        assert_eq!(translator.vrrp(&lower), Some(expected));
        translator.vrrp(&transition(VrrpState::Deleted, 150));
        assert!(translator.priorities.is_empty());
    }

    #[test]
    fn states_keep_their_names() {
        let mut translator = Translator::default();
        for (from, to) in [
            (VrrpState::Backup, State::Backup),
            (VrrpState::Fault, State::Fault),
            (VrrpState::Stop, State::Stop),
            (VrrpState::Deleted, State::Deleted),
        ] {
            let event = Event::Instance { name: "VI_1".into(), state: to, priority: 9 };
            assert_eq!(translator.vrrp(&transition(from, 9)), Some(event));
        }
    }
}
