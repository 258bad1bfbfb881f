//! `PING_CHECK`: an ICMP echo through an unprivileged ICMP socket, or a raw one where the former is forbidden.

use super::connect::{bind, socket};
use crate::judge::{Attempt, Fault};
use crate::spec::ConnectSpec;
use socket2::{Protocol, Socket, Type};
use std::hash::{BuildHasher, RandomState};
use std::io;
use tokio::net::UdpSocket;
use tokio::time::timeout;

const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
const HEADER: usize = 8;
/// Random bytes that make the echo ours.
const COOKIE: usize = 24;

pub(super) async fn attempt(spec: &ConnectSpec) -> Attempt {
    let (socket, raw) = match open(spec) {
        Ok(socket) => socket,
        Err(error) => return Attempt::Unjudged(format!("ICMP socket: {error}. Rescheduling.")),
    };
    let request = request(spec.target.is_ipv4());
    match timeout(spec.timeout, echo(&socket, &request, raw && spec.target.is_ipv4())).await {
        Ok(Ok(())) => Attempt::Passed,
        Ok(Err(error)) => Attempt::Failed(Fault::new("failed", error.to_string())),
        Err(_) => Attempt::Failed(Fault::new("timeout", format!("no echo within {:?}", spec.timeout))),
    }
}

/// A connected socket and whether it is a raw one.
fn open(spec: &ConnectSpec) -> io::Result<(UdpSocket, bool)> {
    match open_as(spec, Type::DGRAM) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok((open_as(spec, Type::RAW)?, true)),
        opened => Ok((opened?, false)),
    }
}

/// tokio's UdpSocket is a connected datagram socket to us; the protocol below does not matter to it.
fn open_as(spec: &ConnectSpec, kind: Type) -> io::Result<UdpSocket> {
    let protocol = if spec.target.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let spec = &ConnectSpec { bind_port: None, ..spec.clone() };
    let socket: Socket = socket(spec, kind, protocol)?;
    bind(&socket, spec)?;
    let mut target = spec.target;
    target.set_port(0);
    socket.connect(&target.into())?;
    UdpSocket::from_std(socket.into())
}

async fn echo(socket: &UdpSocket, request: &[u8], has_ip_header: bool) -> io::Result<()> {
    socket.send(request).await?;
    let mut buffer = [0; 256];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let packet = buffer.get(..length).unwrap_or_default();
        if answers(request, if has_ip_header { without_ip_header(packet) } else { packet }) {
            return Ok(());
        }
    }
}

/// The kernel replaces identifier and checksum where it fills them in itself, so the cookie decides.
fn answers(request: &[u8], packet: &[u8]) -> bool {
    let is_reply = matches!(packet.first(), Some(&ECHO_REPLY_V4 | &ECHO_REPLY_V6));
    is_reply && packet.len() >= HEADER && packet.get(HEADER..) == request.get(HEADER..)
}

fn without_ip_header(packet: &[u8]) -> &[u8] {
    let length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    packet.get(length..).unwrap_or_default()
}

/// RFC 792 and RFC 4443 section 4.1: type, code, checksum, identifier, sequence number, data.
fn request(v4: bool) -> Vec<u8> {
    let dice = RandomState::new();
    let mut request = vec![if v4 { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 }, 0, 0, 0];
    request.extend((0..HEADER - 4 + COOKIE).map(|index| dice.hash_one(index).to_le_bytes()[0]));
    if v4 {
        let checksum = checksum(&request).to_be_bytes();
        request[2..4].copy_from_slice(&checksum);
    }
    request
}

/// RFC 1071; the length is even.
fn checksum(data: &[u8]) -> u16 {
    let sum: u32 = data.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    fn skipped(attempt: &Attempt) -> bool {
        if let Attempt::Unjudged(reason) = attempt {
            eprintln!("skipped: {reason}");
            return true;
        }
        false
    }

    #[tokio::test]
    async fn the_own_host_answers() {
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let spec = ConnectSpec::new(SocketAddr::new(address, 80), Duration::from_secs(2));
            let attempt = attempt(&spec).await;
            assert!(skipped(&attempt) || attempt == Attempt::Passed, "{attempt:?}");
        }
    }

    #[tokio::test]
    async fn raw_sockets_see_the_reply_behind_its_ip_header() {
        let spec = ConnectSpec::new(SocketAddr::from(([127, 0, 0, 1], 0)), Duration::from_secs(2));
        let Ok(socket) = open_as(&spec, Type::RAW) else {
            eprintln!("skipped: no raw socket without CAP_NET_RAW");
            return;
        };
        timeout(Duration::from_secs(2), echo(&socket, &request(true), true)).await.unwrap().unwrap();
    }

    #[test]
    fn only_the_own_cookie_counts() {
        let request = request(true);
        assert_eq!(checksum(&request), 0);
        let mut reply = request.clone();
        assert!(!answers(&request, &reply));
        reply[0] = ECHO_REPLY_V4;
        assert!(answers(&request, &reply));
        reply[HEADER] ^= 1;
        assert!(!answers(&request, &reply));
        assert!(!answers(&request, &[]));
        assert!(without_ip_header(&[0x4f]).is_empty());
    }
}
