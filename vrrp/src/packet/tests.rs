use super::*;
use crate::config::{Authentication, Family, Link, PeerTtl, RouterConfig, Version};
use std::net::IpAddr;

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn router(version: Version, addresses: &[&str]) -> RouterConfig {
    let mut config = RouterConfig::new("VI_1", Link(2), 51);
    config.version = version;
    config.addresses = addresses.iter().map(|address| ip(address)).collect();
    if config.addresses.iter().any(IpAddr::is_ipv6) {
        config.family = Family::V6;
        config.multicast_group = RouterConfig::default_group(Family::V6);
    }
    config
}

fn with_password(mut config: RouterConfig, password: &[u8; 8]) -> RouterConfig {
    config.authentication = Authentication::Pass(*password);
    config
}

fn every(mut config: RouterConfig, ms: u64) -> RouterConfig {
    config.advert_interval = std::time::Duration::from_millis(ms);
    config
}

/// One advert as keepalived 2.2.7 sent it, from behind the IP header.
struct Fixture {
    name: &'static str,
    config: RouterConfig,
    priority: u8,
    source: &'static str,
    destination: &'static str,
    octets: &'static str,
}

fn fixtures() -> Vec<Fixture> {
    let v4 = |version| router(version, &["10.77.0.200"]);
    let fixture = |name, config, priority, octets| Fixture {
        name,
        config,
        priority,
        source: "10.77.0.1",
        destination: "224.0.0.18",
        octets,
    };
    vec![
        fixture(
            "version 2 without authentication",
            v4(Version::V2),
            100,
            "21 33 64 01 00 01 6f b5 0a 4d 00 c8 00 00 00 00 00 00 00 00",
        ),
        fixture(
            "version 2 resigning",
            v4(Version::V2),
            0,
            "21 33 00 01 00 01 d3 b5 0a 4d 00 c8 00 00 00 00 00 00 00 00",
        ),
        fixture(
            "version 2 with PASS",
            with_password(v4(Version::V2), b"secret77"),
            100,
            "21 33 64 01 01 01 fb 31 0a 4d 00 c8 73 65 63 72 65 74 37 37",
        ),
        fixture(
            "version 2 with a short password",
            with_password(v4(Version::V2), b"1111\0\0\0\0"),
            100,
            "21 33 64 01 01 01 0c 53 0a 4d 00 c8 31 31 31 31 00 00 00 00",
        ),
        fixture(
            "version 2 with three addresses",
            router(Version::V2, &["10.77.0.202", "10.77.0.201", "10.77.0.203"]),
            100,
            "21 33 64 03 00 01 59 83 0a 4d 00 ca 0a 4d 00 c9 0a 4d 00 cb 00 00 00 00 00 00 00 00",
        ),
        fixture(
            "version 2 every three seconds",
            every(v4(Version::V2), 3_000),
            100,
            "21 33 64 01 00 03 6f b3 0a 4d 00 c8 00 00 00 00 00 00 00 00",
        ),
        fixture(
            "version 3 at its longest interval",
            every(v4(Version::V3), 40_950),
            255,
            "31 33 ff 01 0f ff c9 d9 0a 4d 00 c8",
        ),
        fixture("version 3", v4(Version::V3), 100, "31 33 64 01 00 64 74 75 0a 4d 00 c8"),
        Fixture {
            destination: "10.77.0.100",
            ..fixture("version 3 to a peer", v4(Version::V3), 100, "31 33 64 01 00 64 49 d7 0a 4d 00 c8")
        },
        Fixture {
            source: "fe80::77:ff:fe00:1",
            destination: "ff02::12",
            ..fixture(
                "version 3 over IPv6",
                router(Version::V3, &["fe80::77", "fd77::200"]),
                100,
                "31 33 64 02 00 64 6e 50 fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 77 \
                 fd 77 00 00 00 00 00 00 00 00 00 00 00 00 02 00",
            )
        },
        Fixture {
            source: "fd77::1",
            destination: "fd77::64",
            ..fixture(
                "version 3 over IPv6 to a peer",
                router(Version::V3, &["fd77::200"]),
                100,
                "31 33 64 01 00 64 6f 12 fd 77 00 00 00 00 00 00 00 00 00 00 00 00 02 00",
            )
        },
    ]
}

fn expectation(fixture: &Fixture) -> Expectation<'_> {
    Expectation {
        config: &fixture.config,
        source: ip(fixture.source),
        destination: ip(fixture.destination),
        ttl: Some(255),
        compare_addresses: true,
    }
}

#[test]
fn adverts_are_keepalived_s_octet_for_octet() {
    for fixture in fixtures() {
        let spec = AdvertSpec::of(&fixture.config, fixture.priority);
        let sent = spec.encode(&ip(fixture.source), &ip(fixture.destination));
        assert_eq!(sent, hex(fixture.octets), "{}", fixture.name);
    }
}

#[test]
fn keepalived_s_adverts_pass_all_checks() {
    for fixture in fixtures() {
        let octets = hex(fixture.octets);
        let advert = Advert::parse(&octets, fixture.config.family, false).unwrap();
        assert_eq!(advert.check(&expectation(&fixture)), Ok(()), "{}", fixture.name);
        assert_eq!(advert.vrid(), 51, "{}", fixture.name);
        assert_eq!(advert.priority(), fixture.priority, "{}", fixture.name);
        assert_eq!(advert.interval(), fixture.config.advert_interval, "{}", fixture.name);
        assert!(advert.addresses().eq(fixture.config.addresses.iter().copied()), "{}", fixture.name);
    }
}

#[test]
fn the_ip_header_is_keepalived_s() {
    let header = ipv4_header([10, 77, 0, 1].into(), [224, 0, 0, 18].into(), PROTOCOL_VRRP, 255, 1, 20);
    assert_eq!(header.to_vec(), hex("45 c0 00 28 00 01 00 00 ff 70 d0 44 0a 4d 00 01 e0 00 00 12"));
}

/// The AH frames of keepalived: IP header, sequence and identification, what follows.
const AH_FRAMES: [(u16, &str, &str); 2] = [
    (
        1,
        "45 c0 00 40 00 01 00 00 ff 33 d0 69 0a 4d 00 01 e0 00 00 12",
        "70 04 00 00 0a 4d 00 01 00 00 00 01 68 75 1b 00 e9 1f a1 f0 95 dc a3 ef \
         21 33 64 01 02 01 6d b5 0a 4d 00 c8 00 00 00 00 00 00 00 00",
    ),
    (
        4,
        "45 c0 00 40 00 04 00 00 ff 33 d0 66 0a 4d 00 01 e0 00 00 12",
        "70 04 00 00 0a 4d 00 01 00 00 00 04 d2 6a e5 4e 55 ca 72 3f 7c e6 d1 ae \
         21 33 00 01 02 01 d1 b5 0a 4d 00 c8 00 00 00 00 00 00 00 00",
    ),
];

fn ah_router() -> RouterConfig {
    RouterConfig { authentication: Authentication::Ah(*b"secret77"), ..router(Version::V2, &["10.77.0.200"]) }
}

#[test]
fn authentication_headers_are_keepalived_s_octet_for_octet() {
    for ((number, header, payload), priority) in AH_FRAMES.into_iter().zip([100, 0]) {
        let message = AdvertSpec::of(&ah_router(), priority).encode(&ip("10.77.0.1"), &ip("224.0.0.18"));
        let spec = Seal {
            key: *b"secret77",
            source: [10, 77, 0, 1].into(),
            destination: [224, 0, 0, 18].into(),
            identification: number,
            ttl: 255,
            sequence: number.into(),
        };
        assert_eq!(seal(&spec, &message), hex(payload));
        let ip = ipv4_header(spec.source, spec.destination, PROTOCOL_AH, 255, number, payload.len().min(44));
        assert_eq!(ip.to_vec(), hex(header));
    }
}

/// A unicast advert of keepalived 2.2.7 with priority 150 and the password `secret`.
#[test]
fn the_authentication_header_of_a_unicast_advert_covers_no_ttl() {
    let header = hex("45 c0 00 40 00 01 00 00 ff 33 a6 2d 0a 4d 00 01 0a 4d 00 02");
    let payload = hex("70 04 00 00 0a 4d 00 01 00 00 00 01 ea 3c be 6b ff 56 a9 ee 26 fe f0 4e \
                       21 33 96 01 02 01 3b b5 0a 4d 00 c8 00 00 00 00 00 00 00 00");
    let message = AdvertSpec::of(&ah_router(), 150).encode(&ip("10.77.0.1"), &ip("10.77.0.2"));
    let spec = Seal {
        key: *b"secret\0\0",
        source: [10, 77, 0, 1].into(),
        destination: [10, 77, 0, 2].into(),
        identification: 1,
        ttl: 255,
        sequence: 1,
    };
    assert_eq!(seal(&spec, &message), payload);
    assert_eq!(open(*b"secret\0\0", &header, &payload), Ok((message.as_slice(), 1)));
}

#[test]
fn authentication_headers_are_opened_with_the_right_key_only() {
    for (number, header, payload) in AH_FRAMES {
        let (header, payload) = (hex(header), hex(payload));
        let (message, sequence) = open(*b"secret77", &header, &payload).unwrap();
        assert_eq!((sequence, message), (number.into(), &payload[AH_LEN..]));
        assert_eq!(open(*b"secret78", &header, &payload), Err(Rejection::AhDigest));
        let mut changed = payload.clone();
        changed[AH_LEN + 2] ^= 1;
        assert_eq!(open(*b"secret77", &header, &changed), Err(Rejection::AhDigest));
        assert_eq!(open(*b"secret77", &header[..19], &payload), Err(Rejection::AhHeader));
        assert_eq!(open(*b"secret77", &header, &payload[..23]), Err(Rejection::AhHeader));
    }
}

/// An advert, what is done to it, and what keepalived says of it.
#[test]
fn rejections_are_told_in_keepalived_s_words() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(Version, Change, &str); 13] = [
        (Version::V2, |p| p.truncate(6), "IPv4 VRRP packet too short - 26 bytes"),
        (Version::V2, |p| p[3] = 5, "vrrp packet too short, length 40 and expect 56"),
        (Version::V3, |p| p[3] = 5, "vrrp packet too short, length 32 and expect 48"),
        (Version::V2, |p| p.extend([0; 8]), "vrrp packet too long, length 48 and expect 40"),
        (Version::V2, |p| p[0] = 0x41, "vrrp packet too long, length 40 and expect 32"),
        (Version::V3, |p| p[0] = 0x41, "wrong version. Received 4 and expect 3"),
        (Version::V2, |p| p[0] = 0x22, "Invalid packet type. 2 and expect 1"),
        (Version::V2, |p| p[6] ^= 1, "Invalid VRRPv2 checksum"),
        (Version::V3, |p| p[6] ^= 1, "Invalid VRRPv3 checksum"),
        (Version::V2, |p| fix(p, 4, 1), "received a 1 auth, expecting 0!"),
        (Version::V2, |p| fix(p, 4, 7), "Invalid auth type: 7"),
        (Version::V2, |p| fix(p, 5, 3), "advertisement interval mismatch mine=1 sec rcv'd=3 sec"),
        (
            Version::V2,
            |p| fix(p, 11, 99),
            "ip address associated with VRID 51 not present in MASTER advert: 10.77.0.200",
        ),
    ];
    for (version, change, text) in cases {
        let config = router(version, &["10.77.0.200"]);
        let mut octets = AdvertSpec::of(&config, 90).encode(&ip("10.77.0.100"), &ip("224.0.0.18"));
        change(&mut octets);
        assert_eq!(verdict(&config, &octets, 255).unwrap_err().to_string(), text);
    }
}

/// Changes one octet of a version 2 advert and makes its checksum right again.
fn fix(octets: &mut [u8], place: usize, value: u8) {
    octets[place] = value;
    octets[6] = 0;
    octets[7] = 0;
    let sum = internet_checksum(&[octets]).to_be_bytes();
    octets[6] = sum[0];
    octets[7] = sum[1];
}

fn verdict(config: &RouterConfig, octets: &[u8], ttl: u8) -> Result<(), Rejection> {
    Advert::parse(octets, config.family, false)?.check(&Expectation {
        config,
        source: ip("10.77.0.100"),
        destination: ip("224.0.0.18"),
        ttl: Some(ttl),
        compare_addresses: true,
    })
}

#[test]
fn path_count_and_password_count() {
    let one = router(Version::V2, &["10.77.0.200"]);
    let two = router(Version::V2, &["10.77.0.200", "10.77.0.201"]);
    let encode = |config: &RouterConfig| AdvertSpec::of(config, 90).encode(&ip("10.77.0.100"), &ip("224.0.0.18"));
    let told = |config: &RouterConfig, octets: &[u8], ttl| verdict(config, octets, ttl).unwrap_err().to_string();
    assert_eq!(told(&one, &encode(&one), 64), "invalid TTL/HL. Received 64 and expect 255");
    assert_eq!(told(&one, &encode(&two), 255), "received an unexpected ip number count 2, expected 1!");
    let ours = with_password(one.clone(), b"secret77");
    let theirs = with_password(one.clone(), b"secret78");
    assert_eq!(told(&ours, &encode(&theirs), 255), "received an invalid passwd!");
    assert_eq!(told(&ours, &encode(&one), 255), "received a 0 auth, expecting 1!");
    let turned = router(Version::V2, &["10.77.0.201", "10.77.0.200"]);
    assert_eq!(verdict(&turned, &encode(&two), 255), Ok(()));
    let peer = RouterConfig { unicast_peers: vec![ip("10.77.0.2")], check_unicast_source: true, ..one.clone() };
    assert_eq!(told(&peer, &encode(&one), 64), "unicast source address 10.77.0.100 not a unicast peer");
}

#[test]
fn peers_may_have_ttl_limits() {
    let config = RouterConfig {
        unicast_peers: vec![ip("10.77.0.100"), ip("10.77.0.101")],
        peer_ttls: vec![PeerTtl { peer: ip("10.77.0.100"), min: 60, max: 64 }],
        ..router(Version::V2, &["10.77.0.200"])
    };
    let octets = AdvertSpec::of(&config, 90).encode(&ip("10.77.0.100"), &ip("224.0.0.18"));
    for ttl in [59, 65, 255] {
        let told = verdict(&config, &octets, ttl).unwrap_err().to_string();
        assert_eq!(told, format!("TTL/HL {ttl} not in range 60 - 64"));
    }
    for ttl in [60, 64] {
        assert_eq!(verdict(&config, &octets, ttl), Ok(()));
    }
    let other = RouterConfig { peer_ttls: vec![PeerTtl { peer: ip("10.77.0.101"), min: 60, max: 64 }], ..config };
    assert_eq!(verdict(&other, &octets, 1), Ok(()), "another peer's limits do not count");
}

#[test]
fn old_unicast_checksums_are_taken_where_configured() {
    let octets = hex("31 33 64 01 00 64 74 75 0a 4d 00 c8");
    let mut config = RouterConfig { unicast_peers: vec![ip("10.77.0.1")], ..router(Version::V3, &["10.77.0.200"]) };
    let check = |config: &RouterConfig| {
        Advert::parse(&octets, Family::V4, false).unwrap().check(&Expectation {
            config,
            source: ip("10.77.0.1"),
            destination: ip("10.77.0.100"),
            ttl: None,
            compare_addresses: true,
        })
    };
    assert_eq!(check(&config), Err(Rejection::Checksum(Version::V3)));
    config.old_unicast_checksum = true;
    assert_eq!(check(&config), Ok(()));
}
