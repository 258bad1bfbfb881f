//! Nothing that is read makes the parser panic, run long or grow large.
#![expect(clippy::disallowed_methods, reason = "tests read files and look at the clock")]

mod common;

use common::parse_text;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use standfast_parser::{MemoryLoader, Options, Parsed, Severity, diagnostic, parse, print};
use std::path::Path;
use std::time::{Duration, Instant};

/// Far above what these inputs need on a busy machine, far below what quadratic work would.
const LONG: Duration = Duration::from_secs(120);

/// Everything that the daemon does with a configuration.
fn consume(parsed: &Parsed) {
    let _ = diagnostic::render_all(&parsed.diagnostics, &parsed.sources, diagnostic::Style::Colour);
    let _ = diagnostic::to_json(&parsed.diagnostics, &parsed.sources);
    let _ = print::print(&parsed.config);
}

fn quickly(text: String) -> Parsed {
    let start = Instant::now();
    let parsed = parse_text(text);
    assert!(start.elapsed() < LONG, "took {:?}", start.elapsed());
    let few = parsed.diagnostics.get(..20).unwrap_or(&parsed.diagnostics);
    let _ = diagnostic::render_all(few, &parsed.sources, diagnostic::Style::Plain);
    parsed
}

fn has(parsed: &Parsed, code: &str) -> bool {
    parsed.diagnostics.iter().any(|d| d.code == code)
}

#[test]
fn a_definition_that_doubles_ends_in_an_error() {
    let mut text = String::from("$A=xxxxxxxxxxxxxxxx\n");
    for (name, before) in ('B'..='Z').zip('A'..='Y') {
        text.push_str(&format!("${name}=${{{before}}}${{{before}}}\n"));
    }
    let parsed = quickly(text + "global_defs {\n router_id $Z\n}\n");
    assert!(has(&parsed, "too-large"));
    assert_eq!(parsed.verdict().daemon, Some(2));
}

#[test]
fn empty_definitions_that_double_end_in_an_error() {
    let mut text = String::from("$A=\n");
    for (name, before) in ('B'..='Z').zip('A'..='Y') {
        text.push_str(&format!("${name}=${{{before}}}${{{before}}}\n"));
    }
    assert!(has(&quickly(text + "router_id ${Z}\n"), "too-large"));
}

#[test]
fn a_definition_of_itself_is_an_error() {
    for text in ["$A=$A$A\nx $A\n", "$A=${A}${A}\nx ${A}\n", "$A=$B\n$B=$A\nx $A\n", "$A= \\\n a \\\n $A\n$A\n"] {
        let parsed = quickly(text.to_owned());
        assert!(has(&parsed, "recursive-definition") || has(&parsed, "deep-nesting"), "{text}");
    }
}

#[test]
fn endless_sequences_end_in_an_error() {
    for text in ["~SEQ(N,1,9000000000) x\n", "~SEQ(A,1,9999) ~SEQ(B,1,9999) ~SEQ(C,1,9999) x\n"] {
        assert!(has(&quickly(text.to_owned()), "too-large"), "{text}");
    }
}

#[test]
fn nested_braces_cost_no_stack() {
    let parsed = quickly("a {\n".repeat(100_000));
    assert!(has(&parsed, "missing-close"));
    quickly("a {\n".repeat(100_000) + &"}\n".repeat(100_001));
    quickly("{".repeat(60_000) + "\n" + &"static_routes {\n".repeat(50_000));
    quickly(format!("vrrp_instance V {{\n{}", "virtual_ipaddress {\n".repeat(100_000)));
}

#[test]
fn long_lines_and_many_lines_take_linear_time() {
    quickly("x".repeat(10 << 20));
    quickly("\u{e9} ".repeat(30_000) + "\n");
    quickly(format!("vrrp_instance {}\n", "\"".repeat(20_000)));
    quickly("bogus\n".repeat(50_000));
    quickly(format!("vrrp_sync_group G {{\ngroup {{\n{}}}\n}}\n", "a b c d\n".repeat(20_000)));
}

/// Everything that has a name, many times, each naming the others.
#[test]
fn many_names_take_linear_time() {
    let each = |n: usize| {
        format!(
            "vrrp_script s{n} {{\nscript /bin/true\n}}\ntrack_file f{n} {{\nfile /f\n}}\n\
             vrrp_track_process p{n} {{\nprocess x\n}}\nbfd_instance b{n} {{\nneighbor_ip 10.0.0.1\n}}\n\
             track_group t{n} {{\ngroup {{\ni{n}\n}}\n}}\nvrrp_sync_group g{n} {{\ngroup {{\ni{n}\n}}\n}}\n\
             virtual_server_group v{n} {{\n10.0.0.1 80\n}}\n\
             vrrp_instance i{n} {{\ninterface e{n}\nvirtual_router_id 1\nvirtual_ipaddress {{\n10.0.0.1\n}}\n\
             track_script {{\ns{n}\n}}\ntrack_file {{\nf{n}\n}}\ntrack_process {{\np{n}\n}}\ntrack_bfd {{\nb{n}\n}}\n}}\n"
        )
    };
    let text: String = (0..5000).map(each).collect();
    let all: String = (0..5000).map(|n| format!("s{n}\n")).collect();
    let last = format!("vrrp_instance last {{\ninterface x\nvirtual_router_id 1\ntrack_script {{\n{all}}}\n}}\n");
    let parsed = quickly(text + &last);
    assert_eq!((parsed.config.instances.len(), parsed.config.scripts.len()), (5001, 5000));
    assert_eq!(parsed.config.instances.last().map(|i| i.track_scripts.len()), Some(5000));
}

#[test]
fn many_unknown_names_take_linear_time() {
    let each = |n: usize| format!("vrrp_sync_group g{n} {{\ngroup {{\nx{n}\n}}\ntrack_script {{\ny{n}\n}}\n}}\n");
    let parsed = quickly((0..50_000).map(each).collect());
    assert!(parsed.diagnostics.len() <= 2002);
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let parsed = parse_text(vec![b'#'; 65 << 20]);
    assert!(has(&parsed, "unreadable-configuration"));
    assert_eq!(parsed.verdict().daemon, Some(6));
}

#[test]
fn include_cycles_are_errors() {
    let loader = MemoryLoader::single("d/a.conf", "include b.conf\n").with("d/b.conf", "include a.conf\n");
    let parsed = parse(&loader, Path::new("d/a.conf"), &Options::default());
    assert!(has(&parsed, "include-cycle"));
    let loader = MemoryLoader::single("a.conf", "include *.conf\ninclude *.conf\n").with("b.conf", "include a.conf\n");
    assert!(has(&parse(&loader, Path::new("a.conf"), &Options::default()), "include-cycle"));
}

#[test]
fn files_that_double_each_other_are_bounded() {
    let mut loader = MemoryLoader::default();
    for n in 0..40 {
        let text = format!("include {}.conf\ninclude {}.conf\n", n + 1, n + 1);
        loader = loader.with(format!("{n}.conf"), text);
    }
    let start = Instant::now();
    let parsed = parse(&loader, Path::new("0.conf"), &Options::default());
    assert!(start.elapsed() < LONG);
    assert!(parsed.diagnostics.iter().any(|d| d.severity == Severity::Fatal));
}

const PROBES: [&str; 3] =
    [include_str!("probes/pair_nat.conf"), include_str!("probes/oddities.conf"), include_str!("probes/language.conf")];

/// Bytes that mean something to some part of the parser.
fn spice() -> impl Strategy<Value = Vec<u8>> {
    let known: &'static [&'static [u8]] = &[
        b"{",
        b"}",
        b"\"",
        b"'",
        b"#",
        b"!",
        b"\\",
        b"\n",
        b"\r\n",
        b"\0",
        b"$",
        b"${",
        b"~SEQ(",
        b"~LST(",
        b"@here ",
        b"include ",
        b"\xef\xbb\xbf",
        b"\xc2\xa0",
        b"\xff",
        b"-1",
        b"99999999999999999999999",
        b"0.0000001",
        b"/",
        b"virtual_server ",
        b"vrrp_instance ",
        b"=",
        b"\\\n",
        b"\x7f",
        b"\xf0\x9f\x98\x80",
    ];
    prop_oneof![4 => select(known).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..6)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        consume(&parse_text(bytes));
    }

    #[test]
    fn pieces_of_the_language_are_survived(pieces in prop::collection::vec(spice(), 0..120)) {
        consume(&parse_text(pieces.concat()));
    }

    #[test]
    fn mutated_configurations_are_survived(
        probe in select(PROBES.as_slice()),
        edits in prop::collection::vec((any::<Index>(), 0_usize..20, spice()), 1..8),
    ) {
        let mut bytes = probe.as_bytes().to_vec();
        for (at, cut, put) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, put);
        }
        consume(&parse_text(bytes));
    }
}

#[test]
fn a_repetition_pays_for_the_text_that_it_repeats() {
    let parsed = quickly(format!("~SEQ(N,1,30000) {}\n", "x ".repeat(30_000)));
    assert!(has(&parsed, "too-large"));
    assert!(parsed.words <= 8 << 20, "{}", parsed.words);
}

#[test]
fn products_of_sequences_are_bounded() {
    let parsed = quickly("~SEQ(A,1,200) ~SEQ(B,1,200) bogus $A $B\n".repeat(4));
    assert!(has(&parsed, "too-large"));
    assert!(parsed.words < 1 << 20, "{}", parsed.words);
}

#[test]
fn more_words_than_any_configuration_has_end_in_an_error() {
    let parsed = quickly("a b c d\n".repeat(1_100_000));
    assert!(has(&parsed, "too-large"));
    assert!(parsed.words <= (4 << 20) + 4, "{}", parsed.words);
}

#[test]
fn thousands_of_findings_are_counted_not_kept() {
    let parsed = quickly("bogus\n".repeat(50_000));
    assert!(parsed.diagnostics.len() <= 2002, "{}", parsed.diagnostics.len());
    let last = parsed.diagnostics.last().expect("many");
    assert_eq!(last.message, "48000 more findings are not shown");
}

#[test]
fn columns_are_right_far_into_a_rewritten_line() {
    let parsed = parse_text(format!("bogus\u{a0}{}{{ more\n", "\u{e9} ".repeat(20_000)));
    let found = parsed.diagnostics.iter().filter_map(|d| d.span).map(|s| s.column).max();
    assert_eq!(found, Some(7 + 40_000));
    let text = format!("$A=x\nbogus $A {} {{ more\n", "\u{e9}\u{e9}".repeat(300));
    let found = parse_text(text).diagnostics.iter().filter_map(|d| d.span).map(|s| s.column).max();
    assert_eq!(found, Some(11 + 600));
}

#[test]
fn references_without_an_end_are_linear() {
    for piece in ["${", "${_a ", "${a", "$a,", "${a}"] {
        let parsed = quickly(format!("x {}\n", piece.repeat(60_000 / piece.len())).repeat(2));
        assert!(parsed.words > 0, "{piece}");
    }
}

#[test]
fn includes_are_bounded_in_number_and_length() {
    let loader = MemoryLoader::single("k.conf", "include nothing\n".repeat(5000));
    assert!(has(&parse(&loader, Path::new("k.conf"), &Options::default()), "too-many-files"));
    let loader = MemoryLoader::single("k.conf", format!("include {}*\n", "a/".repeat(4000)));
    assert!(has(&parse(&loader, Path::new("k.conf"), &Options::default()), "too-many-files"));
    let loader = MemoryLoader::single("d/k.conf", "include *\ninclude ../d/*\n");
    let parsed = parse(&loader, Path::new("d/k.conf"), &Options::default());
    assert!(has(&parsed, "include-cycle"));
}
