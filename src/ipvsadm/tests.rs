//! Command lines and listings against what ipvsadm 1.31 does.

use std::net::IpAddr;

use super::*;

struct Fixed;

impl Names for Fixed {
    fn address(&self, host: &str) -> Option<IpAddr> {
        (host == "localhost").then(|| IpAddr::from([127, 0, 0, 1]))
    }

    fn port(&self, service: &str, protocol: Protocol) -> Option<u16> {
        match (service, protocol) {
            ("http", Protocol::Tcp) => Some(80),
            ("ssh", Protocol::Tcp) => Some(22),
            ("domain", Protocol::Tcp | Protocol::Udp) => Some(53),
            _ => None,
        }
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        address.is_loopback().then(|| "localhost".to_owned())
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        let names = [("http", 80), ("ssh", 22), ("domain", 53)];
        let (name, _) = names.into_iter().find(|(name, at)| *at == port && self.port(name, protocol).is_some())?;
        Some(name.to_owned())
    }
}

fn read(line: &str) -> Result<Command, Refusal> {
    parse("ipvsadm", &split(line), &Fixed)
}

/// A table as these commands make it.
fn table(lines: &str) -> Table {
    let mut table = Table { size: 4096, entries: Vec::new() };
    for line in lines.lines() {
        match read(line).unwrap() {
            Command::AddService(service) => table.entries.push(Entry {
                service,
                counts: Counts::default(),
                rates: Rates::default(),
                servers: Vec::new(),
            }),
            Command::AddServer(target, server) => {
                let entry = table.entries.iter_mut().find(|entry| entry.service.target == target).unwrap();
                let (counts, rates) = (Counts::default(), Rates::default());
                let entry_of = ServerEntry { server, active: 0, inactive: 0, persistent: 0, counts, rates };
                entry.servers.insert(0, entry_of);
            }
            other => panic!("{other:?} makes no table"),
        }
    }
    table
}

fn list(lines: &str, options: &str) -> String {
    match read(options).unwrap() {
        Command::List(ListCommand::Services { target, view }) => {
            Listing::services(table(lines), target.is_some(), view, &Fixed)
        }
        other => panic!("{other:?} is no listing"),
    }
}

#[test]
fn refusals_have_ipvsadms_words_and_codes() {
    let table = include_str!("refusals.txt");
    for row in table.lines() {
        let (line, expected) = row.split_once(" => ").unwrap();
        let (code, text) = expected.split_once(' ').unwrap();
        let refusal = read(line).expect_err(line);
        assert_eq!((refusal.code.to_string().as_str(), refusal.text.as_str()), (code, text), "{line}");
    }
}

#[test]
fn a_service_has_its_defaults() {
    let Ok(Command::AddService(service)) = read("-A -t 10.0.0.1:80") else { panic!("no service") };
    assert_eq!((service.scheduler.as_str(), service.persistence, service.prefix), ("wlc", None, 128));
    assert_eq!(service.netmask, std::net::Ipv4Addr::BROADCAST);
}

#[test]
fn values_may_be_glued_on() {
    let persistence = |line| match read(line) {
        Ok(Command::AddService(service)) => service.persistence.map(|persistence| persistence.timeout),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(persistence("-A -t1.2.3.4:80 -p60"), Some(60));
    assert_eq!(persistence("-A -t=1.2.3.4:80 -p=60"), Some(60));
    assert_eq!(persistence("--add-service --tcp-service=1.2.3.4:80 --persistent=60"), Some(60));
    assert_eq!(persistence("-At 1.2.3.4:80 -p 60"), Some(60));
    assert_eq!(persistence("-A -u 1.2.3.4:80 -op60"), Some(60));
    assert_eq!(persistence("-A -u 1.2.3.4:80 -op"), Some(360));
    assert_eq!(persistence("-A -u 1.2.3.4:80 -p -o"), Some(360));
}

#[test]
fn old_forms_of_addresses_are_read() {
    let address = |line| match read(line) {
        Ok(Command::DeleteService(Target::Address { address, port, .. })) => format!("{address} {port}"),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(address("-D -t 1.2.3:80"), "1.2.0.3 80");
    assert_eq!(address("-D -t 01.2.3.4:080"), "1.2.3.4 80");
    assert_eq!(address("-D -t 0x0a000001:+80"), "10.0.0.1 80");
    assert_eq!(address("-D -t ::1:80"), "::1:80 0");
    assert_eq!(address("-D -t [::1]:http"), "::1 80");
}

#[test]
fn the_words_of_a_restored_line() {
    assert_eq!(split("  ipvsadm -A  -t 'a b':80 \t"), ["-A", "-t", "a b:80"]);
    assert!(split("   ").is_empty());
}

const TABLE: &str = "\
-A -t 10.0.0.100:80 -s wlc
-a -t 10.0.0.100:80 -r 10.1.0.1:80 -g -w 5
-a -t 10.0.0.100:80 -r 8.8.8.8:99 -m -w 65536
-a -t 10.0.0.100:80 -r 10.1.0.4:80 -i
-a -t 10.0.0.100:80 -r [fd01::1]:80 -i --tun-type gue --tun-port 5555 --tun-remcsum
-a -t 10.0.0.100:80 -r 10.1.0.10:99 -m -x 10 -y 6
-A -t 10.0.0.100:89 -s sh -b sh-port,sh-fallback
-A -t 10.0.0.100:91 -s rr -b flag-1,flag-2,flag-3
-A -t 192.0.2.1:80 -s rr
-A -u 10.0.0.100:85 -s rr -p 60 --pe sip
-A -u 10.0.0.100:88 -s rr -o -p 10
-A -t 10.0.0.100:84 -s rr --pe sip
-A -t [fd00::100]:80 -s wrr -p 60 -M 64
-a -t [fd00::100]:80 -r [fd01:1111:2222:3333:4444:5555:6666:7777]:80 -g
-A -t 10.0.0.108:80 -p 60 -M 255.255.255.0
-A -f 1 -s rr
-a -f 1 -r 10.1.0.1 -m
-A -f 1 -s rr -6";

#[test]
fn a_listing_has_its_columns() {
    insta::assert_snapshot!("plain", list(TABLE, "-Ln"));
    insta::assert_snapshot!("names", list(TABLE, "-L"));
    insta::assert_snapshot!("nosort", list(TABLE, "-Ln --nosort"));
    insta::assert_snapshot!("stats", list(TABLE, "-Ln --stats"));
    insta::assert_snapshot!("rate", list(TABLE, "-Ln --rate --thresholds"));
    insta::assert_snapshot!("thresholds", list(TABLE, "-Ln --thresholds"));
    insta::assert_snapshot!("persistent", list(TABLE, "-Ln --persistent-conn"));
    insta::assert_snapshot!("tunnels", list(TABLE, "-Ln --tun-info"));
    insta::assert_snapshot!("one", list("-A -t 10.0.0.100:80 -s wlc", "-Ln -t 10.0.0.100:80"));
}

#[test]
fn what_is_saved_makes_the_same_table() {
    let saved = save(table(TABLE), true, false, &Fixed);
    let again = save(table(&saved), true, false, &Fixed);
    // Servers are listed latest first, so the second round turns them around; as sets of lines they are the same.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(lines(&saved), lines(&again));
    insta::assert_snapshot!("saved", save(table(TABLE), true, true, &Fixed));
    insta::assert_snapshot!("saved_names", save(table(TABLE), false, true, &Fixed));
}

#[test]
fn connections_stand_in_columns() {
    let socket = |text: &str| text.parse().unwrap();
    let connection = |protocol, state: &str, client, service, server| Connection {
        protocol,
        expires: 119,
        state: state.to_owned(),
        client: socket(client),
        service: socket(service),
        server: socket(server),
        engine: None,
    };
    let connections = [
        connection(Some(Protocol::Tcp), "TIME_WAIT", "10.0.0.50:1000", "10.0.0.100:80", "10.1.0.50:8080"),
        connection(Some(Protocol::Tcp), "ESTABLISHED", "[fd00::50]:3005", "[fd00::100]:80", "[fd01::50]:80"),
        connection(None, "ASSURED", "10.0.0.2:0", "0.0.4.210:0", "10.1.0.2:0"),
    ];
    insta::assert_snapshot!(Listing::connections(&connections, true, false, &Fixed), @r"
    IPVS connection entries
    pro expire state       source             virtual            destination
    TCP 01:59  TIME_WAIT   10.0.0.50:1000     10.0.0.100:80      10.1.0.50:8080
    TCP 01:59  ESTABLISHED [fd00::50]:3005    [fd00::100]:80     [fd01::50]:80
    IP  01:59  ASSURED     10.0.0.2:0         0.0.4.210:0        10.1.0.2:0
    ");
}

#[test]
fn long_numbers_are_shortened_unless_exact() {
    let mut table = table("-A -t 10.0.0.100:80 -s rr");
    let counts =
        Counts { connections: 99_999_999, in_packets: 101_085_912, in_bytes: 5_000_000_000_000, ..Counts::default() };
    table.entries[0].counts = counts;
    let stats = |options| match read(options) {
        Ok(Command::List(ListCommand::Services { view, .. })) => Listing::services(table.clone(), true, view, &Fixed),
        other => panic!("{other:?}"),
    };
    assert!(
        stats("-Ln --stats")
            .ends_with("TCP  10.0.0.100:80                99999999  101085K        0 5000000M        0\n")
    );
    assert!(stats("-Ln --stats --exact").contains(" 99999999 101085912        0 5000000000000        0\n"));
}
