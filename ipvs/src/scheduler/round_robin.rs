//! `rr`: one after the other (ip_vs_rr.c).

use super::{Flow, Pool, Schedule};
use crate::service::Destination;

/// Remembers the destination chosen last; none stands for the head of the list.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    last: Option<u32>,
}

impl Schedule for RoundRobin {
    fn removing(&mut self, pool: Pool<'_>, number: u32) {
        if self.last == Some(number) {
            let before = pool.position(self.last).and_then(|position| position.checked_sub(1));
            self.last = before.and_then(|position| pool.order.get(position).copied());
        }
    }

    fn pick(&mut self, pool: Pool<'_>, _: &Flow) -> Option<u32> {
        let next = pool.position(self.last).map_or(0, |position| position + 1);
        let (before, after) = pool.order.split_at_checked(next)?;
        let open = |number: &&u32| pool.get(**number).is_some_and(Destination::is_open);
        let chosen = after.iter().chain(before).find(open).copied();
        self.last = chosen.or(self.last);
        chosen
    }
}
