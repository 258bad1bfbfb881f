//! Raw sockets that carry adverts: one for each interface, family and protocol, for both directions.

use nix::cmsg_space;
use nix::sys::socket::sockopt::{Ipv6RecvHopLimit, Ipv6RecvPacketInfo, Priority};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, sendmsg, setsockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use standfast_vrrp::{Family, packet};
use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The largest message: 255 IPv6 addresses, with room for headers.
pub(super) const LARGEST: usize = 8192;
/// `TC_PRIO_CONTROL`, the queueing class of routing protocols.
const CONTROL_TRAFFIC: i32 = 6;
/// CS6, internetwork control.
const TRAFFIC_CLASS: u32 = 0xc0;
const RECEIVE_BUFFER: usize = 1 << 18;

/// Where a socket belongs: `name` and `index` of its interface, both absent for any interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) interface: Option<(String, u32)>,
    pub(super) family: Family,
    /// IP protocol, 112 or 51.
    pub(super) protocol: u8,
    /// Multicast groups to join.
    pub(super) groups: BTreeSet<IpAddr>,
}

/// An advert to send.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: u8,
    pub(super) protocol: u8,
    pub(super) identification: u16,
    pub(super) payload: &'a [u8],
}

/// What came in with a datagram; offsets into the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: Option<u8>,
    /// Length of the IPv4 header at the start of the buffer; zero for IPv6.
    pub(super) header: usize,
    /// End of the datagram in the buffer.
    pub(super) end: usize,
}

/// An open socket at its [`Place`]. Closing it leaves the groups.
#[derive(Debug)]
pub(super) struct AdvertSocket {
    place: Place,
    socket: Socket,
}

impl AdvertSocket {
    pub(super) fn open(place: Place) -> io::Result<Self> {
        let domain = if place.family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(domain, kind, Some(Protocol::from(i32::from(place.protocol))))?;
        if let Some((name, _)) = &place.interface {
            socket.bind_device(Some(name.as_bytes()))?;
        }
        setsockopt(&socket, Priority, &CONTROL_TRAFFIC)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        match place.family {
            Family::V4 => prepare_v4(&socket)?,
            Family::V6 => prepare_v6(&socket)?,
        }
        let index = place.interface.as_ref().map_or(0, |(_, index)| *index);
        for group in &place.groups {
            join(&socket, *group, index)?;
        }
        Ok(Self { place, socket })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn send(&self, advert: &Outgoing<'_>) -> nix::Result<()> {
        match (advert.source, advert.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.send_v4(source, destination, advert),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.send_v6(source, destination, advert),
            _ => Err(nix::Error::EAFNOSUPPORT),
        }
    }

    fn send_v4(&self, source: Ipv4Addr, destination: Ipv4Addr, advert: &Outgoing<'_>) -> nix::Result<()> {
        let length = advert.payload.len();
        let header =
            packet::ipv4_header(source, destination, advert.protocol, advert.ttl, advert.identification, length);
        let parts = [IoSlice::new(&header), IoSlice::new(advert.payload)];
        let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
        sendmsg(self.socket.as_raw_fd(), &parts, &[], MsgFlags::MSG_DONTWAIT, Some(&to)).map(drop)
    }

    fn send_v6(&self, source: Ipv6Addr, destination: Ipv6Addr, advert: &Outgoing<'_>) -> nix::Result<()> {
        let index = self.place.interface.as_ref().map_or(0, |(_, index)| *index);
        let source = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: index };
        let hop_limit = i32::from(advert.ttl);
        let control = [ControlMessage::Ipv6PacketInfo(&source), ControlMessage::Ipv6HopLimit(&hop_limit)];
        let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, index));
        let parts = [IoSlice::new(advert.payload)];
        sendmsg(self.socket.as_raw_fd(), &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to)).map(drop)
    }

    /// Takes one datagram; `Ok(None)` for one that is not worth a look.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> nix::Result<Option<Incoming>> {
        match self.place.family {
            Family::V4 => self.receive_v4(buffer),
            Family::V6 => self.receive_v6(buffer),
        }
    }

    fn receive_v4(&self, buffer: &mut [u8]) -> nix::Result<Option<Incoming>> {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, None, MsgFlags::MSG_DONTWAIT)?;
        let (length, truncated) = (message.bytes, message.flags.contains(MsgFlags::MSG_TRUNC));
        Ok(buffer.get(..length).filter(|_| !truncated).and_then(read_ipv4_header))
    }

    fn receive_v6(&self, buffer: &mut [u8]) -> nix::Result<Option<Incoming>> {
        let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrIn6>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        if message.flags.contains(MsgFlags::MSG_TRUNC) {
            return Ok(None);
        }
        let Some(source) = message.address.map(|address| address.ip().into()) else { return Ok(None) };
        let (mut destination, mut ttl) = (None, None);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).ok(),
                _ => {}
            }
        }
        let end = message.bytes;
        Ok(destination.map(|destination| Incoming { source, destination, ttl, header: 0, end }))
    }
}

impl AsFd for AdvertSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn prepare_v4(socket: &Socket) -> io::Result<()> {
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    // Only the groups joined here, not those of other programs on the host.
    socket.set_multicast_all_v4(false)
}

fn prepare_v6(socket: &Socket) -> io::Result<()> {
    socket.set_tclass_v6(TRAFFIC_CLASS)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_all_v6(false)?;
    setsockopt(socket, Ipv6RecvPacketInfo, &true)?;
    Ok(setsockopt(socket, Ipv6RecvHopLimit, &true)?)
}

fn join(socket: &Socket, group: IpAddr, index: u32) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
    }
}

fn read_ipv4_header(datagram: &[u8]) -> Option<Incoming> {
    let fixed = datagram.first_chunk::<20>()?;
    let header = usize::from(fixed[0] & 0x0f) * 4;
    let address = |at: usize| Some(Ipv4Addr::from(*fixed.get(at..)?.first_chunk::<4>()?));
    let (source, destination) = (address(12)?.into(), address(16)?.into());
    let sound = fixed[0] >> 4 == 4 && (20..=datagram.len()).contains(&header);
    sound.then_some(Incoming { source, destination, ttl: Some(fixed[8]), header, end: datagram.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_header_is_read_with_its_options() {
        let mut datagram = vec![0_u8; 32];
        datagram[0] = 0x46;
        datagram[8] = 255;
        datagram[12..20].copy_from_slice(&[10, 0, 0, 1, 224, 0, 0, 18]);
        let incoming = read_ipv4_header(&datagram).expect("a header");
        assert_eq!((incoming.header, incoming.end, incoming.ttl), (24, 32, Some(255)));
        assert_eq!((incoming.source, incoming.destination), ([10, 0, 0, 1].into(), [224, 0, 0, 18].into()));
    }

    #[test]
    fn a_header_that_lies_about_itself_is_refused() {
        for (first, length) in [(0x45, 19), (0x44, 20), (0x4f, 59), (0x65, 40), (0x00, 0)] {
            let mut datagram = vec![0_u8; length];
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            assert_eq!(read_ipv4_header(&datagram), None, "{first:x} {length}");
        }
    }
}
