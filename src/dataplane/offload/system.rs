//! bpf(2), which neither libc nor nix knows, and the memory of array maps.
#![expect(unsafe_code, reason = "bpf(2) and shared memory have no safe wrappers")]

use std::io;
use std::mem::size_of;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::assembler::Instruction;

const MAP_CREATE: i32 = 0;
const PROGRAM_LOAD: i32 = 5;
const LINK_CREATE: i32 = 28;

const MAPPABLE: u32 = 1 << 10;
/// Before all others (`BPF_F_BEFORE` without another one named), as packet sockets are.
const BEFORE: u32 = 1 << 3;
const TCX_INGRESS: u32 = 46;

/// No function is used that is reserved for programs under the GPL.
const LICENSE: &std::ffi::CStr = c"MIT OR Apache-2.0";
const NAME_LENGTH: usize = 16;
const LOG_BYTES: usize = 64 * 1024;
/// So much of the verifier's log goes into an error.
const LAST_WORDS: usize = 400;

/// What a map is, by its number in `enum bpf_map_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapKind {
    /// Can be mapped into memory.
    Array = 2,
    /// A value for each processor.
    ArrayPerProcessor = 6,
}

/// What a program is for, by its number in `enum bpf_prog_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgramKind {
    SocketFilter = 1,
    Classifier = 3,
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; NAME_LENGTH],
}

#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_LENGTH],
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    padding: u32,
    expected_revision: u64,
}

/// Makes an array map.
///
/// # Errors
/// What the kernel says; `EPERM` without `CAP_BPF`.
pub(super) fn create_map(kind: MapKind, value_size: usize, entries: u32) -> io::Result<OwnedFd> {
    let flags = match kind {
        MapKind::Array => MAPPABLE,
        MapKind::ArrayPerProcessor => 0,
    };
    let mut request = MapCreate {
        kind: kind as u32,
        key_size: size_of::<u32>() as u32,
        value_size: value_size as u32,
        max_entries: entries,
        flags,
        name: name(b"standfast"),
        ..MapCreate::default()
    };
    // SAFETY: the request holds no pointer.
    descriptor(unsafe { bpf(MAP_CREATE, &mut request) })
}

/// Loads a program.
///
/// # Errors
/// What the kernel says, with the end of its verifier's log if it refused the program.
pub(super) fn load_program(kind: ProgramKind, instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let quiet = load(kind, instructions, &mut []);
    quiet.or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::EACCES) => {
            let mut log = vec![0; LOG_BYTES];
            load(kind, instructions, &mut log).map_err(|error| with_log(error, &log))
        }
        _ => Err(error),
    })
}

fn load(kind: ProgramKind, instructions: &[Instruction], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut request = ProgramLoad {
        kind: kind as u32,
        instruction_count: instructions.len() as u32,
        instructions: address(instructions),
        license: address(LICENSE.to_bytes_with_nul()),
        name: name(b"standfast"),
        ..ProgramLoad::default()
    };
    if !log.is_empty() {
        let start = log.as_mut_ptr().expose_provenance() as u64;
        (request.log_level, request.log_size, request.log) = (1, log.len() as u32, start);
    }
    // SAFETY: the instructions, the license and the log outlive the call, and the request has their lengths.
    descriptor(unsafe { bpf(PROGRAM_LOAD, &mut request) })
}

/// Puts a classifier before all others that see what arrives on an interface of the caller's network namespace. It is taken away when the
/// descriptor is closed.
///
/// # Errors
/// What the kernel says: `ENODEV` without such an interface, `EINVAL` before Linux 6.6.
pub(super) fn attach_to_interface(program: &OwnedFd, interface: u32) -> io::Result<OwnedFd> {
    let mut request = LinkCreate {
        program: program.as_raw_fd() as u32,
        interface,
        attach_type: TCX_INGRESS,
        flags: BEFORE,
        ..LinkCreate::default()
    };
    // SAFETY: the request holds no pointer.
    descriptor(unsafe { bpf(LINK_CREATE, &mut request) })
}

/// Test runs: what the program gives, the frame as it leaves it, and the mean of its nanoseconds.
///
/// # Errors
/// What the kernel says.
#[cfg(test)]
pub(super) fn test_run(
    program: &OwnedFd,
    frame: &[u8],
    context: &[u8],
    (repeat, flags): (u32, u32),
) -> io::Result<(u32, Vec<u8>, u32)> {
    let mut out = vec![0u8; frame.len() + 256];
    let mut request = TestRun {
        program: program.as_raw_fd() as u32,
        data_size_in: frame.len() as u32,
        data_size_out: out.len() as u32,
        data_in: address(frame),
        data_out: out.as_mut_ptr().expose_provenance() as u64,
        context_size_in: context.len() as u32,
        context_in: address(context),
        repeat,
        flags,
        ..TestRun::default()
    };
    // SAFETY: frame, context and the room for the frame outlive the call, and the request has their lengths.
    unsafe { bpf(PROGRAM_TEST_RUN, &mut request) }?;
    out.truncate(request.data_size_out as usize);
    Ok((request.result, out, request.duration))
}

/// Has the kernel measure all programs' run times as long as the descriptor is open. They are in its `/proc/self/fdinfo`.
///
/// # Errors
/// What the kernel says.
#[cfg(test)]
pub(super) fn measure_run_times() -> io::Result<OwnedFd> {
    let mut run_time = 0u32;
    // SAFETY: the request holds no pointer.
    descriptor(unsafe { bpf(ENABLE_STATS, &mut run_time) })
}

#[cfg(test)]
const ENABLE_STATS: i32 = 32;

#[cfg(test)]
const PROGRAM_TEST_RUN: i32 = 10;

#[cfg(test)]
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    result: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    processor: u32,
    batch_size: u32,
    padding: u32,
}

/// The values of an array map as words, mapped for reading and writing.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<AtomicU64>,
    words: usize,
    bytes: NonZeroUsize,
}

// SAFETY: the mapping is reached through atomic words only.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps all values of a map that has so many words.
    ///
    /// # Errors
    /// What `mmap(2)` says.
    pub(super) fn map(map: &OwnedFd, words: usize) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(words * size_of::<u64>()).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; it refuses one that is longer than the map.
        let start = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { start: start.cast(), words, bytes })
    }

    /// The words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has so many words, is aligned to pages, and lives as long as `self`; the other side is the kernel's programs, whose
        // accesses are single loads, stores and atomic operations.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// The same as halves of words. One address is to be reached by words or by halves, never by both.
    pub(super) fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as in `words`; the mapping is twice as many halves, and a half wants no stricter alignment.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.words * 2) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and no reference into it outlives `self`.
        if let Err(error) = unsafe { munmap(self.start.cast(), self.bytes.get()) } {
            tracing::warn!(%error, "unmap the memory of carried flows");
        }
    }
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr().expose_provenance() as u64
}

fn name(text: &[u8]) -> [u8; NAME_LENGTH] {
    std::array::from_fn(|i| text.get(i).copied().filter(|_| i + 1 < NAME_LENGTH).unwrap_or_default())
}

fn with_log(error: io::Error, log: &[u8]) -> io::Error {
    let log = String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
    if log.is_empty() {
        return error;
    }
    tracing::debug!(log, "the kernel's verifier");
    let start = log.char_indices().rev().nth(LAST_WORDS).map_or(0, |(at, _)| at);
    io::Error::other(format!("{error}: {}", log.get(start..).unwrap_or_default().trim()))
}

fn descriptor(result: io::Result<RawFd>) -> io::Result<OwnedFd> {
    // SAFETY: the callers pass the results of commands that make a descriptor, which nobody else has.
    result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// `request` is what the command wants, and its pointers are good for as much as it says.
unsafe fn bpf<T>(command: i32, request: &mut T) -> io::Result<RawFd> {
    // SAFETY: the request is good for its size; what it points to is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
