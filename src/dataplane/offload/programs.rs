//! The control thread's half: maps, programs and the ports that they are attached to.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::Unavailable;
use super::carrier::Carrier;
use super::layout::{BUCKET, DECISION, SLOT, SLOT_MASK, SLOT_WORDS, Seeds, WAYS};
use super::system::{self, MapKind, Memory, ProgramKind};
use super::{receive, redirect};
use crate::dataplane::engine::Ports;
use crate::dataplane::filter;

/// No interface has this number.
const NO_INTERFACE: u32 = i32::MAX as u32;
/// Ports beyond this many are the engine's alone.
const ATTACHED: usize = 256;

/// What both halves and the programs share.
#[derive(Debug)]
pub(super) struct Maps {
    buckets: OwnedFd,
    slots: OwnedFd,
    decisions: OwnedFd,
    epoch: OwnedFd,
    bucket_words: Memory,
    slot_words: Memory,
    epoch_word: Memory,
    /// Where flows are found.
    pub(super) seeds: Seeds,
    attached: Attached,
}

impl Maps {
    /// Makes all maps, for so many slots, and as many buckets or somewhat more.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub(super) fn create(slots: u32) -> Result<Arc<Self>, Unavailable> {
        let doing = "make the maps of carried flows";
        let unavailable = |error| Unavailable::of(doing, error);
        let count = slots.checked_next_power_of_two().filter(|_| (1..SLOT_MASK).contains(&slots));
        let count = count.ok_or_else(|| unavailable(io::ErrorKind::OutOfMemory.into()))?;
        let made = |kind, value, entries| system::create_map(kind, value, entries).map_err(unavailable);
        let (buckets, epoch) = (made(MapKind::Array, BUCKET, count)?, made(MapKind::Array, 8, 1)?);
        let slots_map = made(MapKind::Array, SLOT, slots)?;
        let decisions = made(MapKind::ArrayPerProcessor, DECISION, 1)?;
        let mapped = |map, words| Memory::map(map, words).map_err(unavailable);
        let (bucket_words, epoch_word) = (mapped(&buckets, count as usize * BUCKET / 8)?, mapped(&epoch, 1)?);
        let slot_words = mapped(&slots_map, slots as usize * SLOT_WORDS)?;
        let (seeds, attached) = (Seeds::random(), Attached::default());
        Ok(Arc::new(Self {
            buckets,
            slots: slots_map,
            decisions,
            epoch,
            bucket_words,
            slot_words,
            epoch_word,
            seeds,
            attached,
        }))
    }

    /// The buckets, for a program.
    pub(super) fn buckets(&self) -> i32 {
        self.buckets.as_raw_fd()
    }

    /// One less than the number of buckets, a power of two.
    pub(super) fn bucket_mask(&self) -> u32 {
        (self.bucket_words.words().len() * 8 / BUCKET).saturating_sub(1) as u32
    }

    /// The slots, for a program.
    pub(super) fn slots(&self) -> i32 {
        self.slots.as_raw_fd()
    }

    /// The decisions, for a program.
    pub(super) fn decisions(&self) -> i32 {
        self.decisions.as_raw_fd()
    }

    /// The epoch, for a program.
    pub(super) fn epoch(&self) -> i32 {
        self.epoch.as_raw_fd()
    }

    /// The bucket of a hash.
    pub(super) fn bucket(&self, hash: u64) -> Option<&[AtomicU32; WAYS]> {
        let start = (hash as u32 & self.bucket_mask()) as usize * WAYS;
        self.bucket_words.halves().get(start..)?.first_chunk()
    }

    /// A slot's words.
    pub(super) fn slot(&self, slot: u32) -> Option<&[AtomicU64; SLOT_WORDS]> {
        let start = (slot as usize).checked_mul(SLOT_WORDS)?;
        self.slot_words.words().get(start..)?.first_chunk()
    }

    /// The epoch; whatever was known before is not known after a later one.
    pub(super) fn current_epoch(&self) -> u32 {
        self.epoch_word.words().first().map_or(0, |word| word.load(Ordering::SeqCst) as u32)
    }

    /// Ends all carrying.
    pub(super) fn void(&self) {
        if let Some(word) = self.epoch_word.words().first() {
            word.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether the program is attached to an interface.
    pub(super) fn is_attached(&self, interface: u32) -> bool {
        self.attached.has(interface)
    }
}

/// Interfaces that the program is attached to: one thread writes, the other reads, nobody waits.
#[derive(Debug)]
struct Attached {
    /// 0 for none.
    interfaces: [AtomicU32; ATTACHED],
    used: AtomicUsize,
}

impl Default for Attached {
    fn default() -> Self {
        Self { interfaces: [const { AtomicU32::new(0) }; ATTACHED], used: AtomicUsize::new(0) }
    }
}

impl Attached {
    fn has(&self, interface: u32) -> bool {
        let used = self.used.load(Ordering::SeqCst);
        let mut known = self.interfaces.iter().take(used).map(|place| place.load(Ordering::SeqCst));
        interface != 0 && known.any(|known| known == interface)
    }

    /// False if there is no room.
    fn add(&self, interface: u32) -> bool {
        let Some(free) = self.interfaces.iter().position(|place| place.load(Ordering::SeqCst) == 0) else {
            return false;
        };
        if let Some(place) = self.interfaces.get(free) {
            place.store(interface, Ordering::SeqCst);
        }
        self.used.fetch_max(free + 1, Ordering::SeqCst);
        true
    }

    fn remove(&self, interface: u32) {
        for place in self.interfaces.iter().filter(|place| place.load(Ordering::SeqCst) == interface) {
            place.store(0, Ordering::SeqCst);
        }
    }
}

/// The programs and their places. Dropping it lets go of all ports; the ring's filter stays until another one is attached.
#[derive(Debug)]
pub(in crate::dataplane) struct Programs {
    pub(super) maps: Arc<Maps>,
    pub(super) redirect: OwnedFd,
    links: BTreeMap<u32, Option<OwnedFd>>,
}

impl Programs {
    /// Loads the ports' program, and tries what else will be needed.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub(super) fn load(maps: Arc<Maps>) -> Result<Self, Unavailable> {
        let instructions = redirect::program(&maps);
        let loaded = instructions.and_then(|program| system::load_program(ProgramKind::Classifier, &program));
        let redirect = loaded.map_err(|error| Unavailable::of("load the ports' program", error))?;
        let programs = Self { maps, redirect, links: BTreeMap::new() };
        let ends = filter::Instruction { code: filter::RETURN, jump_true: 0, jump_false: 0, operand: 0 };
        drop(programs.filter(&[ends]).map_err(|error| Unavailable::of("load the ring's filter", error))?);
        // Where tcx is known, what is wrong is the interface.
        match system::attach_to_interface(&programs.redirect, NO_INTERFACE) {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                Err(Unavailable::of("attach a program to an interface", error))
            }
            _ => Ok(programs),
        }
    }

    /// Attaches the program to these ports and lets go of all others. Before a port is let go, all carrying is ended. A port that refuses is
    /// logged once, and none of its flows is carried.
    pub(in crate::dataplane) fn follow(&mut self, ports: &Ports) {
        let gone: Vec<u32> = self.links.keys().filter(|interface| !ports.contains_key(interface)).copied().collect();
        gone.iter().for_each(|interface| self.maps.attached.remove(*interface));
        if !gone.is_empty() {
            self.maps.void();
        }
        self.links.retain(|interface, _| ports.contains_key(interface));
        for interface in ports.keys() {
            if !self.links.contains_key(interface) {
                let link = self.attach(*interface);
                self.links.insert(*interface, link);
            }
        }
    }

    fn attach(&self, interface: u32) -> Option<OwnedFd> {
        let attached = system::attach_to_interface(&self.redirect, interface);
        let link = attached
            .inspect_err(|error| {
                tracing::info!(interface, %error, "the engine alone serves this interface: tcx refuses it");
            })
            .ok()?;
        self.maps.attached.add(interface).then_some(link)
    }

    /// Makes the ring's filter: the lookup of carried flows, then `classic`. It is attached by
    /// [`attach_ebpf`](crate::dataplane::packet_socket::attach_ebpf).
    ///
    /// # Errors
    /// What the kernel says; `Unsupported` for an instruction that `filter.rs` does not make.
    pub(in crate::dataplane) fn filter(&self, classic: &[filter::Instruction]) -> io::Result<OwnedFd> {
        system::load_program(ProgramKind::SocketFilter, &receive::program(&self.maps, classic)?)
    }
}

/// Both halves, for so many slots.
///
/// # Errors
/// [`Unavailable`].
pub(super) fn open(slots: u32) -> Result<(Programs, Carrier), Unavailable> {
    let maps = Maps::create(slots)?;
    Ok((Programs::load(Arc::clone(&maps))?, Carrier::new(maps)))
}
