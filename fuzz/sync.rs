//! What the fuzz target `sync` does. The engine's tests run the same function over random bytes.

use standfast_ipvs::sync::{Entry, Format, LONGEST_RECORD, Message, Packer, Version};
use standfast_ipvs::{Director, Options};
use std::time::{Duration, Instant};

/// Reads bytes as a datagram. What is well formed survives being written and read again, and a director takes it in whatever it
/// says; what is not changes nothing.
pub fn run(bytes: &[u8], now: Instant) {
    let Ok(message) = Message::parse(bytes) else { return };
    let entries: Vec<_> = message.entries().collect();
    assert_eq!(entries.len(), usize::from(message.count), "every entry of a message that was accepted is there");
    let unchecked = Message::of_checked(bytes).expect("the header was accepted");
    assert!(unchecked.entries().eq(entries.iter().copied()), "unchecked it says the same");
    rewrite(&entries, message, now);
    let mut director = Director::new(Options { connection_limit: 64, ..Options::default() });
    director.set_sync(Some(standfast_ipvs::sync::SyncSettings::default()));
    let mut adopted = 0;
    director.adopt_all(&unchecked, now, |_| adopted += 1);
    assert_eq!(adopted, entries.len());
    for entry in &entries {
        director.adopt(entry, now);
    }
    assert!(director.connection_count() <= 2 * 64);
    let later = now + Duration::from_secs(1);
    director.tell_all(0, 1000, later);
    director.handle_timeout(later);
}

fn rewrite(entries: &[Entry<'_>], message: Message<'_>, now: Instant) {
    let format =
        Format { version: message.version, syncid: message.syncid, longest: 65_507, patience: Format::PATIENCE };
    let mut packer = Packer::new(format);
    let mut datagrams = Vec::new();
    let mut send = |datagram: &[u8]| datagrams.push(datagram.to_vec());
    for entry in entries {
        let mut record = Vec::new();
        entry.encode(&mut record);
        assert!(record.len() <= LONGEST_RECORD);
        packer.push(&record, now, &mut send);
    }
    packer.flush(&mut send);
    assert_eq!(packer.unfit(), 0, "what was read can be written");
    let read = |datagram: &Vec<u8>| Message::parse(datagram).expect("a datagram of our own").entries().count();
    assert_eq!(datagrams.iter().map(read).sum::<usize>(), entries.len());
    let again: Vec<_> = datagrams.iter().flat_map(|d| Message::parse(d).expect("as above").entries()).collect();
    match message.version {
        Version::V1 => assert_eq!(again, entries),
        Version::V0 => assert_eq!(again.len(), entries.len()),
    }
}
