//! What a configuration says without meaning it: each is found where it stands, with advice, keepalived silent or not.

mod common;

use common::parse_text;
use standfast_parser::print::print;

/// Code, line, column, a piece of the advice, and the configuration.
type Case = (&'static str, u32, u32, &'static str, &'static str);

const CASES: &[Case] = &[
    ("long-password", 6, 11, "eight bytes", "auth_type PASS\nauth_pass abcdefghij\n"),
    ("comment-cuts-word", 6, 13, "double quotes", "auth_type PASS\nauth_pass ab!cd\n"),
    ("comment-cuts-word", 6, 13, "double quotes", "auth_type PASS\nauth_pass ab#cd\n"),
];

fn in_authentication(body: &str) -> String {
    instance(&format!("authentication {{\n{body}}}\n"))
}

/// An instance whose own lines begin at line 4.
fn instance(body: &str) -> String {
    format!("vrrp_instance V1 {{\ninterface eth0\nvirtual_router_id 5\n{body}virtual_ipaddress {{\n10.0.0.1\n}}\n}}\n")
}

fn found(text: &str, code: &str, line: u32, column: u32, advice: &str) {
    let parsed = parse_text(text);
    let list: Vec<_> = parsed.diagnostics.iter().filter(|d| d.code == code).collect();
    assert_eq!(list.len(), 1, "{code} once in\n{text}\n{}", common::summary(&parsed));
    let place = list[0].span.map(|span| (span.line, span.column));
    assert_eq!(place, Some((line, column)), "{code} in\n{text}");
    let help = list[0].help.as_deref().unwrap_or("");
    assert!(help.contains(advice), "{code}: `{help}`");
}

#[test]
fn passwords_that_are_cut() {
    for (code, line, column, advice, body) in CASES {
        found(&in_authentication(body), code, *line, *column, advice);
    }
}

#[test]
fn words_that_are_lost() {
    found(&instance("priority 100 advert_int 1\n"), "lost-words", 4, 14, "line of its own");
    found(&instance("track_interface eth1 {\neth2\n}\n"), "extra-words", 4, 17, "ignored");
}

#[test]
fn settings_that_cancel_each_other() {
    found(&instance("state MASTER\npriority 100\nnopreempt\n"), "nopreempt-master", 6, 1, "BACKUP");
    let script = "vrrp_script s {\nscript /bin/true\nweight 5\n}\n";
    let idle = instance("state MASTER\ntrack_script {\ns\n}\n");
    found(&format!("{script}{idle}"), "idle-weights", 8, 1, "below 255");
}

#[test]
fn routers_that_are_in_each_others_way() {
    let both = instance("") + &instance("").replace("V1", "V2").replace("0.0.1", "0.0.2");
    let parsed = parse_text(both);
    let twice: Vec<_> = parsed.diagnostics.iter().filter(|d| d.code == "duplicate-router-id").collect();
    assert_eq!(twice.len(), 1);
    assert_eq!((twice[0].span.map(|s| s.line), twice[0].related.len()), (Some(8), 1));
    found("global_defs {\nrouter_id LVS_DEVEL\n}\n", "sample-router-id", 2, 11, "name of its own");
}

#[test]
fn services_that_nobody_reaches() {
    let head = "virtual_server 10.0.0.9 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n";
    found(&format!("{head}}}\n"), "no-real-server", 1, 16, "ignored");
    let server = "real_server 10.1.0.1 80 {\n}\n}\n";
    found(&format!("{}{head}{server}", instance("")), "service-without-owner", 8, 16, "brings the address");
}

#[test]
fn settings_of_forwarding_by_their_kernel_names() {
    let line = |words: &str| format!("global_defs {{\nlvs_sysctl {words}\n}}\n");
    found(&line("drop_entrie 1"), "unknown-option", 2, 12, "drop_entry");
    found(&line("drop_entry"), "missing-value", 2, 1, "before");
    found(&line("am_droprate 7 drop_entry 4"), "out-of-range", 2, 37, "");
    let text = line("drop_entry 3 amemthresh 65536 drop_packet 1\nlvs_sysctl drop_packet 0 sloppy_tcp 1");
    let parsed = parse_text(text);
    assert!(parsed.diagnostics.is_empty(), "{}", common::summary(&parsed));
    let values: Vec<_> = parsed.config.globals.lvs_sysctls.values().copied().collect();
    assert_eq!(values, [1, 3, 0, 65_536]);
    let again = parse_text(print(&parsed.config));
    assert_eq!(again.config.globals.lvs_sysctls, parsed.config.globals.lvs_sysctls);
}

#[test]
fn scripts_that_are_searched_for() {
    found("vrrp_script s {\nscript true\n}\n", "script-path", 2, 8, "PATH");
    found(&instance("notify \"/bin/true\n"), "unclosed-quote", 4, 8, "");
}

#[test]
fn a_quote_that_is_not_closed_does_not_end_the_daemon() {
    let parsed = parse_text(instance("notify \"/bin/true\n"));
    assert_eq!(parsed.verdict().test, 5, "{}", common::summary(&parsed));
    assert_eq!(parsed.verdict().daemon, None);
}
