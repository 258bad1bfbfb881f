//! `keepalived.stats`.

use crate::vrrp::Views;
use std::fmt::Write as _;

/// The counters of every instance.
#[must_use]
pub fn vrrp_stats(views: &Views) -> String {
    let mut text = String::new();
    for router in &views.routers {
        let counters = &router.statistics;
        let rows: [(&str, &str, u64); 17] = [
            ("  Advertisements:", "", 0),
            ("", "    Received", counters.adverts_received),
            ("", "    Sent", counters.adverts_sent),
            ("", "  Became master", counters.became_master),
            ("", "  Released master", counters.released_master),
            ("  Packet Errors:", "", 0),
            ("", "    Length", counters.length_errors),
            ("", "    TTL", counters.ttl_errors),
            ("", "    Invalid Type", counters.type_errors),
            ("", "    Advertisement Interval", counters.interval_errors),
            ("", "    Address List", counters.address_errors),
            ("  Authentication Errors:", "", 0),
            ("", "    Invalid Type", counters.unknown_authentication),
            ("", "    Type Mismatch", counters.authentication_mismatches),
            ("", "    Failure", counters.authentication_failures),
            ("  Priority Zero:", "    Received", counters.priority_zero_received),
            ("", "    Sent", counters.priority_zero_sent),
        ];
        let _ = writeln!(text, "VRRP Instance: {}", router.name);
        for (heading, label, value) in rows {
            if !heading.is_empty() {
                let _ = writeln!(text, "{heading}");
            }
            if !label.is_empty() {
                let _ = writeln!(text, "{label}: {value}");
            }
        }
    }
    text
}
