//! Requests to the kernel, batched and answered at once.
//!
//! The kernel carries out an rtnetlink request before `send(2)` returns and has queued its answer by then, so nothing here
//! waits for anything but the kernel's own work.

use super::interface::Table;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rtnetlink::MulticastGroup;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use standfast_parser::model::Family;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// A request or a report.
pub(super) type Message = NetlinkMessage<RouteNetlinkMessage>;

/// The loopback interface is the first of every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// Requests of one `send(2)`: their answers must fit into the socket's queue.
const BATCH: usize = 64;
/// The largest datagram that the kernel builds for a dump.
const DATAGRAM: usize = 64 * 1024;
/// Room for reports while commands are carried out, in bytes.
const RECEIVE_BUFFER: u32 = 1 << 20;

/// A request that the kernel acknowledges, with more flags.
pub(super) fn request(message: RouteNetlinkMessage, flags: u16) -> Message {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message
}

/// The kernel's number of a family.
pub(super) fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// A socket that carries out requests. It never blocks.
pub(super) struct Kernel {
    socket: Socket,
    /// Names the socket in reports of what it changed.
    port: u32,
    sequence: u32,
    request: Vec<u8>,
    datagram: Vec<u8>,
}

impl Kernel {
    /// Opens a socket in the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = open(RECEIVE_BUFFER)?;
        // Answers without the request, which we have.
        socket.set_cap_ack(true)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, port, sequence: 0, request: Vec::new(), datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// Whether a report tells of a change that was asked for here.
    pub(super) fn is_author(&self, report: &Message) -> bool {
        report.header.port_number == self.port
    }

    /// Carries out requests in their order; the outcome of each has the place of the request.
    pub(super) fn carry_out(&mut self, requests: &mut [Message]) -> Vec<Result<(), Errno>> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for batch in requests.chunks_mut(BATCH) {
            let first = self.sequence;
            let mut answers = vec![Err(Errno::EPROTO); batch.len()];
            match self.send(batch) {
                Ok(()) => self.take_answers(first, &mut answers),
                Err(error) => answers.fill(Err(error)),
            }
            outcomes.append(&mut answers);
        }
        outcomes
    }

    /// Carries out one request.
    pub(super) fn ask(&mut self, request: Message) -> Result<(), Errno> {
        self.carry_out(&mut [request]).pop().unwrap_or(Err(Errno::EPROTO))
    }

    /// Waits until the change that the kernel is making is done and all its reports are there: this question takes the same lock.
    pub(super) fn settle(&mut self) {
        let mut link = LinkMessage::default();
        link.header.index = LOOPBACK;
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(link));
        request.header.flags = NLM_F_REQUEST;
        let first = self.sequence;
        if self.send(&mut [request]).is_ok() {
            self.take_answers(first, &mut [Ok(())]);
        }
    }

    /// Every interface with its addresses.
    pub(super) fn read_table(&mut self) -> Result<Table, Errno> {
        let mut table = Table::default();
        self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| drop(table.apply(message)))?;
        self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| drop(table.apply(message)))?;
        Ok(table)
    }

    /// Gives every object of a kind to `each`.
    pub(super) fn dump(
        &mut self,
        request: RouteNetlinkMessage,
        mut each: impl FnMut(&RouteNetlinkMessage),
    ) -> Result<(), Errno> {
        let mut request = NetlinkMessage::from(request);
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        self.send(&mut [request])?;
        // Each receive makes the kernel write the next part.
        loop {
            receive(&self.socket, &mut self.datagram)?;
            for message in messages(&self.datagram) {
                match message.payload {
                    NetlinkPayload::InnerMessage(object) => each(&object),
                    NetlinkPayload::Done(_) => return Ok(()),
                    payload => outcome(&payload)?,
                }
            }
        }
    }

    fn send(&mut self, batch: &mut [Message]) -> Result<(), Errno> {
        self.request.clear();
        for message in batch {
            message.header.sequence_number = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            append(&mut self.request, message);
        }
        self.socket.send(&self.request, libc::MSG_DONTWAIT).map(drop).map_err(|error| errno(&error))
    }

    fn take_answers(&mut self, first: u32, answers: &mut [Result<(), Errno>]) {
        let mut missing = answers.len();
        while missing > 0 && receive(&self.socket, &mut self.datagram).is_ok() {
            for message in messages(&self.datagram) {
                let place = message.header.sequence_number.wrapping_sub(first) as usize;
                if let Some(answer) = answers.get_mut(place) {
                    *answer = outcome(&message.payload);
                    missing -= 1;
                }
            }
        }
    }
}

/// What the kernel reports of changes, whoever makes them.
pub(super) struct Reports {
    socket: Socket,
    datagram: Vec<u8>,
}

/// What came of looking for reports.
pub(super) enum Heard {
    /// The messages of one datagram.
    Messages(Vec<Message>),
    /// None is waiting.
    Nothing,
    /// The kernel had to drop some.
    Overrun,
}

impl Reports {
    /// Hears of links and addresses from here on.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = open(RECEIVE_BUFFER)?;
        socket.bind_auto()?;
        for group in GROUPS {
            socket.add_membership(group as u32)?;
        }
        Ok(Self { socket, datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// Hears of routes and rules, too.
    pub(super) fn hear_policy(&self) -> io::Result<()> {
        POLICY_GROUPS.iter().try_for_each(|group| self.socket.add_membership(*group as u32))
    }

    /// The next datagram.
    ///
    /// # Errors
    /// When the socket is of no use any more.
    pub(super) fn hear(&mut self) -> Result<Heard, Errno> {
        match receive(&self.socket, &mut self.datagram) {
            Ok(()) => Ok(Heard::Messages(messages(&self.datagram).collect())),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Heard::Nothing),
            Err(Errno::ENOBUFS) => Ok(Heard::Overrun),
            Err(error) => Err(error),
        }
    }
}

const GROUPS: [MulticastGroup; 3] = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
const POLICY_GROUPS: [MulticastGroup; 4] =
    [MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route, MulticastGroup::Ipv4Rule, MulticastGroup::Ipv6Rule];

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(receive_buffer: u32) -> io::Result<Socket> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    socket.set_rx_buf_sz(receive_buffer)?;
    Ok(socket)
}

fn append(buffer: &mut Vec<u8>, message: &mut Message) {
    message.finalize();
    let start = buffer.len();
    buffer.resize(start + message.buffer_len().next_multiple_of(4), 0);
    if let Some(place) = buffer.get_mut(start..) {
        message.serialize(place);
    }
}

fn receive(socket: &Socket, datagram: &mut Vec<u8>) -> Result<(), Errno> {
    datagram.clear();
    socket.recv(datagram, libc::MSG_DONTWAIT).map(drop).map_err(|error| errno(&error))
}

/// The messages of a datagram; what cannot be read (a kind of interface newer than we) is passed over.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message> {
    std::iter::from_fn(move || {
        loop {
            let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
            let bytes = rest.get(..length).filter(|bytes| !bytes.is_empty())?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            if let Ok(message) = Message::deserialize(bytes) {
                return Some(message);
            }
        }
    })
}

fn outcome(payload: &NetlinkPayload<RouteNetlinkMessage>) -> Result<(), Errno> {
    match payload {
        NetlinkPayload::Error(error) => {
            error.code.map_or(Ok(()), |code| Err(Errno::from_raw(code.get().saturating_abs())))
        }
        _ => Ok(()),
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
