//! The status page in a real browser, where one is installed.

use crate::common::site::{NOTICED, Site};
use crate::{WEB, config};
use standfast_labkit::harness::Test;
use standfast_labkit::{Host, eventually, find_tool, tests};
use std::time::Duration;

/// A browser takes its time on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
const BROWSERS: [&str; 3] = ["chromium", "chromium-headless-shell", "google-chrome"];

pub fn tests() -> Vec<Test> {
    let present = BROWSERS.into_iter().any(|name| find_tool(name).is_some());
    let needed: &[&str] = if present { &[] } else { &["chromium"] };
    tests![the_page_shows_what_is_so].map(|test: Test| test.needs(needed)).into()
}

/// The page's elements after it has listened for a while.
fn dump(host: &Host, directory: &std::path::Path) -> String {
    let browser = BROWSERS.into_iter().find_map(find_tool).unwrap();
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--timeout=4000",
        "--dump-dom",
    ];
    let mut command = host.command(browser);
    command.args(arguments).arg(profile).arg(format!("http://{WEB}/")).env("HOME", directory);
    host.start_command(&mut command).unwrap().finish(PATIENCE).unwrap().output
}

fn the_page_shows_what_is_so() {
    let site = Site::nat("web-browser", 2);
    let _web = site.web_server(0);
    // A name that would run if it were taken for HTML.
    let evil = "<img/src=x/onerror=document.title='broken'>";
    let text = config(&site, &format!("web_address {WEB}")).replace("VI_1", &format!("\"{evil}\""));
    let daemon = site.start(&text);
    daemon.await_log("Metrics and status page at", NOTICED);
    let mut page = String::new();
    eventually(PATIENCE, "the page with a master and a server that is down", || {
        page = dump(&daemon.host, &daemon.directory);
        page.contains("Connection refused") && page.contains("MASTER")
    });
    for part in ["[10.7.0.100]:tcp:80", "[10.8.0.21]:tcp:80", "10.7.0.200/24", "TCP_CHECK", "quorum", "Standfast v"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(page.contains("&lt;img/src=x"), "the name is not there as text: {page}");
    assert!(!page.contains("<img") && !page.contains("<title>broken"), "the name was read as HTML: {page}");
    assert!(page.contains("id=\"lost\" class=\"bad\" role=\"alert\" hidden"), "{page}");
}
