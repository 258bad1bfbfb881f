//! The kernel's process events (`include/uapi/linux/cn_proc.h`), over a netlink socket.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce};
use nix::sys::socket::{MsgFlags, NetlinkAddr, bind, recvfrom, send, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};
use standfast_parser::model::ReceiveBuffer;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

const NETLINK_CONNECTOR: i32 = 11;
/// `CN_IDX_PROC` and `CN_VAL_PROC`; also the multicast group.
const PROC: u32 = 1;
const NLMSG_DONE: u16 = 3;
const MULTICAST_LISTEN: u32 = 1;
/// `nlmsghdr` and `cn_msg`.
const HEADERS: usize = 36;
/// From the event's type to its data.
const DATA: usize = HEADERS + 16;
/// Every event fits; what is missing of a short one reads as zero.
const LARGEST: usize = 256;
const BUFFER_BYTES: usize = 1 << 20;
const BATCH: usize = 1024;
/// The kernel answers within the call; a process namespace without events gets no answer.
const ANSWER: Duration = Duration::from_millis(500);

const NONE: u32 = 0;
const FORK: u32 = 1;
const EXEC: u32 = 2;
const COMM: u32 = 0x200;
const EXIT: u32 = 0x8000_0000;

/// What happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It began, or has another name or command.
    Begun,
    /// It ended.
    Ended,
}

/// Why there are no events.
#[derive(Debug)]
pub(super) enum Failure {
    /// Some were lost.
    Overrun,
    /// There will be none.
    Refused(io::Error),
}

/// A socket that hears of processes.
pub(super) struct Connector {
    socket: Socket,
}

impl Connector {
    /// # Errors
    /// When the kernel does not give events to this process.
    pub(super) fn open(buffer: ReceiveBuffer) -> io::Result<Self> {
        let kind = Type::DGRAM.cloexec().nonblocking();
        let socket = Socket::new(Domain::from(libc::AF_NETLINK), kind, Some(Protocol::from(NETLINK_CONNECTOR)))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, PROC))?;
        // A smaller buffer only loses events sooner, which is noticed.
        let size = buffer.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(BUFFER_BYTES);
        let _ = if buffer.force { setsockopt(&socket, RcvBufForce, &size) } else { setsockopt(&socket, RcvBuf, &size) };
        send(socket.as_raw_fd(), &listen_request(), MsgFlags::empty())?;
        let connector = Self { socket };
        connector.await_answer()?;
        Ok(connector)
    }

    fn await_answer(&self) -> io::Result<()> {
        if !self.is_readable(ANSWER) {
            return Err(io::Error::other("the kernel does not answer"));
        }
        loop {
            let Some(message) = self.receive()? else { continue };
            match (word(&message, HEADERS), word(&message, DATA)) {
                (Some(NONE), Some(0)) => return Ok(()),
                (Some(NONE), error) => {
                    let code = error.and_then(|code| i32::try_from(code).ok()).unwrap_or(libc::EINVAL);
                    return Err(io::Error::from_raw_os_error(code));
                }
                _ => {}
            }
        }
    }

    fn is_readable(&self, wait: Duration) -> bool {
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        matches!(poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout), Ok(1..))
    }

    /// The processes that changed, each with what happened to it last; none when nothing came within `wait`.
    pub(super) fn wait(&self, wait: Duration) -> Result<BTreeMap<u32, Change>, Failure> {
        let mut changes = BTreeMap::new();
        if !self.is_readable(wait) {
            return Ok(changes);
        }
        for _ in 0..BATCH {
            match self.receive() {
                Ok(message) => changes.extend(message.and_then(|message| change(&message))),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => return Err(Failure::Overrun),
                Err(error) => return Err(Failure::Refused(error.into())),
            }
        }
        Ok(changes)
    }

    /// A message of the kernel; `None` for one that somebody else sent.
    fn receive(&self) -> nix::Result<Option<[u8; LARGEST]>> {
        let mut message = [0; LARGEST];
        let (_, from) = recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut message)?;
        Ok(from.is_some_and(|from| from.pid() == 0).then_some(message))
    }
}

fn listen_request() -> Vec<u8> {
    let length = u32::try_from(HEADERS).unwrap_or(0) + 4;
    let kind = [NLMSG_DONE, 0].map(u16::to_ne_bytes).concat();
    let header = [&length.to_ne_bytes(), kind.as_slice(), &[0; 8]].concat();
    let connector = [PROC, PROC, 0, 0].map(u32::to_ne_bytes).concat();
    let size = [4_u16, 0].map(u16::to_ne_bytes).concat();
    [header, connector, size, MULTICAST_LISTEN.to_ne_bytes().to_vec()].concat()
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// What a message says about a process. Threads are no processes.
fn change(message: &[u8]) -> Option<(u32, Change)> {
    let (place, change) = match word(message, HEADERS)? {
        FORK => (DATA + 8, Change::Begun),
        EXEC | COMM => (DATA, Change::Begun),
        EXIT => (DATA, Change::Ended),
        _ => return None,
    };
    let (thread, process) = (word(message, place)?, word(message, place + 4)?);
    (thread == process).then_some((process, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, data: &[u32]) -> Vec<u8> {
        let mut message = vec![0; HEADERS];
        message.extend([what, 0, 0, 0].map(u32::to_ne_bytes).concat());
        message.extend(data.iter().flat_map(|word| word.to_ne_bytes()));
        message
    }

    #[test]
    fn events_name_the_process_that_changed() {
        assert_eq!(change(&message(FORK, &[1, 1, 7, 7])), Some((7, Change::Begun)));
        assert_eq!(change(&message(EXEC, &[7, 7])), Some((7, Change::Begun)));
        assert_eq!(change(&message(COMM, &[7, 7, 0, 0])), Some((7, Change::Begun)));
        assert_eq!(change(&message(EXIT, &[7, 7, 0, 17])), Some((7, Change::Ended)));
    }

    #[test]
    fn threads_other_events_and_short_messages_say_nothing() {
        assert_eq!(change(&message(FORK, &[1, 1, 8, 7])), None);
        assert_eq!(change(&message(EXIT, &[8, 7, 0, 17])), None);
        assert_eq!(change(&message(4, &[7, 7])), None);
        let whole = message(FORK, &[1, 1, 7, 7]);
        for length in 0..whole.len() {
            assert_eq!(change(&whole[..length]), None);
        }
    }

    #[test]
    fn the_request_is_as_long_as_it_says() {
        let request = listen_request();
        assert_eq!(request.len(), 40);
        assert_eq!(word(&request, 0), Some(40));
        assert_eq!(request[4..6], 3_u16.to_ne_bytes());
    }
}
