//! Elections among two of ours.

use crate::Test;
use crate::director::{Director, ELECTION, Lan, VIP, second};
use crate::wire::Capture;
use standfast_labkit::tests;
use standfast_vrrp::State;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![the_higher_priority_wins_and_announces, a_stopped_master_resigns].into()
}

fn the_higher_priority_wins_and_announces() {
    let lan = Lan::new("wins");
    let capture = Capture::start(&lan.client);
    let mut two = Director::start(&lan.two, second(100));
    let mut one = Director::start(&lan.one, second(150));
    one.await_state(State::Master, ELECTION);
    assert_eq!(two.state(), Some(State::Backup));
    let vip = [10, 77, 0, 200];
    let garps = capture.await_some(5, Duration::from_secs(1), |frame| frame.is_garp(vip, 1));
    let adverts = capture.await_some(2, Duration::from_secs(3), |frame| frame.advert(1) == Some(150));
    let header = &adverts[0].bytes[..34];
    assert_eq!(header[..6], [1, 0, 0x5e, 0, 0, 0x12], "multicast MAC");
    assert_eq!(header[14..16], [0x45, 0xc0], "no options, TOS");
    assert_eq!(header[18..23], [0, 1, 0, 0, 255], "identification 1, DF clear, TTL");
    assert_eq!(header[26..34], [10, 77, 0, 1, 224, 0, 0, 18], "addresses");
    let first_garp = garps[0].at.saturating_sub(adverts[0].at);
    eprintln!("advert to first GARP: {first_garp:?}; five GARPs in {:?}", garps[4].at - garps[0].at);
    let interval = adverts[1].at - adverts[0].at;
    assert!(interval.abs_diff(Duration::from_secs(1)) < Duration::from_millis(500), "{interval:?}");
    assert!(one.has(VIP) && !two.has(VIP));
    assert_eq!(two.states(), [State::Backup]);
    assert!(capture.pick(|frame| frame.advert(2).is_some()).is_empty(), "the backup spoke");
}

fn a_stopped_master_resigns() {
    let lan = Lan::new("resigns");
    let capture = Capture::start(&lan.client);
    let mut two = Director::start(&lan.two, second(100));
    let mut one = Director::start(&lan.one, second(150));
    one.await_state(State::Master, ELECTION);
    one.stop();
    assert!(!one.has(VIP), "a stop leaves no address");
    assert_eq!(one.state(), Some(State::Stop));
    assert!(one.logged("sent 0 priority") && one.logged("removing VIPs."));
    two.await_state(State::Master, Duration::from_secs(3));
    let goodbye = capture.await_some(1, Duration::from_secs(1), |frame| frame.advert(1) == Some(0))[0].at;
    let takeover = capture.await_some(1, Duration::from_secs(1), |frame| frame.advert(2) == Some(100))[0].at;
    let skew = Duration::from_secs(1) * (256 - 100) / 256;
    let late = (takeover - goodbye).saturating_sub(skew);
    eprintln!("priority 0 to takeover: {:?}, {late:?} after the skew", takeover - goodbye);
    assert!(takeover - goodbye >= skew && late < Duration::from_secs(1), "{:?}", takeover - goodbye);
}
