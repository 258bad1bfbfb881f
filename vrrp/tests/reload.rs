//! Reload by differences.

mod support;

use standfast_vrrp::*;
use std::time::Duration;
use support::*;

fn both() -> NodeConfig {
    let second = RouterConfig { addresses: vec![ip("10.77.0.201")], ..vi("VI_2", 52, 150) };
    node_of(vec![vi("VI_1", 51, 150), second])
}

fn masters() -> Lab {
    let mut lab = Lab::new(both());
    lab.run_to(4_000).take();
    assert!(lab.node.views().iter().all(|view| view.state == State::Master));
    lab
}

fn reload(lab: &mut Lab, config: NodeConfig) -> Vec<String> {
    lab.node.reconfigure(config, lab.now);
    lab.take()
}

const UPDATES: [&str; 2] = ["4000 > update 0", "4000 > update 1"];

#[test]
fn the_same_configuration_changes_nothing() {
    let mut lab = masters();
    let before: Vec<_> = lab.node.views().iter().map(|view| (view.timers.clone(), view.history.clone())).collect();
    assert_eq!(reload(&mut lab, both()), UPDATES);
    let after: Vec<_> = lab.node.views().iter().map(|view| (view.timers.clone(), view.history.clone())).collect();
    assert_eq!(before, after);
}

#[test]
fn a_backup_is_not_even_told() {
    let mut lab = Lab::new(both());
    lab.run_to(1_000).take();
    assert_eq!(reload(&mut lab, both()), [] as [&str; 0]);
}

#[test]
fn a_renamed_master_goes_on() {
    let mut lab = masters();
    let mut config = both();
    config.routers[0].name = "VI_NEW".to_owned();
    assert_eq!(reload(&mut lab, config), UPDATES);
    assert_eq!(lab.node.router_id("VI_NEW"), Some(RouterId(0)));
    assert_eq!(lab.node.router_id("VI_1"), None);
}

#[test]
fn a_changed_priority_is_told_at_once() {
    let mut lab = masters();
    let mut config = both();
    config.routers[0].priority = 50;
    assert_eq!(
        reload(&mut lab, config),
        ["4000 > advert vrid 51 prio 50 to 224.0.0.18", "4000 > update 0", "4000 > update 1"]
    );
    assert_eq!(lab.view().next(), Some((lab.at(5_000_000_000), TimerReason::Advertise)));
}

#[test]
fn a_changed_identifier_is_another_router() {
    let mut lab = masters();
    let mut config = both();
    config.routers[0].vrid = 53;
    lab.node.reconfigure(config, lab.now);
    lab.run_to(4_000);
    assert_eq!(
        lab.take(),
        [
            "4000 > advert vrid 51 prio 0 to 224.0.0.18",
            "4000 (VI_1) sent 0 priority",
            "4000 (VI_1) removing VIPs.",
            "4000 > clear 0",
            "4000 > notify 0 MASTER->DELETED 150",
            "4000 > update 1",
            "4000 > clear 2",
            "4000 (VI_1) Entering BACKUP STATE (init)",
            "4000 > notify 2 INIT->BACKUP 150",
        ]
    );
}

#[test]
fn added_and_removed_routers_leave_the_others_alone() {
    let mut lab = masters();
    let mut config = both();
    let second = config.routers.pop().unwrap();
    assert_eq!(
        reload(&mut lab, config.clone()),
        [
            "4000 > advert vrid 52 prio 0 to 224.0.0.18",
            "4000 (VI_2) sent 0 priority",
            "4000 (VI_2) removing VIPs.",
            "4000 > clear 1",
            "4000 > notify 1 MASTER->DELETED 150",
            "4000 > update 0",
        ]
    );
    config.routers.push(second);
    assert_eq!(reload(&mut lab, config), ["4000 > update 0"]);
    lab.run_to(7_500);
    assert_eq!(lab.node.state(RouterId(2)), Some(State::Master));
}

#[test]
fn a_gained_address_is_announced_and_a_lost_one_is_not() {
    let mut lab = masters();
    let mut config = both();
    config.routers[0].addresses.push(ip("10.77.0.202"));
    assert_eq!(reload(&mut lab, config.clone()), ["4000 > update 0", "4000 > announce 0 x5", "4000 > update 1"]);
    config.routers[0].addresses.remove(0);
    assert_eq!(reload(&mut lab, config), UPDATES);
}

#[test]
fn a_changed_interval_holds_from_the_next_advert() {
    let mut lab = masters();
    let mut config = both();
    config.routers[0].advert_interval = Duration::from_secs(2);
    reload(&mut lab, config);
    let adverts = lab.run_to(8_500).take();
    let adverts: Vec<_> = adverts.iter().filter(|line| line.contains("vrid 51")).collect();
    assert_eq!(
        adverts,
        ["6000 > advert vrid 51 prio 150 to 224.0.0.18", "8000 > advert vrid 51 prio 150 to 224.0.0.18"]
    );
}

#[test]
fn verdicts_survive_and_removed_trackers_lose_their_vote() {
    let tracker = TrackerName::Script("chk".to_owned());
    let mut config = both();
    config.routers[0].trackers.push(TrackerConfig { tracker: tracker.clone(), weight: 0, reverse: false });
    let mut lab = Lab::new(config.clone());
    lab.node.set_tracker(&tracker, TrackerStatus::Down, lab.now);
    lab.run_to(4_000).take();
    assert_eq!(lab.state(), State::Fault);
    reload(&mut lab, config);
    assert_eq!(lab.state(), State::Fault);
    reload(&mut lab, both());
    assert_eq!(lab.state(), State::Backup);
}

#[test]
fn a_group_made_of_a_master_and_a_backup_stands_for_election() {
    let config = both();
    let mut lab = Lab::new(config.clone());
    for second in 1..5 {
        lab.run_to(second * 1_000).hear(&config.routers[1], "10.77.0.2", 200);
    }
    lab.take();
    let group = GroupConfig { name: "G".to_owned(), members: vec!["VI_1".into(), "VI_2".into()], trackers: vec![] };
    reload(&mut lab, NodeConfig { groups: vec![group], ..config });
    assert!(lab.node.views().iter().all(|view| view.state == State::Backup));
    assert_eq!(lab.node.group_views()[0].state, State::Backup);
    lab.run_to(9_000);
    assert!(lab.node.views().iter().all(|view| view.state == State::Master));
    assert_eq!(lab.node.group_views()[0].state, State::Master);
}
