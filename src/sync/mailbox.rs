//! Many datagrams by one system call.

use std::io::IoSliceMut;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};

/// Datagrams fetched by one call at most.
const AT_ONCE: usize = 32;
/// The longest datagram of UDP.
const LONGEST: usize = 65_535;

/// Where datagrams are received. Its memory is committed by the system as far as datagrams reach.
#[derive(Debug)]
pub(super) struct Mailbox {
    buffers: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Mailbox {
    pub(super) fn new() -> Mailbox {
        Mailbox {
            buffers: (0..AT_ONCE).map(|_| vec![0; LONGEST]).collect(),
            headers: MultiHeaders::preallocate(AT_ONCE, None),
        }
    }

    /// Passes on the datagrams that wait in a socket, at most `most` and as many as one call gives, each with its sender; gives their
    /// number. Of senders whose address cannot be read there is none, and they are not passed on.
    pub(super) fn fetch(&mut self, socket: &UdpSocket, most: usize, mut each: impl FnMut(&[u8], IpAddr)) -> usize {
        let arrived = match self.receive(socket, most.min(AT_ONCE)) {
            Ok(arrived) => arrived,
            Err(Errno::EAGAIN) => return 0,
            Err(error) => {
                tracing::debug!("the sync socket: {error}");
                return 0;
            }
        };
        for (buffer, (length, host)) in self.buffers.iter().zip(&arrived) {
            if let (Some(datagram), Some(host)) = (buffer.get(..*length), host) {
                each(datagram, *host);
            }
        }
        arrived.len()
    }

    fn receive(&mut self, socket: &UdpSocket, most: usize) -> nix::Result<Vec<(usize, Option<IpAddr>)>> {
        let mut parts: Vec<_> = self.buffers.iter_mut().take(most).map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let results = recvmmsg(socket.as_raw_fd(), &mut self.headers, parts.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        Ok(results.map(|result| (result.bytes, result.address.as_ref().and_then(ip))).collect())
    }
}

fn ip(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_whole_in_order_and_with_their_sender() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(receiver) = UdpSocket::bind(local) else { continue };
            let sender = UdpSocket::bind(local).unwrap();
            sender.connect(receiver.local_addr().unwrap()).unwrap();
            let datagrams: Vec<Vec<u8>> = (0..50).map(|number: u8| vec![number; 100 + usize::from(number)]).collect();
            datagrams.iter().for_each(|datagram| assert_eq!(sender.send(datagram).unwrap(), datagram.len()));
            let (mut mailbox, mut came) = (Mailbox::new(), Vec::new());
            let mut fetch = |most| {
                mailbox.fetch(&receiver, most, |datagram, host| {
                    assert_eq!(host, sender.local_addr().unwrap().ip());
                    came.push(datagram.to_vec());
                })
            };
            assert_eq!([fetch(3), fetch(100), fetch(100), fetch(100)], [3, AT_ONCE, 50 - 3 - AT_ONCE, 0]);
            assert_eq!(came, datagrams);
        }
    }
}
