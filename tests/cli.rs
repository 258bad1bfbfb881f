//! The command line from outside: what it prints, where, and how it ends. Needs no rights and no namespace.

#![expect(clippy::unwrap_used, reason = "helpers of tests do not carry the test attribute")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(directory: &Path, arguments: &[&str]) -> Ended {
    let program = env!("CARGO_BIN_EXE_standfast");
    let output = Command::new(program).args(arguments).current_dir(directory).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

fn test_of(configuration: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("k.conf"), configuration).unwrap();
    run(directory.path(), &["-t", "-f", "k.conf"])
}

/// An instance on an interface that may come later, so that the test runs on any machine.
fn instance(lines: &str) -> String {
    format!(
        "global_defs {{\n    dynamic_interfaces\n    script_user root\n    enable_script_security\n}}\n\
         vrrp_instance VI_1 {{\n    interface nosuch0\n{lines}    virtual_ipaddress {{\n        10.77.0.200/24\n    }}\n}}\n"
    )
}

#[test]
fn help_and_version_go_to_standard_error() {
    let here = Path::new(".");
    for option in ["-h", "--help", "-v", "--version", "--vers"] {
        let ended = run(here, &[option]);
        assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{option}");
        assert!(
            ended.err.contains("--use-file") || ended.err.contains(env!("CARGO_PKG_VERSION")),
            "{option}: {}",
            ended.err
        );
    }
}

#[test]
fn signal_numbers_go_to_standard_output() {
    for (name, number) in [("STOP", "15\n"), ("RELOAD", "1\n"), ("DATA", "10\n"), ("STATS", "12\n"), ("JSON", "36\n")] {
        let ended = run(Path::new("."), &[&format!("--signum={name}")]);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, number, ""), "{name}");
    }
}

#[test]
fn findings_as_json_name_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("k.conf"), instance("    virtual_router_id 51\n    prority 7\n")).unwrap();
    let ended = run(directory.path(), &["-t", "--json", "-f", "k.conf"]);
    let findings: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
    let found = findings.as_array().unwrap().iter().find(|found| found["code"] == "unknown-keyword").unwrap();
    assert_eq!((ended.code, &found["line"], &found["column"]), (5, &9.into(), &5.into()), "{found}");
    assert_eq!(found["suggestion"], "priority");
}

#[test]
fn the_effective_configuration_is_a_configuration_that_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("k.conf"), instance("    virtual_router_id 51\n")).unwrap();
    let first = run(directory.path(), &["--print-config", "-f", "k.conf"]);
    assert!(first.out.contains("priority 100"), "{}", first.out);
    fs::write(directory.path().join("k2.conf"), &first.out).unwrap();
    let second = run(directory.path(), &["--print-config", "-f", "k2.conf"]);
    assert_eq!((second.code, second.out), (first.code, first.out));
}

#[test]
fn faults_of_the_command_line_end_as_keepalived_does() {
    for (arguments, code, words) in [
        (&["--bogus"][..], 1, "unknown option --bogus"),
        (&["-Z"], 1, "unknown option -Z"),
        (&["-f"], 1, "option -f needs a value"),
        (&["--signum=NONE"], 1, "`NONE` is not"),
        (&["-n", "-u", "777777"], 1, "`777777` is not"),
        (&["-n", "a", "b"], 0, "Unexpected argument(s): a b"),
    ] {
        let ended = run(Path::new("."), arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
    }
}

/// keepalived 2.2.7's own exit codes for the same faults.
#[test]
fn the_configuration_test_has_keepalived_s_codes() {
    let vrid = "    virtual_router_id 51\n";
    let with = |line: &str| instance(&format!("{vrid}    {line}\n"));
    for (name, configuration, code) in [
        ("good", instance(vrid), 0),
        ("empty", String::new(), 0),
        ("unknown keyword", with("bogus_word 7"), 5),
        ("unknown block", format!("nonsense {{\n    a 1\n}}\n{}", instance(vrid)), 5),
        ("missing brace", instance(vrid).trim_end().trim_end_matches('}').to_owned(), 5),
        ("extra brace", format!("{}}}\n", instance(vrid)), 5),
        ("no virtual_router_id", instance(""), 5),
        ("virtual_router_id 300", instance("    virtual_router_id 300\n"), 5),
        ("priority 300", with("priority 300"), 5),
        ("priority without a value", with("priority"), 2),
        ("advert_int 0", with("advert_int 0"), 5),
        ("unknown state", with("state FOO"), 5),
        ("nopreempt of a master", with("state MASTER\n    nopreempt"), 5),
        ("unterminated quote", with("priority \"100"), 2),
        ("missing script", with("notify /no/such/script.sh"), 0),
        ("missing include", format!("include /no/such/file.conf\n{}", instance(vrid)), 0),
    ] {
        let ended = test_of(&configuration);
        assert_eq!(ended.code, code, "{name}: {}", ended.err);
        assert_eq!(ended.out, "", "{name}");
        assert!(code == 0 || !ended.err.is_empty(), "{name} says nothing");
    }
}

#[test]
fn a_missing_interface_is_an_error_of_the_test() {
    let ended = test_of(&instance("    virtual_router_id 51\n").replace("    dynamic_interfaces\n", ""));
    assert_eq!(ended.code, 5, "{}", ended.err);
    assert!(ended.err.contains("interface nosuch0 for vrrp_instance VI_1 doesn't exist"), "{}", ended.err);
}

#[test]
fn findings_name_file_line_and_column() {
    let ended = test_of(&instance("    virtual_router_id 51\n    bogus_word 7\n"));
    assert!(ended.err.contains("k.conf:9:5"), "{}", ended.err);
}

#[test]
fn scripts_of_root_without_script_security_are_code_6() {
    let open = instance("    virtual_router_id 51\n    notify /bin/true\n").replace("    enable_script_security\n", "");
    let ended = test_of(&open);
    assert_eq!(ended.code, 6, "{}", ended.err);
    assert!(ended.err.contains("SECURITY VIOLATION"), "{}", ended.err);
    let ended = test_of(&open.replace("    dynamic_interfaces\n", ""));
    assert_eq!(ended.code, 5, "a missing interface comes first: {}", ended.err);
}

#[test]
fn a_configuration_that_cannot_be_read_is_never_good() {
    let directory = tempfile::tempdir().unwrap();
    for bad in ["missing.conf", "."] {
        assert_eq!(run(directory.path(), &["-t", "-f", bad]).code, 6, "{bad}");
    }
}

#[test]
fn findings_can_go_to_a_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("k.conf"), "bogus_word 1\n").unwrap();
    for option in ["-tfindings", "--config-test=findings"] {
        let ended = run(directory.path(), &[option, "--use-file", "k.conf"]);
        assert_eq!((ended.code, ended.err.as_str()), (5, ""), "{option}");
        assert!(fs::read_to_string(directory.path().join("findings")).unwrap().contains("bogus_word"), "{option}");
        fs::remove_file(directory.path().join("findings")).unwrap();
    }
}

#[test]
fn a_daemon_without_a_configuration_ends_with_code_6() {
    let directory = tempfile::tempdir().unwrap();
    let ended = run(directory.path(), &["-nlG", "-f", "missing.conf", "-p", "p", "-r", "r", "-c", "c"]);
    assert_eq!(ended.code, 6, "{}", ended.err);
    assert!(ended.err.contains("missing.conf") && ended.err.contains("Stopped Standfast"), "{}", ended.err);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Answers one request with these bytes; where.
fn server(answer: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1000];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(answer).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (port, thread)
}

#[test]
fn genhash_prints_the_digest_of_a_body() {
    let here = Path::new(".");
    for first in ["genhash", "-T", "--genhash"] {
        let (port, thread) = server(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
        let ended = run(here, &[first, "-s", "127.0.0.1", "-p", &port, "-u", "/index.html"]);
        assert_eq!((ended.code, ended.out.as_str()), (0, "b1946ac92492d2347c6235b4d2611184\n"), "{}", ended.err);
        let expected =
            format!("GET /index.html HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        assert_eq!(thread.join().unwrap(), expected);
    }
    let (port, thread) = server(b"");
    let ended = run(here, &["genhash", "-s", "127.0.0.1", "-p", &port, "-u", "/"]);
    assert!(ended.code == 1 && ended.err.starts_with("no data received from remote webserver"), "{}", ended.err);
    thread.join().unwrap();
    let ended = run(here, &["genhash", "-s", "nonsense", "-p", "80", "-u", "/"]);
    assert!(ended.code == 1 && ended.err.contains("nonsense"), "{}", ended.err);
}

#[test]
fn clients_say_that_no_daemon_is_there() {
    let ended = run(Path::new("."), &["status", "--socket", "/nonexistent/standfast.sock"]);
    assert!(
        ended.code == 1 && ended.err.contains("cannot reach the daemon at /nonexistent/standfast.sock"),
        "{}",
        ended.err
    );
    let ended = run(Path::new("."), &["weight", "10.0.0.1"]);
    assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{}", ended.err);
    let ended = run(Path::new("."), &["completion", "bash"]);
    assert!(ended.code == 0 && ended.out.contains("failover"));
}

#[test]
fn the_loopback_interface_carries_no_instance() {
    let ended = test_of(&instance("    virtual_router_id 51\n").replace("interface nosuch0", "interface lo"));
    assert!(ended.code == 5 && ended.err.contains("cannot use the loopback interface lo"), "{}", ended.err);
}

/// Files that have something to be said beside their password.
#[test]
fn a_configuration_test_shows_no_password() {
    let with = |lines: &str| instance(&format!("    virtual_router_id 51\n    authentication {{\n{lines}\n    }}\n"));
    let hmac = |line: &str| instance(&format!("    virtual_router_id 51\n    auth_hmac {{\n{line}\n    }}\n"));
    let defined =
        |name: &str| format!("${name}=sesame7sesame7\n{}", with(&format!("auth_type PASS\nauth_pass ${name}")));
    for configuration in [
        with("auth_type PASS\nauth_pass sesame7 surplus"),
        with("auth_type PASS\nauth_pass sesame7sesame7"),
        with("auth_type PASS\nauth_pass other sesame7"),
        with("auth_type PASS\nauth_pass \"sesame7"),
        with("auth_type PASS\nauth_pass ab!sesame7"),
        with("auth_type PASS\nauth_pas sesame7"),
        with("auth_pass sesame7"),
        with("auth_type PASS auth_pass sesame7"),
        instance("    virtual_router_id 51\n    auth_pass sesame7\n"),
        instance("    virtual_router_id 51\n    authentication { auth_type PASS auth_pass sesame7 }\n"),
        hmac("key 1 sesame7"),
        hmac("key x sesame7"),
        hmac("key 1 sesame7 sesame7"),
        defined("VRRP_PASSWORD"),
        defined("X"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("k.conf"), &configuration).unwrap();
        for arguments in [&["-t", "-f", "k.conf"][..], &["-t", "--json", "-f", "k.conf"]] {
            let ended = run(directory.path(), arguments);
            let said = format!("{}{}", ended.out, ended.err);
            assert!(!said.contains("esame7"), "{configuration}\n{arguments:?} says: {said}");
        }
    }
}
