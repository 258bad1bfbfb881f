//! The wire format, held against datagrams of Linux 6.1.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use standfast_ipvs::sync::{
    EngineData, Entry, Extension, Flags, Format, LONGEST_RECORD, Message, Packer, Rejection, Version,
};

use super::entry;
use crate::properties::config;

const RECORDED: &str = include_str!("../packets/sync.txt");

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The recorded datagrams and what they say.
fn recorded() -> Vec<(Vec<u8>, Vec<String>)> {
    let mut datagrams: Vec<(Vec<u8>, Vec<String>)> = Vec::new();
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(description) => datagrams.last_mut().unwrap().1.push(description.to_owned()),
            None => datagrams.push((bytes_of(line), Vec::new())),
        }
    }
    datagrams
}

fn described(message: &Message<'_>) -> Vec<String> {
    let version = if message.version == Version::V0 { "v0" } else { "v1" };
    let head = format!("{version} syncid {} entries {}", message.syncid, message.count);
    let line = |entry: Entry<'_>| {
        let Entry { protocol, flags, state, client, service, server, mark, timeout, .. } = entry;
        format!(
            "proto {protocol} flags 0x{:08x} state {state} {client} {service} {server} mark {mark} timeout {timeout}",
            flags.0
        )
    };
    std::iter::once(head).chain(message.entries().map(line)).collect()
}

fn packed<'e>(format: Format, entries: impl IntoIterator<Item = Entry<'e>>) -> Vec<Vec<u8>> {
    let (mut packer, mut sent) = (Packer::new(format), Vec::new());
    let mut send = |datagram: &[u8]| sent.push(datagram.to_vec());
    for entry in entries {
        let mut record = Vec::new();
        entry.encode(&mut record);
        packer.push(&record, Instant::now(), &mut send);
    }
    packer.flush(&mut send);
    sent
}

/// The same with all records at once.
fn packed_together<'e>(format: Format, entries: impl IntoIterator<Item = Entry<'e>>) -> Vec<Vec<u8>> {
    let (mut packer, mut sent, mut records) = (Packer::new(format), Vec::new(), Vec::new());
    entries.into_iter().for_each(|entry| entry.encode(&mut records));
    packer.push_all(&records, Instant::now(), &mut |datagram| sent.push(datagram.to_vec()));
    packer.flush(&mut |datagram| sent.push(datagram.to_vec()));
    sent
}

fn format(version: Version, longest: usize) -> Format {
    Format { version, syncid: 7, longest, patience: Format::PATIENCE }
}

#[test]
fn recorded_datagrams_are_read_and_written_byte_for_byte() {
    let datagrams = recorded();
    assert_eq!(datagrams.len(), 18);
    for (bytes, description) in datagrams {
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(described(&message), description);
        let format = Format { syncid: message.syncid, ..format(message.version, 1472) };
        assert_eq!(packed(format, message.entries()), [bytes]);
    }
}

#[test]
fn forty_entries_fill_a_datagram_of_an_ethernet() {
    let sent = packed(format(Version::V1, 1472), (0..85).map(entry));
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [1448, 1448, 188]);
    assert_eq!(sent.iter().map(|d| d[4]).collect::<Vec<_>>(), [40, 40, 5]);
}

#[test]
fn the_count_has_one_byte() {
    let sent = packed(format(Version::V1, 65_507), (0..300).map(entry));
    assert_eq!(sent.iter().map(|d| d[4]).collect::<Vec<_>>(), [255, 45]);
    assert_eq!(packed_together(format(Version::V1, 65_507), (0..300).map(entry)), sent);
}

#[test]
fn a_full_datagram_leaves_at_once_and_another_after_two_seconds() {
    let (mut packer, start, mut sent) = (Packer::new(format(Version::V1, 1472)), Instant::now(), Vec::new());
    let mut record = Vec::new();
    entry(1).encode(&mut record);
    for _ in 0..41 {
        packer.push(&record, start, &mut |datagram| sent.push(datagram.len()));
    }
    assert_eq!(sent, [1448]);
    assert_eq!(packer.poll_timeout(), Some(start + Duration::from_secs(2)));
    packer.handle_timeout(start + Duration::from_millis(1999), &mut |datagram| sent.push(datagram.len()));
    assert_eq!(sent, [1448]);
    packer.handle_timeout(start + Duration::from_secs(2), &mut |datagram| sent.push(datagram.len()));
    assert_eq!(sent, [1448, 44]);
    assert_eq!(packer.poll_timeout(), None);
}

#[test]
fn what_cannot_be_said_is_counted() {
    let mut packer = Packer::new(format(Version::V0, 1472));
    let v6 = |port| SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), port);
    let mut record = Vec::new();
    Entry { client: v6(1), service: v6(2), server: v6(3), ..entry(1) }.encode(&mut record);
    packer.push(&record, Instant::now(), &mut |_| panic!("nothing to send"));
    let mut short = Packer::new(format(Version::V1, 40));
    short.push(&record, Instant::now(), &mut |_| panic!("nothing to send"));
    assert_eq!((packer.unfit(), short.unfit()), (1, 1));
}

#[test]
fn what_directors_of_this_kind_say_has_no_entries() {
    for said in [
        Extension::Hello { daemon: 7 << 40, request: 9 },
        Extension::Complete { daemon: u64::MAX, request: 1 },
        Extension::Begin { daemon: 3, request: 2 },
    ] {
        let datagram = said.datagram(7);
        let message = Message::parse_for(&datagram, 7).unwrap();
        assert_eq!((message.count, Extension::parse(message.extension)), (0, Some(said)));
        assert_eq!(Extension::parse(&message.extension[..19]), None);
    }
    assert_eq!(Extension::parse(b"SfX1\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), None, "a kind of later versions");
}

/// One good datagram of two entries, and what makes it worthless.
#[test]
fn what_is_wrong_is_named() {
    let good = packed(format(Version::V1, 1472), [entry(1), entry(2)]).remove(0);
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        if bytes.len() != good.len() && bytes.len() >= 4 && bytes[2..4] == good[2..4] {
            let length = (bytes.len() as u16).to_be_bytes();
            bytes[2..4].copy_from_slice(&length);
        }
        Message::parse(&bytes).unwrap_err()
    };
    assert_eq!(broken(&|b| b.truncate(3)), Rejection::Short);
    assert_eq!(broken(&|b| b.truncate(6)), Rejection::Short);
    assert_eq!(broken(&|b| b[3] += 1), Rejection::Size);
    assert_eq!(broken(&|b| b[4] = 1), Rejection::Count);
    assert_eq!(broken(&|b| b[4] = 3), Rejection::Count);
    assert_eq!(broken(&|b| b.truncate(b.len() - 4)), Rejection::Count);
    assert_eq!(broken(&|b| b.extend([0; 4])), Rejection::Count);
    assert_eq!(broken(&|b| b[5] = 2), Rejection::Version);
    assert_eq!(broken(&|b| b[7] = 1), Rejection::Version);
    assert_eq!(broken(&|b| b[0] = 1), Rejection::Count, "three entries of version 0");
    assert_eq!(broken(&|b| b[8] = 2), Rejection::EntryKind);
    assert_eq!(broken(&|b| b[8] = 1), Rejection::EntrySize);
    assert_eq!(broken(&|b| b[10] = 0x10), Rejection::EntryVersion);
    assert_eq!(broken(&|b| b[11] = 35), Rejection::EntrySize);
    assert_eq!(broken(&|b| b[11] = 0), Rejection::EntrySize);
    assert_eq!(broken(&|b| b[11] = 38), Rejection::Option);
    assert_eq!(broken(&|b| b[11] = 255), Rejection::Count);
    assert_eq!(Message::parse_for(&good, 8), Err(Rejection::SyncId));
    assert!(Message::parse_for(&good, 7).is_ok() && Message::parse_for(&good, 0).is_ok());
    assert_eq!(Message::parse(&[0, 7, 0, 8, 0, 1, 0, 0]).map(|message| message.count), Ok(0));
}

/// An entry with these options behind it.
fn with_options(options: &[u8]) -> Result<usize, Rejection> {
    let mut bytes = Vec::new();
    entry(1).encode(&mut bytes);
    bytes.extend(options);
    bytes[3] = bytes.len() as u8;
    let mut datagram = vec![0, 7, 0, 8 + bytes.len() as u8, 1, 1, 0, 0];
    datagram.extend(bytes);
    Message::parse(&datagram).map(|message| message.entries().count())
}

#[test]
fn options_are_read_strictly_and_optional_ones_skipped() {
    assert_eq!(with_options(&[0x7f, 3, 1, 2, 3]), Ok(1), "unknown, optional");
    assert_eq!(with_options(&[0x3f, 3, 1, 2, 3]), Err(Rejection::Option), "unknown, mandatory");
    assert_eq!(with_options(&[2, 3, b'a', b'b', b'c', 3, 3, b's', b'i', b'p']), Ok(1));
    assert_eq!(with_options(&[3, 3, b's', b'i', b'p']), Err(Rejection::Option), "a name without data");
    assert_eq!(with_options(&[2, 1, 0, 2, 1, 0]), Err(Rejection::Option), "twice");
    assert_eq!(with_options(&[2, 0]), Err(Rejection::Option), "empty");
    assert_eq!(with_options(&[2, 9, 1]), Err(Rejection::Option), "cut");
    assert_eq!(with_options(&[1, 4, 0, 0, 0, 0]), Err(Rejection::Option), "short sequence numbers");
    assert_eq!(with_options(&[2]), Err(Rejection::Option), "half an option");
}

fn socket(v6: bool) -> impl Strategy<Value = SocketAddr> {
    (any::<[u8; 16]>(), any::<u16>()).prop_map(move |(octets, port)| match v6 {
        true => SocketAddr::from((octets, port)),
        false => SocketAddr::from(([octets[0], octets[1], octets[2], octets[3]], port)),
    })
}

type Parts = (u8, u32, u16, u32, u32, Option<[u32; 6]>, Option<(Vec<u8>, Vec<u8>)>);

fn parts() -> impl Strategy<Value = Parts> {
    let engine = (proptest::collection::vec(any::<u8>(), 0..=16), proptest::collection::vec(any::<u8>(), 1..=255));
    let sequences = proptest::option::of(any::<[u32; 6]>());
    (any::<u8>(), any::<u32>(), any::<u16>(), any::<u32>(), any::<u32>(), sequences, proptest::option::of(engine))
}

fn any_entry() -> impl Strategy<Value = (Parts, [SocketAddr; 3], Option<SocketAddr>)> {
    any::<bool>().prop_flat_map(|v6| {
        let source = proptest::option::of(any::<bool>().prop_flat_map(socket));
        (parts(), [socket(v6), socket(v6), socket(v6)], source)
    })
}

fn made((parts, ends, source): &(Parts, [SocketAddr; 3], Option<SocketAddr>)) -> Entry<'_> {
    let (protocol, flags, state, mark, timeout, sequences, engine) = parts;
    Entry {
        protocol: *protocol,
        flags: Flags(*flags),
        state: *state,
        client: ends[0],
        service: ends[1],
        server: ends[2],
        mark: *mark,
        timeout: *timeout,
        sequences: *sequences,
        engine: engine.as_ref().map(|(name, data)| EngineData { name, data }),
        source: *source,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn entries_come_back_in_order(
        parts in proptest::collection::vec(any_entry(), 0..60),
        longest in 8 + LONGEST_RECORD..4000,
    ) {
        let entries: Vec<_> = parts.iter().map(made).collect();
        let sent = packed(format(Version::V1, longest), entries.iter().copied());
        prop_assert_eq!(&packed_together(format(Version::V1, longest), entries.iter().copied()), &sent);
        let mut rest = sent.concat();
        for datagram in &sent {
            let (first, others) = Message::split_datagram(&rest).unwrap();
            prop_assert_eq!(first, datagram.as_slice());
            rest = others.to_vec();
        }
        prop_assert_eq!(Message::split_datagram(&rest), None);
        prop_assert!(sent.iter().all(|datagram| datagram.len() <= longest));
        let back: Vec<_> = sent.iter().flat_map(|datagram| Message::parse(datagram).unwrap().entries()).collect();
        prop_assert_eq!(back, entries);
    }

    #[test]
    fn version_0_keeps_what_it_can_say(parts in proptest::collection::vec((parts(), [socket(false), socket(false), socket(false)]), 1..60)) {
        let parts: Vec<_> = parts.into_iter().map(|(parts, ends)| (parts, ends, None)).collect();
        let entries: Vec<_> = parts.iter().map(made).collect();
        let sent = packed(format(Version::V0, 1472), entries.iter().copied());
        prop_assert_eq!(&packed_together(format(Version::V0, 1472), entries.iter().copied()), &sent);
        let back: Vec<_> = sent.iter().flat_map(|datagram| Message::parse(datagram).unwrap().entries()).collect();
        prop_assert_eq!(back.len(), entries.len());
        for (back, sent) in back.iter().zip(&entries) {
            prop_assert_eq!((back.client, back.service, back.server), (sent.client, sent.service, sent.server));
            prop_assert_eq!((back.protocol, back.state), (sent.protocol, sent.state));
        }
    }

    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        super::fuzz::run(&bytes, Instant::now());
    }

    /// Changed datagrams get further than random ones.
    #[test]
    fn any_change_is_taken(which in 0usize..18, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = recorded().swap_remove(which).0;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        super::fuzz::run(&bytes, Instant::now());
    }
}
