//! Real servers that take packets out of tunnels, without the kernel's tunnel modules: raw sockets stand in for them.

use standfast_ipvs::{Tunnel, TunnelKind};
use standfast_labkit::Host;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

const IPPROTO_RAW: i32 = 255;

/// Ends tunnels of a kind in a host; packets inside go to its own addresses.
pub fn end(host: &Host, tunnel: Tunnel, outer_v6: bool, inner_v6: bool) {
    let domain = |v6| if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let (kind, protocol) = match tunnel.kind {
        TunnelKind::Ipip => (Type::RAW, if inner_v6 { 41 } else { 4 }),
        TunnelKind::Gre => (Type::RAW, 47),
        TunnelKind::Gue { .. } => (Type::DGRAM, 17),
    };
    let open = || {
        let input = Socket::new(domain(outer_v6), kind, Some(Protocol::from(protocol)))?;
        if let TunnelKind::Gue { port } = tunnel.kind {
            let any: IpAddr = if outer_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            input.bind(&SocketAddr::new(any, port).into())?;
        }
        let output = Socket::new(domain(inner_v6), Type::RAW, Some(Protocol::from(IPPROTO_RAW)))?;
        Ok::<_, std::io::Error>((input, output))
    };
    let (input, output) = host.enter(open).unwrap().unwrap();
    std::thread::spawn(move || relay(input, &output, tunnel, outer_v6));
}

fn relay(mut input: Socket, output: &Socket, tunnel: Tunnel, outer_v6: bool) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = input.read(&mut buffer) {
        // A raw IPv4 socket shows the IP header, all others do not.
        let outer = if outer_v6 || matches!(tunnel.kind, TunnelKind::Gue { .. }) { 0 } else { 20 };
        let shim = match tunnel.kind {
            TunnelKind::Ipip => 0,
            TunnelKind::Gue { .. } => 4,
            TunnelKind::Gre => 4 + if buffer[outer] & 0x80 != 0 { 4 } else { 0 },
        };
        let inner = &buffer[outer + shim..length];
        let target: IpAddr = match inner[0] >> 4 {
            4 => <[u8; 4]>::try_from(&inner[16..20]).unwrap().into(),
            _ => <[u8; 16]>::try_from(&inner[24..40]).unwrap().into(),
        };
        if output.send_to(inner, &SocketAddr::new(target, 0).into()).is_err() {
            eprintln!("a packet out of a tunnel was refused");
        }
    }
}
