//! `AF_PACKET` sockets: opening them and the options that neither socket2 nor nix has.
#![expect(unsafe_code, reason = "packet socket options and sockaddr_ll have no safe wrapper")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt};

use super::filter::Instruction;

const PACKET_COPY_THRESH: i32 = 7;
const PACKET_STATISTICS: i32 = 6;
const PACKET_VERSION: i32 = 10;
const PACKET_VNET_HDR: i32 = 15;
const PACKET_RX_RING: i32 = 5;
const PACKET_QDISC_BYPASS: i32 = 20;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const TPACKET_V2: i32 = 1;
const ETH_P_ALL: u16 = 3;

/// Layout of a receive ring, as `struct tpacket_req`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct RingLayout {
    /// Bytes a block, a multiple of the page size.
    pub(super) block_size: u32,
    /// Number of blocks.
    pub(super) block_count: u32,
    /// Bytes a frame; divides the block.
    pub(super) frame_size: u32,
    /// Number of frames in all.
    pub(super) frame_count: u32,
}

#[repr(C)]
#[derive(Default)]
struct Statistics {
    packets: u32,
    drops: u32,
}

/// Opens the socket that receives: every interface, virtio-net headers, a filter that passes nothing yet.
///
/// # Errors
/// What the kernel says, `EPERM` without `CAP_NET_RAW`.
pub(super) fn open_receiver(ring: RingLayout, queue_bytes: usize) -> io::Result<OwnedFd> {
    // Protocol 0: nothing arrives until the socket is bound, which is the last step.
    let fd = open()?;
    attach_filter(&fd, &[Instruction { code: 6, jump_true: 0, jump_false: 0, operand: 0 }])?;
    set(&fd, PACKET_VERSION, &TPACKET_V2)?;
    set(&fd, PACKET_VNET_HDR, &1i32)?;
    set(&fd, PACKET_COPY_THRESH, &1i32)?;
    if let Err(error) = set(&fd, PACKET_IGNORE_OUTGOING, &1i32) {
        tracing::debug!(%error, "PACKET_IGNORE_OUTGOING needs Linux 4.20: the filter sorts outgoing packets out");
    }
    set(&fd, PACKET_RX_RING, &ring)?;
    if setsockopt(&fd, sockopt::RcvBufForce, &queue_bytes).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &queue_bytes)?;
    }
    bind_all(&fd)?;
    Ok(fd)
}

/// Opens the socket that sends frames with virtio-net headers; it receives nothing.
///
/// # Errors
/// What the kernel says, `EPERM` without `CAP_NET_RAW`.
pub(super) fn open_sender(bypass_qdisc: bool, queue_bytes: usize) -> io::Result<OwnedFd> {
    let fd = open()?;
    set(&fd, PACKET_VNET_HDR, &1i32)?;
    set(&fd, PACKET_QDISC_BYPASS, &i32::from(bypass_qdisc))?;
    if setsockopt(&fd, sockopt::SndBufForce, &queue_bytes).is_err() {
        setsockopt(&fd, sockopt::SndBuf, &queue_bytes)?;
    }
    Ok(fd)
}

/// Replaces the socket's filter, at once and without a gap.
///
/// # Errors
/// What `setsockopt(2)` says.
pub(super) fn attach_filter(fd: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let mut code: Vec<libc::sock_filter> = program
        .iter()
        .map(|i| libc::sock_filter { code: i.code, jt: i.jump_true, jf: i.jump_false, k: i.operand })
        .collect();
    let length = u16::try_from(code.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: code.as_mut_ptr() };
    // SAFETY: `program` points to `length` instructions that outlive the call.
    unsafe { set_raw(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program) }
}

/// The same with an eBPF program for socket filters.
///
/// # Errors
/// What `setsockopt(2)` says: `ENOMEM` if the socket's option memory (`net.core.optmem_max`) is too small for it.
pub(super) fn attach_ebpf(fd: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    let program: i32 = program.as_raw_fd();
    // SAFETY: a descriptor, no pointer.
    unsafe { set_raw(fd, libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &program) }
}

/// Packets that the ring had no room for since the last call.
pub(super) fn dropped(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut statistics = Statistics::default();
    let mut length = size_of::<Statistics>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `statistics`.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    check(result)?;
    Ok(statistics.drops)
}

/// Where a frame goes, as `struct sockaddr_ll`.
pub(super) fn link_address(interface: u32, ethertype: u16) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: interface as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    }
}

fn open() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd =
        check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) })?;
    // SAFETY: the descriptor was just made and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind_all(fd: &OwnedFd) -> io::Result<()> {
    let address = link_address(0, ETH_P_ALL);
    // SAFETY: the address outlives the call and its length is its size.
    let result = unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    check(result).map(drop)
}

fn set<T>(fd: &OwnedFd, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the callers above pass plain integers and `RingLayout`, which hold no pointer.
    unsafe { set_raw(fd, libc::SOL_PACKET, name, value) }
}

/// # Safety
/// Pointers inside `value` must be what the option `name` wants.
unsafe fn set_raw<T>(fd: &OwnedFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: pointer and length describe `value`; what it points to is the caller's promise.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
