//! Datagrams on their way out: collected, and sent by one system call.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, sendmmsg, sendmsg};
use socket2::Socket;

/// Datagrams sent by one call at most; no kernel takes a row of more than 64.
const AT_ONCE: usize = 64;
/// The longest row of datagrams in bytes: it passes the network stack as one datagram of UDP.
const LONGEST_ROW: usize = 65_000;

/// A connected socket and the datagrams that wait for it.
#[derive(Debug)]
pub(super) struct Post {
    socket: Socket,
    /// Buffers, of which the first `waiting` hold datagrams.
    datagrams: Vec<Vec<u8>>,
    waiting: usize,
    /// The kernel cuts rows of datagrams (`UDP_SEGMENT`, Linux 4.18).
    cuts: bool,
}

impl Post {
    pub(super) fn new(socket: Socket) -> Post {
        Post { socket, datagrams: Vec::new(), waiting: 0, cuts: true }
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
            let (done, outcome) = match send(&self.socket, rest, &mut self.cuts) {
                (_, Err(Errno::EINTR)) => continue,
                outcome => outcome,
            };
            let (settled, tail) = rest.split_at(done.clamp(1, rest.len()));
            settled.iter().for_each(|datagram| told(datagram, outcome.map_err(io::Error::from)));
            rest = tail;
        }
    }
}

/// How many of these are settled, and whether they were sent; at least one.
fn send(socket: &Socket, datagrams: &[Vec<u8>], cuts: &mut bool) -> (usize, nix::Result<()>) {
    let begins_row = |at: &usize| datagrams.get(*at..).is_some_and(|rest| row(rest) > 1);
    let first_row = if *cuts { (0..datagrams.len()).find(begins_row) } else { None };
    if first_row == Some(0) {
        let row = datagrams.get(..row(datagrams)).unwrap_or(datagrams);
        match send_row(socket, row) {
            // This kernel or this interface cannot.
            Err(Errno::EINVAL | Errno::EIO | Errno::EMSGSIZE | Errno::ENOPROTOOPT | Errno::EOPNOTSUPP) => *cuts = false,
            outcome => return (row.len(), outcome),
        }
    }
    match send_each(
        socket,
        datagrams.get(..first_row.filter(|at| *at > 0).unwrap_or(datagrams.len())).unwrap_or(datagrams),
    ) {
        Ok(sent) => (sent, Ok(())),
        Err(error) => (1, Err(error)),
    }
}

/// How many of the first datagrams go in one row: all as long as the first, and perhaps a shorter one behind them.
fn row(datagrams: &[Vec<u8>]) -> usize {
    let Some(length) = datagrams.first().map(Vec::len).filter(|length| *length > 0) else { return 0 };
    let equal = datagrams.iter().take(LONGEST_ROW / length).take_while(|datagram| datagram.len() == length).count();
    let last = datagrams.get(equal).filter(|last| last.len() < length && equal * length + last.len() <= LONGEST_ROW);
    equal + usize::from(last.is_some())
}

fn send_row(socket: &Socket, row: &[Vec<u8>]) -> nix::Result<()> {
    let parts: Vec<_> = row.iter().map(|datagram| IoSlice::new(datagram)).collect();
    let length = row.first().and_then(|first| u16::try_from(first.len()).ok()).ok_or(Errno::EMSGSIZE)?;
    let cut = [ControlMessage::UdpGsoSegments(&length)];
    sendmsg::<()>(socket.as_raw_fd(), &parts, &cut, MsgFlags::empty(), None).map(drop)
}

/// How many of these were sent; at least one.
fn send_each(socket: &Socket, datagrams: &[Vec<u8>]) -> nix::Result<usize> {
    let parts: Vec<_> = datagrams.iter().map(|datagram| [IoSlice::new(datagram)]).collect();
    let mut headers = MultiHeaders::<()>::preallocate(parts.len(), None);
    let (nobody, nothing): (_, [ControlMessage<'_>; 0]) = (vec![None; parts.len()], []);
    sendmmsg(socket.as_raw_fd(), &mut headers, &parts, nobody, nothing, MsgFlags::empty()).map(Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn pair() -> (Post, UdpSocket) {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        (Post::new(sender.into()), receiver)
    }

    /// Whether the kernel is asked to cut rows or not, what comes is the same.
    #[test]
    fn what_waits_is_sent_in_order_and_a_refusal_holds_up_nothing() {
        let lengths = [10, 20, 20, 20, 15, 70_000, 30, 30, 31, 1400, 1400, 7];
        for cuts in [true, false] {
            let (mut post, receiver) = pair();
            post.cuts = cuts;
            for round in 0..2 {
                lengths.iter().for_each(|length| post.push(&vec![round; *length]));
                let mut outcomes = Vec::new();
                post.flush(|datagram, outcome| outcomes.push((datagram.len(), outcome.is_ok())));
                // UDP over IPv4 has no datagram of 70,000 bytes.
                assert_eq!(outcomes, lengths.map(|length| (length, length != 70_000)));
                let mut buffer = [0; 2000];
                for length in lengths.iter().filter(|length| **length != 70_000) {
                    assert_eq!(receiver.recv(&mut buffer).unwrap(), *length);
                    assert!(buffer[..*length].iter().all(|byte| *byte == round));
                }
            }
            assert_eq!(post.cuts, cuts);
        }
    }

    #[test]
    fn a_row_is_of_equal_datagrams_and_one_shorter() {
        let row_of = |lengths: &[usize]| row(&lengths.iter().map(|length| vec![0; *length]).collect::<Vec<_>>());
        assert_eq!(row_of(&[5, 5, 5, 4, 4]), 4);
        assert_eq!(row_of(&[5, 5, 6]), 2);
        assert_eq!(row_of(&[5, 6, 6]), 1);
        assert_eq!(row_of(&[40_000, 40_000]), 1);
        assert_eq!(row_of(&[32_000, 32_000, 2000]), 2);
        assert_eq!(row_of(&[]), 0);
    }

    #[test]
    fn it_says_when_it_is_full() {
        let (mut post, _receiver) = pair();
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
