//! The worker's half: which flows are carried, and what they carried.

use std::mem::size_of;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::layout::{self, ENTRY, Key, SLOT_WORDS, V4_KEY, V6_KEY, slot};
use super::programs::Maps;
use super::receive::Family;
use super::system;
use super::{Carriage, Flow, Tally};

/// So many changes of each kind wait before they are carried out unasked.
const WAITING: usize = 256;

/// What the worker tells the kernel, and asks it.
#[derive(Debug)]
pub(in crate::dataplane) struct Carrier {
    maps: Arc<Maps>,
    generation: u32,
    v4: Waiting<V4_KEY>,
    v6: Waiting<V6_KEY>,
    clock: Clock,
}

impl Carrier {
    /// A worker's half of these maps, which carry nothing.
    pub(super) fn new(maps: Arc<Maps>) -> Self {
        Self { maps, generation: 0, v4: Waiting::default(), v6: Waiting::default(), clock: Clock::read() }
    }

    /// Lets the kernel carry this flow from the next [`Carrier::flush`] on, whatever the slot held before. Slots 2n and 2n+1 are the two
    /// directions of connection n: a FIN or RST in either ends both. A flow has one slot at a time: [`Carrier::remove`] it from another one
    /// first. Gives false, and leaves the slot carrying nothing, for a slot that there is not, for another protocol than TCP and UDP, for
    /// mixed families, and for an interface that the programs are not attached to. The slot's tally goes on. No system call unless
    /// 256 changes wait already.
    pub(in crate::dataplane) fn add(&mut self, slot: u32, flow: &Flow, carriage: &Carriage) -> bool {
        // In this order: a port that is let go after this look raises the epoch that was read before it.
        let epoch = self.maps.current_epoch();
        if !self.maps.is_attached(flow.interface) {
            self.remove(slot);
            return false;
        }
        self.write(slot, flow, carriage, epoch).is_some()
    }

    fn write(&mut self, slot: u32, flow: &Flow, carriage: &Carriage, epoch: u32) -> Option<()> {
        let words = layout::words(flow, carriage);
        let key = words.as_ref().and_then(layout::key);
        let old = self.key_of(slot)?;
        if old != key {
            self.remove(slot);
        }
        let (words, key) = words.zip(key)?;
        self.generation = self.generation.wrapping_add(1).max(1);
        let memory = self.maps.slot(slot)?;
        put(memory, &words, layout::validity(self.generation, epoch));
        let entry = layout::entry(slot, self.generation);
        match key {
            Key::V4(key) => self.v4.insert(self.maps.table(Family::V4), key, entry),
            Key::V6(key) => self.v6.insert(self.maps.table(Family::V6), key, entry),
        }
        Some(())
    }

    /// The kernel carries this slot's flow no more, at once and without a system call; its key goes at the next flush. The tally stays to be
    /// read: a packet that another processor has at hand is counted within a microsecond or so.
    pub(in crate::dataplane) fn remove(&mut self, slot: u32) {
        let Some(key) = self.key_of(slot).flatten() else { return };
        if let Some(memory) = self.maps.slot(slot) {
            put(memory, &[0; SLOT_WORDS], 0);
        }
        match key {
            Key::V4(key) => self.v4.delete(self.maps.table(Family::V4), key),
            Key::V6(key) => self.v6.delete(self.maps.table(Family::V6), key),
        }
    }

    /// Carries out what waits: for each family a call for all that is deleted and one for all that is inserted. To be called at the end of a
    /// batch of packets. What the kernel refuses (no memory) stays the engine's.
    pub(in crate::dataplane) fn flush(&mut self) {
        self.v4.flush(self.maps.table(Family::V4));
        self.v6.flush(self.maps.table(Family::V6));
    }

    /// Ends all carrying at once, without a system call. Slots keep their keys until they are removed or used again.
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

    /// The key that leads to a slot, as far as its memory tells. None for a slot that there is not.
    fn key_of(&self, slot: u32) -> Option<Option<Key>> {
        let memory = self.maps.slot(slot)?;
        Some(layout::key(&std::array::from_fn(|i| memory.get(i).map_or(0, |word| word.load(Ordering::Relaxed)))))
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

/// Changes of a table that wait for a flush.
#[derive(Debug)]
struct Waiting<const K: usize> {
    deleted: Vec<[u8; K]>,
    inserted: Vec<[u8; K]>,
    entries: Vec<[u8; ENTRY]>,
}

impl<const K: usize> Default for Waiting<K> {
    fn default() -> Self {
        let (deleted, inserted) = (Vec::with_capacity(WAITING), Vec::with_capacity(WAITING));
        Self { deleted, inserted, entries: Vec::with_capacity(WAITING) }
    }
}

impl<const K: usize> Waiting<K> {
    fn insert(&mut self, table: &OwnedFd, key: [u8; K], entry: [u8; ENTRY]) {
        if self.inserted.len() >= WAITING {
            self.flush(table);
        }
        self.inserted.push(key);
        self.entries.push(entry);
    }

    /// What is deleted goes before what is inserted, so that a key that waits to be inserted is taken back.
    fn delete(&mut self, table: &OwnedFd, key: [u8; K]) {
        if self.deleted.len() >= WAITING {
            self.flush(table);
        }
        while let Some(at) = self.inserted.iter().position(|waiting| *waiting == key) {
            self.inserted.remove(at);
            self.entries.remove(at);
        }
        self.deleted.push(key);
    }

    fn flush(&mut self, table: &OwnedFd) {
        // A key that is not there any more is no fault.
        system::delete(table, &self.deleted);
        let refused = system::insert(table, &self.inserted, &self.entries);
        if refused > 0 {
            tracing::debug!(refused, "the kernel takes no more flows");
        }
        self.deleted.clear();
        self.inserted.clear();
        self.entries.clear();
    }
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
