//! Definitions, repetitions, conditions and includes give the lines that keepalived 2.2.7 makes of them.

mod common;

use common::parse_text;
use standfast_parser::{MemoryLoader, Options, Parsed, parse};
use std::path::Path;

/// Keywords that nobody knows, in the order of the file: each shows a line that was read.
fn unknown(parsed: &Parsed) -> Vec<&str> {
    let name = |message: &'_ str| -> Option<std::ops::Range<usize>> {
        let start = "unknown keyword `".len();
        let length = message.strip_prefix("unknown keyword `")?.find('`')?;
        Some(start..start + length)
    };
    parsed.diagnostics.iter().filter_map(|d| d.message.get(name(&d.message)?)).collect()
}

fn reads(text: &str, expected: &[&str]) {
    let parsed = parse_text(text);
    assert_eq!(unknown(&parsed), expected, "{text}\n{}", common::summary(&parsed));
}

#[test]
fn definitions_are_replaced_where_their_name_ends() {
    reads("$P=q\nx$P\n", &["xq"]);
    reads("$P=q\nx${P}y\n", &["xqy"]);
    reads("$P=q\nx$P:y\n", &["x$P:y"]);
    reads("$P=q\nx$P,y\n", &["xq,y"]);
    reads("$1=q\nx ${_PWD}\n", &["$1=q", "x"]);
    let parsed = parse_text("$P=7\nvrrp_instance V {\ninterface eth0\nvirtual_router_id 5\npriority \"$P\"\n}\n");
    assert_eq!(parsed.config.instances[0].priority, 100, "quotes end no name");
}

#[test]
fn a_name_that_is_glued_to_more_gets_advice() {
    let text = "$VIP=10.0.0.1\nvrrp_instance V {\ninterface eth0\nvirtual_router_id 5\n\
                virtual_ipaddress {\n$VIP/24\n${VIP}/25\n}\n}\n";
    let parsed = parse_text(text);
    let advice = parsed.diagnostics.iter().find(|d| d.code == "glued-name").expect("advice");
    assert_eq!(advice.help.as_deref(), Some("write `${VIP}`"));
    assert_eq!(advice.span.map(|span| (span.line, span.column)), Some((6, 1)));
    assert_eq!(parsed.config.instances[0].addresses.len(), 1);
}

#[test]
fn own_definitions_win_over_those_of_the_daemon() {
    reads("$_PWD=q\nx${_PWD}\n", &["xq"]);
    reads("x${_RANDOM 5 5}\n", &["x5"]);
    reads("x${_RANDOM}y\n", &["x0y"]);
    assert_eq!(parse_text("x${_RANDOM a b}\n").diagnostics[1].code, "undefined-name");
}

#[test]
fn definitions_of_several_lines_end_a_line() {
    let lines = "$P= \\\n b1 \\\n b2 \\\n b3\n";
    reads(&format!("{lines}$P\n"), &["b1", "b2", "b3"]);
    reads(&format!("{lines}x$P\n"), &["b2", "b3", "xb1"]);
    let parsed = parse_text(format!("{lines}x$P y\n"));
    assert!(parsed.diagnostics.iter().any(|d| d.code == "lines-within-line"));
}

#[test]
fn repetitions_count_as_c_does() {
    reads("~SEQ(N,010,0x9) x${N}y\n", &["x8y", "x9y"]);
    reads("~SEQ(N,-3,-0x1) x$N\n", &["x-3", "x-2", "x-1"]);
    reads("~SEQx(N,9,10) x$N\n~SEQx(N,10,10) z$N\n", &["x9", "xa", "za"]);
    reads("~LST({a,b},1) x$a-${b}z\n", &["x$a-z"]);
    reads("~LST(a,{1}) x${a}y\n", &["x1y"]);
    for text in ["~LST(a) x\n", "~LST(a,{1,2}) x\n", "~SEQ(N,08) x\n"] {
        assert_eq!(parse_text(text).diagnostics[0].code, "bad-sequence", "{text}");
    }
}

#[test]
fn a_second_condition_is_a_word() {
    let options = Options { config_id: "main".into(), ..Options::default() };
    let read = |text: &str| parse(&MemoryLoader::single("k.conf", text), Path::new("k.conf"), &options);
    assert_eq!(unknown(&read("@main @other x\n")), ["@other"]);
    assert_eq!(unknown(&read("@main x\n@other y\n@^other z\n@^main w\n")), ["x", "z"]);
}

/// keepalived's exit code for a file with one `include` line.
fn verdict(line: &str) -> u8 {
    let loader = MemoryLoader::single("d/k.conf", format!("{line}\n")).with("d/a.conf", "# nothing\n");
    parse(&loader, Path::new("d/k.conf"), &Options::default()).verdict().test
}

#[test]
fn each_include_insists_on_something_else() {
    let table = [
        ("include none.conf", 0),
        ("includer none.conf", 0),
        ("includeb none.conf", 0),
        ("includem none.conf", 6),
        ("includew none.conf", 6),
        ("includea none.conf", 6),
        ("include *.none", 0),
        ("includem *.none", 0),
        ("includew *.none", 6),
        ("includea *.none", 6),
        ("includeb {a,z}.conf", 6),
        ("includea {a,z}.conf", 6),
        ("includem {a,z}.conf", 0),
        ("includea a.conf", 0),
        ("includem \"a.conf\"", 6),
        ("include \"a.conf\"", 0),
    ];
    for (line, expected) in table {
        assert_eq!(verdict(line), expected, "{line}");
    }
}

#[test]
fn empty_words_are_numbers_and_empty_commands_are_none() {
    let parsed = parse_text(
        "vrrp_instance V {\ninterface eth0\nvirtual_router_id 5\ngarp_master_delay \"\"\nnotify \"\"\nvirtual_ipaddress {\n10.0.0.1\n}\n}\n",
    );
    assert_eq!(parsed.verdict().test, 0, "{}", common::summary(&parsed));
    assert!(parsed.config.instances[0].garp.delay.is_zero());
}

#[test]
fn peers_of_the_other_family_and_empty_ranges_are_told() {
    let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 5\nvirtual_ipaddress {\n10.0.0.1\n}\n\
                unicast_peer {\n10.0.0.2 min_ttl 10 max_ttl 5\nfe80::1\n}\n}\n";
    let parsed = parse_text(text);
    let codes: Vec<_> = parsed.diagnostics.iter().map(|d| (d.code, d.span.map(|span| span.line))).collect();
    assert!(codes.contains(&("empty-range", Some(8))), "{codes:?}");
    assert!(codes.contains(&("mixed-families", Some(9))), "{codes:?}");
    assert_eq!(parsed.config.instances[0].unicast_peers.len(), 1);
}
