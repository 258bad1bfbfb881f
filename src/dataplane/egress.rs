//! Frames on their way out: collected over a batch, sent by one system call.

use std::io;
use std::os::fd::OwnedFd;

use super::command::DriverCounters;
use super::encapsulation::Prefix;
use super::packet_socket::{self, link_address};
use super::ring::{Ring, SendQueue, SlotInfo, VIRTIO_LEN};

/// Frames a batch at most.
pub(super) const BATCH: usize = 64;

const ETHERTYPE: usize = VIRTIO_LEN + 12;

/// Where the bytes of a frame lie.
#[derive(Debug)]
pub(super) enum Source {
    /// In a slot of the ring.
    Slot(usize, SlotInfo),
    /// In the buffer of that number, with that length.
    Buffer(usize, usize),
    /// Made here.
    Owned(Vec<u8>),
}

/// The sending socket with its batch.
#[derive(Debug)]
pub(super) struct Egress {
    socket: OwnedFd,
    queue: SendQueue,
    departures: Vec<Departure>,
}

/// A frame that is to be sent on an interface, as it is or with other headers before its packet.
#[derive(Debug)]
struct Departure {
    source: Source,
    prefix: Option<Prefix>,
    interface: u32,
}

impl Egress {
    /// Takes the socket that sends.
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, queue: SendQueue::new(BATCH), departures: Vec::with_capacity(BATCH) }
    }

    /// Adds a frame, to be sent on an interface at the next flush.
    pub(super) fn push(&mut self, source: Source, interface: u32) {
        self.departures.push(Departure { source, prefix: None, interface });
    }

    /// Adds a frame's packet behind other headers.
    pub(super) fn push_prefixed(&mut self, source: Source, prefix: Prefix, interface: u32) {
        self.departures.push(Departure { source, prefix: Some(prefix), interface });
    }

    /// Sends all frames, in order. Slots and buffers may be used again afterwards.
    pub(super) fn flush(&mut self, ring: &Ring, buffers: &[Vec<u8>], counters: &mut DriverCounters) {
        if self.departures.is_empty() {
            return;
        }
        let frames = self.departures.iter().map(|Departure { source, prefix, interface }| {
            let bytes = match source {
                Source::Slot(ahead, info) => ring.frame(*ahead, info),
                Source::Buffer(number, length) => {
                    buffers.get(*number).and_then(|b| b.get(..*length)).unwrap_or_default()
                }
                Source::Owned(bytes) => bytes.as_slice(),
            };
            let parts = match prefix {
                Some(prefix) => [prefix.bytes(), prefix.payload(bytes)],
                None => [bytes, &[]],
            };
            (parts, link_address(*interface, ethertype(parts[0])))
        });
        let mut refused = 0;
        self.queue.send(&self.socket, frames, |place, error| {
            refused += 1;
            note_refusal(self.departures.get(place).map(|d| d.interface), &error);
        });
        counters.refused += refused;
        counters.sent += self.departures.len() as u64 - refused;
        self.departures.clear();
    }

    /// Forgets what was collected.
    pub(super) fn clear(&mut self) {
        self.departures.clear();
    }
}

/// Opens the sending socket.
///
/// # Errors
/// What the kernel says.
pub(super) fn open(bypass_qdisc: bool, queue_bytes: usize) -> io::Result<Egress> {
    packet_socket::open_sender(bypass_qdisc, queue_bytes).map(Egress::new)
}

fn ethertype(bytes: &[u8]) -> u16 {
    bytes.get(ETHERTYPE..).and_then(|b| b.first_chunk()).map_or(0, |t| u16::from_be_bytes(*t))
}

fn note_refusal(interface: Option<u32>, error: &io::Error) {
    tracing::trace!(?interface, %error, "a frame was not sent");
}
