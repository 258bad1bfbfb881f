//! UDP sockets: listeners on the ports of the RFCs, and one to send from for each session.

use nix::cmsg_space;
use nix::sys::socket::sockopt::{Ipv4RecvTtl, Ipv6RecvHopLimit, Priority};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use socket2::{Domain, Socket, Type};
use standfast_vrrp::bfd::{MULTIHOP_PORT, PORT, SOURCE_PORTS, SessionConfig};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::Arc;

/// `TC_PRIO_CONTROL`, the queueing class of routing protocols.
const CONTROL_TRAFFIC: i32 = 6;
/// CS6, internetwork control.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Source ports that are tried before a session goes without a socket until its next packet.
const ATTEMPTS: u16 = 64;

/// Hears all sessions of one family and kind.
#[derive(Debug)]
pub(super) struct Listener(Socket);

impl Listener {
    pub(super) fn open(six: bool, multihop: bool) -> io::Result<Self> {
        let port = if multihop { MULTIHOP_PORT } else { PORT };
        let (domain, any): (Domain, IpAddr) = match six {
            true => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into()),
            false => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into()),
        };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), None)?;
        if six {
            socket.set_only_v6(true)?;
            setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
        } else {
            setsockopt(&socket, Ipv4RecvTtl, &true)?;
        }
        socket.bind(&SocketAddr::new(any, port).into())?;
        Ok(Self(socket))
    }

    /// One datagram: its source, its TTL and its length; `Ok(None)` for one of no use.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> nix::Result<Option<(IpAddr, Option<u8>, usize)>> {
        let mut control = cmsg_space!(libc::c_int);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let ttl = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => u8::try_from(ttl).ok(),
            _ => None,
        });
        let source = message.address.and_then(|address| ip_of(&address));
        Ok(source.map(|source| (source, ttl, message.bytes)))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|address| address.ip().into());
    four.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
}

/// Sends the packets of one session, always from the same port.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    socket: Option<Arc<Socket>>,
    /// Whether the last attempt failed, so that a trouble that lasts is told once.
    failing: bool,
}

impl Sender {
    pub(super) fn new(config: &SessionConfig) -> Self {
        let mut sender = Self { socket: None, failing: false };
        sender.open(config);
        sender
    }

    /// An address that comes later is found with a later packet.
    fn open(&mut self, config: &SessionConfig) {
        match open(config) {
            Ok(socket) => (self.socket, self.failing) = (Some(Arc::new(socket)), false),
            Err(error) => self.tell(config, &error),
        }
    }

    pub(super) fn send(&mut self, config: &SessionConfig, payload: &[u8]) {
        if self.socket.is_none() {
            self.open(config);
        }
        let Some(socket) = &self.socket else { return };
        let port = if config.multihop { MULTIHOP_PORT } else { PORT };
        match socket.send_to(payload, &SocketAddr::new(config.neighbor, port).into()) {
            Ok(_) => self.failing = false,
            // The neighbor's host says that nobody listens there; the session finds out by itself.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => self.tell(config, &error),
        }
    }

    fn tell(&mut self, config: &SessionConfig, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(target: "vrrp", "({}) Error sending packet to {}: {error}", config.name, config.neighbor);
        }
    }
}

fn open(config: &SessionConfig) -> io::Result<Socket> {
    let six = config.neighbor.is_ipv6();
    let domain = if six { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), None)?;
    setsockopt(&socket, Priority, &CONTROL_TRAFFIC)?;
    if six {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(config.ttl.into())?;
        socket.set_tclass_v6(TRAFFIC_CLASS)?;
    } else {
        socket.set_ttl_v4(config.ttl.into())?;
        socket.set_tos_v4(TRAFFIC_CLASS)?;
    }
    let any: IpAddr = if six { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    bind(&socket, config.source.unwrap_or(any))?;
    Ok(socket)
}

/// Binds to a free port of RFC 5881's range, from a random one on.
fn bind(socket: &Socket, address: IpAddr) -> io::Result<()> {
    let [first, second, ..] = RandomState::new().hash_one(()).to_be_bytes();
    let (low, high) = (*SOURCE_PORTS.start(), *SOURCE_PORTS.end());
    let (random, span) = (u16::from_be_bytes([first, second]), high - low);
    let mut outcome = Err(io::ErrorKind::AddrInUse.into());
    for attempt in 0..ATTEMPTS {
        let port = low + random.wrapping_add(attempt) % span;
        outcome = socket.bind(&SocketAddr::new(address, port).into());
        if !matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            return outcome;
        }
    }
    outcome
}
