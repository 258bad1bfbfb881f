//! `mh`: Maglev hashing of the client's address (ip_vs_mh.c; Eisenbud and others, "Maglev: A Fast and Reliable Software
//! Network Load Balancer", 2016).

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::{Flow, Pool, Schedule, SchedulerFlags, fold, greatest_common_divisor};
use crate::service::Destination;

/// Size of the table, a prime (the kernel's default, CONFIG_IP_VS_MH_TAB_INDEX=12).
const SIZE: usize = 4093;
/// The kernel's fixed keys.
const FIRST: u64 = 2_654_435_761;
const SECOND: u64 = 2_654_446_892;
/// Weights are cut to so many bits.
const WEIGHT_BITS: u32 = 6;

/// The lookup table; `u32::MAX` where there is no server.
#[derive(Debug)]
pub(super) struct Maglev {
    flags: SchedulerFlags,
    table: Vec<u32>,
}

/// A server's walk through the table.
#[derive(Debug)]
struct Walk {
    number: u32,
    at: usize,
    step: usize,
    turns: u32,
}

impl Maglev {
    pub(super) fn new(flags: SchedulerFlags) -> Maglev {
        Maglev { flags, table: vec![u32::MAX; SIZE] }
    }

    fn fill(&mut self, walks: &mut [Walk]) {
        let mut free = SIZE;
        while !walks.is_empty() {
            for walk in &mut *walks {
                for _ in 0..walk.turns {
                    let Some(place) = walk.next_free(&mut self.table) else { return };
                    *place = walk.number;
                    free -= 1;
                    if free == 0 {
                        return;
                    }
                }
            }
        }
    }

    fn server(&self, flow: &Flow, offset: u32) -> u32 {
        let port = if self.flags.port { flow.source_port } else { 0 };
        let slot = hash(FIRST, flow.source, port, offset) as usize % SIZE;
        self.table.get(slot).copied().unwrap_or(u32::MAX)
    }
}

impl Walk {
    /// The next place of the walk that nobody has; the step is prime to the table, so that each is visited.
    fn next_free<'t>(&mut self, table: &'t mut [u32]) -> Option<&'t mut u32> {
        for _ in 0..SIZE {
            let at = self.at;
            self.at = (at + self.step) % SIZE;
            if table.get(at) == Some(&u32::MAX) {
                return table.get_mut(at);
            }
        }
        None
    }
}

impl Schedule for Maglev {
    fn changed(&mut self, pool: Pool<'_>) {
        // A server that is quiesced keeps its places, so that the others' clients stay where they are.
        let weights = || pool.iter().map(|(_, destination)| destination.latest_weight).filter(|&weight| weight > 0);
        let divisor = weights().fold(0, greatest_common_divisor).max(1);
        let bits = u32::BITS - (weights().max().unwrap_or(0) / divisor).leading_zeros();
        let shift = bits.saturating_sub(WEIGHT_BITS);
        let walks =
            pool.iter().filter(|(_, destination)| destination.latest_weight > 0).map(|(number, destination)| {
                let (address, port) = (destination.config.address, destination.config.port);
                Walk {
                    number,
                    at: hash(FIRST, address, port, 0) as usize % SIZE,
                    step: hash(SECOND, address, port, 0) as usize % (SIZE - 1) + 1,
                    turns: ((destination.latest_weight / divisor) >> shift).max(1),
                }
            });
        let mut walks: Vec<Walk> = walks.collect();
        self.table.fill(u32::MAX);
        self.fill(&mut walks);
    }

    fn pick(&mut self, pool: Pool<'_>, flow: &Flow) -> Option<u32> {
        let open = |number: &u32| pool.get(*number).is_some_and(Destination::is_open);
        // Without this, a flood of connections to a closed pool would cost thousands of hashes each.
        pool.open().next()?;
        let first = Some(self.server(flow, 0)).filter(open);
        let fallback = || {
            // The kernel adds the first slot to each later probe's offset.
            let port = if self.flags.port { flow.source_port } else { 0 };
            let slot = hash(FIRST, flow.source, port, 0) % SIZE as u32;
            (0..SIZE as u32).map(|offset| self.server(flow, (offset + slot) % SIZE as u32)).find(open)
        };
        first.or_else(|| self.flags.fallback.then(fallback)?)
    }
}

/// SipHash of offset + port + address, low 32 bits.
fn hash(key: u64, address: IpAddr, port: u16, offset: u32) -> u32 {
    let value = offset.wrapping_add(u32::from(port)).wrapping_add(fold(address));
    SipHasher13::new_with_keys(key, key).hash(&value.to_le_bytes()) as u32
}
