//! What is printed means the same.
#![expect(clippy::disallowed_methods, reason = "tests read files and look at the clock")]

mod common;

use common::{parse_text, summary, without_spans};
use proptest::prelude::*;
use proptest::sample::select;
use standfast_parser::print::print;
use standfast_parser::table::{BLOCKS, Block, Keyword, Shape};

fn check(text: &str) {
    let first = parse_text(text);
    let printed = print(&first.config);
    let second = parse_text(printed.as_str());
    let (wanted, got) = (without_spans(&first.config), without_spans(&second.config));
    assert!(got == wanted, "{}\n{text}\n=> printed\n{printed}", first_difference(&wanted, &got));
    let unknown = |p: &standfast_parser::Parsed| p.diagnostics.iter().any(|d| d.code == "unknown-keyword");
    assert!(unknown(&first) || !unknown(&second), "{}\n{printed}", summary(&second));
    assert_eq!(print(&second.config), printed);
}

fn first_difference(wanted: &str, got: &str) -> String {
    let differing = wanted.lines().zip(got.lines()).enumerate().find(|(_, (a, b))| a != b);
    differing.map_or_else(|| "one is longer".to_owned(), |(at, (a, b))| format!("line {at}: {a} became {b}"))
}

#[test]
fn an_empty_configuration_has_its_defaults() {
    check("");
}

#[test]
fn options_of_adverts_survive() {
    let key = "k".repeat(40);
    check(&format!(
        "global_defs {{\nvrrp_check_unicast_src\nvrrp_notify_priority_changes on\nvrrp_down_timer_adverts 5\nvrrp_rt_priority 7\nvrrp_priority -3\nvrrp_no_swap\n}}\nvrrp_instance A {{\n\
         interface eth0\nvirtual_router_id 7\nnopreempt\ntimer_expired_backup\nunicast_ttl 3\nold_unicast_checksum\n\
         unicast_peer {{\n10.0.0.2 min_ttl 3\n10.0.0.3\n}}\nauth_hmac {{\nkey 4 {key}\nkey 9 \"file:/a b\"\nactive_key 9\n\
         mode permissive\nanti_replay monotonic\ntime_window 9\n}}\nvirtual_ipaddress {{\n10.0.0.9\n}}\n}}\n"
    ));
}

#[test]
fn the_probes_survive() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/probes")).expect("the probes") {
        let path = file.expect("a probe").path();
        let text = std::fs::read(&path).expect("its text");
        check(&String::from_utf8_lossy(&text));
    }
}

/// A word for an argument: sensible ones, and some that are not.
fn argument() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "1",
        "0",
        "5",
        "100",
        "255",
        "256",
        "-1",
        "0.5",
        "2.25",
        "80",
        "on",
        "off",
        "eth0",
        "10.0.0.1",
        "10.0.0.2/24",
        "fe80::1",
        "2001:db8::1/64",
        "MASTER",
        "BACKUP",
        "PASS",
        "AH",
        "rr",
        "wlc",
        "NAT",
        "DR",
        "TUN",
        "TCP",
        "UDP",
        "weight",
        "reverse",
        "dev",
        "label",
        "brd",
        "+",
        "\"a b\"",
        "\"/bin/x 'y z' w\"",
        "root",
        "x;",
        "255.255.255.0",
        "200",
        "200-299",
        "1.1",
        "fwmark",
        "group",
        "A",
        "secret",
        "0a1b",
        "\"\"",
        "d41d8cd98f00b204e9800998ecf8427e",
    ];
    prop_oneof![8 => select(KNOWN).prop_map(str::to_owned), 1 => "[a-z]{1,6}", 1 => "\"[ -!#-~]{0,8}\""]
}

fn statement(block: &'static Block, depth: usize) -> BoxedStrategy<String> {
    let keywords: Vec<&'static Keyword> = block.keywords().filter(|k| k.name != "*").collect();
    if keywords.is_empty() {
        return prop::collection::vec(argument(), 1..5).prop_map(|words| words.join(" ") + "\n").boxed();
    }
    select(keywords).prop_flat_map(move |keyword| one(block, keyword, depth)).boxed()
}

fn one(block: &'static Block, keyword: &'static Keyword, depth: usize) -> BoxedStrategy<String> {
    let words = prop::collection::vec(argument(), 0..3);
    if !matches!(keyword.shape, Shape::Nested | Shape::Entries) {
        return words.prop_map(move |words| format!("{} {}\n", keyword.name, words.join(" "))).boxed();
    }
    let path = format!("{}/{}", block.path.trim_end_matches('/'), keyword.name);
    let inner = BLOCKS.iter().find(|b| b.path == path);
    let inside = match inner {
        Some(inner) if depth > 0 => prop::collection::vec(statement(inner, depth - 1), 0..9).boxed(),
        _ => prop::collection::vec(argument().prop_map(|w| w + "\n"), 0..4).boxed(),
    };
    (head(keyword), inside).prop_map(|(head, inside)| format!("{head} {{\n{}}}\n", inside.concat())).boxed()
}

fn head(keyword: &'static Keyword) -> BoxedStrategy<String> {
    let name = keyword.name;
    let address = || select(vec!["10.0.0.1 80", "10.0.0.2 443", "10.0.0.3", "2001:db8::1 80", "group A", "fwmark 3"]);
    match name {
        "virtual_server" | "real_server" => address().prop_map(move |a| format!("{name} {a}")).boxed(),
        _ if keyword.arguments.starts_with("NAME") => {
            select(vec!["A", "B", "C"]).prop_map(move |n| format!("{name} {n}")).boxed()
        }
        _ => Just(name.to_owned()).boxed(),
    }
}

#[expect(clippy::expect_used, reason = "the blocks are in the table")]
fn block(path: &str) -> &'static Block {
    BLOCKS.iter().find(|b| b.path == path).expect("a block of the table")
}

/// An instance and a service that are whole, so that the rest has something to hang on.
fn complete() -> impl Strategy<Value = String> {
    let root = block("/");
    let instance = block("/vrrp_instance");
    let service = block("/virtual_server");
    let blocks = prop::collection::vec(statement(root, 4), 0..6);
    let first = prop::collection::vec(statement(instance, 2), 0..12);
    let second = prop::collection::vec(statement(service, 4), 0..10);
    (blocks, first, second).prop_map(|(blocks, first, second)| {
        format!(
            "{}vrrp_instance W {{\ninterface eth0\nvirtual_router_id 7\n{}}}\n\
             virtual_server 10.9.9.9 80 {{\n{}real_server 10.1.1.1 80 {{\n}}\n}}\n",
            blocks.concat(),
            first.concat(),
            second.concat()
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_configurations_survive(text in complete()) {
        check(&text);
    }
}
