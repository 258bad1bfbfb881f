//! The receive ring (`TPACKET_V2`) and the queue of frames that are larger than its slots.
#![expect(unsafe_code, reason = "the ring is memory shared with the kernel")]

use std::io;
use std::mem::size_of;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::packet_socket::RingLayout;

/// Bytes of the virtio-net header that stands before each frame.
pub(super) const VIRTIO_LEN: usize = 10;

const KERNEL: u32 = 0;
const USER: u32 = 1;
const COPY: u32 = 2;
const VLAN_VALID: u32 = 0x10;

const OFFSET_LENGTH: usize = 4;
const OFFSET_SNAP_LENGTH: usize = 8;
const OFFSET_MAC: usize = 12;
/// `struct sockaddr_ll` follows the 32 bytes of `struct tpacket2_hdr`.
const OFFSET_INTERFACE: usize = 32 + 4;
const OFFSET_PACKET_TYPE: usize = 32 + 10;

/// What the kernel says about the frame in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotInfo {
    /// Bytes of the frame on the wire, from the Ethernet header on.
    pub(super) length: usize,
    /// The whole frame waits in the socket's queue because the slot is too small.
    pub(super) queued: bool,
    /// The slot holds less than the frame, and the socket's queue had no room.
    pub(super) truncated: bool,
    /// Interface of arrival.
    pub(super) interface: u32,
    /// `PACKET_HOST` and so on.
    pub(super) packet_type: u8,
    /// A VLAN tag was taken off.
    pub(super) tagged: bool,
    start: usize,
    end: usize,
}

/// The mapped ring with its socket. Slots are read in order; they go back to the kernel by [`Ring::release`].
#[derive(Debug)]
pub(super) struct Ring {
    socket: OwnedFd,
    memory: NonNull<u8>,
    bytes: usize,
    frame_size: usize,
    count: usize,
    head: usize,
}

// SAFETY: the mapping belongs to the ring alone and is reached only through it.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the ring of `socket`, which must have been opened with this `layout`.
    ///
    /// # Errors
    /// What `mmap(2)` says.
    pub(super) fn map(socket: OwnedFd, layout: RingLayout) -> io::Result<Self> {
        let bytes = layout.block_size as usize * layout.block_count as usize;
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let memory = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, &socket, 0) }?;
        Ok(Self {
            socket,
            memory: memory.cast(),
            bytes,
            frame_size: layout.frame_size as usize,
            count: layout.frame_count as usize,
            head: 0,
        })
    }

    /// The socket, for polling.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.socket.as_fd()
    }

    /// The frame `ahead` of the oldest one not released; `None` if the kernel has not filled it.
    pub(super) fn info(&self, ahead: usize) -> Option<SlotInfo> {
        let status = self.status(ahead).load(Ordering::Acquire);
        if status & USER == 0 || ahead >= self.count {
            return None;
        }
        let slot = self.slot(ahead);
        let field32 = |at: usize| u32::from_ne_bytes(chunk(slot, at));
        let mac = usize::from(u16::from_ne_bytes(chunk(slot, OFFSET_MAC)));
        let (length, kept) = (field32(OFFSET_LENGTH) as usize, field32(OFFSET_SNAP_LENGTH) as usize);
        let [packet_type] = chunk(slot, OFFSET_PACKET_TYPE);
        Some(SlotInfo {
            length,
            queued: status & COPY != 0,
            truncated: status & COPY == 0 && kept < length,
            interface: field32(OFFSET_INTERFACE),
            packet_type,
            tagged: status & VLAN_VALID != 0,
            start: mac.saturating_sub(VIRTIO_LEN),
            end: mac + kept,
        })
    }

    /// The bytes of that frame, virtio-net header first.
    pub(super) fn frame(&self, ahead: usize, info: &SlotInfo) -> &[u8] {
        self.slot(ahead).get(info.start..info.end).unwrap_or_default()
    }

    /// The same, to be written.
    pub(super) fn frame_mut(&mut self, ahead: usize, info: &SlotInfo) -> &mut [u8] {
        let at = self.offset(ahead);
        // SAFETY: `offset` lies inside the mapping with `frame_size` bytes after it; the slot belongs to user space until
        // it is released, and `&mut self` makes this the only reference.
        let slot = unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr().add(at), self.frame_size) };
        slot.get_mut(info.start..info.end).unwrap_or_default()
    }

    /// Gives the oldest `frames` back to the kernel.
    pub(super) fn release(&mut self, frames: usize) {
        fence(Ordering::Release);
        for ahead in 0..frames {
            self.status(ahead).store(KERNEL, Ordering::Release);
        }
        self.head = (self.head + frames) % self.count.max(1);
    }

    /// Fetches the next frames of the socket's queue into `buffers`, as many as there are; gives their number. Lengths (with the
    /// virtio-net header) go into `lengths`, in the same order; more than the buffer's size means cut.
    pub(super) fn fetch(&self, buffers: &mut [Vec<u8>], lengths: &mut [usize]) -> usize {
        fetch(self.socket.as_raw_fd(), buffers, lengths)
    }

    fn offset(&self, ahead: usize) -> usize {
        (self.head + ahead) % self.count.max(1) * self.frame_size
    }

    fn slot(&self, ahead: usize) -> &[u8] {
        let at = self.offset(ahead);
        // SAFETY: as in `frame_mut`; the kernel writes to a slot only while its status is KERNEL.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(at), self.frame_size) }
    }

    fn status(&self, ahead: usize) -> &AtomicU32 {
        let at = self.offset(ahead);
        // SAFETY: the status is the slot's first field, aligned to the frame size, and both sides access it atomically.
        unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(at).cast()) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length and nothing refers to it any more.
        if let Err(error) = unsafe { munmap(self.memory.cast(), self.bytes) } {
            tracing::warn!(%error, "unmap the receive ring");
        }
    }
}

fn chunk<const N: usize>(slot: &[u8], at: usize) -> [u8; N] {
    slot.get(at..).and_then(|s| s.first_chunk()).copied().unwrap_or([0; N])
}

/// Frames fetched by one call at most.
pub(super) const FETCH: usize = 8;

fn fetch(socket: i32, buffers: &mut [Vec<u8>], lengths: &mut [usize]) -> usize {
    let count = buffers.len().min(lengths.len()).min(FETCH);
    // SAFETY: all-zero is a valid value of both structures.
    let (mut parts, mut headers): ([libc::iovec; FETCH], [libc::mmsghdr; FETCH]) = unsafe { std::mem::zeroed() };
    for ((part, header), buffer) in parts.iter_mut().zip(&mut headers).zip(buffers.iter_mut()) {
        *part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: `count` headers are filled in, each with one buffer that outlives the call.
    let got = unsafe {
        libc::recvmmsg(
            socket,
            headers.as_mut_ptr(),
            count as u32,
            (libc::MSG_DONTWAIT | libc::MSG_TRUNC) as _,
            std::ptr::null_mut(),
        )
    };
    let got = usize::try_from(got).unwrap_or(0);
    for (length, header) in lengths.iter_mut().zip(headers.iter().take(got)) {
        *length = header.msg_len as usize;
    }
    got
}

/// A batch of frames on their way out. Capacity is laid out once.
#[derive(Debug)]
pub(super) struct SendQueue {
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    addresses: Vec<libc::sockaddr_ll>,
}

// SAFETY: the pointers inside are used only during `send`, which fills them in first.
unsafe impl Send for SendQueue {}

impl SendQueue {
    /// A queue for up to `capacity` frames a call.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            headers: Vec::with_capacity(capacity),
            parts: Vec::with_capacity(capacity * 2),
            addresses: Vec::with_capacity(capacity),
        }
    }

    /// Sends frames (virtio-net header first, in two parts) to their addresses, in order. A frame that the kernel refuses is reported to
    /// `refused` with its place in the iteration and skipped.
    pub(super) fn send<'a>(
        &mut self,
        socket: &OwnedFd,
        frames: impl Iterator<Item = ([&'a [u8]; 2], libc::sockaddr_ll)>,
        mut refused: impl FnMut(usize, io::Error),
    ) {
        self.fill(frames);
        let mut done = 0;
        while let Some(rest) = self.headers.get_mut(done..).filter(|r| !r.is_empty()) {
            // SAFETY: every header points into `parts` and `addresses`, which do not change during the call, and those point to frames
            // that `frames` borrows for 'a.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, libc::MSG_DONTWAIT as _)
            };
            if sent > 0 {
                done += sent.unsigned_abs() as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                refused(done, error);
                done += 1;
            }
        }
    }

    fn fill<'a>(&mut self, frames: impl Iterator<Item = ([&'a [u8]; 2], libc::sockaddr_ll)>) {
        self.headers.clear();
        self.parts.clear();
        self.addresses.clear();
        for (parts, address) in frames {
            let part = |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            self.parts.extend(parts.map(part));
            self.addresses.push(address);
        }
        for (parts, address) in self.parts.as_chunks_mut::<2>().0.iter_mut().zip(&mut self.addresses) {
            // SAFETY: all-zero is a valid header.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            // An empty second part costs the kernel more than none.
            let count = if parts[1].iov_len == 0 { 1 } else { 2 };
            header.msg_hdr.msg_iov = parts.as_mut_ptr();
            header.msg_hdr.msg_iovlen = count as _;
            self.headers.push(header);
        }
    }
}
