//! `fo` and `ovf`: the heaviest destination (ip_vs_fo.c, ip_vs_ovf.c).

use super::{Flow, Pool, Schedule};
use crate::service::Destination;

/// The heaviest open destination.
#[derive(Debug)]
pub(super) struct FailOver;

/// The heaviest open destination with no more active connections than its weight.
#[derive(Debug)]
pub(super) struct Overflow;

impl Schedule for FailOver {
    fn pick(&mut self, pool: Pool<'_>, _: &Flow) -> Option<u32> {
        heaviest(pool.open())
    }
}

impl Schedule for Overflow {
    fn pick(&mut self, pool: Pool<'_>, _: &Flow) -> Option<u32> {
        heaviest(pool.open().filter(|(_, destination)| destination.active <= destination.weight()))
    }
}

/// The first of the heaviest.
fn heaviest<'a>(destinations: impl Iterator<Item = (u32, &'a Destination)>) -> Option<u32> {
    let heavier = |best: (u32, &'a Destination), next: (u32, &'a Destination)| {
        if next.1.weight() > best.1.weight() { next } else { best }
    };
    destinations.reduce(heavier).map(|(number, _)| number)
}
