//! Times for people.

use crate::logging::clock::console_time;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `30`, `30s`, `5m`, `1h 30m`, `200ms`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// The moment on the clock of this host: `Sat Nov 21 00:21:05 2026`.
pub(super) fn moment(at_ms: u64) -> String {
    let at: Option<SystemTime> = UNIX_EPOCH.checked_add(Duration::from_millis(at_ms));
    console_time(at.unwrap_or(UNIX_EPOCH))
}

/// How long ago: `3h 12m ago`.
pub(super) fn ago(at_ms: u64, now_ms: u64) -> String {
    format!("{} ago", length(now_ms.saturating_sub(at_ms)))
}

/// When it will be: `in 3.61s`.
pub(super) fn ahead(at_ms: u64, now_ms: u64) -> String {
    match at_ms.checked_sub(now_ms) {
        Some(0) | None => "now".to_owned(),
        Some(ahead) => format!("in {}", length(ahead)),
    }
}

/// The two greatest units: `2d 3h`, `12m 5s`, `3.6s`, `40ms`.
pub(super) fn length(ms: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match ms {
        0..1000 => return format!("{ms}ms"),
        1000..60_000 => return format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => {}
    }
    let mut rest = ms;
    let mut parts = Vec::new();
    for (name, unit) in UNITS {
        if rest / unit > 0 && parts.len() < 2 {
            parts.push(format!("{}{name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}
