//! Metrics, health and the status page of the real daemon, as a scraper, a browser and an attacker meet them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

#[path = "../common/mod.rs"]
mod common;

mod browser;
mod flood;
mod http;
mod tracer;

use common::site::{NOTICED, Site, TCP_CHECK};
use common::{Daemon, SOON};
use http::{Answer, ask, get};
use nix::sys::signal::Signal;
use standfast_labkit::{eventually, harness, tests};
use std::net::TcpListener;
use std::process::ExitCode;

const WEB: &str = "127.0.0.1:9650";

fn main() -> ExitCode {
    let plain = tests![
        what_is_served_is_what_the_page_on_metrics_says,
        only_reading_is_possible,
        the_address_follows_the_configuration,
        an_address_that_cannot_be_had_is_tried_again,
        events_reach_those_who_listen,
        nothing_secret_is_shown,
        health_tells_of_a_thread_that_hangs,
    ];
    harness::main(plain.into_iter().chain(flood::tests()).chain(browser::tests()))
}

/// A configuration with metrics at [`WEB`], an instance and a virtual server.
fn config(site: &Site, globals: &str) -> String {
    format!(
        "global_defs {{\n router_id lab\n {globals}\n}}\n\
         vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority 100\n advert_int 1\n \
         authentication {{\n auth_type PASS\n auth_pass s3cr3t\n }}\n virtual_ipaddress {{\n 10.7.0.200/24\n }}\n}}\n{}",
        site.service("rr", "", TCP_CHECK)
    )
}

fn served(site: &Site, globals: &str) -> Daemon {
    let daemon = site.start(&config(site, globals));
    daemon
        .await_log(&format!("Metrics and status page at http://{}/", globals.trim_start_matches("web_address ")), SOON);
    daemon
}

fn what_is_served_is_what_the_page_on_metrics_says() {
    let site = Site::nat("web-serve", 2);
    let _web = site.web_server(0);
    let daemon = served(&site, &format!("web_address {WEB}"));
    eventually(NOTICED, "a master and a failed check", || {
        let text = get(&daemon.host, WEB, "/metrics").map(|answer| answer.body).unwrap_or_default();
        text.contains("standfast_vrrp_state{vrrp_instance=\"VI_1\",state=\"MASTER\"} 1")
            && text.contains("real_server=\"[10.8.0.22]:tcp:80\"} 0")
            && text.contains("real_server=\"[10.8.0.21]:tcp:80\",check=\"TCP_CHECK\",position=\"1\"} 1")
    });
    let metrics = get(&daemon.host, WEB, "/metrics").unwrap();
    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(metrics.body.ends_with("# EOF\n"), "{}", metrics.body);
    let documented = include_str!("../../docs/metrics.md");
    for line in metrics.body.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(documented.contains(&format!("| `{name}` |")), "{name} is served and not documented");
    }
    let counted = |name: &str| {
        let line = metrics.body.lines().find(|line| line.starts_with(&format!("{name}{{vrrp_instance=\"VI_1\"}} ")));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(counted("standfast_vrrp_adverts_sent_total") >= 1.0);
    assert!(counted("standfast_vrrp_announcements_total") >= 1.0);
    let health = get(&daemon.host, WEB, "/healthz").unwrap();
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")), "{}", health.body);
    let picture = get(&daemon.host, WEB, "/status.json").unwrap().json();
    assert_eq!(picture["instances"][0]["state"], "MASTER");
    assert!(picture["services"][0]["servers"][0]["checks"][0]["attempts"]["latest_us"].is_u64(), "{picture}");
    let page = get(&daemon.host, WEB, "/").unwrap();
    assert_eq!((page.status, page.header("content-type").as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
}

fn only_reading_is_possible() {
    let site = Site::nat("web-read", 1);
    let daemon = served(&site, &format!("web_address {WEB}"));
    let told = |request: &str| ask(&daemon.host, WEB, request).unwrap();
    let status = |request: &str| told(request).status;
    let head = "HTTP/1.1\r\nHost: lab\r\n";
    assert_eq!(status(&format!("GET /passwd {head}\r\n")), 404);
    assert_eq!(status(&format!("GET /../../etc/passwd {head}\r\n")), 404);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = told(&format!("{method} /metrics {head}Content-Length: 0\r\n\r\n"));
        assert_eq!((answer.status, answer.header("allow").as_str()), (405, "GET, HEAD"), "{method}");
    }
    let refused = told(&format!("GET /metrics {head}Content-Length: 5\r\n\r\nhello"));
    assert_eq!(refused.status, 413);
    let headed = told(&format!("HEAD /metrics {head}\r\n"));
    assert_eq!((headed.status, headed.body.as_str()), (200, ""));
    assert!(headed.header("content-length").parse::<u64>().unwrap() > 1000);
    assert_eq!(status(&format!("HEAD /events {head}\r\n")), 200);
    assert_eq!(status(&format!("GET /{} {head}\r\n", "a".repeat(20_000))), 431);
    assert_eq!(status(&format!("GET / {head}X: {}\r\n\r\n", "a".repeat(20_000))), 431);
    assert_eq!(status("nonsense\r\n\r\n"), 400);
    for answer in [told(&format!("GET / {head}\r\n")), told(&format!("GET /x {head}\r\n"))] {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value);
        }
    }
}

fn the_address_follows_the_configuration() {
    let site = Site::nat("web-reload", 1);
    let mut daemon = served(&site, &format!("web_address {WEB}"));
    let first = |daemon: &Daemon| get(&daemon.host, WEB, "/healthz").is_ok();
    assert!(first(&daemon));
    let back = format!("web_address {WEB}");
    let moves = [("web_address [::1]:9651", "[::1]:9651"), ("web_address 0.0.0.0", WEB), (&back, WEB)];
    for (served, (globals, address)) in (2..).zip(moves) {
        daemon.configure(&config(&site, globals));
        daemon.signal(Signal::SIGHUP);
        eventually(NOTICED, globals, || daemon.log().matches("Metrics and status page at").count() == served);
        assert!(get(&daemon.host, address, "/healthz").is_ok_and(|answer| answer.status == 200), "{globals}");
        assert_eq!(first(&daemon), address == WEB, "{globals}");
    }
    daemon.configure(&config(&site, ""));
    daemon.signal(Signal::SIGHUP);
    eventually(NOTICED, "nothing is served", || !first(&daemon));
    daemon.stop();
    let mut told = Daemon::prepare(&site.lab, &site.director, &config(&site, "web_address 127.0.0.1:1"))
        .with_arguments("--web-address 127.0.0.1");
    told.launch();
    eventually(NOTICED, "the command line's address", || first(&told));
    assert!(get(&told.host, "127.0.0.1:1", "/healthz").is_err());
}

fn an_address_that_cannot_be_had_is_tried_again() {
    let site = Site::nat("web-taken", 1);
    let taken = site.director.enter(|| TcpListener::bind(WEB)).unwrap().unwrap();
    let daemon = site.start(&config(&site, &format!("web_address {WEB}")));
    daemon.await_log(&format!("Cannot serve metrics and the status page at {WEB}: Address already in use"), SOON);
    daemon.await_log("Entering MASTER STATE", NOTICED);
    drop(taken);
    eventually(NOTICED, "it is served", || get(&daemon.host, WEB, "/healthz").is_ok());
    assert_eq!(daemon.log().matches("Cannot serve").count(), 1, "{}", daemon.log());
}

fn events_reach_those_who_listen() {
    let site = Site::nat("web-events", 1);
    let _web = site.web_servers();
    let daemon = served(&site, &format!("web_address {WEB}"));
    let mut stream = http::open_stream(&daemon.host, WEB).unwrap();
    let first = stream.until("event: picture\ndata: {");
    assert!(first.contains("content-type: text/event-stream") && first.contains("event: journal\ndata: ["), "{first}");
    let order = ["weight", "10.8.0.21:80", "2"];
    let mut command = daemon.host.command(common::program().0);
    command.args(order).env("STANDFAST_SOCKET", daemon.directory.join("parent.sock"));
    daemon.host.start_command(&mut command).unwrap().finish(SOON).unwrap();
    stream.until("\"kind\":\"order\"");
    let more: Vec<_> = (0..31).map(|_| http::open_stream(&daemon.host, WEB).unwrap()).collect();
    let refused = |answer: Answer| answer.status == 503;
    assert!(get(&daemon.host, WEB, "/events").is_ok_and(refused), "a 33rd stream is open");
    assert!(get(&daemon.host, WEB, "/healthz").is_ok_and(|answer| answer.status == 200));
    drop(more);
    eventually(NOTICED, "room for a stream", || {
        http::open_stream(&daemon.host, WEB).is_ok_and(|mut stream| stream.until("\r\n\r\n").contains("200 OK"))
    });
}

fn nothing_secret_is_shown() {
    let site = Site::nat("web-secret", 1);
    let daemon = served(&site, &format!("web_address {WEB}"));
    eventually(NOTICED, "the instance", || get(&daemon.host, WEB, "/metrics").is_ok_and(|a| a.body.contains("VI_1")));
    for path in ["/", "/metrics", "/status.json", "/healthz"] {
        let answer = get(&daemon.host, WEB, path).unwrap();
        assert!(answer.status == 200 && !answer.body.contains("s3cr3t"), "{path}");
    }
    let mut stream = http::open_stream(&daemon.host, WEB).unwrap();
    assert!(!stream.until("\"services\":[").contains("s3cr3t"));
}

fn health_tells_of_a_thread_that_hangs() {
    let site = Site::nat("web-health", 1);
    let mut daemon = served(&site, &format!("web_address {WEB}"));
    let vrrp = tracer::thread_of(daemon.process().pid(), "vrrp");
    let healthy = || get(&daemon.host, WEB, "/healthz").is_ok_and(|answer| answer.status == 200);
    eventually(NOTICED, "health", healthy);
    // A tracer stops one thread and leaves the others at work.
    let tracer = tracer::stop(vrrp);
    eventually(NOTICED, "503", || {
        get(&daemon.host, WEB, "/healthz").is_ok_and(|answer| {
            answer.status == 503 && answer.json()["vrrp"] == "failing" && answer.json()["forwarding"] == "ok"
        })
    });
    drop(tracer);
    eventually(NOTICED, "health again", healthy);
}
