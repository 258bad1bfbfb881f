//! A netfilter queue (`include/uapi/linux/netfilter/nfnetlink_queue.h`): packets with their marks, held by the kernel until
//! they are told where to go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::SockProtocol;

use super::hops::Hop;
use super::netlink::{REQUEST, Socket, Writer, attributes, messages};
use super::ring::VIRTIO_LEN;

const SUBSYSTEM: u16 = 3 << 8;
const PACKET: u16 = SUBSYSTEM;
const VERDICT: u16 = SUBSYSTEM | 1;
const CONFIG: u16 = SUBSYSTEM | 2;
const ACKNOWLEDGE: u16 = 4;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
/// Packets that the kernel holds at most.
const LONGEST: u32 = 4096;
/// Queues are numbered for the whole network namespace: these are tried.
const NUMBERS: std::ops::Range<u16> = 5746..5846;

/// A bound queue.
#[derive(Debug)]
pub(super) struct Queue {
    socket: Socket,
    number: u16,
}

/// A packet in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Queued {
    /// The kernel's name for it.
    pub(super) id: u32,
    /// Its firewall mark.
    pub(super) mark: u32,
    /// Where it came from; interface 0 if it was made on this host.
    pub(super) hop: Hop,
    /// A frame: empty virtio-net and Ethernet headers, then the packet.
    pub(super) frame: Vec<u8>,
}

impl Queue {
    /// Binds the first free queue.
    ///
    /// # Errors
    /// What the kernel says, `EBUSY` if no number is free.
    pub(super) fn open() -> io::Result<Self> {
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for number in NUMBERS {
            let mut socket = Socket::open(SockProtocol::NetlinkNetFilter, 0)?;
            match configure(&mut socket, number) {
                Ok(()) => return Ok(Self { socket, number }),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Its number.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// The next packet, if one waits.
    pub(super) fn next(&mut self) -> Option<Queued> {
        match self.socket.receive() {
            Ok(datagram) => messages(datagram?).find(|m| m.kind == PACKET).and_then(|m| parse(m.payload)),
            Err(error) => {
                tracing::debug!(%error, "the netfilter queue overflowed");
                None
            }
        }
    }

    /// Gives a packet back to the host's own stack, or takes it from it.
    pub(super) fn settle(&self, id: u32, accept: bool) {
        let verdict = if accept { ACCEPT } else { DROP };
        let mut writer = Writer::default();
        let data = [verdict.to_be_bytes(), id.to_be_bytes()].concat();
        writer.message(VERDICT, REQUEST, 0).raw(&header(self.number)).attribute(2, &data);
        if let Err(error) = self.socket.send(&writer) {
            tracing::debug!(%error, "a queued packet was not settled");
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `struct nfgenmsg`.
fn header(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [0, 0, high, low]
}

fn configure(socket: &mut Socket, number: u16) -> io::Result<()> {
    let mut writer = Writer::default();
    writer.message(CONFIG, REQUEST | ACKNOWLEDGE, 1).raw(&header(number)).attribute(1, &[BIND, 0, 0, 0]);
    let longest_packet = 0xffff_u32.to_be_bytes();
    let mut parameters = longest_packet.to_vec();
    parameters.push(COPY_PACKET);
    writer.message(CONFIG, REQUEST | ACKNOWLEDGE, 2).raw(&header(number)).attribute(2, &parameters).be32(3, LONGEST);
    socket.exchange(&writer, |_| ())
}

/// NFQA_PACKET_HDR 1, NFQA_MARK 3, NFQA_IFINDEX_INDEV 5, NFQA_HWADDR 9, NFQA_PAYLOAD 10.
fn parse(payload: &[u8]) -> Option<Queued> {
    let word = |value: &[u8], at: usize| Some(u32::from_be_bytes(*value.get(at..)?.first_chunk()?));
    let (mut id, mut mark, mut hop) = (None, 0, Hop { interface: 0, mac: [0; 6] });
    let mut frame = vec![0; VIRTIO_LEN + 12];
    for (kind, value) in attributes(payload.get(4..)?) {
        match kind {
            1 => id = word(value, 0),
            3 => mark = word(value, 0)?,
            5 => hop.interface = word(value, 0)?,
            9 => hop.mac = *value.get(4..)?.first_chunk()?,
            10 => {
                let ethertype: [u8; 2] = if value.first()? >> 4 == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
                frame.extend_from_slice(&ethertype);
                frame.extend_from_slice(value);
            }
            _ => {}
        }
    }
    Some(Queued { id: id?, mark, hop, frame })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_with_its_mark_and_its_sender() {
        let mut writer = Writer::default();
        writer.message(PACKET, 0, 0).raw(&header(7)).attribute(1, &[0, 0, 0, 9, 8, 0, 1]).be32(3, 42).be32(5, 3);
        writer.attribute(9, &[0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0]).attribute(10, &[0x45, 1, 2]);
        let message = writer.bytes().to_vec();
        let queued = parse(messages(&message).next().unwrap().payload).unwrap();
        assert_eq!((queued.id, queued.mark), (9, 42));
        assert_eq!(queued.hop, Hop { interface: 3, mac: [2, 0, 0, 0, 0, 1] });
        assert_eq!(queued.frame[VIRTIO_LEN + 12..], [8, 0, 0x45, 1, 2]);
        for length in 0..message.len() {
            parse(&message[..length]);
        }
    }
}
