//! The bodies of the fuzz targets over the committed corpus and over pieces of it.
#![allow(clippy::disallowed_methods, reason = "tests read files and the clock")]
#![allow(clippy::expect_used, reason = "a helper of tests fails by panicking")]
#![allow(clippy::panic, reason = "a body that finds a fault panics")]

#[path = "../../fuzz/packet_bodies.rs"]
mod packet_bodies;

use proptest::prelude::*;
use std::path::Path;
use std::time::Instant;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name);
    let entries = std::fs::read_dir(directory).expect("the corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

#[test]
fn the_corpus_passes() {
    let (adverts, sessions) = (corpus("corpus_advert"), corpus("corpus_bfd"));
    assert!(adverts.len() >= 7 && sessions.len() >= 5);
    adverts.iter().for_each(|bytes| packet_bodies::advert(bytes, Instant::now()));
    sessions.iter().for_each(|bytes| packet_bodies::bfd(bytes, Instant::now()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_and_cut_pieces_pass(
        which: prop::sample::Index, at: prop::sample::Index, octet: u8, kind: u8, end: prop::sample::Index,
    ) {
        for name in ["corpus_advert", "corpus_bfd"] {
            let corpus = corpus(name);
            let mut bytes = which.get(&corpus).clone();
            let at = at.index(bytes.len());
            bytes[at] = octet;
            if name == "corpus_advert" {
                bytes[0] = kind;
                bytes.truncate(end.index(bytes.len()) + 1);
                packet_bodies::advert(&bytes, Instant::now());
            } else {
                packet_bodies::bfd(&bytes, Instant::now());
            }
        }
    }
}
