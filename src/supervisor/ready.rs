//! Telling systemd how far the daemon is (`Type=notify`).

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state to the service manager, if there is one that wants to hear it.
pub(super) fn tell(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(with_time(state).as_bytes(), &address));
    if let Err(error) = sent {
        tracing::debug!("Cannot tell the service manager {state}: {error}");
    }
}

/// Whether the service manager wants signs of life (`WatchdogSec=`).
pub(super) fn is_watched() -> bool {
    env::var_os("WATCHDOG_USEC").is_some()
}

/// A sign of life, once VRRP has answered: a daemon whose VRRP hangs is as good as dead.
pub(super) fn tell_life(vrrp: Option<impl Future<Output = bool> + Send + 'static>) {
    tokio::spawn(async move {
        let lives = match vrrp {
            Some(answers) => answers.await,
            None => true,
        };
        if lives {
            tell("WATCHDOG=1");
        }
    });
}

/// A reload is told with the moment of its start, as `Type=notify-reload` wants it.
fn with_time(state: &str) -> String {
    if state != "RELOADING=1" {
        return state.to_owned();
    }
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    let micros = now.map_or(0, |now| i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1000);
    format!("{state}\nMONOTONIC_USEC={micros}")
}
