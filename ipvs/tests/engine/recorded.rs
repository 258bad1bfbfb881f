//! Random services, edits and packets, recorded from Linux 6.1's IPVS by `tests/oracle/ipvs.py`: everything that came out of the
//! kernel, its tables and its counters must come out here.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use standfast_ipvs::{
    ConnReuse, ConnectionView, Defence, DestinationConfig, DestinationView, Director, DropReason, Error, Forwarding,
    Frame, HopId, Ingress, Options, Persistence, PersistenceEngine, Protocol, ReplyBuffer, SchedulerFlags,
    ServiceConfig, ServiceId, ServiceKey, Settings, Stats, Tunnel, TunnelChecksum, TunnelKind, Verdict,
};

use crate::support::describe;

/// What the kernel sent: the side, the last byte of the MAC address, the packet.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    side: String,
    mac: u8,
    packet: Vec<u8>,
}

struct Play {
    director: Director,
    settings: Settings,
    start: Instant,
    now: Instant,
    parted: bool,
}

impl Play {
    fn new() -> Play {
        let director = Director::new(Options { connection_limit: 2000, ..Options::default() });
        let start = Instant::now();
        Play { director, settings: Settings::default(), start, now: start, parted: false }
    }

    /// Carries out an order and compares what came of it.
    fn order(&mut self, order: &str, sent: &[Sent], rows: &[&str]) -> Result<(), String> {
        let words: Vec<&str> = order.split(' ').collect();
        self.pass_time(Duration::from_millis(words[0].parse().unwrap()));
        match words[1..] {
            ["set", name, value] => self.set(name, value.parse().unwrap()),
            ["service", ..] => return refused(rows, self.director.add_service(service(&words[2..]))),
            ["reservice", ..] => return refused(rows, self.director.edit_service(service(&words[2..]))),
            ["unservice", id] => return refused(rows, self.director.remove_service(&id_of(id))),
            ["server", id, ..] => {
                return refused(rows, self.director.add_destination(&id_of(id), destination(&words[3..])));
            }
            ["edit", id, ..] => {
                return refused(rows, self.director.edit_destination(&id_of(id), destination(&words[3..])));
            }
            ["unserver", id, server] => {
                let server: SocketAddr = server.parse().unwrap();
                return refused(rows, self.director.remove_destination(&id_of(id), server.ip(), server.port()));
            }
            ["from-client", packet] => return self.packet(HopId(1), &bytes(packet), sent),
            ["from-server", packet] => return self.packet(HopId(2), &bytes(packet), sent),
            ["table"] => return self.table(rows),
            ["loads"] => return self.loads(rows),
            ["stats"] => return self.stats(rows),
            _ => panic!("{order}: no such order"),
        }
        Ok(())
    }

    fn pass_time(&mut self, passed: Duration) {
        let until = self.start + passed;
        while let Some(due) = self.director.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.director.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn set(&mut self, name: &str, value: u8) {
        let on = value != 0;
        match name {
            "expire_nodest_conn" => self.settings.expire_nodest_conn = on,
            "expire_quiescent_template" => self.settings.expire_quiescent_template = on,
            "conn_reuse_mode" => self.settings.conn_reuse_mode = ConnReuse::of_number(value.into()),
            "sloppy_tcp" => self.settings.sloppy_tcp = on,
            "secure_tcp" => self.settings.secure_tcp = Defence::of_number(value).unwrap(),
            _ => panic!("{name}: no such setting"),
        }
        self.director.set_settings(self.settings);
    }

    /// The one thing that is done otherwise here (docs/ipvs-differences.md): another server gets a SYN on a connection whose
    /// server was removed. Nothing that follows in a recording is the same then.
    fn parts_from_kernel(&self, packet: &[u8]) -> bool {
        let Some(client) = client_of(packet) else { return false };
        let mut entries = self.director.connections(self.now).filter(|entry| entry.client == client);
        entries.any(|entry| !self.is_served(&entry, mark_of(packet) != 0))
    }

    /// Whether a service of a connection still has its server.
    fn is_served(&self, entry: &ConnectionView, marked: bool) -> bool {
        let serves = |id: &ServiceId| match id {
            ServiceId::Address(key) => {
                key.address == entry.service.ip() && [0, entry.service.port()].contains(&key.port)
            }
            ServiceId::Fwmark(_) => marked,
        };
        let is = |held: &DestinationView| {
            held.config.address == entry.server.ip() && [0, entry.server.port()].contains(&held.config.port)
        };
        let services = self.director.services();
        let mut ids = services.iter().map(|view| &view.config.id).filter(|id| serves(id));
        ids.any(|id| self.director.destinations(id).unwrap().iter().any(is))
    }

    fn packet(&mut self, client_hop: HopId, packet: &[u8], sent: &[Sent]) -> Result<(), String> {
        let packet = without_padding(packet);
        let parts = sent.is_empty() && self.parts_from_kernel(packet);
        let mut made = packet.to_vec();
        let mut frame = Frame { packet: &mut made, checksum_partial: false, gso_size: 0 };
        let ingress = Ingress { client_hop, mark: mark_of(packet) };
        let verdict = self.director.receive(&mut frame, ingress, self.now);
        let fits = match (&verdict, sent) {
            (Verdict::ToServer { .. } | Verdict::Encapsulate { .. } | Verdict::Reply { .. }, []) if parts => {
                self.parted = true;
                true
            }
            (Verdict::ToServer { address }, [one]) => one.is("server", last(*address), &made),
            (Verdict::ToClient { .. }, [one]) => one.is("client", 0x50, &made),
            (Verdict::Encapsulate { address, tunnel, .. }, [one]) => one.is_tunnelled(*address, tunnel, &made),
            (Verdict::Reply { packet, .. }, [one]) => one.is_reply(packet),
            (Verdict::Drop(DropReason::ErrorSuppressed), _) => true,
            (Verdict::Drop(_) | Verdict::Local, []) => true,
            (Verdict::Pass(_), []) => true,
            (Verdict::Pass(_), [one]) => one.is_of_the_host(packet),
            _ => false,
        };
        fits.then_some(()).ok_or_else(|| {
            let sent: Vec<_> =
                sent.iter().map(|one| format!("{} {} {}", one.side, one.mac, words(&one.packet))).collect();
            format!("{}\n  kernel: {sent:?}\n  engine: {verdict:?} {}", words(packet), words(&made))
        })
    }

    fn table(&self, rows: &[&str]) -> Result<(), String> {
        let mut ours: BTreeMap<String, i64> = self
            .director
            .connections(self.now)
            .map(|view| {
                let protocol = match view.protocol {
                    0 => "IP",
                    6 => "TCP",
                    17 => "UDP",
                    _ => "SCTP",
                };
                let key = format!("{protocol} {} {} {} {}", view.client, view.service, view.server, view.state);
                (key, view.expires_in.as_secs() as i64)
            })
            .collect();
        for entry in rows {
            let (key, left) = entry.rsplit_once(' ').unwrap();
            let left: i64 = left.parse().unwrap();
            match ours.remove(key) {
                Some(here) if (here - left).abs() <= 1 => (),
                // Waiting for its connections, from when the late timer came.
                Some(here) if (key.ends_with("NONE") || key.ends_with("ASSURED")) && (here - left).abs() <= 4 => (),
                // The kernel's timers may be late by seconds.
                None if left <= 0 => (),
                here => return Err(format!("kernel: {entry}\n  engine: {here:?}, and {ours:?}")),
            }
        }
        // A moment of the end lies between the two clocks.
        if let Some(more) = ours.iter().find(|(_, left)| **left > 1) {
            return Err(format!("only here: {more:?}"));
        }
        Ok(())
    }

    fn loads(&self, rows: &[&str]) -> Result<(), String> {
        self.compare(
            rows,
            |view| format!("{} {} {} {}", view.config.weight, view.persistent, view.active, view.inactive),
            |_| String::new(),
        )
    }

    fn stats(&self, rows: &[&str]) -> Result<(), String> {
        let numbers = |stats: &Stats| {
            let Stats { connections, in_packets, out_packets, in_bytes, out_bytes } = stats;
            format!("{connections} {in_packets} {out_packets} {in_bytes} {out_bytes}")
        };
        self.compare(rows, |view| numbers(&view.stats), |stats| format!(" {}", numbers(stats)))
    }

    /// Compares the lines of services and of their servers.
    fn compare(
        &self,
        rows: &[&str],
        server: impl Fn(&DestinationView) -> String,
        service: impl Fn(&Stats) -> String,
    ) -> Result<(), String> {
        let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut current = String::new();
        for row in rows {
            match row.strip_prefix("-> ") {
                Some(server) => theirs.get_mut(&current).unwrap().push(server.to_owned()),
                None => {
                    current = row.to_string();
                    theirs.insert(current.clone(), Vec::new());
                }
            }
        }
        let ours: BTreeMap<String, Vec<String>> = self
            .director
            .services()
            .iter()
            .map(|view| {
                let servers = self.director.destinations(&view.config.id).unwrap();
                let line = |view: &DestinationView| {
                    format!("{} {}", SocketAddr::new(view.config.address, view.config.port), server(view))
                };
                let name = match view.config.id {
                    ServiceId::Address(key) => {
                        format!("{} {}", key.protocol, SocketAddr::new(key.address, key.port))
                    }
                    ServiceId::Fwmark(mark) => format!("FWM {mark}"),
                };
                (name + &service(&view.stats), servers.iter().map(line).collect())
            })
            .collect();
        let theirs: BTreeMap<_, _> = theirs.into_iter().map(|(name, rows)| (name.replace(" IPv6", ""), rows)).collect();
        (ours == theirs).then_some(()).ok_or_else(|| format!("kernel: {theirs:?}\n  engine: {ours:?}"))
    }
}

impl Sent {
    fn is(&self, side: &str, mac: u8, packet: &[u8]) -> bool {
        self.side == side && self.mac == mac && self.packet == packet
    }

    /// The identification of a packet that the director makes, and GUE's source port, are its own choice.
    fn is_tunnelled(&self, server: IpAddr, tunnel: &Tunnel, inner: &[u8]) -> bool {
        let source = if server.is_ipv4() { "10.1.0.254" } else { "fd01::254" }.parse().unwrap();
        let id = u16::from_be_bytes([self.packet[4], self.packet[5]]);
        let Some(headers) = tunnel.headers(inner, source, server, id) else { return false };
        let mut made = [&headers, inner].concat();
        let mut theirs = self.packet.clone();
        if let TunnelKind::Gue { .. } = tunnel.kind {
            let udp = headers.len() - 12;
            for packet in [&mut made, &mut theirs] {
                packet[udp..udp + 2].fill(0);
                packet[udp + 6..udp + 8].fill(0);
            }
        }
        self.side == "server" && self.mac == last(server) && theirs == made
    }

    fn is_reply(&self, packet: &ReplyBuffer) -> bool {
        let plain = |packet: &[u8]| {
            let mut plain = packet.to_vec();
            if plain[0] >> 4 == 4 {
                plain[4..6].fill(0);
                plain[10..12].fill(0);
            } else {
                plain[1..4].fill(0);
            }
            plain
        };
        self.side == "client" && plain(&self.packet) == plain(packet)
    }

    /// The host answers, or sends the packet on as a router does.
    fn is_of_the_host(&self, packet: &[u8]) -> bool {
        let l4 = |packet: &[u8]| if packet[0] >> 4 == 4 { 20 } else { 40 };
        let (at, protocol) = (l4(&self.packet), protocol_of(&self.packet));
        let answers = match protocol {
            6 => self.packet.get(at + 13).is_some_and(|flags| flags & 4 != 0),
            1 => [0, 3, 11, 12, 14].contains(&self.packet[at]),
            58 => self.packet[at] <= 129,
            _ => false,
        };
        answers || self.packet.get(at..) == packet.get(l4(packet)..)
    }
}

/// As the driver hands packets in.
fn without_padding(packet: &[u8]) -> &[u8] {
    let length = match packet[0] >> 4 {
        4 => usize::from(u16::from_be_bytes([packet[2], packet[3]])),
        _ => 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]])),
    };
    packet.get(..length).filter(|cut| cut.len() >= 20).unwrap_or(packet)
}

fn protocol_of(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 { packet[9] } else { packet[6] }
}

/// In words if they can be found.
fn words(packet: &[u8]) -> String {
    let words = std::panic::catch_unwind(|| describe::packet(packet));
    words.unwrap_or_else(|_| packet.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Who wants to open a connection with this packet of TCP or SCTP.
fn client_of(packet: &[u8]) -> Option<SocketAddr> {
    let (protocol, l4, source): (u8, usize, IpAddr) = match packet[0] >> 4 {
        4 => (packet[9], 20, <[u8; 4]>::try_from(&packet[12..16]).unwrap().into()),
        _ => (packet[6], 40, <[u8; 16]>::try_from(&packet[8..24]).unwrap().into()),
    };
    let byte = |at: usize| packet.get(l4 + at).copied().unwrap_or_default();
    let opens = match protocol {
        6 => byte(13) & 2 != 0,
        132 => byte(12) == 1,
        _ => false,
    };
    opens.then(|| SocketAddr::new(source, u16::from_be_bytes([byte(0), byte(1)])))
}

fn last(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    }
}

/// The recording's firewall marks packets to 10.0.0.110-119 with 7 and to .120-129 with 8, and fd00::110 and so on too.
fn mark_of(packet: &[u8]) -> u32 {
    let tens = match packet.get(16..20) {
        Some([10, 0, 0, last]) if packet[0] >> 4 == 4 => last / 10,
        _ => match packet.get(24..40) {
            Some([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, last]) if packet[0] >> 4 == 6 => 10 + last / 16,
            _ => 0,
        },
    };
    match tens {
        11 => 7,
        12 => 8,
        _ => 0,
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn refused(rows: &[&str], outcome: Result<(), Error>) -> Result<(), String> {
    let here = if outcome.is_ok() { "ok" } else { "refused" };
    (rows == [here]).then_some(()).ok_or_else(|| format!("kernel: {rows:?}\n  engine: {outcome:?}"))
}

fn id_of(text: &str) -> ServiceId {
    let (protocol, rest) = text.split_once('/').unwrap();
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return ServiceId::Fwmark(rest.parse().unwrap()),
    };
    let socket: SocketAddr = rest.parse().unwrap();
    ServiceId::Address(ServiceKey { protocol, address: socket.ip(), port: socket.port() })
}

/// `ID SCHEDULER [flags=..] [persist=SECONDS] [mask=BITS] [pe=sip] [ops]`.
fn service(words: &[&str]) -> ServiceConfig {
    let after = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let flags = after("flags=").unwrap_or_default();
    let widest = if words[0].contains('[') || words[0].starts_with("mark6") { 128 } else { 32 };
    let persistence = after("persist=").map(|seconds| Persistence {
        timeout: Duration::from_secs(seconds.parse().unwrap()),
        prefix_len: after("mask=").map_or(widest, |bits| bits.parse().unwrap()),
        engine: after("pe=").map(|_| PersistenceEngine::Sip),
    });
    ServiceConfig {
        id: id_of(words[0]),
        scheduler: words[1].parse().unwrap(),
        flags: SchedulerFlags { fallback: flags.contains("fallback"), port: flags.contains("port") },
        persistence,
        one_packet: words.contains(&"ops"),
        full_nat: Default::default(),
    }
}

/// `SOCKET METHOD WEIGHT UPPER LOWER`.
fn destination(words: &[&str]) -> DestinationConfig {
    let socket: SocketAddr = words[0].parse().unwrap();
    let number = |at: usize| words[at].parse().unwrap();
    let (kind, checksum) = words[1].split_once(':').unwrap_or((words[1], ""));
    let checksum = match checksum {
        "csum" => TunnelChecksum::Full,
        "remcsum" => TunnelChecksum::Remote,
        _ => TunnelChecksum::None,
    };
    let tunnel = |kind| Forwarding::Tunnel(Tunnel { kind, checksum, clamp_mss: false });
    let forwarding = match kind {
        "nat" => Forwarding::Nat,
        "dr" => Forwarding::Dr,
        "tun" => tunnel(TunnelKind::Ipip),
        "gre" => tunnel(TunnelKind::Gre),
        "gue" => tunnel(TunnelKind::Gue { port: 5555 }),
        _ => panic!("{kind}: no such method"),
    };
    DestinationConfig {
        address: socket.ip(),
        port: socket.port(),
        forwarding,
        weight: number(2),
        upper_threshold: number(3),
        lower_threshold: number(4),
    }
}

/// Plays a recording; the first difference ends it.
fn play(text: &str) -> Result<(), String> {
    let mut play = Play::new();
    let lines: Vec<&str> = text.lines().collect();
    let is_outcome = |line: &&&str| line.starts_with(['>', '|']);
    let mut at = 0;
    while at < lines.len() && !play.parted {
        let outcome: Vec<&str> = lines[at + 1..].iter().take_while(is_outcome).copied().collect();
        let rows: Vec<&str> = outcome.iter().filter_map(|line| line.strip_prefix("| ")).collect();
        let sent: Vec<Sent> = outcome.iter().filter_map(|line| line.strip_prefix("> ")).map(sent).collect();
        play.order(lines[at], &sent, &rows).map_err(|text| format!("line {}: {}\n  {text}", at + 1, lines[at]))?;
        at += 1 + outcome.len();
    }
    Ok(())
}

fn sent(line: &str) -> Sent {
    let words: Vec<&str> = line.split(' ').collect();
    Sent { side: words[0].to_owned(), mac: words[1].parse().unwrap(), packet: bytes(words[2]) }
}

#[test]
fn what_the_kernel_did_is_done_here() {
    let folder = std::env::var_os("STANDFAST_RECORDINGS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/recorded")), PathBuf::from);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no recording in {}", folder.display());
    let differs = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        play(&text).err().map(|text| format!("{}: {text}\n", file.file_name().unwrap().display()))
    };
    let differences: Vec<String> = files.iter().filter_map(differs).collect();
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), files.len(), differences.join("\n"));
}
