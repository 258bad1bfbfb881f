//! `UDP_CHECK`: a datagram goes out; an ICMP error is a failure, silence one only where a reply is required.

use super::datagram::{OpenError, open};
use crate::judge::{Attempt, Fault};
use crate::spec::{UdpReply, UdpSpec};
use std::hash::{BuildHasher, RandomState};
use tokio::time::timeout;

/// keepalived's words for a reply that is not the one required.
const MISMATCH: &str = "reply data mismatch";
/// Length of the payload if none was given.
const PAYLOAD: usize = 32;
/// The longest UDP payload.
const LONGEST: usize = 65_535;

pub(super) async fn attempt(spec: &UdpSpec) -> Attempt {
    match exchange(spec).await {
        Ok(()) => Attempt::Passed,
        Err(Trouble::Failed(detail)) => Attempt::Failed(Fault::new("failed", detail)),
        Err(Trouble::Mismatch(detail)) => Attempt::Failed(Fault::new(MISMATCH, detail)),
        Err(Trouble::Local(reason)) => Attempt::Unjudged(reason),
    }
}

/// What is wrong with the server or its reply, or here.
enum Trouble {
    Failed(String),
    Mismatch(String),
    Local(String),
}

async fn exchange(spec: &UdpSpec) -> Result<(), Trouble> {
    let socket = open(&spec.connect).map_err(|error| match error {
        OpenError::Local(error) => Trouble::Local(format!("UDP socket: {error}. Rescheduling.")),
        OpenError::Unreachable(error) => Trouble::Failed(error.to_string()),
    })?;
    let broken = |error: std::io::Error| Trouble::Failed(error.to_string());
    socket.send(&payload(spec)).await.map_err(broken)?;
    let mut buffer = vec![0; reply_room(spec)];
    match (timeout(spec.connect.timeout, socket.recv(&mut buffer)).await, &spec.reply) {
        (Err(_), None) => Ok(()),
        (Err(_), Some(_)) => Err(Trouble::Failed(format!("no reply within {:?}", spec.connect.timeout))),
        (Ok(received), reply) => {
            let length = received.map_err(broken)?;
            let wrong = reply.as_ref().and_then(|reply| mismatch(reply, buffer.get(..length).unwrap_or_default()));
            wrong.map_or(Ok(()), |detail| Err(Trouble::Mismatch(detail)))
        }
    }
}

fn payload(spec: &UdpSpec) -> Vec<u8> {
    spec.payload.clone().unwrap_or_else(|| {
        let dice = RandomState::new();
        (0..PAYLOAD).map(|index| dice.hash_one(index).to_le_bytes()[0]).collect()
    })
}

/// One byte more than allowed shows that a reply is too long.
fn reply_room(spec: &UdpSpec) -> usize {
    spec.reply.as_ref().map_or(1, |reply| (usize::from(reply.max_length) + 1).min(LONGEST))
}

/// What is wrong with a reply. As in keepalived, lengths count only where there is a pattern.
fn mismatch(reply: &UdpReply, data: &[u8]) -> Option<String> {
    if reply.pattern.is_empty() {
        return None;
    }
    let allowed = usize::from(reply.min_length)..=usize::from(reply.max_length);
    if !allowed.contains(&data.len()) {
        return Some(format!("the reply has {} bytes", data.len()));
    }
    let ignored = reply.ignored_bits.iter().copied().chain(std::iter::repeat(0));
    let differs = data
        .iter()
        .zip(&reply.pattern)
        .zip(ignored)
        .position(|((found, wanted), ignored)| (found ^ wanted) & !ignored != 0)?;
    Some(format!("the reply differs at byte {differs}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ConnectSpec;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;
    use tokio::net::UdpSocket;

    fn spec(target: SocketAddr, reply: Option<UdpReply>) -> UdpSpec {
        let connect = ConnectSpec::new(target, Duration::from_millis(200));
        UdpSpec { connect, payload: Some(b"ping".to_vec()), reply }
    }

    fn reply(pattern: &[u8], ignored_bits: &[u8]) -> UdpReply {
        UdpReply { pattern: pattern.to_vec(), ignored_bits: ignored_bits.to_vec(), min_length: 0, max_length: 8 }
    }

    /// Sends what it gets back, `times` times over.
    async fn echo(times: usize) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                if times > 0 {
                    socket.send_to(&buffer[..length].repeat(times), peer).await.unwrap();
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_closed_port_answers_with_icmp() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = socket.local_addr().unwrap();
        drop(socket);
        assert!(matches!(attempt(&spec(target, None)).await, Attempt::Failed(_)));
    }

    #[tokio::test]
    async fn silence_is_well_unless_a_reply_is_required() {
        let target = echo(0).await;
        assert_eq!(attempt(&spec(target, None)).await, Attempt::Passed);
        assert!(matches!(attempt(&spec(target, Some(reply(b"", b"")))).await, Attempt::Failed(_)));
    }

    #[tokio::test]
    async fn replies_are_compared_with_wildcards_and_lengths() {
        let target = echo(1).await;
        assert_eq!(attempt(&spec(target, Some(reply(b"ping", b"")))).await, Attempt::Passed);
        assert!(matches!(attempt(&spec(target, Some(reply(b"pong", b"")))).await, Attempt::Failed(_)));
        assert_eq!(attempt(&spec(target, Some(reply(b"pong", &[0, 0xff])))).await, Attempt::Passed);
        let target = echo(3).await;
        assert!(matches!(attempt(&spec(target, Some(reply(b"ping", b"")))).await, Attempt::Failed(_)));
        assert_eq!(attempt(&spec(target, Some(reply(b"", b"")))).await, Attempt::Passed);
    }
}
