//! Datagrams on their way out: collected, and sent by one system call.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, sendmmsg};
use socket2::Socket;

/// Datagrams sent by one call at most.
const AT_ONCE: usize = 32;

/// A connected socket and the datagrams that wait for it.
#[derive(Debug)]
pub(super) struct Post {
    socket: Socket,
    /// Buffers, of which the first `waiting` hold datagrams.
    datagrams: Vec<Vec<u8>>,
    waiting: usize,
}

impl Post {
    pub(super) fn new(socket: Socket) -> Post {
        Post { socket, datagrams: Vec::new(), waiting: 0 }
    }

    /// Whether the next datagram needs a [flush](Self::flush) first.
    pub(super) fn is_full(&self) -> bool {
        self.waiting == AT_ONCE
    }

    /// Has a datagram wait.
    pub(super) fn push(&mut self, datagram: &[u8]) {
        if self.waiting == self.datagrams.len() {
            self.datagrams.push(Vec::new());
        }
        if let Some(buffer) = self.datagrams.get_mut(self.waiting) {
            buffer.clear();
            buffer.extend_from_slice(datagram);
            self.waiting += 1;
        }
    }

    /// Sends what waits, in order, and tells what became of each datagram. One that is refused does not hold up the others.
    pub(super) fn flush(&mut self, mut told: impl FnMut(&[u8], Result<(), io::Error>)) {
        let waiting = self.datagrams.get(..std::mem::take(&mut self.waiting)).unwrap_or_default();
        let mut rest = waiting;
        while !rest.is_empty() {
            let (done, outcome) = match send(&self.socket, rest) {
                Ok(sent) => (sent, Ok(())),
                Err(Errno::EINTR) => continue,
                Err(error) => (1, Err(error)),
            };
            let (settled, tail) = rest.split_at(done.clamp(1, rest.len()));
            settled.iter().for_each(|datagram| told(datagram, outcome.map_err(io::Error::from)));
            rest = tail;
        }
    }
}

/// How many of these were sent; at least one.
fn send(socket: &Socket, datagrams: &[Vec<u8>]) -> nix::Result<usize> {
    let parts: Vec<_> = datagrams.iter().map(|datagram| [IoSlice::new(datagram)]).collect();
    let mut headers = MultiHeaders::<()>::preallocate(parts.len(), None);
    let (nobody, nothing): (_, [ControlMessage<'_>; 0]) = (vec![None; parts.len()], []);
    sendmmsg(socket.as_raw_fd(), &mut headers, &parts, nobody, nothing, MsgFlags::empty()).map(Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_waits_is_sent_in_order_and_a_refusal_holds_up_nothing() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut post = Post::new(sender.into());
        // UDP over IPv4 has no datagram of 70,000 bytes.
        let lengths = [10, 20, 70_000, 30];
        for _ in 0..2 {
            lengths.iter().for_each(|length| post.push(&vec![7; *length]));
            let mut outcomes = Vec::new();
            post.flush(|datagram, outcome| outcomes.push((datagram.len(), outcome.is_ok())));
            assert_eq!(outcomes, [(10, true), (20, true), (70_000, false), (30, true)]);
            let mut buffer = [0; 100];
            let mut came = || receiver.recv(&mut buffer).unwrap();
            assert_eq!([came(), came(), came()], [10, 20, 30]);
        }
    }

    #[test]
    fn it_says_when_it_is_full() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut post = Post::new(sender.into());
        (0..AT_ONCE).for_each(|_| {
            assert!(!post.is_full());
            post.push(b"x");
        });
        assert!(post.is_full());
        let mut sent = 0;
        post.flush(|_, outcome| sent += usize::from(outcome.is_ok()));
        assert_eq!((sent, post.is_full()), (AT_ONCE, false));
    }
}
