//! Sequences recorded from Linux 6.1's IPVS: servers .1, .2, ... added in this order, and which of them each of a row
//! of connections went to ('-' for none).

use std::net::{IpAddr, Ipv4Addr};

use super::{Flow, SchedulerFlags, SchedulerKind};
use crate::service::{DestinationConfig, Forwarding, Protocol, Registry, ServiceConfig, ServiceId, ServiceKey};

/// What becomes of each connection before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Held,
    Closed,
}

struct Bench {
    registry: Registry,
    id: ServiceId,
    load: Load,
    client_port: u16,
    now: u64,
}

impl Bench {
    fn new(scheduler: &str, flags: SchedulerFlags, load: Load) -> Bench {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));
        let id = ServiceId::Address(ServiceKey { protocol: Protocol::Tcp, address, port: 80 });
        let mut registry = Registry::new([1, 2]);
        let scheduler: SchedulerKind = scheduler.parse().unwrap();
        let config =
            ServiceConfig { id, scheduler, flags, persistence: None, one_packet: false, full_nat: Default::default() };
        registry.add_service(config).unwrap();
        Bench { registry, id, load, client_port: 20000, now: 0 }
    }

    fn with_weights(mut self, weights: &[u32]) -> Bench {
        for (server, &weight) in (1..).zip(weights) {
            self.registry.add_destination(&self.id, server_config(server, weight)).unwrap();
        }
        self
    }

    fn edit(&mut self, server: u8, weight: u32) {
        self.registry.edit_destination(&self.id, server_config(server, weight)).unwrap();
    }

    fn connect(&mut self, source: u8, destination: u8) -> char {
        let flow = Flow {
            source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, source)),
            source_port: self.client_port,
            destination: IpAddr::V4(Ipv4Addr::new(10, 0, 0, destination)),
            now: self.now,
        };
        self.client_port += 1;
        let Some(number) = self.registry.schedule(0, &flow) else { return '-' };
        let destination = self.registry.destination_mut(number).unwrap();
        match self.load {
            Load::Held => destination.active += 1,
            Load::Closed => destination.inactive += 1,
        }
        let IpAddr::V4(address) = destination.config.address else { unreachable!("the servers are IPv4") };
        char::from(b'0' + address.octets()[3])
    }

    fn run(&mut self, connections: usize) -> String {
        (0..connections).map(|_| self.connect(1, 100)).collect()
    }
}

fn server_config(server: u8, weight: u32) -> DestinationConfig {
    DestinationConfig {
        address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, server)),
        port: 80,
        forwarding: Forwarding::Nat,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

/// Sixty connections of one client.
#[rustfmt::skip]
const SEQUENCES: &[(&str, &[u32], Load, &str)] = &[
    ("rr", &[1, 2, 3], Load::Closed, "321321321321321321321321321321321321321321321321321321321321"),
    ("rr", &[1, 2, 3], Load::Held, "321321321321321321321321321321321321321321321321321321321321"),
    ("rr", &[5, 1, 1, 0], Load::Closed, "321321321321321321321321321321321321321321321321321321321321"),
    ("rr", &[5, 1, 1, 0], Load::Held, "321321321321321321321321321321321321321321321321321321321321"),
    ("wrr", &[1, 2, 3], Load::Closed, "321332321332321332321332321332321332321332321332321332321332"),
    ("wrr", &[1, 2, 3], Load::Held, "321332321332321332321332321332321332321332321332321332321332"),
    ("wrr", &[5, 1, 1, 0], Load::Closed, "321111132111113211111321111132111113211111321111132111113211"),
    ("wrr", &[5, 1, 1, 0], Load::Held, "321111132111113211111321111132111113211111321111132111113211"),
    ("lc", &[1, 2, 3], Load::Closed, "321321321321321321321321321321321321321321321321321321321321"),
    ("lc", &[1, 2, 3], Load::Held, "321321321321321321321321321321321321321321321321321321321321"),
    ("lc", &[5, 1, 1, 0], Load::Closed, "321321321321321321321321321321321321321321321321321321321321"),
    ("lc", &[5, 1, 1, 0], Load::Held, "321321321321321321321321321321321321321321321321321321321321"),
    ("wlc", &[1, 2, 3], Load::Closed, "321323321323321323321323321323321323321323321323321323321323"),
    ("wlc", &[1, 2, 3], Load::Held, "321323321323321323321323321323321323321323321323321323321323"),
    ("wlc", &[5, 1, 1, 0], Load::Closed, "321111132111113211111321111132111113211111321111132111113211"),
    ("wlc", &[5, 1, 1, 0], Load::Held, "321111132111113211111321111132111113211111321111132111113211"),
    ("sed", &[1, 2, 3], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("sed", &[1, 2, 3], Load::Held, "323321323321323321323321323321323321323321323321323321323321"),
    ("sed", &[5, 1, 1, 0], Load::Closed, "111111111111111111111111111111111111111111111111111111111111"),
    ("sed", &[5, 1, 1, 0], Load::Held, "111132111113211111321111132111113211111321111132111113211111"),
    ("nq", &[1, 2, 3], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("nq", &[1, 2, 3], Load::Held, "321332323321323321323321323321323321323321323321323321323321"),
    ("nq", &[5, 1, 1, 0], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("nq", &[5, 1, 1, 0], Load::Held, "321111111113211111321111132111113211111321111132111113211111"),
    ("fo", &[1, 2, 3], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("fo", &[1, 2, 3], Load::Held, "333333333333333333333333333333333333333333333333333333333333"),
    ("fo", &[5, 1, 1, 0], Load::Closed, "111111111111111111111111111111111111111111111111111111111111"),
    ("fo", &[5, 1, 1, 0], Load::Held, "111111111111111111111111111111111111111111111111111111111111"),
    ("ovf", &[1, 2, 3], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("ovf", &[1, 2, 3], Load::Held, "333322211---------------------------------------------------"),
    ("ovf", &[5, 1, 1, 0], Load::Closed, "111111111111111111111111111111111111111111111111111111111111"),
    ("ovf", &[5, 1, 1, 0], Load::Held, "1111113322--------------------------------------------------"),
    ("sh", &[1, 2, 3], Load::Closed, "222222222222222222222222222222222222222222222222222222222222"),
    ("sh", &[1, 2, 3], Load::Held, "222222222222222222222222222222222222222222222222222222222222"),
    ("sh", &[5, 1, 1, 0], Load::Closed, "111111111111111111111111111111111111111111111111111111111111"),
    ("sh", &[5, 1, 1, 0], Load::Held, "111111111111111111111111111111111111111111111111111111111111"),
    ("dh", &[1, 2, 3], Load::Closed, "111111111111111111111111111111111111111111111111111111111111"),
    ("dh", &[1, 2, 3], Load::Held, "111111111111111111111111111111111111111111111111111111111111"),
    ("dh", &[5, 1, 1, 0], Load::Closed, "------------------------------------------------------------"),
    ("dh", &[5, 1, 1, 0], Load::Held, "------------------------------------------------------------"),
    ("mh", &[1, 2, 3], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("mh", &[1, 2, 3], Load::Held, "333333333333333333333333333333333333333333333333333333333333"),
    ("mh", &[5, 1, 1, 0], Load::Closed, "111111111111111111111111111111111111111111111111111111111111"),
    ("mh", &[5, 1, 1, 0], Load::Held, "111111111111111111111111111111111111111111111111111111111111"),
    ("lblc", &[1, 2, 3], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("lblc", &[1, 2, 3], Load::Held, "333322211111111111111111111111111111111111111111111111111111"),
    ("lblc", &[5, 1, 1, 0], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("lblc", &[5, 1, 1, 0], Load::Held, "332211111111111111111111111111111111111111111111111111111111"),
    ("lblcr", &[1, 2, 3], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("lblcr", &[1, 2, 3], Load::Held, "333322211323123323123323123323123323123323123323123323123323"),
    ("lblcr", &[5, 1, 1, 0], Load::Closed, "333333333333333333333333333333333333333333333333333333333333"),
    ("lblcr", &[5, 1, 1, 0], Load::Held, "332211111111111231111123111112311111231111123111112311111231"),
];

#[test]
fn sixty_connections_of_one_client() {
    for &(scheduler, weights, load, wanted) in SEQUENCES {
        let mut bench = Bench::new(scheduler, SchedulerFlags::default(), load).with_weights(weights);
        assert_eq!(bench.run(60), wanted, "{scheduler} {weights:?} {load:?}");
    }
}

/// Scheduler, weights, fallback, port; choices from port 20000 and from port 30000 on.
type BySource = (&'static str, &'static [u32], bool, bool, [&'static str; 2]);

/// Twenty clients, .1 to .20, twice.
#[rustfmt::skip]
const BY_SOURCE: &[BySource] = &[
    ("sh", &[1, 1, 1], false, false, ["31213231323233121223", "31213231323233121223"]),
    ("sh", &[1, 2, 3], false, false, ["21313233332323323232", "21313233332323323232"]),
    ("sh", &[5, 1, 1, 0], false, false, ["13111-21113111-21113", "13111-21113111-21113"]),
    ("sh", &[3, 0, 2, 1], false, false, ["11141333111443331144", "11141333111443331144"]),
    ("sh", &[1001, 2003, 3001], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("sh", &[99999, 7, 1], false, false, ["11111111111111111121", "11111111111111111121"]),
    ("sh", &[1, 300, 1], false, false, ["22222222222222222222", "22222222222222222222"]),
    ("sh", &[200, 100, 300], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("sh", &[1, 1, 1], false, true, ["22322333311111212232", "21222223313111112222"]),
    ("sh", &[1, 2, 3], false, true, ["33322223311333312223", "23333222233111333322"]),
    ("sh", &[5, 1, 1, 0], false, true, ["31-1-112131-1-112131", "213131-11213131-1121"]),
    ("sh", &[3, 0, 2, 1], false, true, ["3144-134-134-133-133", "1131413143314-314-31"]),
    ("sh", &[1001, 2003, 3001], false, true, ["33333333333333333333", "33333333333333333333"]),
    ("sh", &[99999, 7, 1], false, true, ["11311111111111111111", "11111111121111111111"]),
    ("sh", &[1, 300, 1], false, true, ["22322222222222222222", "22222222222222222222"]),
    ("sh", &[200, 100, 300], false, true, ["33333333333333333333", "33333333333333333333"]),
    ("sh", &[1, 1, 1], true, false, ["31213231323233121223", "31213231323233121223"]),
    ("sh", &[1, 2, 3], true, false, ["21313233332323323232", "21313233332323323232"]),
    ("sh", &[5, 1, 1, 0], true, false, ["13111321113111321113", "13111321113111321113"]),
    ("sh", &[3, 0, 2, 1], true, false, ["11141333111443331144", "11141333111443331144"]),
    ("sh", &[1001, 2003, 3001], true, false, ["33333333333333333333", "33333333333333333333"]),
    ("sh", &[99999, 7, 1], true, false, ["11111111111111111121", "11111111111111111121"]),
    ("sh", &[1, 300, 1], true, false, ["22222222222222222222", "22222222222222222222"]),
    ("sh", &[200, 100, 300], true, false, ["33333333333333333333", "33333333333333333333"]),
    ("sh", &[1, 1, 1], true, true, ["22322333311111212232", "21222223313111112222"]),
    ("sh", &[1, 2, 3], true, true, ["33322223311333312223", "23333222233111333322"]),
    ("sh", &[5, 1, 1, 0], true, true, ["31313112131313112131", "21313131121313131121"]),
    ("sh", &[3, 0, 2, 1], true, true, ["31443134313431333133", "11314131433141314131"]),
    ("sh", &[1001, 2003, 3001], true, true, ["33333333333333333333", "33333333333333333333"]),
    ("sh", &[99999, 7, 1], true, true, ["11311111111111111111", "11111111121111111111"]),
    ("sh", &[1, 300, 1], true, true, ["22322222222222222222", "22222222222222222222"]),
    ("sh", &[200, 100, 300], true, true, ["33333333333333333333", "33333333333333333333"]),
    ("mh", &[1, 1, 1], false, false, ["12322332132232323111", "12322332132232323111"]),
    ("mh", &[1, 2, 3], false, false, ["32332332332232323312", "32332332332232323312"]),
    ("mh", &[5, 1, 1, 0], false, false, ["11312132111211111111", "11312132111211111111"]),
    ("mh", &[3, 0, 2, 1], false, false, ["11343333131331411114", "11343333131331411114"]),
    ("mh", &[1001, 2003, 3001], false, false, ["32332332332232323312", "32332332332232323312"]),
    ("mh", &[99999, 7, 1], false, false, ["11111111111211111111", "11111111111211111111"]),
    ("mh", &[1, 300, 1], false, false, ["22222222222222222222", "22222222222222222222"]),
    ("mh", &[200, 100, 300], false, false, ["11332332133231313111", "11332332133231313111"]),
    ("mh", &[1, 1, 1], false, true, ["12113233133113223213", "23122312123231322232"]),
    ("mh", &[1, 2, 3], false, true, ["12133233133133223213", "23322322123233332232"]),
    ("mh", &[5, 1, 1, 0], false, true, ["11111231111113211211", "11122312121131311212"]),
    ("mh", &[3, 0, 2, 1], false, true, ["11113433413113144313", "43433314141131344333"]),
    ("mh", &[1001, 2003, 3001], false, true, ["12133233133133223213", "23322322123233332232"]),
    ("mh", &[99999, 7, 1], false, true, ["11111111111111111111", "11121111111111311111"]),
    ("mh", &[1, 300, 1], false, true, ["22222222222122222212", "22222222222222222222"]),
    ("mh", &[200, 100, 300], false, true, ["13113233133113233313", "13323312123133331332"]),
    ("mh", &[1, 1, 1], true, false, ["12322332132232323111", "12322332132232323111"]),
    ("mh", &[1, 2, 3], true, false, ["32332332332232323312", "32332332332232323312"]),
    ("mh", &[5, 1, 1, 0], true, false, ["11312132111211111111", "11312132111211111111"]),
    ("mh", &[3, 0, 2, 1], true, false, ["11343333131331411114", "11343333131331411114"]),
    ("mh", &[1001, 2003, 3001], true, false, ["32332332332232323312", "32332332332232323312"]),
    ("mh", &[99999, 7, 1], true, false, ["11111111111211111111", "11111111111211111111"]),
    ("mh", &[1, 300, 1], true, false, ["22222222222222222222", "22222222222222222222"]),
    ("mh", &[200, 100, 300], true, false, ["11332332133231313111", "11332332133231313111"]),
    ("mh", &[1, 1, 1], true, true, ["12113233133113223213", "23122312123231322232"]),
    ("mh", &[1, 2, 3], true, true, ["12133233133133223213", "23322322123233332232"]),
    ("mh", &[5, 1, 1, 0], true, true, ["11111231111113211211", "11122312121131311212"]),
    ("mh", &[3, 0, 2, 1], true, true, ["11113433413113144313", "43433314141131344333"]),
    ("mh", &[1001, 2003, 3001], true, true, ["12133233133133223213", "23322322123233332232"]),
    ("mh", &[99999, 7, 1], true, true, ["11111111111111111111", "11121111111111311111"]),
    ("mh", &[1, 300, 1], true, true, ["22222222222122222212", "22222222222222222222"]),
    ("mh", &[200, 100, 300], true, true, ["13113233133113233313", "13323312123133331332"]),
    ("lblc", &[1, 1, 1], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("lblc", &[1, 2, 3], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("lblc", &[5, 1, 1, 0], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("lblc", &[3, 0, 2, 1], false, false, ["44444444444444444444", "44444444444444444444"]),
    ("lblcr", &[1, 1, 1], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("lblcr", &[1, 2, 3], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("lblcr", &[5, 1, 1, 0], false, false, ["33333333333333333333", "33333333333333333333"]),
    ("lblcr", &[3, 0, 2, 1], false, false, ["44444444444444444444", "44444444444444444444"]),
];

#[test]
fn twenty_clients() {
    for &(scheduler, weights, fallback, port, wanted) in BY_SOURCE {
        for (first_port, wanted) in [20000, 30000].into_iter().zip(wanted) {
            let flags = SchedulerFlags { fallback, port };
            let mut bench = Bench::new(scheduler, flags, Load::Closed).with_weights(weights);
            bench.client_port = first_port;
            let got: String = (1..=20).map(|source| bench.connect(source, 100)).collect();
            assert_eq!(got, wanted, "{scheduler} {weights:?} {flags:?} from port {first_port}");
        }
    }
}

/// Twenty virtual addresses, .100 to .119, of one firewall-mark service.
#[rustfmt::skip]
const BY_DESTINATION: &[(&str, &[u32], &str)] = &[
    ("dh", &[1, 1, 1], "13212321312231311232"),
    ("dh", &[1, 2, 3], "13212321312231311232"),
    ("dh", &[5, 1, 1, 0], "-213131-2-213131-2-2"),
    ("lblc", &[1, 1, 1], "32132132132132132132"),
    ("lblc", &[1, 2, 3], "32132332132332132332"),
    ("lblc", &[5, 1, 1, 0], "32111113211111321111"),
    ("lblcr", &[1, 1, 1], "32132132132132132132"),
    ("lblcr", &[1, 2, 3], "32132332132332132332"),
    ("lblcr", &[5, 1, 1, 0], "32111113211111321111"),
];

#[test]
fn twenty_virtual_addresses() {
    for &(scheduler, weights, wanted) in BY_DESTINATION {
        let mut bench = Bench::new(scheduler, SchedulerFlags::default(), Load::Closed).with_weights(weights);
        let got: String = (100..120).map(|destination| bench.connect(1, destination)).collect();
        assert_eq!(got, wanted, "{scheduler} {weights:?}");
    }
}

type Step = fn(&mut Bench);

/// What happens to the pool before each part of a dynamic sequence.
const STEPS: [Step; 9] = [
    |bench| {
        for server in 1..=3 {
            bench.registry.add_destination(&bench.id, server_config(server, u32::from(server))).unwrap();
        }
    },
    |bench| bench.edit(2, 0),
    |bench| bench.edit(2, 4),
    |bench| bench.registry.remove_destination(&bench.id, server_config(1, 1).address, 80).unwrap(),
    |bench| bench.registry.add_destination(&bench.id, server_config(1, 2)).unwrap(),
    |bench| bench.registry.add_destination(&bench.id, server_config(4, 1)).unwrap(),
    |bench| (1..=4).for_each(|server| bench.edit(server, 0)),
    |bench| [(1, 6), (2, 4), (3, 2), (4, 8)].into_iter().for_each(|(server, weight)| bench.edit(server, weight)),
    |bench| {
        let config = bench.registry.service_of(&bench.id).unwrap().config.clone();
        bench.registry.edit_service(config).unwrap();
    },
];

/// Servers 1, 2, 3 of weights 1, 2, 3; then server 2 gets weight 0, then 4; server 1 goes, returns with weight 2; server
/// 4 comes with weight 1; all get 0; they get 6, 4, 2, 8; the service is edited without a change.
#[rustfmt::skip]
const DYNAMIC: &[(&str, Load, [&str; 9])] = &[
    ("rr", Load::Closed, ["3213213", "13131313", "2132132132132", "323232323", "2132132132132", "41324132413241", "--", "3241324132413241324132", "4132413241"]),
    ("rr", Load::Held, ["3213213", "13131313", "2132132132132", "323232323", "2132132132132", "41324132413241", "--", "3241324132413241324132", "4132413241"]),
    ("wrr", Load::Closed, ["3213323", "31333133", "3232123232321", "322323232", "1322321321322", "23213241322321", "--", "4132441412413244141241", "3244141241"]),
    ("wrr", Load::Held, ["3213323", "31333133", "3232123232321", "322323232", "1322321321322", "23213241322321", "--", "4132441412413244141241", "3244141241"]),
    ("lc", Load::Closed, ["3213213", "13131313", "2222213213213", "232323232", "1111113213213", "44444444444444", "--", "4442413241324132413241", "3241324132"]),
    ("lc", Load::Held, ["3213213", "13131313", "2222213213213", "232323232", "1111113213213", "44444444444444", "--", "4442413241324132413241", "3241324132"]),
    ("wlc", Load::Closed, ["3213233", "13331333", "2222222222212", "323232232", "1111113213223", "44444412324132", "--", "4444444444414144141414", "4141414414"]),
    ("wlc", Load::Held, ["3213233", "13331333", "2222222222212", "323232232", "1111113213223", "44444412324132", "--", "4444444444414144141414", "4141414414"]),
    ("sed", Load::Closed, ["3333333", "33333333", "2222222222222", "222222222", "2222222222222", "22222222222222", "--", "4444444444444444444444", "4444444444"]),
    ("sed", Load::Held, ["3233213", "33133313", "2222222222223", "232232323", "1111111223123", "44444241322312", "--", "4444444444441441414144", "1414144141"]),
    ("nq", Load::Closed, ["3333333", "33333333", "3333333333333", "333333333", "1111111111111", "44444444444444", "--", "4444444444444444444444", "4444444444"]),
    ("nq", Load::Held, ["3213323", "33133313", "2222222222223", "232232323", "1111111223123", "44444241322312", "--", "4444444444441441414144", "1414144141"]),
    ("fo", Load::Closed, ["3333333", "33333333", "2222222222222", "222222222", "2222222222222", "22222222222222", "--", "4444444444444444444444", "4444444444"]),
    ("fo", Load::Held, ["3333333", "33333333", "2222222222222", "222222222", "2222222222222", "22222222222222", "--", "4444444444444444444444", "4444444444"]),
    ("ovf", Load::Closed, ["3333333", "33333333", "2222222222222", "222222222", "2222222222222", "22222222222222", "--", "4444444444444444444444", "4444444444"]),
    ("ovf", Load::Held, ["3333222", "11------", "22-----------", "---------", "1------------", "44------------", "--", "44444441111-----------", "----------"]),
    ("sh", Load::Closed, ["2222222", "11111111", "1111111111111", "222222222", "3333333333333", "22222222222222", "--", "2222222222222222222222", "2222222222"]),
    ("sh", Load::Held, ["2222222", "11111111", "1111111111111", "222222222", "3333333333333", "22222222222222", "--", "2222222222222222222222", "2222222222"]),
    ("dh", Load::Closed, ["1111111", "11111111", "1111111111111", "333333333", "2222222222222", "44444444444444", "--", "4444444444444444444444", "4444444444"]),
    ("dh", Load::Held, ["1111111", "11111111", "1111111111111", "333333333", "2222222222222", "44444444444444", "--", "4444444444444444444444", "4444444444"]),
    ("mh", Load::Closed, ["3333333", "33333333", "3333333333333", "333333333", "1111111111111", "11111111111111", "--", "4444444444444444444444", "4444444444"]),
    ("mh", Load::Held, ["3333333", "33333333", "3333333333333", "333333333", "1111111111111", "11111111111111", "--", "4444444444444444444444", "4444444444"]),
    ("lblc", Load::Closed, ["3333333", "33333333", "3333333333333", "333333333", "3333333333333", "33333333333333", "--", "3333333333333333333333", "3333333333"]),
    ("lblc", Load::Held, ["3333222", "11111111", "1111111111111", "222222222", "2222222222222", "44444444444444", "--", "4444444444444444444444", "4444444444"]),
    ("lblcr", Load::Closed, ["3333333", "33333333", "3333333333333", "333333333", "3333333333333", "33333333333333", "--", "3333333333333333333333", "3333333333"]),
    ("lblcr", Load::Held, ["3333222", "11331333", "2222222221232", "323223232", "1111113212323", "44444412324123", "--", "4444444444414144141414", "4141414414"]),
];

#[test]
fn pools_that_change() {
    for &(scheduler, load, wanted) in DYNAMIC {
        let mut bench = Bench::new(scheduler, SchedulerFlags::default(), load);
        bench.client_port = 20001;
        for (step, wanted) in STEPS.iter().zip(wanted) {
            step(&mut bench);
            assert_eq!(bench.run(wanted.len()), wanted, "{scheduler} {load:?}");
        }
    }
}

/// Not recorded: the kernel draws at random.
#[test]
fn two_choices_follow_weight_and_load() {
    let share = |weights: &[u32], active| {
        let mut bench = Bench::new("twos", SchedulerFlags::default(), Load::Closed).with_weights(weights);
        bench.registry.destination_mut(0).unwrap().active = active;
        let picks = (0..4000).map(|_| {
            let chosen = bench.connect(1, 100);
            (0..2).for_each(|number| bench.registry.destination_mut(number).unwrap().inactive = 0);
            chosen
        });
        picks.filter(|&server| server == '1').count()
    };
    let idle = share(&[1, 3], 0);
    assert!((900..1100).contains(&idle), "a quarter of the weight: {idle}");
    let busy = share(&[1, 1], 100);
    assert!((900..1100).contains(&busy), "only when drawn twice: {busy}");
    assert_eq!(share(&[0, 1], 0), 0);
}

/// A shelf of `lblc` has room for more addresses than any test of chance would fill.
#[test]
fn a_thousand_addresses_keep_their_servers() {
    let mut bench = Bench::new("lblc", SchedulerFlags::default(), Load::Closed).with_weights(&[1, 1, 1]);
    let mut servers = || -> Vec<Option<u32>> {
        let flow = |number: u32| Flow {
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            source_port: 1,
            destination: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)),
            now: 0,
        };
        (0..1000)
            .map(|number| {
                let chosen = bench.registry.schedule(0, &flow(number));
                bench.registry.destination_mut(chosen?).unwrap().inactive += 1;
                chosen
            })
            .collect()
    };
    assert_eq!(servers(), servers());
}

/// A day and a tick.
const TOMORROW: u64 = 24 * 60 * 60 * 64 + 1;

impl Bench {
    fn end_all(&mut self, servers: u32) {
        for number in 0..servers {
            let destination = self.registry.destination_mut(number).unwrap();
            (destination.active, destination.inactive) = (0, 0);
        }
    }
}

/// Not recorded, as it takes a day: by the rules of ip_vs_lblcr.c.
#[test]
fn a_set_that_stays_the_same_loses_its_busiest_server() {
    let mut bench = Bench::new("lblcr", SchedulerFlags::default(), Load::Held).with_weights(&[1, 1, 1]);
    assert_eq!(bench.run(7), "3322111", "the set grows while there are idle servers");
    bench.end_all(3);
    bench.now = TOMORROW / 2;
    assert_eq!(bench.run(1), "1");
    bench.end_all(3);
    bench.now = TOMORROW;
    assert_eq!(bench.run(6), "123232", "the first of equals is chosen once more, and is out of the set then");
}

#[test]
fn an_address_without_connections_for_a_day_is_forgotten() {
    let mut bench = Bench::new("lblc", SchedulerFlags::default(), Load::Closed).with_weights(&[1, 1]);
    assert_eq!(bench.run(2), "22");
    bench.now = TOMORROW - 1;
    assert_eq!(bench.run(1), "2");
    bench.now += TOMORROW;
    assert_eq!(bench.run(1), "1");
}
