//! `sh`: the client's address chooses (ip_vs_sh.c).

use super::{Flow, Pool, Schedule, SchedulerFlags, golden_hash};
use crate::service::Destination;

/// 256 buckets, which the destinations fill in turn with as many buckets as their weight.
#[derive(Debug)]
pub(super) struct SourceHash {
    flags: SchedulerFlags,
    buckets: [u32; 256],
}

impl SourceHash {
    pub(super) fn new(flags: SchedulerFlags) -> SourceHash {
        SourceHash { flags, buckets: [u32::MAX; 256] }
    }
}

impl Schedule for SourceHash {
    fn changed(&mut self, pool: Pool<'_>) {
        let turns = pool
            .iter()
            .cycle()
            .flat_map(|(number, destination)| std::iter::repeat_n(number, destination.weight().clamp(1, 256) as usize));
        self.buckets = [u32::MAX; 256];
        for (bucket, number) in self.buckets.iter_mut().zip(turns) {
            *bucket = number;
        }
    }

    fn pick(&mut self, pool: Pool<'_>, flow: &Flow) -> Option<u32> {
        let port = if self.flags.port { flow.source_port } else { 0 };
        let hash = golden_hash(flow.source, port);
        let open = |bucket: u8| {
            let number = self.buckets[usize::from(bucket)];
            pool.get(number).is_some_and(Destination::is_open).then_some(number)
        };
        // The kernel adds the first hash to each later probe's.
        let next = |offset: u8| offset.wrapping_add(hash).wrapping_add(hash);
        let fallback = || (0..=u8::MAX).map(next).find_map(open);
        open(hash).or_else(|| self.flags.fallback.then(fallback)?)
    }
}
