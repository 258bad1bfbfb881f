//! `dh`: the packet's destination address chooses (ip_vs_dh.c).

use super::{Flow, Pool, Schedule, golden_hash};

/// 256 buckets, one destination after the other; weights count only as zero or not.
#[derive(Debug)]
pub(super) struct DestinationHash {
    buckets: [u32; 256],
}

impl Default for DestinationHash {
    fn default() -> Self {
        DestinationHash { buckets: [u32::MAX; 256] }
    }
}

impl Schedule for DestinationHash {
    fn changed(&mut self, pool: Pool<'_>) {
        self.buckets = [u32::MAX; 256];
        for (bucket, (number, _)) in self.buckets.iter_mut().zip(pool.iter().cycle()) {
            *bucket = number;
        }
    }

    fn pick(&mut self, pool: Pool<'_>, flow: &Flow) -> Option<u32> {
        let number = self.buckets[usize::from(golden_hash(flow.destination, 0))];
        pool.get(number).filter(|destination| destination.is_open()).map(|_| number)
    }
}
