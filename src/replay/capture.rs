//! The packets of a capture file, pcap or pcapng, without their link headers.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapReader, RawPcapPacket};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};

/// How a section of pcapng begins.
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Nothing that a network carries is longer.
const LONGEST: usize = 1 << 17;
/// Tags of VLANs (IEEE 802.1Q, 802.1ad, and what was there before that) that one frame may have.
const TAGS: usize = 4;

/// One frame of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Captured {
    /// Since 1970.
    pub(super) time: Duration,
    pub(super) link: DataLink,
    /// As long as it was on the network: what was not kept is zeros.
    pub(super) data: Vec<u8>,
    /// Bytes that were kept.
    pub(super) kept: usize,
}

impl Captured {
    fn new(time: Duration, link: DataLink, data: &[u8], length: u32) -> Captured {
        let kept = data.len();
        let mut data = data.to_vec();
        data.resize(kept.max((length as usize).min(LONGEST)), 0);
        Captured { time, link, data, kept }
    }

    /// The IP packet without the padding of short frames, and how much of it was kept.
    pub(super) fn ip_packet(&self) -> Option<(&[u8], usize)> {
        let start = ip_header(self.link, &self.data)?;
        let packet = self.data.get(start..)?;
        let length = match packet.first()? >> 4 {
            4 => usize::from(word(packet, 2)?),
            6 => usize::from(word(packet, 4)?) + 40,
            _ => return None,
        };
        let packet = packet.get(..length).unwrap_or(packet);
        Some((packet, self.kept.saturating_sub(start).min(packet.len())))
    }
}

/// Where the IP header begins.
fn ip_header(link: DataLink, data: &[u8]) -> Option<usize> {
    match link {
        DataLink::ETHERNET => behind_ethertype(data, 12),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => Some(0),
        DataLink::NULL | DataLink::LOOP => Some(4),
        DataLink::LINUX_SLL => behind_ethertype(data, 14),
        DataLink::LINUX_SLL2 => matches!(word(data, 0)?, 0x0800 | 0x86dd).then_some(20),
        _ => None,
    }
}

fn behind_ethertype(data: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..=TAGS {
        match word(data, at)? {
            0x0800 | 0x86dd => return Some(at + 2),
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            _ => return None,
        }
    }
    None
}

pub(super) fn word(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?))
}

/// A capture that is read from front to back.
pub(super) enum Capture {
    Pcap(Box<PcapReader<File>>),
    PcapNg(Box<PcapNgReader<File>>),
}

impl Capture {
    pub(super) fn open(path: &Path) -> Result<Capture, PcapError> {
        let mut file = File::open(path).map_err(PcapError::IoError)?;
        let mut magic = [0; 4];
        let is_ng = file.read_exact(&mut magic).is_ok() && magic == SECTION;
        file.rewind().map_err(PcapError::IoError)?;
        Ok(match is_ng {
            true => Capture::PcapNg(Box::new(PcapNgReader::new(file)?)),
            false => Capture::Pcap(Box::new(PcapReader::new(file)?)),
        })
    }

    /// The next frame; none at the end.
    pub(super) fn next(&mut self) -> Option<Result<Captured, PcapError>> {
        match self {
            Capture::Pcap(reader) => next_of_pcap(reader),
            Capture::PcapNg(reader) => next_of_pcapng(reader),
        }
    }
}

/// The reader's own check refuses packets of which a part was kept, so that it is not asked.
fn next_of_pcap(reader: &mut PcapReader<File>) -> Option<Result<Captured, PcapError>> {
    let header = reader.header();
    let captured = |raw: RawPcapPacket<'_>| {
        let fraction = match header.ts_resolution {
            TsResolution::MicroSecond => Duration::from_micros(raw.ts_frac.into()),
            TsResolution::NanoSecond => Duration::from_nanos(raw.ts_frac.into()),
        };
        Captured::new(Duration::from_secs(raw.ts_sec.into()) + fraction, header.datalink, &raw.data, raw.orig_len)
    };
    reader.next_raw_packet().map(|raw| raw.map(captured))
}

fn next_of_pcapng(reader: &mut PcapNgReader<File>) -> Option<Result<Captured, PcapError>> {
    loop {
        let (interface, units, data, length) = match reader.next_block()? {
            Ok(Block::EnhancedPacket(packet)) => {
                (packet.interface_id, packet.timestamp.as_nanos(), packet.data.into_owned(), packet.original_len)
            }
            Ok(_) => continue,
            Err(error) => return Some(Err(error)),
        };
        let Some(interface) = reader.interfaces().get(interface as usize) else { continue };
        let time = time(units, resolution(interface));
        return Some(Ok(Captured::new(time, interface.linktype, &data, length)));
    }
}

/// `if_tsresol`: a power of ten, or with the highest bit set of two; microseconds if the file does not say.
fn resolution(interface: &InterfaceDescriptionBlock<'_>) -> u8 {
    let told = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(power) => Some(*power),
        _ => None,
    });
    told.unwrap_or(6)
}

/// The reader takes all units for nanoseconds.
fn time(units: u128, resolution: u8) -> Duration {
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let second = base.checked_pow(u32::from(resolution & 0x7f)).unwrap_or(u128::MAX);
    let nanos = units % second * 1_000_000_000 / second;
    Duration::from_secs((units / second) as u64) + Duration::from_nanos(nanos as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(link: DataLink, head: &[u8]) -> Captured {
        let mut data = head.to_vec();
        data.extend([0x45, 0, 0, 20]);
        data.resize(head.len() + 46, 7);
        Captured { time: Duration::ZERO, link, kept: data.len(), data }
    }

    #[test]
    fn the_packet_is_found_behind_each_link_header() {
        let ethernet = |rest: &[u8]| [&[2; 12][..], rest].concat();
        let links: [(DataLink, Vec<u8>); 8] = [
            (DataLink::ETHERNET, ethernet(&[8, 0])),
            (DataLink::ETHERNET, ethernet(&[0x81, 0, 0, 5, 8, 0])),
            (DataLink::ETHERNET, ethernet(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0])),
            (DataLink::RAW, Vec::new()),
            (DataLink::NULL, vec![2, 0, 0, 0]),
            (DataLink::LOOP, vec![0, 0, 0, 2]),
            (DataLink::LINUX_SLL, [&[0; 14][..], &[8, 0]].concat()),
            (DataLink::LINUX_SLL2, [&[8, 0][..], &[0; 18]].concat()),
        ];
        for (link, head) in links {
            let frame = frame(link, &head);
            let (packet, kept) = frame.ip_packet().unwrap_or_else(|| panic!("{link:?} {head:?}"));
            assert_eq!((packet.len(), kept, packet[0]), (20, 20, 0x45), "{link:?}, without padding");
        }
        assert_eq!(frame(DataLink::ETHERNET, &ethernet(&[8, 6])).ip_packet(), None, "ARP");
        assert_eq!(frame(DataLink::ETHERNET, &ethernet(&[0x81, 0].repeat(20))).ip_packet(), None, "tags without end");
        assert_eq!(frame(DataLink::IEEE802_11, &[]).ip_packet(), None);
    }

    #[test]
    fn what_was_not_kept_is_zeros() {
        let captured = Captured::new(Duration::ZERO, DataLink::RAW, &[0x45, 0, 0, 200, 1], 200);
        let (packet, kept) = captured.ip_packet().unwrap();
        assert_eq!((packet.len(), kept, packet[4], packet[5]), (200, 5, 1, 0));
        let lies = Captured::new(Duration::ZERO, DataLink::RAW, &[0x45, 0, 0, 20], u32::MAX);
        assert_eq!(lies.data.len(), LONGEST);
    }

    #[test]
    fn units_of_time_are_the_interfaces() {
        assert_eq!(time(1_500_000, 6), Duration::from_millis(1500));
        assert_eq!(time(1_500_000_000, 9), Duration::from_millis(1500));
        assert_eq!(time(3, 0x81), Duration::from_millis(1500));
        assert_eq!(time(3, 0), Duration::from_secs(3));
        assert_eq!(time(3, 0x7f), Duration::ZERO);
    }
}
