//! Signed datagrams: what is genuine and fresh is taken once, everything else not at all.

use proptest::prelude::*;
use standfast_ipvs::sync::{Extension, Format, Guard, Message, Packer, Rejection, Seal, Stamp, Version};
use std::time::Instant;

use super::entry;

const KEY: &[u8] = b"thirty-two octets or more of key";
const HERE: u64 = 77;

fn seal() -> Seal {
    Seal::new(KEY).unwrap()
}

fn stamp(session: u64, sequence: u64) -> Stamp {
    Stamp { session, sequence, hearers: [0, HERE, 0, 0] }
}

/// A datagram of so many connections.
fn datagram(entries: u16) -> Vec<u8> {
    let format = Format { version: Version::V1, syncid: 7, longest: 1472 - Seal::ROOM, patience: Format::PATIENCE };
    let (mut packer, mut sent) = (Packer::new(format), Vec::new());
    for port in 1..=entries {
        let mut record = Vec::new();
        entry(port).encode(&mut record);
        packer.push(&record, Instant::now(), &mut |datagram| sent = datagram.to_vec());
    }
    packer.flush(&mut |datagram| sent = datagram.to_vec());
    sent
}

fn closed(mut datagram: Vec<u8>, stamp: &Stamp) -> Vec<u8> {
    seal().close(&mut datagram, stamp);
    datagram
}

fn opened(datagram: &[u8]) -> Result<Stamp, Rejection> {
    seal().open(datagram, &Message::parse(datagram)?)
}

#[test]
fn a_sealed_datagram_is_the_same_to_those_who_have_no_key() {
    let (plain, signed) = (datagram(37), closed(datagram(37), &stamp(5, 1)));
    assert!(signed.len() <= 1472, "{}", signed.len());
    let entries =
        |datagram: &[u8]| Message::parse(datagram).unwrap().entries().map(|entry| entry.client).collect::<Vec<_>>();
    assert_eq!(entries(&plain), entries(&signed));
    assert_eq!(opened(&signed), Ok(stamp(5, 1)));
    assert_eq!(opened(&plain), Err(Rejection::Unsigned));
    let hello = Extension::Hello { daemon: HERE, request: 1 };
    let signed = closed(hello.datagram(7), &stamp(HERE, 3));
    assert_eq!(Extension::parse(Message::parse(&signed).unwrap().extension), Some(hello));
    assert_eq!(opened(&signed), Ok(stamp(HERE, 3)));
}

#[test]
fn another_key_is_none() {
    let mut signed = datagram(1);
    Seal::new(b"another key that has many octets").unwrap().close(&mut signed, &stamp(5, 1));
    assert_eq!(opened(&signed), Err(Rejection::Signature));
}

proptest! {
    #[test]
    fn no_changed_octet_is_believed(entries in 1..10_u16, at in any::<proptest::sample::Index>(), by in 1..=255_u8) {
        let mut signed = closed(datagram(entries), &stamp(5, 1));
        let at = at.index(signed.len());
        signed[at] ^= by;
        prop_assert!(opened(&signed).is_err());
    }

    #[test]
    fn whatever_is_sealed_opens(entries in 0..20_u16, session in any::<u64>(), sequence in any::<u64>(), hearers in any::<[u64; 4]>()) {
        let stamp = Stamp { session, sequence, hearers };
        let plain = if entries == 0 { Extension::Complete { daemon: 1, request: 2 }.datagram(7) } else { datagram(entries) };
        prop_assert_eq!(opened(&closed(plain, &stamp)), Ok(stamp));
    }

    #[test]
    fn each_number_is_taken_once_in_whatever_order(numbers in proptest::collection::vec((1..4_u64, 0..200_u64), 1..300)) {
        let mut guard = Guard::new(HERE);
        let mut taken = std::collections::BTreeSet::new();
        let mut latest = std::collections::BTreeMap::new();
        for (session, sequence) in numbers {
            let result = guard.take(&stamp(session, sequence));
            let latest = latest.entry(session).or_insert(0);
            let close = sequence > 0 && sequence + 64 > *latest;
            let expected = close && !taken.contains(&(session, sequence));
            prop_assert_eq!(result.is_ok(), expected, "{} of {}, latest {}", sequence, session, latest);
            if result.is_ok() {
                taken.insert((session, sequence));
                *latest = sequence.max(*latest);
            }
        }
    }
}

#[test]
fn recordings_for_an_earlier_receiver_are_none_of_this_one() {
    let mut guard = Guard::new(HERE + 1);
    assert_eq!(guard.take(&stamp(5, 1)), Err(Rejection::Unaddressed));
    assert_eq!(Guard::new(0).take(&stamp(5, 1)), Err(Rejection::Unaddressed), "no number is nobody's");
}

#[test]
fn senders_without_end_are_not_remembered() {
    let mut guard = Guard::new(HERE);
    let sessions = (1..=Guard::MOST_SESSIONS as u64).map(|session| guard.take(&stamp(session, 1)));
    assert!(sessions.collect::<Vec<_>>().iter().all(Result::is_ok));
    assert_eq!(guard.take(&stamp(0xffff, 1)), Err(Rejection::Replayed));
    assert_eq!(guard.take(&stamp(1, 2)), Ok(()));
}
