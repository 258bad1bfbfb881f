//! Sockets of the two ends, as the kernel makes them.

use std::ffi::CString;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use crate::ipvsadm::Daemon;

/// Bytes of datagrams that wait in a socket: 5,000 full ones.
const BUFFER: usize = 8 << 20;
/// How long a datagram may wait for room.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// A socket that sends to the group and hears nothing.
pub(super) fn sender(daemon: &Daemon, port: u16) -> io::Result<Socket> {
    let (socket, index) = open(daemon)?;
    match daemon.group {
        // That it is bound to the interface decides where multicasts go.
        IpAddr::V4(_) => {
            socket.set_multicast_ttl_v4(daemon.ttl.into())?;
            socket.set_multicast_loop_v4(false)?;
        }
        IpAddr::V6(_) => {
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_hops_v6(daemon.ttl.into())?;
            socket.set_multicast_loop_v6(false)?;
        }
    }
    socket.set_write_timeout(Some(SEND_PATIENCE))?;
    enlarge(&socket, true);
    socket.connect(&group(daemon, port, index))?;
    Ok(socket)
}

/// A socket that hears the group on the interface.
pub(super) fn receiver(daemon: &Daemon, port: u16) -> io::Result<UdpSocket> {
    let (socket, index) = open(daemon)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    enlarge(&socket, false);
    // Without the former datagrams come one by one, without the latter nobody learns how many were lost here.
    if let (Err(error), _) | (_, Err(error)) =
        (setsockopt(&socket, sockopt::UdpGroSegment, &true), setsockopt(&socket, sockopt::RxqOvfl, &1))
    {
        tracing::debug!("the sync socket: {error}");
    }
    socket.bind(&group(daemon, port, index))?;
    match daemon.group {
        IpAddr::V4(address) => socket.join_multicast_v4_n(&address, &InterfaceIndexOrAddress::Index(index))?,
        IpAddr::V6(address) => socket.join_multicast_v6(&address, index)?,
    }
    Ok(socket.into())
}

/// The longest datagram that an interface takes whole; the kernel counts with an Ethernet at least.
pub(super) fn longest(interface: &str, group: IpAddr) -> io::Result<u16> {
    let headers = if group.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    // Without an address of its own the interface is taken for an Ethernet.
    let connected = socket.connect(&SocketAddr::from((super::GROUP, super::PORT)).into());
    let mtu = connected.ok().and_then(|()| getsockopt(&socket, sockopt::IpMtu).ok());
    let mtu = mtu.and_then(|mtu| u16::try_from(mtu).ok()).unwrap_or(0);
    Ok(mtu.max(1500) - headers)
}

fn open(daemon: &Daemon) -> io::Result<(Socket, u32)> {
    let name = CString::new(daemon.interface.as_str()).map_err(io::Error::other)?;
    let index = if_nametoindex(name.as_c_str()).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    let socket = Socket::new(
        Domain::for_address(SocketAddr::new(daemon.group, daemon.port)),
        Type::DGRAM.cloexec(),
        Some(Protocol::UDP),
    )?;
    socket.bind_device(Some(daemon.interface.as_bytes()))?;
    Ok((socket, index))
}

fn group(daemon: &Daemon, port: u16, index: u32) -> SockAddr {
    match daemon.group {
        IpAddr::V4(address) => SocketAddr::from((address, port)).into(),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, index).into(),
    }
}

/// A burst waits in the socket. Without the right to more, it is what the system allows.
fn enlarge(socket: &Socket, sending: bool) {
    let (forced, plain) = match sending {
        true => (setsockopt(socket, sockopt::SndBufForce, &BUFFER), socket.set_send_buffer_size(BUFFER)),
        false => (setsockopt(socket, sockopt::RcvBufForce, &BUFFER), socket.set_recv_buffer_size(BUFFER)),
    };
    if let (Err(forced), Err(plain)) = (forced, plain) {
        tracing::debug!("the sync socket keeps its buffer: {forced}, {plain}");
    }
}
