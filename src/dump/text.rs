//! Words that several dumps share.

use standfast_parser::model::{Script, VirtualAddress};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `off` or `on` in keepalived's many spellings.
pub(super) fn true_false(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

pub(super) fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

/// `unset`, `on` or `off`.
pub(super) fn tristate(value: Option<bool>) -> &'static str {
    match value {
        None => "unset",
        Some(true) => "on",
        Some(false) => "off",
    }
}

/// `1795220465.314908`.
pub(super) fn seconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("{}.{:06}", since.as_secs(), since.subsec_micros())
}

/// Seconds with six digits behind the point.
pub(super) fn decimal(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

/// `'run/n.sh' 'A'`.
pub(super) fn quoted(script: &Script) -> String {
    script.argv.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

/// `10.9.9.9/24 brd 10.9.9.255 dev eth0 scope global label eth0:1 set`.
pub(super) fn address_line(address: &VirtualAddress, interface: &str, set: bool) -> String {
    let full = if address.address.is_ipv4() { 32 } else { 128 };
    let mut line = address.address.to_string();
    if address.prefix_len != full {
        let _ = write!(line, "/{}", address.prefix_len);
    }
    if let Some((peer, length)) = address.peer {
        let _ = write!(line, " peer {peer}/{length}");
    }
    if let Some(broadcast) = address.broadcast {
        let _ = write!(line, " brd {broadcast}");
    }
    let _ = write!(line, " dev {} scope {}", address.dev.as_deref().unwrap_or(interface), scope(address.scope));
    if let Some(label) = &address.label {
        let _ = write!(line, " label {label}");
    }
    if address.address.is_ipv6() {
        line.push_str(" preferred_lft forever");
    }
    if set {
        line.push_str(" set");
    }
    line
}

fn scope(scope: u8) -> String {
    match scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        other => other.to_string(),
    }
}
