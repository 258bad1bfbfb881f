//! `keepalived_bfd.data`.

use super::global_data;
use standfast_parser::model::{BfdInstance, Config};
use standfast_vrrp::bfd::SessionView;
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// The global definitions and every session. Lines of keepalived about its own threads are left out.
#[must_use]
pub fn bfd_data(config: &Config, host: &str, sessions: &[SessionView]) -> String {
    let mut text = global_data(config, host);
    text.push_str("------< BFD Topology >------\n");
    for instance in &config.bfd_instances {
        settings(&mut text, instance);
        if let Some(view) = sessions.iter().find(|view| view.config.name == instance.name) {
            state(&mut text, view);
        }
    }
    text
}

fn row(text: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(text, "   {name} = {value}");
}

fn settings(text: &mut String, instance: &BfdInstance) {
    let _ = writeln!(text, " BFD Instance = {}", instance.name);
    let answer = |yes: bool| if yes { "Yes" } else { "No" };
    let hops = if instance.neighbor.is_ipv4() { "TTL" } else { "hoplimit" };
    row(text, "Neighbor IP", instance.neighbor);
    if let Some(source) = instance.source {
        row(text, "Source IP", source);
    }
    row(text, "Required min RX interval", us(instance.min_rx));
    row(text, "Desired min TX interval", us(instance.min_tx));
    row(text, "Desired idle TX interval", us(instance.idle_tx));
    row(text, "Detection multiplier", instance.multiplier);
    row(text, hops, instance.ttl);
    row(text, "max_hops", instance.max_hops);
    row(text, "passive", instance.passive);
    row(text, "send event to VRRP process", answer(instance.vrrp));
    row(text, "send event to checker process", answer(instance.checker));
}

fn state(text: &mut String, view: &SessionView) {
    row(text, "local state", view.state);
    row(text, "remote state", view.remote_state);
    row(text, "local discriminator", format_args!("{:#x}", view.discriminator));
    row(text, "remote discriminator", format_args!("{:#x}", view.remote_discriminator));
    row(text, "local diag", view.diagnostic);
    row(text, "remote diag", view.remote_diagnostic);
    row(text, "local tx intv", us(view.transmit_interval.unwrap_or_default()));
    row(text, "local detection time", us(view.detection_time));
    row(text, "packets received", view.received);
    row(text, "packets sent", view.sent);
    row(text, "packets refused", view.refused);
}

fn us(interval: Duration) -> String {
    format!("{} us", interval.as_micros())
}
