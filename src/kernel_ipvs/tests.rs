use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use standfast_ipvs::{
    DestinationConfig, Forwarding, FullNat, Persistence, SchedulerFlags, SchedulerKind, ServiceConfig, ServiceId,
    ServiceKey,
};

use super::census::Census;
use super::estate::{Estate, Remark};
use super::order::{Order, Question, Refusal};
use super::socket::Ipvs;
use super::{decode, encode, uapi};
use crate::dataplane::netlink::{Writer, messages};
use crate::health::TableChange;
use crate::ipvsadm::{self as model, DaemonSettings, Protocol, Role, Server, ServerEntry, Service, Target};

const FAMILY: u16 = 35;

fn payload(writer: &Writer) -> Vec<u8> {
    messages(writer.bytes()).next().unwrap().payload.to_vec()
}

mod codec {
    use super::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            any::<u128>().prop_map(|bits| { std::net::Ipv6Addr::from_bits(bits).into() })
        ]
    }

    fn target() -> impl Strategy<Value = Target> {
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
        prop_oneof![
            (1..=u32::MAX, any::<bool>()).prop_map(|(mark, ipv6)| Target::Mark { mark, ipv6 }),
            (protocol, address(), any::<u16>()).prop_map(|(protocol, address, port)| Target::Address {
                protocol,
                address,
                port
            }),
        ]
    }

    prop_compose! {
        fn service()(
            target in target(),
            scheduler in "[a-z]{1,15}",
            flags in proptest::sample::subsequence(
                vec![model::SchedulerFlag::First, model::SchedulerFlag::Second, model::SchedulerFlag::Third], 0..=3),
            persistence in proptest::option::of(1..=2_147_483_u32),
            mask in any::<u32>(),
            prefix in 1..=128_u8,
            engine in proptest::option::of("[a-z]{1,15}"),
            one_packet in any::<bool>(),
        ) -> Service {
            let ipv6 = target.is_ipv6();
            Service {
                target,
                scheduler,
                flags,
                persistence: persistence.map(|timeout| model::Persistence { timeout }),
                netmask: if ipv6 { Ipv4Addr::BROADCAST } else { Ipv4Addr::from_bits(mask) },
                prefix: if ipv6 { prefix } else { 32 },
                engine,
                one_packet,
            }
        }
    }

    prop_compose! {
        fn server()(
            address in address(),
            port in any::<u16>(),
            method in prop_oneof![
                Just(model::Method::Masq), Just(model::Method::Route), Just(model::Method::Tunnel), Just(model::Method::Local)],
            kind in prop_oneof![
                Just(model::TunnelKind::Ipip), Just(model::TunnelKind::Gue), Just(model::TunnelKind::Gre)],
            checksum in prop_oneof![
                Just(model::TunnelChecksum::None), Just(model::TunnelChecksum::Full), Just(model::TunnelChecksum::Remote)],
            numbers in any::<[u32; 3]>(),
            tunnel_port in any::<u16>(),
        ) -> Server {
            let [weight, upper_threshold, lower_threshold] = numbers;
            let tunnel = model::Tunnel { kind, port: tunnel_port, checksum };
            Server { address, port, method, tunnel, weight, upper_threshold, lower_threshold }
        }
    }

    /// The kernel tells of a server by the attributes that it takes, and by its load.
    fn told(server: &Server, target: Target) -> Vec<u8> {
        let whole = payload(&encode::order(FAMILY, &Order::AddServer(target, server.clone())));
        let attributes: Vec<_> = crate::dataplane::netlink::attributes(&whole[4..]).collect();
        let mut writer = Writer::default();
        writer.message(FAMILY, 0, 1).raw(&[uapi::command::NEW_DEST, 1, 0, 0]).nest(uapi::top::DEST, |inner| {
            inner.raw(attributes[1].1);
            inner.attribute(uapi::dest::ACTIVE_CONNS, &7_u32.to_ne_bytes());
            inner.attribute(uapi::dest::INACT_CONNS, &8_u32.to_ne_bytes());
            inner.attribute(uapi::dest::PERSIST_CONNS, &9_u32.to_ne_bytes());
            inner.nest(uapi::dest::STATS, |stats| {
                stats.attribute(1, &1_u32.to_ne_bytes());
            });
            inner.nest(uapi::dest::STATS64, |stats| {
                for kind in 1..=10_u16 {
                    stats.attribute(kind, &(u64::from(kind) << 40).to_ne_bytes());
                }
            });
        });
        payload(&writer)
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(service in service(), server in server()) {
            let bytes = payload(&encode::order(FAMILY, &Order::AddService(service.clone())));
            prop_assert_eq!(decode::entry(&bytes).map(|entry| entry.service), Some(service.clone()));
            let entry = decode::server(&told(&server, service.target), service.target.is_ipv6()).unwrap();
            prop_assert_eq!(&entry.server, &server);
            prop_assert_eq!((entry.active, entry.inactive, entry.persistent), (7, 8, 9));
            prop_assert_eq!((entry.counts.connections, entry.rates.out_bytes), (1 << 40, 10 << 40));
        }

        #[test]
        fn daemons_can_be_read(master in any::<bool>(), syncid in any::<u8>(), maxlen in any::<u16>(), group in address(),
                               port in any::<u16>(), ttl in any::<u8>(), interface in "[a-z0-9]{1,15}") {
            let role = if master { Role::Master } else { Role::Backup };
            let settings = DaemonSettings {
                interface: Some(interface.clone()), syncid: Some(syncid), maxlen: Some(maxlen), group: Some(group),
                port: Some(port), ttl: Some(ttl),
            };
            let bytes = payload(&encode::order(FAMILY, &Order::StartDaemon(role, settings)));
            let daemon = model::Daemon { role, interface, syncid, maxlen, group, port, ttl };
            prop_assert_eq!(decode::daemon(&bytes), Some(daemon));
        }

        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300), ipv6 in any::<bool>()) {
            decode::entry(&bytes);
            decode::server(&bytes, ipv6);
            decode::daemon(&bytes);
            decode::timeouts(&bytes);
            decode::table_size(&bytes);
            decode::family_id(&bytes);
        }

        #[test]
        fn broken_answers_are_an_answer_or_none(server in server(), at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let target = Target::Mark { mark: 1, ipv6: false };
            let mut bytes = told(&server, target);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            decode::server(&bytes, false);
            decode::server(&bytes[..at], false);
        }
    }

    #[test]
    fn long_names_are_cut_as_by_ipvsadm() {
        let target = Target::Mark { mark: 1, ipv6: false };
        let mut long = service_of(target);
        long.scheduler = "thisnameiswaytoolong".to_owned();
        let bytes = payload(&encode::order(FAMILY, &Order::AddService(long)));
        assert_eq!(decode::entry(&bytes).unwrap().service.scheduler, "thisnameiswayto");
    }

    #[test]
    fn questions_name_the_service() {
        let target = Target::Mark { mark: 5, ipv6: true };
        let bytes = payload(&encode::question(FAMILY, Question::Servers(&target)));
        assert_eq!(bytes[..4], [uapi::command::GET_DEST, uapi::VERSION, 0, 0]);
        let all = encode::question(FAMILY, Question::Services);
        assert_eq!(payload(&all), [uapi::command::GET_SERVICE, uapi::VERSION, 0, 0]);
    }

    fn service_of(target: Target) -> Service {
        Service {
            target,
            scheduler: "rr".to_owned(),
            flags: Vec::new(),
            persistence: None,
            netmask: Ipv4Addr::BROADCAST,
            prefix: 32,
            engine: None,
            one_packet: false,
        }
    }
}

/// Refuses as the kernel does.
#[derive(Debug, Default)]
struct Fake {
    services: Vec<(Service, Vec<Server>)>,
    without: Option<&'static str>,
}

impl Fake {
    fn find(&mut self, target: &Target) -> Result<&mut (Service, Vec<Server>), i32> {
        self.services.iter_mut().find(|(service, _)| service.target == *target).ok_or(libc::ESRCH)
    }

    fn obey(&mut self, order: &Order) -> Result<(), i32> {
        match order {
            Order::AddService(service) | Order::EditService(service)
                if self.without == Some(service.scheduler.as_str()) =>
            {
                return Err(libc::ENOENT);
            }
            Order::AddService(service) if self.find(&service.target).is_ok() => return Err(libc::EEXIST),
            Order::AddService(service) => self.services.push((service.clone(), Vec::new())),
            Order::EditService(service) => self.find(&service.target)?.0 = service.clone(),
            Order::RemoveService(target) => {
                self.find(target)?;
                self.services.retain(|(service, _)| service.target != *target);
            }
            Order::AddServer(target, server) => {
                let servers = &mut self.find(target)?.1;
                if servers.iter().any(|held| (held.address, held.port) == (server.address, server.port)) {
                    return Err(libc::EEXIST);
                }
                servers.insert(0, server.clone());
            }
            Order::EditServer(target, server) => {
                let servers = &mut self.find(target)?.1;
                let held = servers.iter_mut().find(|held| (held.address, held.port) == (server.address, server.port));
                *held.ok_or(libc::ENOENT)? = server.clone();
            }
            Order::RemoveServer(target, address, port) => {
                let servers = &mut self.find(target)?.1;
                let at = servers.iter().position(|held| (held.address, held.port) == (*address, *port));
                servers.remove(at.ok_or(libc::ENOENT)?);
            }
            _ => return Err(libc::EINVAL),
        }
        Ok(())
    }

    /// `10.0.0.100:80 rr: 10.1.0.1:80*3`.
    fn shown(&self) -> Vec<String> {
        let server = |server: &Server| format!(" {}:{}*{}", server.address, server.port, server.weight);
        let line = |(service, servers): &(Service, Vec<Server>)| {
            let name = match service.target {
                Target::Mark { mark, ipv6 } => format!("{mark}{}", if ipv6 { "v6" } else { "" }),
                Target::Address { address, port, .. } => format!("{address}:{port}"),
            };
            format!("{name} {}:{}", service.scheduler, servers.iter().map(server).collect::<String>())
        };
        self.services.iter().map(line).collect()
    }
}

impl Ipvs for Fake {
    fn order(&mut self, order: &Order) -> Result<(), Refusal> {
        self.obey(order).map_err(|code| Refusal::new(order, code))
    }

    fn servers(&mut self, target: &Target) -> io::Result<Vec<ServerEntry>> {
        let held = self.find(target).map(|(_, servers)| servers.clone()).unwrap_or_default();
        let entry = |server| ServerEntry {
            server,
            active: 0,
            inactive: 0,
            persistent: 0,
            counts: model::Counts::default(),
            rates: model::Counts::default(),
        };
        Ok(held.into_iter().map(entry).collect())
    }
}

const WEB: &str = "10.0.0.100:80";

fn id(socket: &str) -> ServiceId {
    let socket: SocketAddr = socket.parse().unwrap();
    ServiceId::Address(ServiceKey {
        protocol: standfast_ipvs::Protocol::Tcp,
        address: socket.ip(),
        port: socket.port(),
    })
}

fn config(id: ServiceId, scheduler: SchedulerKind) -> ServiceConfig {
    ServiceConfig {
        id,
        scheduler,
        flags: SchedulerFlags::default(),
        persistence: None,
        one_packet: false,
        full_nat: FullNat::default(),
    }
}

fn destination(socket: &str, weight: u32) -> DestinationConfig {
    let socket: SocketAddr = socket.parse().unwrap();
    DestinationConfig {
        address: socket.ip(),
        port: socket.port(),
        forwarding: Forwarding::Nat,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn web() -> Vec<TableChange> {
    vec![
        TableChange::AddService(config(id(WEB), SchedulerKind::Rr)),
        TableChange::AddDestination(id(WEB), destination("10.1.0.1:80", 1)),
        TableChange::AddDestination(id(WEB), destination("10.1.0.2:80", 2)),
    ]
}

/// A plan whose servers these are.
fn plan(text: &str) -> crate::health::Plan {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let loaded = crate::config::load(file.path(), "test");
    crate::health::Plan::new(&loaded.config, &mut crate::health::Ids::default(), &mut |_| None)
}

fn census() -> Census {
    Census::of(&plan(
        "virtual_server 10.0.0.100 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n sorry_server 10.1.0.9 80\n \
         real_server 10.1.0.1 80 {\n }\n real_server 10.1.0.2 80 {\n }\n real_server 10.1.0.3 80 {\n }\n}\n",
    ))
}

#[test]
fn pools_stand_in_the_table_and_leave_it() {
    let (mut estate, mut kernel) = (Estate::default(), Fake::default());
    let foreign = vec![TableChange::AddService(config(id("10.0.0.200:80"), SchedulerKind::Wlc))];
    Estate::default().apply(&foreign, &mut kernel);
    assert_eq!(estate.apply(&web(), &mut kernel), []);
    assert_eq!(kernel.shown(), ["10.0.0.200:80 wlc:", "10.0.0.100:80 rr: 10.1.0.2:80*2 10.1.0.1:80*1"]);
    let changes = [
        TableChange::EditDestination(id(WEB), destination("10.1.0.1:80", 0)),
        TableChange::RemoveDestination(id(WEB), "10.1.0.2:80".parse().unwrap()),
        TableChange::EditService(config(id(WEB), SchedulerKind::Sh)),
    ];
    assert_eq!(estate.apply(&changes, &mut kernel), []);
    assert_eq!(kernel.shown()[1], "10.0.0.100:80 sh: 10.1.0.1:80*0");
    assert_eq!(estate.apply(&[TableChange::RemoveService(id(WEB))], &mut kernel), []);
    assert_eq!(kernel.shown(), ["10.0.0.200:80 wlc:"]);
}

#[test]
fn what_a_killed_daemon_left_is_taken_over() {
    let mut kernel = Fake::default();
    Estate::default().apply(&web(), &mut kernel);
    let left = [
        TableChange::AddDestination(id(WEB), destination("10.1.0.3:80", 5)),
        TableChange::AddDestination(id(WEB), destination("10.1.0.9:80", 1)),
        TableChange::AddDestination(id(WEB), destination("10.9.9.9:80", 1)),
    ];
    for change in left {
        let TableChange::AddDestination(_, config) = &change else { continue };
        let target = kernel.services[0].0.target;
        kernel.obey(&Order::AddServer(target, model::convert::server_of(config))).unwrap();
    }
    let mut estate = Estate::default();
    estate.learn(census());
    let mut wanted = web();
    wanted[0] = TableChange::AddService(config(id(WEB), SchedulerKind::Wrr));
    let remarks = estate.apply(&wanted, &mut kernel);
    assert_eq!(kernel.shown(), ["10.0.0.100:80 wrr: 10.9.9.9:80*1 10.1.0.2:80*2 10.1.0.1:80*1"]);
    assert!(matches!(&remarks[..], [Remark::Warning(text)] if text.contains("10.9.9.9:80")), "{remarks:?}");
}

#[test]
fn what_somebody_takes_away_comes_back_whole_with_the_next_change() {
    let (mut estate, mut kernel) = (Estate::default(), Fake::default());
    estate.apply(&web(), &mut kernel);
    kernel.services.clear();
    let change = TableChange::EditDestination(id(WEB), destination("10.1.0.1:80", 7));
    let remarks = estate.apply(std::slice::from_ref(&change), &mut kernel);
    assert_eq!(kernel.shown(), ["10.0.0.100:80 rr: 10.1.0.2:80*2 10.1.0.1:80*7"]);
    assert!(matches!(&remarks[..], [Remark::Warning(_)]), "{remarks:?}");
    kernel.services[0].1.clear();
    assert_eq!(estate.apply(&[change], &mut kernel), []);
    assert_eq!(kernel.shown(), ["10.0.0.100:80 rr: 10.1.0.1:80*7"]);
    kernel.services.clear();
    let gone =
        [TableChange::RemoveDestination(id(WEB), "10.1.0.1:80".parse().unwrap()), TableChange::RemoveService(id(WEB))];
    assert_eq!(estate.apply(&gone, &mut kernel), [], "what is gone already needs no word");
}

#[test]
fn a_refused_service_is_told_once_and_made_when_its_fault_is_gone() {
    let (mut estate, mut kernel) = (Estate::default(), Fake { without: Some("rr"), ..Fake::default() });
    let remarks = estate.apply(&web(), &mut kernel);
    let told = "The kernel's IPVS refuses service [10.0.0.100]:tcp:80: Scheduler or persistence engine not found";
    assert_eq!(remarks, [Remark::Error(told.to_owned())]);
    let edited = TableChange::EditService(config(id(WEB), SchedulerKind::Wlc));
    assert_eq!(estate.apply(&[edited], &mut kernel), []);
    assert_eq!(kernel.shown(), ["10.0.0.100:80 wlc: 10.1.0.2:80*2 10.1.0.1:80*1"]);
}

#[test]
fn the_kernel_has_no_full_nat() {
    let (mut estate, mut kernel) = (Estate::default(), Fake::default());
    let mut changes = web();
    changes.truncate(1);
    let translated = DestinationConfig { forwarding: Forwarding::FullNat, ..destination("10.1.0.1:80", 1) };
    changes.push(TableChange::AddDestination(id(WEB), translated));
    let remarks = estate.apply(&changes, &mut kernel);
    assert!(matches!(&remarks[..], [Remark::Error(text)] if text.contains("no full NAT")), "{remarks:?}");
    assert_eq!(kernel.shown(), ["10.0.0.100:80 rr:"]);
}

#[test]
fn a_mark_has_the_family_of_its_servers() {
    let of = |server: &str, kind: &str, more: &str| {
        Census::of(&plan(&format!(
            "virtual_server fwmark 7 {{\n lb_algo rr\n lb_kind {kind}\n {more}\n real_server {server} 80 {{\n }}\n}}\n"
        )))
    };
    assert!(of("fd00::1", "NAT", "").is_ipv6(7) && !of("10.1.0.1", "NAT", "").is_ipv6(7));
    assert!(of("10.1.0.1", "TUN", "ip_family inet6").is_ipv6(7) && of("fd00::1", "TUN", "").is_ipv6(7));
    let (mut estate, mut kernel) = (Estate::default(), Fake::default());
    let add = |persistence| {
        TableChange::AddService(ServiceConfig { persistence, ..config(ServiceId::Fwmark(7), SchedulerKind::Rr) })
    };
    estate.learn(of("fd00::1", "NAT", ""));
    let single = Persistence { timeout: Duration::from_secs(60), prefix_len: 32, engine: None };
    estate.apply(&[add(Some(single))], &mut kernel);
    assert_eq!((kernel.shown(), kernel.services[0].0.prefix), (vec!["7v6 rr:".to_owned()], 128));
    estate.learn(of("10.1.0.1", "NAT", ""));
    let edited = TableChange::EditService(config(ServiceId::Fwmark(7), SchedulerKind::Rr));
    assert_eq!(estate.apply(&[edited], &mut kernel), []);
    assert_eq!(kernel.shown(), ["7 rr:"]);
}
