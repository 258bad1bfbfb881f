//! What the fuzz target `director` does. The engine's tests run the same function over random bytes.

use standfast_ipvs::{
    ClientTold, ConnReuse, Defence, DestinationConfig, Director, Forwarding, Frame, FullNat, HopId, IcmpError, Ingress,
    Options, Persistence, PersistenceEngine, Protocol, SchedulerFlags, SchedulerKind, ServiceConfig, ServiceId,
    ServiceKey, Settings, Tunnel, TunnelChecksum, TunnelKind, Verdict,
};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const TOLD: [ClientTold; 3] = [ClientTold::Option, ClientTold::ProxyText, ClientTold::ProxyBinary];

const FORWARDING: [Forwarding; 5] = [
    Forwarding::Nat,
    Forwarding::Dr,
    Forwarding::FullNat,
    Forwarding::Tunnel(Tunnel {
        kind: TunnelKind::Gue { port: 6080 },
        checksum: TunnelChecksum::Full,
        clamp_mss: true,
    }),
    Forwarding::Local,
];

/// A service of each protocol and family, and one of a mark; a server for each way of forwarding.
fn populate(director: &mut Director) -> Vec<ServiceId> {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let mut ids = vec![ServiceId::Fwmark(7)];
    for protocol in Protocol::ALL {
        for vip in ["10.0.0.100", "fd00::100"] {
            ids.push(ServiceId::Address(ServiceKey { protocol, address: address(vip), port: 80 }));
        }
    }
    let sources = [address("10.1.0.250"), address("fd01::f0")].map(|source| (source, source)).to_vec();
    for (number, id) in ids.iter().enumerate() {
        let engine = Some(PersistenceEngine::Sip);
        let persistence = Persistence { timeout: Duration::from_secs(50), prefix_len: 24, engine };
        let config = ServiceConfig {
            id: *id,
            scheduler: [SchedulerKind::Wlc, SchedulerKind::Sh, SchedulerKind::Lblcr][number % 3],
            flags: SchedulerFlags { fallback: true, port: true },
            persistence: (number % 2 == 0).then_some(persistence),
            one_packet: false,
            full_nat: FullNat { sources: sources.clone(), client: TOLD[number % 3] },
        };
        director.add_service(config).expect("a service");
        for (server, forwarding) in (1..).zip(FORWARDING) {
            add(director, id, server, forwarding);
        }
    }
    ids
}

fn add(director: &mut Director, id: &ServiceId, server: u8, forwarding: Forwarding) {
    let v6 = matches!(id, ServiceId::Address(key) if key.address.is_ipv6());
    let text = if v6 { format!("fd01::{server}") } else { format!("10.1.0.{server}") };
    let address = text.parse().expect("an address");
    let config = DestinationConfig { address, port: 80, forwarding, weight: 1, upper_threshold: 3, lower_threshold: 1 };
    // It may be there already.
    let _ = director.add_destination(id, config);
}

/// Steps: a byte that says what, two of length or time, and a packet. Nothing panics, packets that are not sent are not
/// changed, and in the end no connection is left.
pub fn director(mut bytes: &[u8]) {
    let mut director = Director::new(Options { connection_limit: 64, ..Options::default() });
    let ids = populate(&mut director);
    let mut now = Instant::now();
    while let Some((&[step, high, low], rest)) = bytes.split_first_chunk::<3>() {
        let number = u16::from_be_bytes([high, low]);
        bytes = rest;
        match step % 8 {
            0 => now += Duration::from_millis(u64::from(number) * 10),
            1 => director.handle_timeout(now),
            2 if low & 0x80 != 0 => director.set_settings(settings(low)),
            2 => turn(&mut director, ids[usize::from(high) % ids.len()], low),
            _ => {
                let (packet, rest) = bytes.split_at(usize::from(number).min(bytes.len()));
                bytes = rest;
                send(&mut director, packet, step, now);
            }
        }
    }
    for _ in 0..4 {
        now += Duration::from_secs(1000);
        while director.poll_timeout().is_some_and(|due| due <= now) {
            director.handle_timeout(now);
        }
    }
    assert_eq!(director.connection_count(), 0);
}

/// A bit for each of the kernel's settings.
fn settings(bits: u8) -> Settings {
    let on = |bit: u8| bits >> bit & 1 != 0;
    let defence = |bit| if on(bit) { Defence::Always } else { Defence::Never };
    Settings {
        expire_nodest_conn: on(0),
        expire_quiescent_template: on(1),
        sloppy_tcp: on(2),
        secure_tcp: defence(3),
        drop_entry: defence(4),
        conn_reuse_mode: if on(5) { ConnReuse::HalfOver } else { ConnReuse::Never },
        ..Settings::default()
    }
}

/// Removes a server, or puts it back.
fn turn(director: &mut Director, id: ServiceId, low: u8) {
    let server = low % 5 + 1;
    let views = director.destinations(&id).expect("the service is there");
    match views.iter().find(|view| view.config.address.to_string().ends_with(&server.to_string())) {
        Some(view) => director.remove_destination(&id, view.config.address, view.config.port).expect("it is listed"),
        None => add(director, &id, server, FORWARDING[usize::from(server) - 1]),
    }
}

fn send(director: &mut Director, packet: &[u8], step: u8, now: Instant) {
    let mut sent = packet.to_vec();
    let (checksum_partial, mark) = (step & 8 != 0, if step & 16 != 0 { 7 } else { 0 });
    let mut frame = Frame { packet: &mut sent, checksum_partial, gso_size: u16::from(step & 32) };
    match director.receive(&mut frame, Ingress { client_hop: HopId(1), mark }, now) {
        Verdict::ToServer { .. } | Verdict::ToClient { .. } | Verdict::Instead { .. } => {
            let _ = director.error_reply(&sent, IcmpError::TooBig { mtu: 1280 }, now);
        }
        Verdict::Encapsulate { address, tunnel, .. } => {
            let local = if address.is_ipv4() { [10, 1, 0, 254].into() } else { [9; 16].into() };
            let _ = tunnel.headers(&sent, local, address, 1);
        }
        _ => assert_eq!(sent, packet, "changed without being sent"),
    }
}
