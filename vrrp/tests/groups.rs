//! Sync groups, faults and votes.

mod support;

use standfast_vrrp::*;
use std::time::Duration;
use support::*;

fn watching(mut config: RouterConfig, tracker: TrackerName, weight: i32) -> RouterConfig {
    config.trackers.push(TrackerConfig { tracker, weight, reverse: false });
    config
}

fn script() -> TrackerName {
    TrackerName::Script("chk".to_owned())
}

fn interface(name: &str) -> TrackerName {
    TrackerName::Interface(name.to_owned())
}

fn pair() -> NodeConfig {
    let second = RouterConfig { addresses: vec![ip("10.77.0.201")], ..vi("VI_2", 52, 150) };
    let group = GroupConfig {
        name: "G1".to_owned(),
        members: vec!["VI_1".to_owned(), "VI_2".to_owned()],
        trackers: Vec::new(),
    };
    NodeConfig { groups: vec![group], ..node_of(vec![vi("VI_1", 51, 150), second]) }
}

fn set(lab: &mut Lab, tracker: &TrackerName, status: TrackerStatus) {
    lab.node.set_tracker(tracker, status, lab.now);
}

#[test]
fn a_group_yields_together_and_leaves_a_lesser_master_in_place() {
    let mut lab = Lab::new(pair());
    lab.run_to(4_000);
    let [id, other] = ["VI_1", "VI_2"].map(|name| lab.node.router_id(name).unwrap());
    assert_eq!([id, other].map(|id| lab.node.state(id)), [Some(State::Master); 2]);
    assert!(lab.node.yield_mastership(id, Duration::from_secs(60), lab.now));
    assert_eq!([id, other].map(|id| lab.node.state(id)), [Some(State::Backup); 2]);
    assert!(!lab.node.yield_mastership(id, Duration::from_secs(60), lab.now), "it is no master any more");
    let view = lab.node.views().into_iter().next().unwrap();
    assert_eq!(view.last_transition().unwrap().reason, TransitionReason::Ordered);
    assert_eq!(view.next().unwrap().1, TimerReason::MasterDown, "the skew time would bring it back before the others");
}

#[test]
fn a_group_rises_together() {
    let mut lab = Lab::new(pair());
    assert_eq!(
        lab.run_to(4_000).take(),
        [
            "0 (VI_1) removing VIPs.",
            "0 > clear 0",
            "0 (VI_2) removing VIPs.",
            "0 > clear 1",
            "0 > notify G1 BACKUP",
            "0 (VI_1) Entering BACKUP STATE (init)",
            "0 > notify 0 INIT->BACKUP 150",
            "0 (VI_2) Entering BACKUP STATE (init)",
            "0 > notify 1 INIT->BACKUP 150",
            "3414 (VI_1) Receive advertisement timeout",
            "3414 (VI_2) Receive advertisement timeout",
            "3414 > advert vrid 52 prio 150 to 224.0.0.18",
            "3414 (VI_2) Entering MASTER STATE",
            "3414 (VI_2) setting VIPs.",
            "3414 > set 1",
            "3414 > announce 1 x5",
            "3414 > notify 1 BACKUP->MASTER 150",
            "3414 VRRP_Group(G1) Syncing instances to MASTER state",
            "3414 > advert vrid 51 prio 150 to 224.0.0.18",
            "3414 (VI_1) Entering MASTER STATE",
            "3414 (VI_1) setting VIPs.",
            "3414 > set 0",
            "3414 > announce 0 x5",
            "3414 > notify 0 BACKUP->MASTER 150",
            "3414 > notify G1 MASTER",
        ]
    );
}

#[test]
fn a_group_falls_and_recovers_together() {
    let mut config = pair();
    config.routers[0] = watching(config.routers[0].clone(), interface("dum0"), 0);
    let mut lab = Lab::new(config);
    set(&mut lab, &interface("dum0"), TrackerStatus::Up);
    lab.run_to(4_000).take();
    set(&mut lab, &interface("dum0"), TrackerStatus::Down);
    assert_eq!(
        lab.take(),
        [
            "4000 (VI_1) Entering FAULT STATE",
            "4000 > advert vrid 51 prio 0 to 224.0.0.18",
            "4000 > advert vrid 51 prio 0 to 224.0.0.18",
            "4000 (VI_1) sent 0 priority",
            "4000 (VI_1) removing VIPs.",
            "4000 > clear 0",
            "4000 > notify 0 MASTER->FAULT 150",
            "4000 VRRP_Group(G1) Syncing instances to FAULT state",
            "4000 (VI_2) Entering FAULT STATE",
            "4000 > advert vrid 52 prio 0 to 224.0.0.18",
            "4000 (VI_2) removing VIPs.",
            "4000 > clear 1",
            "4000 > notify 1 MASTER->FAULT 150",
            "4000 > notify G1 FAULT",
        ]
    );
    lab.run_to(5_000);
    set(&mut lab, &interface("dum0"), TrackerStatus::Up);
    assert_eq!(
        lab.take(),
        [
            "5000 (VI_1) Entering BACKUP STATE",
            "5000 > notify 0 FAULT->BACKUP 150",
            "5000 VRRP_Group(G1) Syncing instances to BACKUP state",
            "5000 (VI_2) Entering BACKUP STATE",
            "5000 > notify 1 FAULT->BACKUP 150",
            "5000 > notify G1 BACKUP",
        ]
    );
}

#[test]
fn one_member_that_gives_way_takes_the_others_along() {
    let config = pair();
    let mut lab = Lab::new(config.clone());
    lab.run_to(4_000).take();
    lab.hear(&config.routers[1], "10.77.0.2", 200);
    assert_eq!(
        lab.take(),
        [
            "4000 (VI_2) Master received advert from 10.77.0.2 with higher priority 200, ours 150",
            "4000 (VI_2) Entering BACKUP STATE",
            "4000 (VI_2) removing VIPs.",
            "4000 > clear 1",
            "4000 > notify 1 MASTER->BACKUP 150",
            "4000 VRRP_Group(G1) Syncing instances to BACKUP state",
            "4000 (VI_1) Entering BACKUP STATE",
            "4000 (VI_1) removing VIPs.",
            "4000 > clear 0",
            "4000 > notify 0 MASTER->BACKUP 150",
            "4000 > notify G1 BACKUP",
        ]
    );
}

#[test]
fn a_lesser_master_of_one_member_makes_all_members_announce() {
    let config = pair();
    let mut lab = Lab::new(config.clone());
    lab.run_to(9_000).take();
    lab.hear(&config.routers[0], "10.77.0.2", 90).run_to(14_000);
    let announcements: Vec<String> = lab.take().into_iter().filter(|line| line.contains("announce")).collect();
    assert_eq!(
        announcements,
        ["9000 > announce 0 x5", "9000 > announce 1 x5", "14000 > announce 0 x5", "14000 > announce 1 x5"]
    );
}

/// Times of the recorded scenario `sync_group_diff_prio`: a member whose timer runs out waits for the others.
#[test]
fn a_member_alone_does_not_rise() {
    let config = pair();
    let mut lab = Lab::new(config.clone());
    for second in 0..8 {
        lab.run_to(second * 1_000).hear(&config.routers[0], "10.77.0.2", 200);
    }
    let timeouts = lab.log().into_iter().filter(|line| line.contains("timeout")).collect::<Vec<_>>();
    assert_eq!(timeouts, ["3414 (VI_2) Receive advertisement timeout", "6828 (VI_2) Receive advertisement timeout"]);
    assert!(lab.node.views().iter().all(|view| view.state == State::Backup));
    assert!(lab.node.views()[1].wants_master);
    lab.run_to(10_500);
    assert!(lab.node.views().iter().all(|view| view.state == State::Master));
}

#[test]
fn a_member_that_hears_its_master_again_wants_no_more() {
    let config = pair();
    let mut lab = Lab::new(config.clone());
    for second in 0..4 {
        lab.run_to(second * 1_000).hear(&config.routers[0], "10.77.0.2", 200);
    }
    lab.run_to(3_500);
    assert!(lab.node.views()[1].wants_master);
    for second in 4..12 {
        lab.run_to(second * 1_000).hear(&config.routers[1], "10.77.0.2", 200);
        assert!(!lab.node.views()[1].wants_master);
    }
    assert!(lab.log().contains(&"6414 (VI_1) Receive advertisement timeout".to_owned()));
    assert!(lab.node.views().iter().all(|view| view.state == State::Backup));
}

#[test]
fn a_group_tracker_votes_on_every_member() {
    let mut config = pair();
    config.groups[0].trackers.push(TrackerConfig { tracker: script(), weight: -60, reverse: false });
    let mut lab = Lab::new(config);
    lab.run_to(0);
    set(&mut lab, &script(), TrackerStatus::Down);
    let views = lab.node.views();
    assert_eq!(views.iter().map(|view| view.effective_priority).collect::<Vec<_>>(), [90, 90]);
    assert!(views[0].votes[0].from_group);
}

#[test]
fn what_router_and_group_watch_counts_once() {
    let mut config = pair();
    let tracker = |weight| TrackerConfig { tracker: script(), weight, reverse: false };
    config.groups[0].trackers.push(tracker(5));
    config.routers[0].trackers.push(tracker(1));
    let mut lab = Lab::new(config.clone());
    set(&mut lab, &script(), TrackerStatus::Up);
    assert_eq!(lab.view().effective_priority, config.routers[0].priority + 5);
    config.routers[0].trackers = vec![tracker(0)];
    let mut lab = Lab::new(config.clone());
    set(&mut lab, &script(), TrackerStatus::Up);
    assert_eq!(lab.view().effective_priority, config.routers[0].priority, "what is fatal has no weight");
}

#[test]
fn without_an_address_the_start_is_a_fault() {
    let mut lab = Lab::without_source(node_of(vec![vi("VI_1", 51, 150)]));
    lab.run_to(4_000);
    assert_eq!(
        lab.take(),
        [
            "0 > clear 0",
            "0 (VI_1) entering FAULT state (no IPv4 address for interface)",
            "0 (VI_1) entering FAULT state",
            "0 (VI_1) removing VIPs.",
            "0 > notify 0 INIT->FAULT 150",
        ]
    );
    lab.node.set_source(LINK, Family::V4, Some(ip("10.77.0.1")), lab.now);
    lab.run_to(8_000);
    assert_eq!(
        lab.log(),
        [
            "4000 (VI_1) Entering BACKUP STATE",
            "7414 (VI_1) Receive advertisement timeout",
            "7414 (VI_1) Entering MASTER STATE",
            "7414 (VI_1) setting VIPs.",
        ]
    );
}

#[test]
fn a_unicast_router_that_is_back_tells_where_it_is() {
    let config = RouterConfig { unicast_peers: vec![ip("10.77.0.2")], ..vi("VI_1", 51, 150) };
    let mut lab = Lab::new(node_of(vec![watching(config, interface("eth0"), 0)]));
    set(&mut lab, &interface("eth0"), TrackerStatus::Up);
    lab.run_to(0).take();
    set(&mut lab, &interface("eth0"), TrackerStatus::Down);
    set(&mut lab, &interface("eth0"), TrackerStatus::Up);
    let told = lab.take();
    let lines = ["0 VI_1: sending gratuitous ARP for 10.77.0.1", "0 > announce source 0 10.77.0.1"];
    assert!(lines.iter().all(|line| told.iter().any(|told| told == line)), "{told:?}");
}

#[test]
fn a_master_that_loses_its_source_says_farewell_with_it() {
    let mut lab = Lab::new(node_of(vec![vi("VI_1", 51, 150)]));
    lab.run_to(4_000).take();
    lab.node.set_source(LINK, Family::V4, None, lab.now);
    let trace = lab.take();
    assert_eq!(trace.iter().filter(|line| line.contains("prio 0 to 224.0.0.18")).count(), 2, "{trace:?}");
    assert_eq!(lab.state(), State::Fault);
    let source = |effect: &Effect| match effect {
        Effect::Advertise { source, .. } => Some(*source),
        _ => None,
    };
    assert_eq!(lab.effects.iter().filter_map(source).next_back(), Some(ip("10.77.0.1")));
}

#[test]
fn an_interface_that_is_down_at_the_start_is_named() {
    let mut lab = Lab::new(node_of(vec![watching(vi("VI_1", 51, 150), interface("eth0"), 0)]));
    set(&mut lab, &interface("eth0"), TrackerStatus::Down);
    lab.run_to(0);
    assert_eq!(
        lab.log(),
        [
            "0 (VI_1): entering FAULT state (interface eth0 down)",
            "0 (VI_1) entering FAULT state",
            "0 (VI_1) removing VIPs.",
        ]
    );
}

#[test]
fn a_group_with_a_fault_at_the_start_says_whose_it_is_and_then_whom_it_concerns() {
    let mut config = pair();
    config.routers[1] = watching(config.routers[1].clone(), interface("dum0"), 0);
    let mut lab = Lab::new(config);
    set(&mut lab, &interface("dum0"), TrackerStatus::Down);
    assert_eq!(
        lab.run_to(0).take(),
        [
            "0 > clear 0",
            "0 > clear 1",
            "0 (VI_2): entering FAULT state (interface dum0 down)",
            "0 VRRP_Group(G1): Syncing VI_2 to FAULT state",
            "0 (VI_1) entering FAULT state",
            "0 (VI_1) removing VIPs.",
            "0 > notify 0 INIT->FAULT 150",
            "0 (VI_2) entering FAULT state",
            "0 (VI_2) removing VIPs.",
            "0 > notify 1 INIT->FAULT 150",
            "0 > notify G1 FAULT",
        ]
    );
}

#[test]
fn every_kind_of_tracker_is_named_at_the_start_in_words_of_its_own() {
    let file = TrackerName::File("tf".to_owned());
    let process = TrackerName::Process("nginx".to_owned());
    let mut config = vi("VI_1", 51, 150);
    for tracker in [&file, &process, &script()] {
        config = watching(config, tracker.clone(), if *tracker == file { 2 } else { 0 });
    }
    let mut lab = Lab::new(node_of(vec![config]));
    set(&mut lab, &file, TrackerStatus::Value(-150));
    set(&mut lab, &process, TrackerStatus::Down);
    set(&mut lab, &script(), TrackerStatus::Down);
    assert_eq!(
        lab.run_to(0).log(),
        [
            "0 (VI_1): entering FAULT state (tracked file tf has status -300)",
            "0 (VI_1) entering FAULT state (tracked process nginx quorum not achieved)",
            "0 (VI_1): entering FAULT state due to script chk",
            "0 (VI_1) entering FAULT state",
            "0 (VI_1) removing VIPs.",
        ]
    );
}

#[test]
fn the_first_verdict_of_a_script_without_weight_is_awaited() {
    let mut lab = Lab::new(node_of(vec![watching(vi("VI_1", 51, 150), script(), 0)]));
    lab.run_to(5_000);
    assert_eq!(lab.log(), ["0 (VI_1) removing VIPs."]);
    assert_eq!(lab.view().waiting_for, Some(script()));
    set(&mut lab, &script(), TrackerStatus::Up);
    assert_eq!(lab.log(), ["5000 (VI_1) Entering BACKUP STATE"]);
    set(&mut lab, &script(), TrackerStatus::Down);
    assert_eq!(lab.log(), ["5000 (VI_1) Entering FAULT STATE"]);
}

/// Times of the recorded scenario `track_interface_weight`.
#[test]
fn a_changed_priority_moves_the_deadline_and_goes_out_with_the_next_advert() {
    let config = watching(vi("VI_1", 51, 150), script(), -60);
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    set(&mut lab, &script(), TrackerStatus::Up);
    lab.run_to(4_000).take();
    set(&mut lab, &script(), TrackerStatus::Down);
    assert_eq!(lab.take(), ["4000 (VI_1) Changing effective priority from 150 to 90", "4000 > priority 0 90"]);
    assert_eq!(lab.run_to(4_500).take(), ["4414 > advert vrid 51 prio 90 to 224.0.0.18"]);
    lab.run_to(5_000).hear(&config, "10.77.0.2", 100).run_to(5_500);
    lab.take();
    set(&mut lab, &script(), TrackerStatus::Up);
    lab.run_to(9_000);
    assert_eq!(
        lab.log(),
        [
            "5500 (VI_1) Changing effective priority from 90 to 150",
            "8414 (VI_1) Receive advertisement timeout",
            "8414 (VI_1) Entering MASTER STATE",
            "8414 (VI_1) setting VIPs.",
        ]
    );
}

#[test]
fn votes_are_clamped_summed_and_turned() {
    let vote = |weight, reverse, status| {
        let config = TrackerConfig { tracker: script(), weight, reverse };
        let mut vote = priority::Vote::new(&config, false);
        vote.set(status);
        vote
    };
    use TrackerStatus::{Down, Unknown, Up, Value};
    let cases = [
        (vote(60, false, Up), 210),
        (vote(60, false, Down), 150),
        (vote(-60, false, Up), 150),
        (vote(-60, false, Down), 90),
        (vote(-60, true, Down), 210),
        (vote(60, true, Up), 90),
        (vote(253, false, Up), 254),
        (vote(-253, false, Down), 1),
        (vote(60, false, Unknown), 150),
        (vote(1, false, Value(-60)), 90),
        (vote(1, false, Value(10)), 160),
        (vote(2, true, Value(10)), 130),
        (vote(1, false, Value(i32::MAX)), 254),
    ];
    for (vote, expected) in cases {
        let told = format!("{vote:?}");
        assert_eq!(priority::Priority::new(150, vec![vote]).effective(), expected, "{told}");
    }
    let both = priority::Priority::new(150, vec![vote(253, false, Up), vote(-60, false, Down)]);
    assert_eq!(both.effective(), 254, "the sum is clamped, not its parts");
    assert_eq!(priority::Priority::new(255, vec![vote(-60, false, Down)]).effective(), 255);
    let ballots = [
        (vote(0, false, Down), priority::Ballot::Fault),
        (vote(0, false, Up), priority::Ballot::Adjust(0)),
        (vote(0, true, Up), priority::Ballot::Fault),
        (vote(0, true, Down), priority::Ballot::Adjust(0)),
        (vote(0, false, Unknown), priority::Ballot::Pending),
        (vote(1, false, Value(-254)), priority::Ballot::Fault),
        (vote(1, false, Value(-253)), priority::Ballot::Adjust(-253)),
        (vote(1, false, Value(i32::MIN)), priority::Ballot::Fault),
        (vote(0, false, Value(7)), priority::Ballot::Fault),
        (vote(0, false, Value(0)), priority::Ballot::Adjust(0)),
        (vote(0, true, Value(0)), priority::Ballot::Fault),
    ];
    for (vote, expected) in ballots {
        assert_eq!(vote.ballot(), expected, "{vote:?}");
    }
}

#[test]
fn a_tracked_file_tells_its_faults() {
    let file = TrackerName::File("tf".to_owned());
    let mut lab = Lab::new(node_of(vec![watching(vi("VI_1", 51, 150), file.clone(), 1)]));
    lab.run_to(1_000).take();
    set(&mut lab, &file, TrackerStatus::Value(-254));
    assert_eq!(lab.log()[..2], ["1000 (VI_1): tracked file tf now FAULT state", "1000 (VI_1) Entering FAULT STATE"]);
    set(&mut lab, &file, TrackerStatus::Value(0));
    let log = lab.log();
    assert!(log.contains(&"1000 (VI_1): tracked file tf leaving FAULT state".to_owned()), "{log:?}");
    assert_eq!(log.last().unwrap(), "1000 (VI_1) Entering BACKUP STATE");
}

#[test]
fn a_remade_interface_brings_the_router_back() {
    let mut lab = Lab::new(node_of(vec![vi("VI_1", 51, 150)]));
    lab.run_to(4_000).take();
    lab.node.set_source(LINK, Family::V4, None, lab.now);
    assert_eq!(lab.state(), State::Fault);
    lab.node.set_source(Link(9), Family::V4, Some(ip("10.77.1.1")), lab.now);
    lab.node.set_link(RouterId(0), Link(9), lab.now);
    assert_eq!(lab.state(), State::Backup);
    lab.run_to(8_000);
    assert_eq!((lab.state(), lab.view().link), (State::Master, Link(9)));
}
