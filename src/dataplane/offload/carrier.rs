//! The worker's half: which flows are carried, and what they carried. All of it is loads and stores.

use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::layout::{self, SLOT_MASK, SLOT_WORDS, TAG_BIT, slot};
use super::programs::Maps;
use super::{Carriage, Flow, Tally};

/// What the worker tells the kernel, and asks it.
#[derive(Debug)]
pub(in crate::dataplane) struct Carrier {
    maps: Arc<Maps>,
    generation: u32,
    clock: Clock,
}

impl Carrier {
    /// A worker's half of these maps, which carry nothing.
    pub(super) fn new(maps: Arc<Maps>) -> Self {
        Self { maps, generation: 0, clock: Clock::read() }
    }

    /// Has the kernel carry this flow from here on, whatever the slot held before. Slots 2n and 2n+1 are the two directions of
    /// connection n: a FIN or RST in either ends both. A flow has one slot at a time: [`Carrier::remove`] it from another one first. The
    /// slot's tally goes on.
    ///
    /// Gives false, and leaves the slot carrying nothing, for a slot that there is not, for another protocol than TCP and UDP, for mixed
    /// families, for an interface that the programs are not attached to, and now and then because there is no room where the flow would be
    /// looked for.
    pub(in crate::dataplane) fn add(&mut self, slot: u32, flow: &Flow, carriage: &Carriage) -> bool {
        // In this order: a port that is let go after this look raises the epoch that was read before it.
        let epoch = self.maps.current_epoch();
        let added = self.maps.is_attached(flow.interface) && self.enter(slot, flow, carriage, epoch).is_some();
        if !added {
            self.remove(slot);
        }
        added
    }

    fn enter(&mut self, slot: u32, flow: &Flow, carriage: &Carriage, epoch: u32) -> Option<()> {
        let words = layout::words(flow, carriage)?;
        let hash = self.maps.seeds.hash(&words)?;
        if self.hash_of(slot)? != Some(hash) {
            self.remove(slot);
        }
        let entry = layout::tag(hash) | (slot + 1);
        let way = self.room(self.maps.bucket(hash)?, entry)?;
        self.generation = self.generation.wrapping_add(1).max(1);
        put(self.maps.slot(slot)?, &words, layout::validity(self.generation, epoch));
        way.store(entry, Ordering::Release);
        Some(())
    }

    /// Where an entry may be: where it is, or in the place of one that leads nowhere any more. Of the same tag there is one in a bucket.
    fn room<'a>(&self, bucket: &'a [AtomicU32], entry: u32) -> Option<&'a AtomicU32> {
        let (tag, known) = (entry & !SLOT_MASK, |way: &&AtomicU32| way.load(Ordering::Relaxed));
        let free = |way: &&AtomicU32| known(way) == entry || !self.leads_somewhere(known(way));
        match bucket.iter().find(|way| known(way) & !SLOT_MASK == tag) {
            Some(same) => Some(same).filter(free),
            None => bucket.iter().find(free),
        }
    }

    fn leads_somewhere(&self, entry: u32) -> bool {
        entry & TAG_BIT != 0 && self.is_carried((entry & SLOT_MASK).wrapping_sub(1))
    }

    /// The kernel carries this slot's flow no more. The tally stays to be read: a packet that another processor has at hand is counted
    /// within a microsecond or so.
    pub(in crate::dataplane) fn remove(&mut self, slot: u32) {
        let Some(hash) = self.hash_of(slot).flatten() else { return };
        if let Some(memory) = self.maps.slot(slot) {
            put(memory, &[0; SLOT_WORDS], 0);
        }
        let leads_here = |way: &&AtomicU32| way.load(Ordering::Relaxed) & SLOT_MASK == slot + 1;
        if let Some(way) = self.maps.bucket(hash).and_then(|bucket| bucket.iter().find(leads_here)) {
            way.store(0, Ordering::Release);
        }
    }

    /// Ends all carrying at once, without a system call. Slots keep their flows until they are removed or used again.
    pub(in crate::dataplane) fn void(&mut self) {
        self.maps.void();
    }

    /// Whether the kernel carries this slot's flow: no more after a FIN or RST, [`Carrier::remove`], [`Carrier::void`] or the end of a port.
    pub(in crate::dataplane) fn is_carried(&self, slot: u32) -> bool {
        let validity = self.word(slot, slot::GENERATION).map_or(0, |word| word.load(Ordering::Relaxed));
        let (generation, epoch) = layout::parts(validity);
        generation != 0 && epoch == self.maps.current_epoch()
    }

    /// What the slot has carried since [`Carrier::clear`]. Some loads, no system call.
    pub(in crate::dataplane) fn tally(&self, slot: u32) -> Tally {
        let read = |field| self.word(slot, field).map_or(0, |word| word.load(Ordering::Relaxed));
        let latest = read(slot::LATEST);
        Tally {
            packets: read(slot::PACKETS),
            bytes: read(slot::BYTES),
            latest: (latest != 0).then(|| self.clock.instant(Duration::from_nanos(latest))).flatten(),
        }
    }

    /// Begins the slot's tally anew. Of a flow that is being carried it may lose a packet.
    pub(in crate::dataplane) fn clear(&mut self, slot: u32) {
        for field in [slot::PACKETS, slot::BYTES, slot::LATEST] {
            if let Some(word) = self.word(slot, field) {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Whether flows that arrive on this interface can be carried. Waits for nobody.
    pub(in crate::dataplane) fn carries_on(&self, interface: u32) -> bool {
        self.maps.is_attached(interface)
    }

    fn word(&self, slot: u32, field: i16) -> Option<&AtomicU64> {
        self.maps.slot(slot)?.get(usize::from(field.unsigned_abs()) / size_of::<u64>())
    }

    /// The hash that leads to a slot, as far as its memory tells. None for a slot that there is not.
    fn hash_of(&self, slot: u32) -> Option<Option<u64>> {
        let memory = self.maps.slot(slot)?;
        let words = std::array::from_fn(|i| memory.get(i).map_or(0, |word| word.load(Ordering::Relaxed)));
        Some(self.maps.seeds.hash(&words))
    }
}

/// Gives a slot other contents, but for its tally. Meanwhile it is not valid: the filter reads the generation before and after the rest.
fn put(memory: &[AtomicU64; SLOT_WORDS], words: &[u64; SLOT_WORDS], validity: u64) {
    let [first, _packets, _bytes, _latest, rest @ ..] = memory;
    first.store(0, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    for (place, word) in rest.iter().zip(words.iter().skip(SLOT_WORDS - rest.len())) {
        place.store(*word, Ordering::Relaxed);
    }
    first.store(validity, Ordering::Release);
}

/// Makes moments of the kernel's clock ours: both are `CLOCK_MONOTONIC`.
#[derive(Debug)]
struct Clock {
    moment: Instant,
    kernel: Duration,
}

impl Clock {
    fn read() -> Self {
        let kernel = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        Self { moment: Instant::now(), kernel }
    }

    fn instant(&self, kernel: Duration) -> Option<Instant> {
        match kernel.checked_sub(self.kernel) {
            Some(later) => self.moment.checked_add(later),
            None => self.moment.checked_sub(self.kernel.saturating_sub(kernel)),
        }
    }
}
