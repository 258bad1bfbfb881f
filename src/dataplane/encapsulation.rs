//! Packets on their way into a tunnel: sized for the link, then put behind the tunnel's headers.

use std::net::IpAddr;

use standfast_ipvs::{Frame, Tunnel, TunnelHeaders, clamp_mss};

use super::ring::VIRTIO_LEN;
use super::segmentation::split;
use super::size::{Fit, PREFIX, Virtio, complete_checksum, fit, fragment};
use super::topology::Mac;

/// The tunnel that a packet is to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    /// Its kind.
    pub(super) tunnel: Tunnel,
    /// The largest outer packet that passes, where a router has told.
    pub(super) path_mtu: Option<u16>,
}

/// All that the headers before a packet are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrapping {
    /// The tunnel.
    pub(super) passage: Passage,
    /// Link address of the next hop.
    pub(super) target: Mac,
    /// Link address of the interface.
    pub(super) sender: Mac,
    /// The tunnel's beginning: an address of the host.
    pub(super) local: IpAddr,
    /// The tunnel's end.
    pub(super) server: IpAddr,
    /// IP identification, where it counts.
    pub(super) identification: u16,
}

/// What became of a packet.
#[derive(Debug)]
pub(super) enum Wrapped {
    /// It goes behind these headers.
    Prefixed(Prefix),
    /// It was cut into these frames.
    Instead(Vec<Vec<u8>>),
    /// It does not fit; packets up to this size would.
    TooBig(u16),
}

/// A frame's headers up to the packet inside: virtio-net, Ethernet, tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    bytes: [u8; PREFIX + TunnelHeaders::LONGEST],
    length: usize,
    payload: usize,
}

impl Prefix {
    /// The headers.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The packet inside, from the frame that it came in.
    pub(super) fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(PREFIX..PREFIX + self.payload).unwrap_or_default()
    }

    /// The whole frame.
    pub(super) fn join(&self, frame: &[u8]) -> Vec<u8> {
        [self.bytes(), self.payload(frame)].concat()
    }
}

impl Wrapping {
    /// Prepares a frame (virtio-net header first), whose packet may be changed, for a link of `mtu` bytes.
    pub(super) fn wrap(&self, bytes: &mut [u8], virtio: &Virtio, mtu: usize) -> Wrapped {
        let mtu = self.passage.path_mtu.map_or(mtu, |path| mtu.min(usize::from(path)));
        let room = mtu.saturating_sub(self.passage.tunnel.overhead(self.server));
        if let Some(packet) = bytes.get_mut(PREFIX..).filter(|_| self.passage.tunnel.clamp_mss) {
            clamp_mss(&mut Frame { packet, checksum_partial: virtio.partial, gso_size: virtio.segment }, room);
        }
        match fit(bytes, virtio, room, false) {
            Fit::TooBig => Wrapped::TooBig(u16::try_from(room).unwrap_or(u16::MAX)),
            Fit::Fits if !virtio.superpacket => {
                complete_checksum(bytes, virtio);
                self.prefix(bytes).map_or(Wrapped::Instead(Vec::new()), Wrapped::Prefixed)
            }
            Fit::Fits => Wrapped::Instead(self.wrap_all(&split(bytes, virtio, usize::from(virtio.segment)))),
            Fit::Resegment(payload) => Wrapped::Instead(self.wrap_all(&split(bytes, virtio, usize::from(payload)))),
            Fit::Fragment if self.server.is_ipv4() => Wrapped::Instead(self.fragment_outside(bytes, virtio, mtu)),
            Fit::Fragment => Wrapped::Instead(self.wrap_all(&fragment(bytes, virtio, room))),
        }
    }

    fn wrap_all(&self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        frames.iter().filter_map(|frame| Some(self.prefix(frame)?.join(frame))).collect()
    }

    /// As the kernel does it: the outer packet is cut, and the tunnel's end puts it together.
    fn fragment_outside(&self, bytes: &mut [u8], virtio: &Virtio, mtu: usize) -> Vec<Vec<u8>> {
        complete_checksum(bytes, virtio);
        let Some(mut outer) = self.prefix(bytes).map(|prefix| prefix.join(bytes)) else { return Vec::new() };
        let plain = Virtio::parse(&[0; VIRTIO_LEN]);
        plain.map(|plain| fragment(&mut outer, &plain, mtu)).unwrap_or_default()
    }

    fn prefix(&self, frame: &[u8]) -> Option<Prefix> {
        let packet = super::engine::without_padding(frame.get(PREFIX..)?);
        let headers = self.passage.tunnel.headers(packet, self.local, self.server, self.identification)?;
        let ethertype: [u8; 2] = if self.server.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
        let mut prefix = Prefix {
            bytes: [0; PREFIX + TunnelHeaders::LONGEST],
            length: PREFIX + headers.len(),
            payload: packet.len(),
        };
        let parts = [&self.target[..], &self.sender, &ethertype, &headers].into_iter().flatten();
        prefix.bytes.iter_mut().skip(VIRTIO_LEN).zip(parts).for_each(|(to, from)| *to = *from);
        Some(prefix)
    }
}
