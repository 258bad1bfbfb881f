//! The fuzz targets' bodies over the committed corpus and over pieces of it.
#![expect(clippy::disallowed_methods, reason = "tests read files")]
#![expect(clippy::expect_used, reason = "a helper of tests fails by panicking")]

#[path = "../../fuzz/bodies.rs"]
mod bodies;

use proptest::prelude::*;
use std::path::Path;

fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let entries = std::fs::read_dir(directory).expect("the corpus");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|p| std::fs::read(p).expect("a file")).collect()
}

#[test]
fn the_corpus_passes_every_target() {
    let corpus = corpus();
    assert!(corpus.len() >= 5, "{}", corpus.len());
    for bytes in &corpus {
        bodies::lexer(bytes);
        bodies::parser(bytes);
        bodies::round_trip(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_and_joined_pieces_pass(cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6)) {
        let corpus = corpus();
        let mut bytes = Vec::new();
        for (which, at) in cuts {
            let one = which.get(&corpus);
            bytes.extend_from_slice(&one[at.index(one.len())..]);
        }
        bodies::lexer(&bytes);
        bodies::parser(&bytes);
    }
}
