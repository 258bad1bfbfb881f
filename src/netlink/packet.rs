//! A packet socket that sends whole Ethernet frames.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::{AsRawFd, OwnedFd};

/// Sends Ethernet frames through any interface; never receives.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens the socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`.
    pub fn open() -> nix::Result<Self> {
        // Protocol 0: the socket is never handed a received frame.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socket(AddressFamily::Packet, SockType::Raw, flags, None).map(|fd| Self { fd })
    }

    /// Sends one frame through the interface with this index.
    ///
    /// # Errors
    /// Whatever the kernel says: `ENETDOWN`, `ENXIO` for a vanished interface, `ENOBUFS` for a full queue.
    pub fn send(&self, index: u32, frame: &[u8]) -> nix::Result<()> {
        let address = link_layer_address(index, frame);
        // SAFETY: `frame` and `address` are valid for reads of the lengths given and outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                libc::MSG_DONTWAIT,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        Errno::result(sent).map(drop)
    }
}

fn link_layer_address(index: u32, frame: &[u8]) -> libc::sockaddr_ll {
    let mut address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: frame.get(12..14).and_then(|t| t.try_into().ok()).map_or(0, u16::from_ne_bytes),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    for (to, from) in address.sll_addr.iter_mut().zip(frame.iter().take(6)) {
        *to = *from;
    }
    address
}
