//! Whom the sending end tells: directors of this kind say that they are there.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use standfast_ipvs::sync::{Extension, Message, SyncSettings};

use super::neighbourhood::Neighbourhood;
use super::{Settings, socket};
use crate::dataplane;

/// A director that has been silent for so long is gone. It speaks every second.
const SILENCE: Duration = Duration::from_secs(5);
/// All connections are told so often at most, whoever asks.
const WHOLE_INTERVAL: Duration = Duration::from_secs(5);
/// Datagrams looked at in one go.
const AT_ONCE: usize = 64;
/// What directors of this kind say fits.
const LONGEST: usize = 64;

/// How connections are told from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// With their first packets.
    AtOnce,
    /// As by the kernel.
    Kernel,
}

/// Listens to the group.
#[derive(Debug)]
pub(super) struct Ears {
    socket: UdpSocket,
    syncid: u8,
    neighbourhood: Neighbourhood,
    rules: SyncSettings,
    /// Nothing is told at once, whoever hears.
    deaf: bool,
    heard: Option<Instant>,
    /// The latest request that was granted, and when.
    granted: Option<(u64, u32, Instant)>,
}

impl Ears {
    pub(super) fn open(settings: &Settings) -> std::io::Result<Ears> {
        Ok(Ears {
            socket: socket::receiver(&settings.daemon, settings.daemon.port)?,
            syncid: settings.daemon.syncid,
            neighbourhood: Neighbourhood::of(&settings.daemon.interface),
            rules: settings.rules,
            deaf: !settings.at_once,
            heard: None,
            granted: None,
        })
    }

    pub(super) fn syncid(&self) -> u8 {
        self.syncid
    }

    /// Takes what was said; the new pace, if it changes.
    pub(super) fn listen(&mut self, now: Instant, engine: &dataplane::Handle) -> Option<Pace> {
        let mut buffer = [0; LONGEST];
        for _ in 0..AT_ONCE {
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else { break };
            let said = Message::parse(buffer.get(..length).unwrap_or_default()).ok();
            let said = said.filter(|message| message.syncid == self.syncid && message.count == 0);
            let said = said.and_then(|message| Extension::parse(message.extension));
            if let Some(Extension::Hello { daemon, request }) = said
                && self.neighbourhood.holds(from.ip(), now)
            {
                self.heard = Some(now);
                self.grant(daemon, request, now, engine);
            }
        }
        self.decide(now, engine)
    }

    fn grant(&mut self, daemon: u64, request: u32, now: Instant, engine: &dataplane::Handle) {
        let too_soon = |(known, number, at): (u64, u32, Instant)| {
            (known, number) == (daemon, request) || now < at + WHOLE_INTERVAL
        };
        if request != 0 && !self.granted.is_some_and(too_soon) {
            self.granted = Some((daemon, request, now));
            tracing::info!(target: "healthcheck", "The other director asks for all connections");
            engine.tell_all(daemon, request);
        }
    }

    fn decide(&mut self, now: Instant, engine: &dataplane::Handle) -> Option<Pace> {
        let at_once = !self.deaf && self.heard.is_some_and(|heard| now < heard + SILENCE);
        if at_once == self.rules.at_once {
            return None;
        }
        self.rules.at_once = at_once;
        engine.set_sync_rules(self.rules);
        let pace = if at_once { Pace::AtOnce } else { Pace::Kernel };
        tracing::info!(target: "healthcheck", "Connections are told {}", match pace {
            Pace::AtOnce => "at once: the other director is of this kind",
            Pace::Kernel => "by the kernel's rules: no director of this kind is heard",
        });
        Some(pace)
    }
}
