//! The keyword reference in `docs` is the one that the table gives.
#![expect(clippy::disallowed_methods, reason = "the reference is a file of the repository")]

use standfast_parser::reference::markdown;
use std::fs;
use std::path::Path;

#[test]
fn the_keyword_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keywords.md");
    let wanted = markdown();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &wanted).expect("docs/keywords.md can be written");
    }
    let found = fs::read_to_string(&path).expect("docs/keywords.md");
    assert!(
        found == wanted,
        "docs/keywords.md is old: UPDATE_REFERENCE=1 cargo test -p standfast-parser --test reference"
    );
}

#[test]
fn every_keyword_of_the_table_is_in_it() {
    let text = markdown();
    for block in standfast_parser::table::BLOCKS {
        for keyword in block.keywords().filter(|k| k.name != "*") {
            assert!(text.contains(&format!("| `{}` |", keyword.name)), "{} {}", block.path, keyword.name);
        }
    }
}
