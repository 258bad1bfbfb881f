//! The keyword reference in `docs` is the one that the table gives.
#![expect(clippy::disallowed_methods, reason = "the reference is a file of the repository")]

use standfast_parser::diagnostic::to_json;
use standfast_parser::reference::markdown;
use standfast_parser::{MemoryLoader, Options, parse};
use std::collections::BTreeSet;
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

/// Every member of the JSON form stands in the table of `docs/diagnostics.md`, and nothing else.
#[test]
fn the_json_form_is_documented() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/diagnostics.md")).unwrap();
    let table = page.split("## JSON").nth(1).unwrap().split("As a JSON schema").next().unwrap();
    let documented: BTreeSet<String> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned)).collect();
    let parsed = parse(&MemoryLoader::single("k.conf", "bogus\n"), Path::new("k.conf"), &Options::default());
    let json: serde_json::Value = serde_json::from_str(&to_json(&parsed.diagnostics, &parsed.sources)).unwrap();
    let members: BTreeSet<String> = json[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(documented, members);
    for member in &members {
        assert!(page.contains(&format!("\"{member}\": {{")), "{member} is missing in the schema");
    }
}
