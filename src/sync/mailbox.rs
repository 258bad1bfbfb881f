//! Many datagrams by one system call.

use std::io::IoSliceMut;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};

/// Rows of datagrams fetched by one call at most. A row is one datagram, or as many as the kernel has put together (`UDP_GRO`, Linux 5.0) or
/// a sender on the same machine would have cut: 128 at most.
const ROWS: usize = 32;
/// The longest datagram of UDP, and so the longest row.
const LONGEST: usize = 65_535;

/// Where datagrams are received. Its memory is committed by the system as far as datagrams reach.
#[derive(Debug)]
pub(super) struct Mailbox {
    buffers: Vec<Vec<u8>>,
}

/// What a call gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fetched {
    /// Datagrams.
    pub(super) datagrams: usize,
    /// There may be more.
    pub(super) more: bool,
    /// Datagrams that this socket had no room for, since it was opened; none where the kernel has not said so.
    pub(super) lost: Option<u32>,
}

/// One row as it arrived.
struct Row {
    length: usize,
    /// Each datagram's length, but for the last; the row's where it is of one.
    each: usize,
    host: Option<IpAddr>,
    lost: Option<u32>,
}

impl Mailbox {
    pub(super) fn new() -> Mailbox {
        Mailbox { buffers: (0..ROWS).map(|_| vec![0; LONGEST]).collect() }
    }

    /// Passes on the datagrams that wait in a socket, as many as one call gives, each with its sender. Of senders whose address cannot
    /// be read there is none, and they are not passed on.
    pub(super) fn fetch(&mut self, socket: &UdpSocket, mut each: impl FnMut(&[u8], IpAddr)) -> Fetched {
        let rows = match self.receive(socket) {
            Ok(rows) => rows,
            Err(Errno::EAGAIN) => return Fetched::default(),
            Err(error) => {
                tracing::debug!("the sync socket: {error}");
                return Fetched::default();
            }
        };
        let mut fetched = Fetched { more: rows.len() == ROWS, ..Fetched::default() };
        for (buffer, row) in self.buffers.iter().zip(&rows) {
            fetched.lost = row.lost.or(fetched.lost);
            for datagram in buffer.get(..row.length).unwrap_or_default().chunks(row.each.max(1)) {
                fetched.datagrams += 1;
                if let Some(host) = row.host {
                    each(datagram, host);
                }
            }
        }
        fetched
    }

    fn receive(&mut self, socket: &UdpSocket) -> nix::Result<Vec<Row>> {
        let mut parts: Vec<_> = self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        // The kernel writes lengths into the headers that the next call would take for its own.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(ROWS, Some(nix::cmsg_space!(i32, u32)));
        let results = recvmmsg(socket.as_raw_fd(), &mut headers, parts.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        Ok(results.map(|result| row(&result)).collect())
    }
}

fn row(result: &RecvMsg<'_, '_, SockaddrStorage>) -> Row {
    let host = result.address.as_ref().and_then(ip);
    let mut row = Row { length: result.bytes, each: result.bytes, host, lost: None };
    for word in result.cmsgs().into_iter().flatten() {
        match word {
            ControlMessageOwned::UdpGroSegments(each) => row.each = usize::try_from(each).unwrap_or(row.length),
            ControlMessageOwned::RxqOvfl(lost) => row.lost = Some(lost),
            _ => {}
        }
    }
    row
}

fn ip(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::super::post::Post;
    use super::*;
    use nix::sys::socket::{setsockopt, sockopt};

    /// As they are sent: one by one, or cut from rows by the kernel, for a receiver that takes whole rows or not.
    #[test]
    fn datagrams_come_whole_in_order_and_with_their_sender() {
        for (local, rows) in [("127.0.0.1:0", true), ("127.0.0.1:0", false), ("[::1]:0", true)] {
            let Ok(receiver) = UdpSocket::bind(local) else { continue };
            setsockopt(&receiver, sockopt::UdpGroSegment, &rows).unwrap();
            let sender = UdpSocket::bind(local).unwrap();
            let address = sender.local_addr().unwrap().ip();
            sender.connect(receiver.local_addr().unwrap()).unwrap();
            let mut post = Post::new(sender.into());
            let length = |number: u8| if number < 20 { 100 + usize::from(number) } else { 500 };
            let datagrams: Vec<Vec<u8>> = (0..50).map(|number: u8| vec![number; length(number)]).collect();
            datagrams.iter().for_each(|datagram| post.push(datagram));
            post.flush(|_, outcome| outcome.unwrap());
            let (mut mailbox, mut came) = (Mailbox::new(), Vec::new());
            let mut counted = 0;
            while counted < datagrams.len() {
                let fetched = mailbox.fetch(&receiver, |datagram, host| {
                    assert_eq!(host, address);
                    came.push(datagram.to_vec());
                });
                assert!(fetched.datagrams > 0);
                counted += fetched.datagrams;
            }
            assert_eq!(came, datagrams);
            assert_eq!(mailbox.fetch(&receiver, |_, _| unreachable!()), Fetched::default());
        }
    }

    #[test]
    fn what_a_socket_has_no_room_for_is_told_with_the_next_datagram() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        setsockopt(&receiver, sockopt::RxqOvfl, &1).unwrap();
        setsockopt(&receiver, sockopt::RcvBuf, &4096).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut mailbox = Mailbox::new();
        (0..100).for_each(|_| assert_eq!(sender.send(&[7; 1000]).unwrap(), 1000));
        let mut came = mailbox.fetch(&receiver, |_, _| {}).datagrams;
        assert!(came < 100);
        sender.send(&[8]).unwrap();
        let last = mailbox.fetch(&receiver, |_, _| {});
        came += last.datagrams;
        assert_eq!(came + last.lost.unwrap() as usize, 101);
    }
}
