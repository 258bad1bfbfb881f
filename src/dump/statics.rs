//! What is set while the daemon runs.

use super::data::Page;
use super::text::address_line;
use crate::netlink::{RouteSpec, RuleSpec};
use standfast_parser::model::Config;

pub(super) fn all(page: &mut Page, config: &Config) {
    let statics = &config.statics;
    let default = config.globals.default_interface.as_deref().unwrap_or("eth0");
    if !statics.addresses.is_empty() {
        page.heading("Static Addresses");
        statics.addresses.iter().for_each(|address| page.line(5, address_line(address, default, true)));
    }
    if !statics.routes.is_empty() {
        page.heading("Static Routes");
        statics.routes.iter().for_each(|route| page.line(5, RouteSpec::from_config(route)));
    }
    if !statics.rules.is_empty() {
        page.heading("Static Rules");
        statics.rules.iter().for_each(|rule| page.line(5, RuleSpec::from_config(rule)));
    }
    if !config.track_groups.is_empty() {
        page.heading("Static Track groups");
        for group in &config.track_groups {
            page.row(1, "Track Group", &group.name);
            group.members.iter().for_each(|member| page.line(3, format_args!("VRRP Instance = {member}")));
        }
    }
}
