//! `--replay`: what the forwarding engine would do with the packets of a capture, each with its reason. Nothing is sent and no
//! right is needed.
//!
//! All real servers count as alive. Time is the capture's. A capture from the clients' side of a director is understood as
//! it is; one from all sides shows the director's own packets too, which are judged like any other. Packets of which the capture kept
//! only the beginning (`tcpdump -s`) are judged by that.

mod capture;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;

use capture::{Capture, Captured, word};
use standfast_ipvs::{Director, Frame, HopId, Ingress, Options as EngineOptions, Protocol, Verdict};

use crate::cli::Options;
use crate::config::Loaded;
use crate::configuration::{self, Namespace};
use crate::dataplane::upper_layer;
use crate::forwarder;
use crate::run::Exit;
use crate::translate::{engine, group};

/// Connections that are remembered at most.
const CONNECTIONS: usize = 1 << 16;

/// Reads the configuration and the capture, and writes a line a packet to standard output.
#[must_use]
pub fn run(options: &Options, capture: &Path) -> Exit {
    let loaded = configuration::read(options, Namespace::Outside);
    let outcome = director(&loaded).and_then(|director| replay(director, capture));
    match outcome {
        Ok(()) => Exit::Ok,
        Err(text) => {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(io::stderr(), "{text}");
            Exit::Failure
        }
    }
}

/// A director with every virtual server of the configuration that the engine can serve.
fn director(loaded: &Loaded) -> Result<Director, String> {
    let globals = &loaded.config.globals;
    let mut director = Director::new(EngineOptions {
        connection_limit: CONNECTIONS,
        timeouts: forwarder::timeouts_of(globals.lvs_timeouts),
        settings: forwarder::settings_of(&globals.lvs_sysctls),
        ..EngineOptions::default()
    });
    for server in &loaded.config.virtual_servers {
        let group = group::of(server, &loaded.config.virtual_server_groups);
        let services = group::services(server, group).map_err(|reason| reason.to_string())?;
        for service in services {
            director.add_service(service.clone()).map_err(|refusal| format!("{:?}: {refusal}", service.id))?;
            for destination in server.real_servers.iter().map(|real| engine::destination(server, real)) {
                let destination = group::destination_of(&service.id, &destination);
                director.add_destination(&service.id, destination).map_err(|refusal| refusal.to_string())?;
            }
        }
    }
    match director.services().is_empty() {
        true => Err("the configuration has no virtual server: there is nothing to replay".to_owned()),
        false => Ok(director),
    }
}

fn replay(mut director: Director, capture: &Path) -> Result<(), String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", capture.display());
    let mut reader = Capture::open(capture).map_err(|error| unreadable(&error))?;
    let mut out = io::stdout().lock();
    let (mut begun, start) = (None, Instant::now());
    let mut number = 0_u64;
    while let Some(captured) = reader.next() {
        let captured = captured.map_err(|error| unreadable(&error))?;
        number += 1;
        let passed = captured.time.saturating_sub(*begun.get_or_insert(captured.time));
        let line = line(&mut director, &captured, start + passed);
        if writeln!(out, "{number:>6} {:>12.6} {line}", passed.as_secs_f64()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn line(director: &mut Director, captured: &Captured, now: Instant) -> String {
    let Some((packet, kept)) = captured.ip_packet() else { return "no IP packet".to_owned() };
    if kept < header_length(packet) {
        return format!("IP packet of {} bytes: the capture holds too little of it", packet.len());
    }
    let before = describe(packet);
    if kept < needed(packet) {
        return format!("{before}: the capture holds too little of it");
    }
    let mut bytes = packet.to_vec();
    while director.poll_timeout().is_some_and(|due| due <= now) {
        director.handle_timeout(now);
    }
    let mut frame = Frame { packet: &mut bytes, checksum_partial: false, gso_size: 0 };
    let verdict = director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: 0 }, now);
    format!("{before}: {}", outcome(&verdict, &bytes))
}

/// Length of an IP header without options.
fn header_length(packet: &[u8]) -> usize {
    let whole = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 40 } else { 20 };
    whole.min(packet.len())
}

/// How much of a packet the engine reads. Of ICMP it is all: there is a checksum to be right.
fn needed(packet: &[u8]) -> usize {
    let Some((protocol, l4)) = upper_layer(packet) else { return packet.len().min(40) };
    let more = match protocol {
        6 => 20,
        17 => 8,
        132 => 16,
        1 | 58 => packet.len(),
        _ => 0,
    };
    l4.map_or(0, |l4| l4 + more).min(packet.len())
}

/// `10.0.0.50:1000 > 10.0.0.100:80 TCP [S] 40 bytes`.
fn describe(packet: &[u8]) -> String {
    let v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
    let layer = upper_layer(packet);
    let (protocol, first) = layer.unwrap_or_default();
    let known = Protocol::ALL.into_iter().find(|known| known.number() == protocol && first.is_some());
    let l4 = first.unwrap_or_default();
    let end = |source: bool| {
        let port = known.and_then(|_| word(packet, if source { l4 } else { l4 + 2 }));
        match (address(packet, v6, source), port) {
            (Some(address), Some(port)) => std::net::SocketAddr::new(address, port).to_string(),
            (Some(address), None) => address.to_string(),
            (None, _) => "?".to_owned(),
        }
    };
    let mut text = format!("{} > {} ", end(true), end(false));
    // Writing into a string cannot fail.
    let _ = match known {
        Some(Protocol::Tcp) => write!(text, "TCP [{}]", flags(packet.get(l4 + 13).copied().unwrap_or_default())),
        Some(known) => write!(text, "{known}"),
        None if protocol == 1 || protocol == 58 => write!(text, "ICMP"),
        None if layer.is_none() => write!(text, "unknown protocol"),
        None => write!(text, "protocol {protocol}"),
    };
    if layer.is_some() && first.is_none() {
        text += " later fragment";
    }
    let _ = write!(text, " {} bytes", packet.len());
    text
}

fn address(packet: &[u8], v6: bool, source: bool) -> Option<IpAddr> {
    match (v6, source) {
        (false, true) => Some(IpAddr::from(*packet.get(12..)?.first_chunk::<4>()?)),
        (false, false) => Some(IpAddr::from(*packet.get(16..)?.first_chunk::<4>()?)),
        (true, true) => Some(IpAddr::from(*packet.get(8..)?.first_chunk::<16>()?)),
        (true, false) => Some(IpAddr::from(*packet.get(24..)?.first_chunk::<16>()?)),
    }
}

fn flags(bits: u8) -> String {
    let letters = [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (16, '.')];
    letters.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| letter).collect()
}

fn outcome(verdict: &Verdict, packet: &[u8]) -> String {
    match verdict {
        Verdict::Pass(reason) => format!("left to the host: {reason}"),
        Verdict::Drop(reason) => format!("dropped: {reason}"),
        Verdict::ToServer { address } => format!("to server {address} as {}", describe(packet)),
        Verdict::Instead { address, packet } => format!("to server {address} as {}", describe(packet)),
        Verdict::Encapsulate { address, .. } => format!("to server {address} by tunnel"),
        Verdict::ToClient { .. } => format!("to the client as {}", describe(packet)),
        Verdict::Local => "to this host's own server".to_owned(),
        Verdict::Reply { packet, .. } => format!("answered by {}", describe(packet)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::DataLink;
    use std::time::Duration;

    fn director_of(text: &str) -> Director {
        let parsed = standfast_parser::parse(
            &standfast_parser::MemoryLoader::single("c", text.as_bytes()),
            Path::new("c"),
            &standfast_parser::Options::default(),
        );
        let loaded = Loaded {
            config: parsed.config,
            diagnostics: parsed.diagnostics,
            sources: parsed.sources,
            not_acted_on: parsed.not_acted_on,
            interfaces: Vec::new(),
        };
        director(&loaded).unwrap()
    }

    /// A SYN in an Ethernet frame; the IP checksum is right for a packet from 10.0.0.50 to 10.0.0.100.
    fn syn(flags: u8) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0x26, 0x3a, 10, 0, 0, 50, 10, 0, 0, 100]);
        frame.extend([3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        frame
    }

    fn captured(frame: &[u8]) -> Captured {
        Captured { time: Duration::ZERO, link: DataLink::ETHERNET, data: frame.to_vec(), kept: frame.len() }
    }

    #[test]
    fn settings_of_the_configuration_count() {
        let mut director = director_of(
            "global_defs {\nlvs_sysctl drop_packet 3 am_droprate 1\n}\n\
             virtual_server 10.0.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.1.0.1 8080 {\n}\n}\n",
        );
        let line = line(&mut director, &captured(&syn(2)), Instant::now());
        assert!(line.contains("drop_packet"), "{line}");
    }

    #[test]
    fn every_packet_has_its_verdict_and_reason() {
        let mut director = director_of(
            "virtual_server 10.0.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.1.0.1 8080 {\nweight 1\n}\n}\n",
        );
        let now = Instant::now();
        let mut replayed = |frame: &[u8]| line(&mut director, &captured(frame), now);
        assert_eq!(
            replayed(&syn(16)),
            "10.0.0.50:1000 > 10.0.0.100:80 TCP [.] 40 bytes: left to the host: service without a connection for this packet"
        );
        assert_eq!(
            replayed(&syn(2)),
            "10.0.0.50:1000 > 10.0.0.100:80 TCP [S] 40 bytes: to server 10.1.0.1 as 10.0.0.50:1000 > 10.1.0.1:8080 TCP [S] 40 bytes"
        );
        assert_eq!(replayed(&[0; 60]), "no IP packet");
        let cut = |kept| Captured { kept, ..captured(&syn(2)) };
        let mut replayed_cut = |kept| line(&mut director, &cut(kept), now);
        assert_eq!(replayed_cut(33), "IP packet of 40 bytes: the capture holds too little of it");
        assert!(replayed_cut(53).ends_with("TCP [S] 40 bytes: the capture holds too little of it"));
        assert!(replayed_cut(54).contains("to server"));
        let mut replayed = |frame: &[u8]| line(&mut director, &captured(frame), now);
        for length in 0..54 {
            replayed(&syn(2)[..length]);
        }
    }
}
