//! Whatever comes: mutated packets, noise, servers that come and go, time that jumps.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use standfast_ipvs::{
    DestinationConfig, Director, Forwarding, Frame, HopId, IcmpError, Ingress, Persistence, PersistenceEngine,
    Protocol, SchedulerKind, ServiceId, Tunnel, Verdict,
};

use crate::properties::{config, director};
use crate::support::{build, counted, destination, header_length, service, sum};

/// One step of a hostile history.
#[derive(Debug, Clone)]
enum Step {
    Packet { template: usize, mutations: Vec<(usize, u8)>, cut: usize, partial: bool, mend: bool },
    Noise(Vec<u8>),
    Wait(u32),
    Serve,
    Remove(u8),
    Add(u8, u32),
    Edit(u8, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let mutations = proptest::collection::vec((0usize..120, any::<u8>()), 0..4);
    let packet = (0..TEMPLATES.len(), mutations, prop_oneof![Just(0usize), 0usize..80], any::<bool>(), any::<bool>());
    let packet = packet.prop_map(|(template, mutations, cut, partial, mend)| Step::Packet {
        template,
        mutations,
        cut,
        partial,
        mend,
    });
    prop_oneof![
        20 => packet,
        2 => proptest::collection::vec(any::<u8>(), 0..100).prop_map(Step::Noise),
        2 => (0u32..2_000).prop_map(Step::Wait),
        2 => Just(Step::Serve),
        1 => (1u8..5).prop_map(Step::Remove),
        1 => (1u8..5, 0u32..4).prop_map(|(server, weight)| Step::Add(server, weight)),
        1 => (1u8..5, 0u32..4).prop_map(|(server, weight)| Step::Edit(server, weight)),
    ]
}

const TEMPLATES: &[&str] = &[
    "IP 10.0.0.1>10.0.0.100 ttl 64 tos 0x0 id 1 TCP 1000>80 [S] seq 1 ack 0 win 1 data 9",
    "IP 10.0.0.1>10.0.0.100 ttl 64 tos 0x0 id 1 TCP 1000>80 [A] seq 1 ack 0 win 1 data 3",
    "IP 10.0.0.2>10.0.0.100 ttl 1 tos 0x0 id 1 TCP 1000>80 [S] seq 1 ack 0 win 1 data 0",
    "IP 10.0.0.1>10.0.0.100 ttl 64 tos 0x0 id 1 TCP 1000>80 [FA] seq 1 ack 0 win 1 data 0",
    "IP 10.0.0.1>10.0.0.100 ttl 64 tos 0x0 id 1 UDP 1000>53 len 30",
    "IP 10.1.0.1>10.0.0.1 ttl 64 tos 0x0 id 1 TCP 80>1000 [SA] seq 1 ack 0 win 1 data 9",
    "IP 10.1.0.2>10.0.0.1 ttl 64 tos 0x0 id 1 UDP 53>1000 len 33",
    "IP 10.0.0.9>10.0.0.100 ttl 64 tos 0x0 id 1 ICMP 3.4 rest 0x500 {IP 10.0.0.100>10.0.0.1 ttl 64 tos 0x0 id 1 \
     TCP 80>1000 [S] seq 1 ack 1 win 1 data 0}",
    "IP 10.1.0.9>10.0.0.1 ttl 64 tos 0x0 id 1 ICMP 11.0 rest 0x500 {IP 10.0.0.1>10.1.0.1 ttl 64 tos 0x0 id 1 \
     TCP 1000>80 [S] seq 1 ack 1 win 1 data 0}",
    "IP 10.0.0.1>10.0.0.100 len 60 ttl 64 tos 0x0 id 7 MF UDP 1000>53 len 90",
    "IP 10.0.0.1>10.0.0.100 len 68 ttl 64 tos 0x0 id 7 off 40 proto 17 fragment 48 bytes",
    "IP 10.0.0.1>10.0.0.100 ttl 64 tos 0x0 id 1 UDP 1000>5060 len 40",
    "IP 10.0.0.1>10.0.0.100 len 52 ttl 64 tos 0x0 id 7 off 0 proto 132 fragment 32 bytes",
    "IP 10.1.0.9>10.1.0.254 len 96 ttl 64 tos 0x0 id 1 ICMP 3.4 rest 0x500 {IP 10.1.0.254>10.1.0.3 len 68 ttl 64 tos 0x0 id 1 \
     off 0 proto 4 fragment 48 bytes}",
    "IP6 fd00::1>fd00::100 hlim 64 tc/fl 60000000 TCP 1000>80 [S] seq 1 ack 0 win 1 data 9",
    "IP6 fd00::1>fd00::100 hlim 64 tc/fl 60000000 ICMP6 2.0 rest 0x500 {IP6 fd00::100>fd00::1 hlim 64 tc/fl 60000000 \
     TCP 80>1000 [S] seq 1 ack 1 win 1 data 0}",
];

/// Makes the IPv4 header's checksum right, so that what is wrong beyond it gets its chance.
fn mend_header(packet: &mut [u8]) {
    if packet.len() >= 20 && packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
        let end = header_length(packet).min(packet.len());
        let sum = !sum(&packet[..end], 0);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Services of both families and all protocols; each of the four servers is reached in another way.
struct Hostile {
    director: Director,
    services: Vec<(ServiceId, &'static str)>,
    now: Instant,
}

impl Hostile {
    fn new() -> Hostile {
        let mut hostile = Hostile { director: director(), services: Vec::new(), now: Instant::now() };
        let persistence = Some(Persistence { timeout: Duration::from_secs(30), prefix_len: 30, engine: None });
        let calls = persistence.map(|rest| Persistence { engine: Some(PersistenceEngine::Sip), ..rest });
        let kinds = [
            (Protocol::Tcp, "10.0.0.100:80", "10.1.0", SchedulerKind::Wrr, None),
            (Protocol::Udp, "10.0.0.100:53", "10.1.0", SchedulerKind::Wlc, persistence),
            (Protocol::Tcp, "[fd00::100]:80", "fd01:", SchedulerKind::Sh, persistence),
            (Protocol::Udp, "10.0.0.100:5060", "10.1.0", SchedulerKind::Mh, calls),
            (Protocol::Sctp, "10.0.0.100:80", "10.1.0", SchedulerKind::Nq, None),
        ];
        for (protocol, socket, servers, scheduler, persistence) in kinds {
            let mut config = service(protocol, socket.parse().unwrap(), scheduler);
            config.persistence = persistence;
            hostile.services.push((config.id, servers));
            hostile.director.add_service(config).unwrap();
        }
        (1..5).for_each(|server| hostile.add(server, 1));
        hostile
    }

    fn configs(&self, server: u8, weight: u32) -> Vec<(ServiceId, DestinationConfig)> {
        let config = |(id, servers): &(ServiceId, &str)| {
            let separator = if servers.ends_with(':') { ":" } else { "." };
            let address: IpAddr = format!("{servers}{separator}{server}").parse().unwrap();
            let ServiceId::Address(key) = id else { unreachable!("no marks here") };
            let forwarding = match server {
                1 => Forwarding::Nat,
                2 => Forwarding::Dr,
                3 => Forwarding::Tunnel(Tunnel::default()),
                _ => Forwarding::Local,
            };
            let mut config = destination(SocketAddr::new(address, key.port), forwarding);
            config.weight = weight;
            config.upper_threshold = u32::from(server);
            (*id, config)
        };
        self.services.iter().map(config).collect()
    }

    fn add(&mut self, server: u8, weight: u32) {
        for (id, config) in self.configs(server, weight) {
            let _ = self.director.add_destination(&id, config);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Packet { template, mutations, cut, partial, mend } => {
                let mut packet = build::packet(TEMPLATES[*template]);
                packet.truncate(packet.len().saturating_sub(*cut));
                for (at, value) in mutations {
                    if let Some(byte) = packet.get_mut(*at) {
                        *byte ^= value;
                    }
                }
                if *mend {
                    mend_header(&mut packet);
                }
                self.receive(packet, *partial);
            }
            Step::Noise(bytes) => self.receive(bytes.clone(), false),
            Step::Wait(tenths) => self.now += Duration::from_millis(u64::from(*tenths) * 100),
            Step::Serve => self.director.handle_timeout(self.now),
            Step::Add(server, weight) => self.add(*server, *weight),
            Step::Edit(server, weight) => {
                for (id, config) in self.configs(*server, *weight) {
                    let _ = self.director.edit_destination(&id, config);
                }
            }
            Step::Remove(server) => {
                for (id, config) in self.configs(*server, 1) {
                    let _ = self.director.remove_destination(&id, config.address, config.port);
                }
            }
        }
    }

    fn receive(&mut self, mut packet: Vec<u8>, checksum_partial: bool) {
        let before = packet.clone();
        let mut frame = Frame { packet: &mut packet, checksum_partial, gso_size: 0 };
        let verdict = self.director.receive(&mut frame, Ingress { client_hop: HopId(1), mark: 0 }, self.now);
        match verdict {
            Verdict::ToServer { .. } | Verdict::Encapsulate { .. } | Verdict::ToClient { .. } => {
                let _ = self.director.error_reply(&packet, IcmpError::TooBig { mtu: 1280 }, self.now);
            }
            Verdict::Reply { packet: reply, .. } => {
                assert!(reply.len() <= 1280);
                assert_eq!(before, packet);
            }
            _ => assert_eq!(before, packet),
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever comes, nothing panics, the counts are right, and in the end nothing is left.
    #[test]
    fn hostile_packets_do_no_harm(steps in proptest::collection::vec(step(), 0..150)) {
        let mut hostile = Hostile::new();
        for step in &steps {
            hostile.step(step);
        }
        (1..5).for_each(|server| hostile.add(server, 1));
        prop_assert_eq!(counted(&hostile.director), hostile.director.connection_count());
        // Templates wait for their connections: the longest chain is an established connection's 900 s and a minute.
        for _ in 0..4 {
            hostile.now += Duration::from_secs(1000);
            while hostile.director.poll_timeout().is_some_and(|due| due <= hostile.now) {
                hostile.director.handle_timeout(hostile.now);
            }
        }
        prop_assert_eq!(hostile.director.connection_count(), 0);
        prop_assert_eq!(counted(&hostile.director), 0);
        prop_assert!(hostile.director.poll_timeout() <= Some(hostile.now + Duration::from_secs(2)));
    }
}

/// Input of the fuzz target: templates of packets among noise.
fn fuzz_input() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..60);
    let packet = (0..TEMPLATES.len(), any::<u8>(), proptest::collection::vec((0usize..90, any::<u8>()), 0..3));
    let packet = packet.prop_map(|(template, step, mutations)| {
        let mut packet = build::packet(TEMPLATES[template]);
        for (at, value) in mutations {
            packet.get_mut(at).into_iter().for_each(|byte| *byte ^= value);
        }
        mend_header(&mut packet);
        let [high, low] = (packet.len() as u16).to_be_bytes();
        [vec![step | 4, high, low], packet].concat()
    });
    proptest::collection::vec(prop_oneof![1 => noise, 6 => packet], 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_fuzz_target_holds(bytes in fuzz_input()) {
        crate::fuzz::director(&bytes);
    }
}
