//! `auth_hmac`: two nodes that share keys, and what comes between them.

mod support;

use standfast_vrrp::*;
use std::time::Duration;
use support::*;

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn signing(mut config: RouterConfig, mode: AuthenticatorMode) -> RouterConfig {
    let keys = vec![HmacKey { id: 1, key: vec![7; 32] }, HmacKey { id: 2, key: vec![9; 32] }];
    let anti_replay = AntiReplay::Time { window: Duration::from_secs(5) };
    config.authenticator = Some(Authenticator { keys, active_key: 1, anti_replay, mode });
    config
}

fn enforcing(priority: u8) -> RouterConfig {
    signing(vi("VI_1", 51, priority), AuthenticatorMode::Enforce)
}

fn lab(config: RouterConfig, clock: Duration) -> Lab {
    let mut lab = Lab::new(node_of(vec![config]));
    lab.node.set_clock(clock, lab.start);
    lab.run_to(4_000);
    assert_eq!(lab.state(), State::Master);
    lab
}

/// The adverts that a node of this configuration sends within some seconds.
fn adverts_of(config: RouterConfig, clock: Duration) -> Vec<Vec<u8>> {
    let mut lab = lab(config, clock);
    lab.run_to(8_000);
    let payload = |effect: &Effect| match effect {
        Effect::Advertise { payload, .. } => Some(payload.clone()),
        _ => None,
    };
    lab.effects.iter().filter_map(payload).collect()
}

fn hear(lab: &mut Lab, payload: &[u8]) -> Vec<String> {
    lab.take();
    let group = RouterConfig::default_group(Family::V4);
    lab.hear_raw("10.77.0.9", group, 255, payload).take()
}

/// What another node at 10.77.0.9 sends.
fn adverts_from_nine(mut config: RouterConfig, clock: Duration) -> Vec<Vec<u8>> {
    config.source = Some(ip("10.77.0.9"));
    adverts_of(config, clock)
}

#[test]
fn signed_adverts_are_taken_once() {
    let adverts = adverts_from_nine(enforcing(90), NOW);
    assert!(adverts.iter().all(|advert| advert.len() == 20 + packet::TRAILER_LEN));
    let mut lab = lab(enforcing(150), NOW);
    let told = hear(&mut lab, &adverts[0]);
    assert_eq!(
        told[0],
        "4000 (VI_1) Received advert from 10.77.0.9 with lower priority 90, ours 150, forcing new election"
    );
    assert_eq!(hear(&mut lab, &adverts[0]), ["4000 (VI_1) auth_hmac: replayed trailer"]);
    assert_eq!(hear(&mut lab, &adverts[2]).len(), 4);
    assert_eq!(hear(&mut lab, &adverts[1]), ["4000 (VI_1) auth_hmac: replayed trailer"]);
    assert_eq!(lab.view().statistics.authentication_failures, 2);
}

#[test]
fn unsigned_adverts_are_taken_by_the_lenient_only() {
    let plain = adverts_from_nine(vi("VI_1", 51, 200), NOW);
    for (mode, state) in [
        (AuthenticatorMode::Enforce, State::Master),
        (AuthenticatorMode::Permissive, State::Backup),
        (AuthenticatorMode::ReceiveOnly, State::Backup),
    ] {
        let mut lab = lab(signing(vi("VI_1", 51, 150), mode), NOW);
        hear(&mut lab, &plain[0]);
        assert_eq!(lab.state(), state, "{mode:?}");
    }
}

#[test]
fn a_router_that_only_receives_does_not_sign_and_still_verifies() {
    let config = signing(vi("VI_1", 51, 150), AuthenticatorMode::ReceiveOnly);
    assert!(adverts_of(config.clone(), NOW).iter().all(|advert| advert.len() == 20));
    let mut forged = adverts_from_nine(enforcing(200), NOW).remove(0);
    *forged.last_mut().unwrap() ^= 1;
    let mut lab = lab(config, NOW);
    assert_eq!(hear(&mut lab, &forged), ["4000 (VI_1) auth_hmac: invalid HMAC"]);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn another_source_or_a_changed_priority_is_noticed() {
    let adverts = adverts_of(enforcing(90), NOW);
    let mut lab = lab(enforcing(150), NOW);
    assert_eq!(hear(&mut lab, &adverts[0]), ["4000 (VI_1) auth_hmac: invalid HMAC"], "signed by 10.77.0.1");
}

#[test]
fn clocks_may_differ_by_the_window() {
    for (ahead, taken) in [(0, true), (4, true), (7, false)] {
        let adverts = adverts_from_nine(enforcing(90), NOW + Duration::from_secs(ahead));
        let mut lab = lab(enforcing(150), NOW);
        let told = hear(&mut lab, &adverts[0]);
        assert_eq!(told.len() > 1, taken, "{ahead} s ahead: {told:?}");
        assert_eq!(told[0] == "4000 (VI_1) auth_hmac: stale trailer, are the clocks synchronised?", !taken);
    }
}

#[test]
fn the_peer_without_auth_hmac_fails_closed() {
    let adverts = adverts_from_nine(enforcing(200), NOW);
    let mut lab = lab(vi("VI_1", 51, 150), NOW);
    assert_eq!(hear(&mut lab, &adverts[0]), ["4000 (VI_1) vrrp packet too long, length 68 and expect 40"]);
}

#[test]
fn every_peer_gets_the_same_trailer() {
    let config =
        RouterConfig { version: Version::V3, unicast_peers: vec![ip("10.77.0.2"), ip("10.77.0.3")], ..enforcing(150) };
    let adverts = adverts_of(config, NOW);
    assert_eq!(adverts[0][12..], adverts[1][12..]);
    assert_ne!(adverts[0][6..8], adverts[1][6..8], "the checksum covers the destination");
    assert_ne!(adverts[0][12..], adverts[2][12..], "the next advert has a later sequence");
}

#[test]
fn the_checksum_of_ipv6_covers_the_trailer() {
    let config = RouterConfig {
        version: Version::V3,
        family: Family::V6,
        addresses: vec![ip("fe80::77")],
        multicast_group: RouterConfig::default_group(Family::V6),
        ..enforcing(200)
    };
    let mut first = lab(RouterConfig { source: Some(ip("fe80::9")), ..config.clone() }, NOW);
    first.collect();
    let sent = first.effects.iter().find_map(|effect| match effect {
        Effect::Advertise { payload, .. } => Some(payload.clone()),
        _ => None,
    });
    let mut second = lab(RouterConfig { priority: 100, ..config.clone() }, NOW);
    let mut payload = sent.unwrap();
    second.hear_raw("fe80::9", config.multicast_group, 255, &payload);
    assert_eq!(second.state(), State::Backup);
    *payload.last_mut().unwrap() ^= 1;
    second.take();
    second.hear_raw("fe80::9", config.multicast_group, 255, &payload);
    assert_eq!(second.take(), ["4000 (VI_1) Invalid VRRPv3 checksum"]);
}

#[test]
fn keys_rotate_without_a_gap() {
    let mut rotated = enforcing(90);
    rotated.authenticator.as_mut().unwrap().active_key = 2;
    let adverts = adverts_from_nine(rotated, NOW);
    let mut lab = lab(enforcing(150), NOW);
    assert_eq!(hear(&mut lab, &adverts[0]).len(), 4, "the second key is known already");
}
