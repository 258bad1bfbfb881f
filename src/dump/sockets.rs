//! The sockets that adverts go through.

use super::data::Page;
use crate::vrrp::{SocketView, Views};
use standfast_vrrp::Family;
use standfast_vrrp::packet::PROTOCOL_AH;

/// keepalived has two sockets where there is one here: the same number stands for both.
fn descriptors(socket: &SocketView) -> (i32, i32) {
    let descriptor = socket.descriptor.unwrap_or(-1);
    (descriptor, descriptor)
}

/// The sockets of one instance.
pub(super) fn of(page: &mut Page, views: &Views, router: &str) {
    let own = |socket: &&SocketView| socket.routers.iter().any(|(name, _)| name == router);
    for socket in views.sockets.iter().filter(own) {
        let (incoming, outgoing) = descriptors(socket);
        page.line(3, format_args!("fd_in {incoming}, fd_out {outgoing}"));
    }
    if !views.sockets.iter().any(|socket| own(&socket)) {
        page.line(3, "No sockets allocated");
    }
}

pub(super) fn pool(page: &mut Page, views: &Views) {
    if views.sockets.is_empty() {
        return;
    }
    page.heading("VRRP Sockpool");
    for socket in &views.sockets {
        let (incoming, outgoing) = descriptors(socket);
        page.line(1, format_args!("fd_in {incoming} fd_out = {outgoing}"));
        page.row(3, "Interface", views.interface_name(socket.link));
        page.row(3, "Family", if socket.family == Family::V4 { "IPv4" } else { "IPv6" });
        page.row(3, "Protocol", if socket.protocol == PROTOCOL_AH { "AH" } else { "VRRP" });
        page.row(3, "Type", if socket.unicast.is_some() { "Unicast" } else { "Multicast" });
        if let Some(Some(source)) = socket.unicast {
            page.row(3, "Address", source);
        }
        page.line(3, "VRRP instances");
        for (name, vrid) in &socket.routers {
            page.line(5, format_args!("{name} vrid {vrid}"));
        }
    }
}
