//! Netlink messages by hand: the few attributes that the data plane writes and reads.
//!
//! The layout is that of `include/uapi/linux/netlink.h`: aligned to four bytes, host byte order for headers and lengths.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};

/// `NLM_F_REQUEST`.
pub(crate) const REQUEST: u16 = 0x1;
/// `NLM_F_ROOT | NLM_F_MATCH`.
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_EXCL`.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_APPEND`.
pub(crate) const APPEND: u16 = 0x800;
/// `NLMSG_ERROR`.
pub(crate) const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub(crate) const DONE: u16 = 3;

const HEADER_LEN: usize = 16;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;
const BUFFER_LEN: usize = 64 * 1024;
const QUEUE_BYTES: usize = 4 << 20;

/// One or more messages being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    start: usize,
}

impl Writer {
    /// Begins a message; the one before it is complete.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, sequence: u32) -> &mut Self {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&(HEADER_LEN as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self
    }

    /// Appends bytes, padded to four, to the message begun last.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.seal();
        self
    }

    /// Appends one attribute.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (value.len() + 4) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value)
    }

    /// Appends a string attribute with its final zero.
    pub(crate) fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Appends a 32-bit attribute in network order, as nfnetlink wants them.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Appends an attribute that holds the attributes written by `inner`.
    pub(crate) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        inner(self);
        let length = (self.bytes.len() - at) as u16;
        if let Some(field) = self.bytes.get_mut(at..at + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }

    /// The bytes of all messages.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn seal(&mut self) {
        let length = (self.bytes.len() - self.start) as u32;
        if let Some(field) = self.bytes.get_mut(self.start..self.start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

/// One received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

impl Received<'_> {
    /// For an `NLMSG_ERROR`, the error that it carries; `None` for an acknowledgement or another message.
    pub(crate) fn error(&self) -> Option<io::Error> {
        let code = field32(self.payload, 0)? as i32;
        (self.kind == ERROR && code != 0).then(|| io::Error::from_raw_os_error(code.wrapping_neg()))
    }
}

/// The messages of one datagram.
pub(crate) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = field32(rest, 0)? as usize;
        let kind = field16(rest, 4)?;
        let payload = rest.get(HEADER_LEN..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received { kind, payload })
    })
}

/// The attributes in `rest`, nesting flags removed.
pub(crate) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(field16(rest, 0)?);
        let kind = field16(rest, 2)? & TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A 32-bit field in host order.
pub(crate) fn field32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A 16-bit field in host order.
pub(crate) fn field16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A netlink socket of this thread's network namespace. It never blocks.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket that hears the multicast `groups` (a bit mask).
    ///
    /// # Errors
    /// What `socket(2)` and `bind(2)` say.
    pub(crate) fn open(protocol: SockProtocol, groups: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        if setsockopt(&fd, sockopt::RcvBufForce, &QUEUE_BYTES).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &QUEUE_BYTES)?;
        }
        setsockopt(&fd, sockopt::SndBuf, &QUEUE_BYTES)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self { fd, buffer: vec![0; BUFFER_LEN] })
    }

    /// Sends what `writer` holds as one datagram.
    ///
    /// # Errors
    /// What `send(2)` says.
    pub(crate) fn send(&self, writer: &Writer) -> io::Result<()> {
        send(self.fd.as_raw_fd(), writer.bytes(), MsgFlags::empty())?;
        Ok(())
    }

    /// The next datagram, `None` if there is none.
    ///
    /// # Errors
    /// `ENOBUFS` if the kernel had to drop messages for this socket; else what `recv(2)` says.
    pub(crate) fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
            Ok(length) => Ok(Some(self.buffer.get(..length).unwrap_or_default())),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request and gives each answer to `each`, until the kernel has no more.
    ///
    /// The kernel answers route and neighbour requests before `send(2)` returns; a dump goes on with each receive.
    ///
    /// # Errors
    /// The first error that the kernel reports.
    pub(crate) fn exchange(&mut self, writer: &Writer, mut each: impl FnMut(Received<'_>)) -> io::Result<()> {
        self.send(writer)?;
        let mut failure = None;
        while let Some(datagram) = self.receive()? {
            for message in messages(datagram) {
                failure = failure.or_else(|| message.error());
                if message.kind != ERROR && message.kind != DONE {
                    each(message);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut writer = Writer::default();
        writer.message(16, REQUEST, 7).raw(&[1, 2, 3, 4]).string(3, "eth0").nest(5, |inner| {
            inner.be32(1, 9);
        });
        writer.message(17, REQUEST, 8).attribute(1, &[1]);
        let all: Vec<_> = messages(writer.bytes()).collect();
        assert_eq!(all.iter().map(|m| m.kind).collect::<Vec<_>>(), [16, 17]);
        let inside: Vec<_> = attributes(&all[0].payload[4..]).collect();
        assert_eq!(inside[0], (3, &b"eth0\0"[..]));
        assert_eq!(attributes(inside[1].1).next(), Some((1, &[0, 0, 0, 9][..])));
        assert_eq!(attributes(all[1].payload).next(), Some((1, &[1][..])));
    }

    #[test]
    fn garbage_ends_the_walk() {
        assert_eq!(messages(&[255; 40]).count(), 0);
        assert_eq!(messages(&[4, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }
}
