//! Whom the sending end tells: directors of this kind say that they are there.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use standfast_ipvs::sync::{Extension, Message, Seal, SyncSettings};

use super::neighbourhood::Neighbourhood;
use super::{Counters, Key, Settings, socket};
use crate::dataplane;

/// A director that has been silent for so long is gone. It speaks every second.
const SILENCE: Duration = Duration::from_secs(5);
/// All connections are told so often at most, whoever asks.
const WHOLE_INTERVAL: Duration = Duration::from_secs(5);
/// Datagrams looked at in one go.
const AT_ONCE: usize = 64;
/// What directors of this kind say fits.
const LONGEST: usize = 256;

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
    /// Where only signed datagrams are believed.
    seal: Option<Seal>,
    /// Receivers by their numbers, the latest heard last.
    voices: Vec<(u64, Instant)>,
    counters: Arc<Counters>,
    /// The latest request that was granted, and when.
    granted: Option<(u64, u32, Instant)>,
    /// What its daemon has not been told of that.
    promise: Option<Extension>,
}

impl Ears {
    pub(super) fn open(settings: &Settings, counters: Arc<Counters>) -> std::io::Result<Ears> {
        Ok(Ears {
            socket: socket::receiver(&settings.daemon, settings.daemon.port)?,
            syncid: settings.daemon.syncid,
            neighbourhood: Neighbourhood::of(&settings.daemon.interface),
            rules: settings.rules,
            deaf: !settings.at_once,
            heard: None,
            seal: settings.key.as_ref().and_then(Key::seal),
            voices: Vec::new(),
            counters,
            granted: None,
            promise: None,
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
            let said = self.hello(buffer.get(..length).unwrap_or_default());
            if let Some((daemon, request)) = said
                && self.neighbourhood.holds(from.ip(), now)
            {
                self.heard = Some(now);
                self.remember(daemon, now);
                self.grant(daemon, request, now, engine);
            }
        }
        self.decide(now, engine)
    }

    /// Number and request of a receiver that says that it is there.
    fn hello(&self, datagram: &[u8]) -> Option<(u64, u32)> {
        let message = Message::parse(datagram).ok()?;
        let said = Extension::parse(message.extension).filter(|_| message.syncid == self.syncid && message.count == 0);
        let Some(Extension::Hello { daemon, request }) = said else { return None };
        match self.seal.as_ref().map(|seal| seal.open(datagram, &message)) {
            None => Some((daemon, request)),
            Some(Ok(stamp)) => (stamp.session == daemon).then_some((daemon, request)),
            Some(Err(why)) => {
                self.counters.count_rejected(why);
                None
            }
        }
    }

    fn remember(&mut self, daemon: u64, now: Instant) {
        self.voices.retain(|(known, _)| *known != daemon);
        if self.voices.len() == Seal::MOST_HEARERS {
            self.voices.remove(0);
        }
        self.voices.push((daemon, now));
    }

    /// What is to be said to a daemon whose request was granted.
    pub(super) fn take_promise(&mut self) -> Option<Extension> {
        self.promise.take()
    }

    /// The receivers that are heard.
    pub(super) fn hearers(&self, now: Instant) -> [u64; Seal::MOST_HEARERS] {
        let heard = self.voices.iter().filter(|(_, at)| now < *at + SILENCE).map(|(daemon, _)| *daemon);
        let mut hearers = [0; Seal::MOST_HEARERS];
        hearers.iter_mut().zip(heard).for_each(|(place, daemon)| *place = daemon);
        hearers
    }

    fn grant(&mut self, daemon: u64, request: u32, now: Instant, engine: &dataplane::Handle) {
        let too_soon = |(known, number, at): (u64, u32, Instant)| {
            (known, number) == (daemon, request) || now < at + WHOLE_INTERVAL
        };
        if request != 0 && !self.granted.is_some_and(too_soon) {
            self.granted = Some((daemon, request, now));
            self.promise = Some(Extension::Begin { daemon, request });
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
