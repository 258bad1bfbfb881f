//! One router against injected adverts, as traces.

mod support;

use standfast_vrrp::*;
use std::time::Duration;
use support::*;

#[test]
fn start_waits_master_down_then_rises() {
    let mut lab = Lab::new(node_of(vec![vi("VI_1", 51, 150)]));
    assert_eq!(
        lab.run_to(9_000).take(),
        [
            "0 (VI_1) removing VIPs.",
            "0 > clear 0",
            "0 (VI_1) Entering BACKUP STATE (init)",
            "0 > notify 0 INIT->BACKUP 150",
            "3414 (VI_1) Receive advertisement timeout",
            "3414 > advert vrid 51 prio 150 to 224.0.0.18",
            "3414 (VI_1) Entering MASTER STATE",
            "3414 (VI_1) setting VIPs.",
            "3414 > set 0",
            "3414 > announce 0 x5",
            "3414 > notify 0 BACKUP->MASTER 150",
            "4414 > advert vrid 51 prio 150 to 224.0.0.18",
            "5414 > advert vrid 51 prio 150 to 224.0.0.18",
            "6414 > advert vrid 51 prio 150 to 224.0.0.18",
            "7414 > advert vrid 51 prio 150 to 224.0.0.18",
            "8414 > advert vrid 51 prio 150 to 224.0.0.18",
            "8414 > announce 0 x5",
        ]
    );
}

fn master(config: RouterConfig) -> Lab {
    let mut lab = Lab::new(node_of(vec![config]));
    lab.run_to(4_000).take();
    assert_eq!(lab.state(), State::Master);
    lab
}

fn backup(config: RouterConfig) -> Lab {
    let mut lab = Lab::new(node_of(vec![config]));
    lab.run_to(1_000).take();
    assert_eq!(lab.state(), State::Backup);
    lab
}

#[test]
fn an_owner_with_state_backup_waits() {
    let mut lab = Lab::new(node_of(vec![vi("VI_1", 51, 255)]));
    lab.run_to(3_003);
    assert_eq!(lab.state(), State::Backup);
    lab.run_to(3_004);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn owner_is_master_at_once() {
    let config = RouterConfig { starts_as_master: true, ..vi("VI_1", 51, 255) };
    let mut lab = Lab::new(node_of(vec![config]));
    assert_eq!(
        lab.run_to(999).take(),
        [
            "0 (VI_1) removing VIPs.",
            "0 > clear 0",
            "0 (VI_1) Receive advertisement timeout",
            "0 > advert vrid 51 prio 255 to 224.0.0.18",
            "0 (VI_1) Entering MASTER STATE",
            "0 (VI_1) setting VIPs.",
            "0 > set 0",
            "0 > announce 0 x5",
            "0 > notify 0 INIT->MASTER 255",
        ]
    );
}

#[test]
fn backup_discards_lower_adverts_and_keeps_its_timer() {
    let config = vi("VI_1", 51, 150);
    let mut lab = backup(config.clone());
    lab.hear(&config, "10.77.0.2", 100).run_to(2_000).hear(&config, "10.77.0.2", 100).run_to(3_500);
    assert_eq!(
        lab.log(),
        [
            "1000 (VI_1) received lower priority (100) advert from 10.77.0.2 - discarding",
            "2000 (VI_1) received lower priority (100) advert from 10.77.0.2 - discarding",
            "3414 (VI_1) Receive advertisement timeout",
            "3414 (VI_1) Entering MASTER STATE",
            "3414 (VI_1) setting VIPs.",
        ]
    );
}

#[test]
fn nopreempt_respects_lower_adverts_until_they_end() {
    let config = RouterConfig { preempt: false, ..vi("VI_1", 51, 150) };
    let mut lab = backup(config.clone());
    for second in 1..30 {
        lab.run_to(second * 1_000).hear(&config, "10.77.0.2", 100);
    }
    assert_eq!(lab.log(), [] as [&str; 0]);
    lab.run_to(29_000 + 3_414);
    assert_eq!(lab.log(), [] as [&str; 0]);
    lab.run_to(29_000 + 3_415);
    assert_eq!(lab.state(), State::Master);
}

/// Times of the recorded scenario `preempt_delay`: adverts of a priority 100 master at 0.6 s, 1.6 s and so on.
#[test]
fn preempt_delay_counts_from_the_first_lower_advert() {
    let config = RouterConfig { preempt_delay: Duration::from_secs(4), ..vi("VI_1", 51, 150) };
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    lab.run_to(0).take();
    for second in 0..7 {
        lab.run_to(600 + second * 1_000).hear(&config, "10.77.0.2", 100);
    }
    lab.run_to(7_100);
    assert_eq!(
        lab.log(),
        [
            "600 (VI_1) start preempt delay (4.000000)",
            "4600 (VI_1) received lower priority (100) advert from 10.77.0.2 - discarding",
            "5600 (VI_1) received lower priority (100) advert from 10.77.0.2 - discarding",
            "6600 (VI_1) received lower priority (100) advert from 10.77.0.2 - discarding",
            "7014 (VI_1) Receive advertisement timeout",
            "7014 (VI_1) Entering MASTER STATE",
            "7014 (VI_1) setting VIPs.",
        ]
    );
}

/// A better backup that is told not to preempt, beside a master whose adverts come at 0.6 s, 1.6 s and so on up to that second.
fn held(until: u64) -> (RouterConfig, RouterId, Lab) {
    let config = vi("VI_1", 51, 150);
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    lab.run_to(0).take();
    let id = lab.view().id;
    lab.node.hold_preemption(id, Duration::from_secs(60), lab.now);
    for second in 0..until {
        lab.run_to(600 + second * 1_000).hear(&config, "10.77.0.2", 100);
    }
    assert_eq!(lab.state(), State::Backup);
    (config, id, lab)
}

#[test]
fn a_held_backup_preempts_when_it_is_released() {
    let (config, id, mut lab) = held(8);
    lab.run_to(7_700);
    lab.node.release_preemption(id, lab.now);
    for second in 8..11 {
        lab.run_to(600 + second * 1_000).hear(&config, "10.77.0.2", 100);
    }
    lab.run_to(11_010);
    assert_eq!(lab.state(), State::Backup);
    lab.run_to(7_600 + 3_415);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn a_held_backup_takes_the_place_of_a_silent_master_and_forgets_the_hold_for_a_better_one() {
    let (_, _, mut lab) = held(2);
    lab.run_to(1_600 + 3_415);
    assert_eq!(lab.state(), State::Master);
    let (config, _, mut lab) = held(2);
    lab.hear(&config, "10.77.0.3", 200);
    assert_eq!(lab.view().preempt_at, None);
}

#[test]
fn priority_zero_leaves_only_the_skew() {
    let config = vi("VI_1", 51, 150);
    let mut lab = backup(config.clone());
    lab.hear(&config, "10.77.0.2", 0).run_to(1_420);
    assert_eq!(
        lab.log()[..2],
        ["1000 (VI_1) Backup received priority 0 advertisement", "1414 (VI_1) Receive advertisement timeout",]
    );
    assert_eq!(lab.view().last_transition().unwrap().reason, TransitionReason::MasterResigned);
}

/// A backup of priority 150 that wakes `late` milliseconds after its master down interval, 3.414 s from the start.
fn overslept(late: u64) -> (RouterConfig, Lab) {
    let config = vi("VI_1", 51, 150);
    let mut lab = backup(config.clone());
    lab.now = lab.at((3_414 + late) * 1_000_000);
    lab.node.handle_timeout(lab.now);
    (config, lab)
}

#[test]
fn a_backup_that_overslept_listens_for_as_long_again() {
    let (_, mut lab) = overslept(300);
    assert_eq!(lab.log(), ["3714 (VI_1) woke 0.300 seconds late, listening once more before taking over"]);
    lab.run_to(4_013);
    assert_eq!(lab.state(), State::Backup);
    lab.run_to(4_015);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn a_backup_that_overslept_stays_one_when_its_master_wakes_too() {
    let (config, mut lab) = overslept(300);
    lab.run_to(3_720).hear(&config, "10.77.0.2", 200).run_to(7_100);
    assert_eq!(lab.state(), State::Backup);
    lab.run_to(7_200);
    assert_eq!(lab.state(), State::Master, "and waits as ever afterwards");
}

#[test]
fn a_backup_listens_longer_by_one_interval_at_most_and_only_once() {
    let (_, mut lab) = overslept(60_000);
    lab.run_to(64_413);
    assert_eq!(lab.state(), State::Backup);
    lab.now = lab.at(70_000_000_000);
    lab.node.handle_timeout(lab.now);
    assert_eq!(lab.state(), State::Master, "late again, but twice is too much");
}

#[test]
fn a_backup_that_is_late_by_a_millisecond_does_not_hesitate() {
    let (_, lab) = overslept(1);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn a_farewell_that_a_new_master_overtook_means_nothing() {
    let config = vi("VI_1", 51, 100);
    let mut lab = backup(config.clone());
    lab.hear(&config, "10.77.0.2", 150).run_to(1_900).hear(&config, "10.77.0.3", 0).run_to(4_600);
    assert_eq!(lab.state(), State::Backup);
    lab.run_to(4_610);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn a_farewell_counts_where_the_known_master_has_missed_its_advert() {
    let config = vi("VI_1", 51, 100);
    let mut lab = backup(config.clone());
    lab.hear(&config, "10.77.0.2", 150).run_to(2_100).hear(&config, "10.77.0.3", 0).run_to(2_710);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn a_master_answers_priority_zero_with_an_advert() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    assert_eq!(
        lab.hear(&config, "10.77.0.2", 0).take(),
        ["4000 (VI_1) Master received priority 0 message", "4000 > advert vrid 51 prio 150 to 224.0.0.18"]
    );
}

#[test]
fn a_master_gives_way_to_a_higher_priority_and_not_to_a_lower_one() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    assert_eq!(
        lab.hear(&config, "10.77.0.2", 90).take(),
        [
            "4000 (VI_1) Received advert from 10.77.0.2 with lower priority 90, ours 150, forcing new election",
            "4000 > advert vrid 51 prio 150 to 224.0.0.18",
            "4000 > announce 0 x5",
            "4000 > lower 0",
        ]
    );
    let rival = lab.view().rival.unwrap();
    assert_eq!((rival.address, rival.priority, rival.at), (ip("10.77.0.2"), 90, lab.now));
    let later = lab.run_to(9_000).take();
    let announcements: Vec<&String> = later.iter().filter(|line| line.contains("announce")).collect();
    assert_eq!(announcements, ["8414 > announce 0 x5", "9000 > announce 0 x5"]);
    assert_eq!(
        lab.hear(&config, "10.77.0.2", 200).take(),
        [
            "9000 (VI_1) Master received advert from 10.77.0.2 with higher priority 200, ours 150",
            "9000 (VI_1) Entering BACKUP STATE",
            "9000 (VI_1) removing VIPs.",
            "9000 > clear 0",
            "9000 > notify 0 MASTER->BACKUP 150",
        ]
    );
    assert_eq!(lab.view().next(), Some((lab.at(12_414_062_500), TimerReason::MasterDown)));
    assert_eq!(lab.view().rival, None);
}

#[test]
fn equal_priorities_are_decided_by_address() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    lab.hear(&config, "10.77.0.0", 150);
    assert_eq!(lab.state(), State::Master);
    lab.take();
    lab.hear(&config, "10.77.0.100", 150);
    assert_eq!(
        lab.log()[0],
        "4000 (VI_1) Master received advert from 10.77.0.100 with same priority 150 but higher IP address than ours"
    );
    assert_eq!(lab.state(), State::Backup);
    lab.run_to(5_000).hear(&config, "10.77.0.0", 150).run_to(8_000);
    assert_eq!(lab.state(), State::Backup, "a backup respects an equal of any address");
}

#[test]
fn lower_prio_no_advert_leaves_out_the_advert_only() {
    let config = RouterConfig { lower_prio_no_advert: true, ..vi("VI_1", 51, 150) };
    let mut lab = master(config.clone());
    assert_eq!(
        lab.hear(&config, "10.77.0.2", 90).take(),
        [
            "4000 (VI_1) Received advert from 10.77.0.2 with lower priority 90, ours 150",
            "4000 > announce 0 x5",
            "4000 > lower 0",
        ]
    );
}

#[test]
fn strict_leaves_out_the_announcement() {
    let config = RouterConfig { strict: true, lower_prio_no_advert: true, ..vi("VI_1", 51, 150) };
    let mut lab = master(config.clone());
    assert_eq!(lab.hear(&config, "10.77.0.2", 90).take().len(), 2);
}

#[test]
fn higher_prio_send_advert_says_a_last_word() {
    let config = RouterConfig { higher_prio_send_advert: true, ..vi("VI_1", 51, 150) };
    let mut lab = master(config.clone());
    assert_eq!(lab.hear(&config, "10.77.0.2", 200).take()[1], "4000 > advert vrid 51 prio 150 to 224.0.0.18");
}

#[test]
fn version_3_backups_adopt_the_interval_of_the_master() {
    let slow = RouterConfig { version: Version::V3, advert_interval: Duration::from_secs(2), ..vi("VI_1", 51, 150) };
    let quick = RouterConfig { advert_interval: Duration::from_millis(500), priority: 100, ..slow.clone() };
    let mut lab = master(quick);
    lab.hear(&slow, "10.77.0.2", 150);
    assert_eq!(
        lab.log(),
        [
            "4000 (VI_1) Master received advert from 10.77.0.2 with higher priority 150, ours 100",
            "4000 (VI_1) advertisement interval updated from 500ms to 2000ms by master",
            "4000 (VI_1) Entering BACKUP STATE",
            "4000 (VI_1) removing VIPs.",
        ]
    );
    // 3 x 2 s and (256 - 100) / 256 x 2 s.
    lab.run_to(11_218);
    assert_eq!(lab.log(), [] as [&str; 0]);
    lab.run_to(11_300);
    assert_eq!(
        lab.log()[..3],
        [
            "11218 (VI_1) Receive advertisement timeout",
            "11218 (VI_1) Entering MASTER STATE",
            "11218 (VI_1) changing advert interval from 2000ms to locally configured 500ms",
        ]
    );
}

#[test]
fn startup_delay_comes_before_the_first_master_down_interval() {
    let config = NodeConfig { startup_delay: Duration::from_millis(3_500), ..node_of(vec![vi("VI_1", 51, 150)]) };
    let mut lab = Lab::new(config);
    lab.run_to(7_000);
    assert_eq!(
        lab.log(),
        [
            "0 Delaying startup for 3.5 seconds",
            "0 (VI_1) removing VIPs.",
            "0 (VI_1) Entering BACKUP STATE (init)",
            "6914 (VI_1) Receive advertisement timeout",
            "6914 (VI_1) Entering MASTER STATE",
            "6914 (VI_1) setting VIPs.",
        ]
    );
}

#[test]
fn stop_resigns_and_clears() {
    let mut lab = master(vi("VI_1", 51, 150));
    lab.node.stop(lab.now);
    assert_eq!(
        lab.take(),
        [
            "4000 > advert vrid 51 prio 0 to 224.0.0.18",
            "4000 (VI_1) sent 0 priority",
            "4000 (VI_1) removing VIPs.",
            "4000 > clear 0",
            "4000 > notify 0 MASTER->STOP 150",
        ]
    );
    assert_eq!(lab.node.poll_timeout(), None);
    lab.node.stop(lab.now);
    assert_eq!(lab.take(), [] as [&str; 0]);
}

#[test]
fn stop_of_a_backup_only_notifies() {
    let mut lab = backup(vi("VI_1", 51, 150));
    lab.node.stop(lab.now);
    assert_eq!(lab.take(), ["1000 > notify 0 BACKUP->STOP 150"]);
}

/// Times of the recorded scenario `vip_deleted_by_hand`.
#[test]
fn a_lost_address_makes_the_master_resign_and_come_back() {
    let mut lab = master(vi("VI_1", 51, 150));
    lab.node.address_lost(RouterId(0), ip("10.77.0.200"), lab.now);
    assert_eq!(
        lab.take(),
        [
            "4000 (VI_1) Entering BACKUP STATE",
            "4000 > advert vrid 51 prio 0 to 224.0.0.18",
            "4000 (VI_1) sent 0 priority",
            "4000 (VI_1) removing VIPs.",
            "4000 > clear 0",
            "4000 > notify 0 MASTER->BACKUP 150",
        ]
    );
    lab.run_to(4_420);
    assert_eq!(lab.log()[0], "4414 (VI_1) Receive advertisement timeout");
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn refresh_announces_again_and_again() {
    let mut config = vi("VI_1", 51, 150);
    config.announce.refresh = Duration::from_secs(2);
    let mut lab = master(config);
    let announcements: Vec<String> =
        lab.run_to(10_000).take().into_iter().filter(|line| line.contains("announce")).collect();
    assert_eq!(
        announcements,
        ["5414 > announce 0 x1", "7414 > announce 0 x1", "8414 > announce 0 x5", "9414 > announce 0 x1"]
    );
}

#[test]
fn interfaces_without_adverts_are_announced_after_the_second_block_and_until_the_reign_ends() {
    let mut config = vi("VI_1", 51, 150);
    config.announce.extra = Duration::from_secs(2);
    let mut lab = master(config.clone());
    let extras = |lab: &mut Lab, until| -> Vec<String> {
        lab.run_to(until).take().into_iter().filter(|line| line.contains("extra")).collect()
    };
    let expected = ["10414 > announce extra 0", "12414 > announce extra 0"];
    assert_eq!(extras(&mut lab, 13_000), expected);
    lab.hear(&config, "10.77.0.2", 200);
    assert_eq!(extras(&mut lab, 15_000), [] as [&str; 0]);
}

#[test]
fn own_adverts_and_those_of_the_other_kind_are_ignored() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    lab.hear(&config, "10.77.0.1", 200);
    let payload = packet::AdvertSpec::of(&config, 200).encode(&ip("10.77.0.2"), &ip("10.77.0.1"));
    lab.hear_raw("10.77.0.2", ip("10.77.0.1"), 255, &payload);
    let other = vi("VI_9", 99, 200);
    lab.hear(&other, "10.77.0.2", 200);
    assert_eq!(lab.take(), [] as [&str; 0]);
}

#[test]
fn unicast_adverts_go_to_every_peer_and_are_taken_with_any_ttl() {
    let config = RouterConfig { unicast_peers: vec![ip("10.77.0.2"), ip("10.77.0.3")], ..vi("VI_1", 51, 150) };
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    let adverts: Vec<String> =
        lab.run_to(3_420).take().into_iter().filter(|line| line.contains("advert vrid")).collect();
    assert_eq!(adverts, ["3414 > advert vrid 51 prio 150 to 10.77.0.2", "3414 > advert vrid 51 prio 150 to 10.77.0.3"]);
    let payload = packet::AdvertSpec::of(&config, 200).encode(&ip("10.77.0.9"), &ip("10.77.0.1"));
    lab.hear_raw("10.77.0.9", ip("10.77.0.1"), 3, &payload);
    assert_eq!(lab.state(), State::Backup);
}

#[test]
fn rejected_adverts_are_told_counted_and_do_nothing() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    let payload = packet::AdvertSpec::of(&config, 200).encode(&ip("10.77.0.2"), &config.multicast_group);
    lab.hear_raw("10.77.0.2", config.multicast_group, 64, &payload);
    lab.hear_raw("10.77.0.2", config.multicast_group, 255, &payload[..6]);
    assert_eq!(
        lab.take(),
        ["4000 (VI_1) invalid TTL/HL. Received 64 and expect 255", "4000 IPv4 VRRP packet too short - 26 bytes"]
    );
    for _ in 0..1_000 {
        lab.hear_raw("10.77.0.2", config.multicast_group, 64, &payload);
    }
    assert_eq!(lab.take().len(), 8, "a flood does not fill the log");
    let statistics = lab.view().statistics;
    assert_eq!((statistics.ttl_errors, statistics.length_errors), (1_001, 1));
    assert_eq!(statistics.adverts_received, 0);
}

#[test]
fn authentication_headers_are_sent_and_opened() {
    let config = RouterConfig { authentication: Authentication::Ah(*b"secret77"), ..vi("VI_1", 51, 100) };
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    lab.run_to(3_700);
    let sent = lab.effects.iter().find_map(|effect| match effect {
        Effect::Advertise { protocol, identification, payload, ttl, .. } => {
            Some((*protocol, *identification, *ttl, payload.clone()))
        }
        _ => None,
    });
    let (protocol, identification, ttl, payload) = sent.unwrap();
    assert_eq!((protocol, identification, ttl), (51, 1, 255));
    // The first frame of keepalived with the same configuration.
    assert_eq!(payload[12..24], [0x68, 0x75, 0x1b, 0, 0xe9, 0x1f, 0xa1, 0xf0, 0x95, 0xdc, 0xa3, 0xef]);

    let message = packet::AdvertSpec::of(&config, 200).encode(&ip("10.77.0.2"), &config.multicast_group);
    let seal = packet::Seal {
        key: *b"secret77",
        source: [10, 77, 0, 2].into(),
        destination: [224, 0, 0, 18].into(),
        identification: 7,
        ttl: 255,
        sequence: 41,
    };
    let sealed = packet::seal(&seal, &message);
    let header = packet::ipv4_header(seal.source, seal.destination, 51, 255, 7, sealed.len());
    let datagram = Datagram {
        link: LINK,
        source: ip("10.77.0.2"),
        destination: config.multicast_group,
        ttl: Some(255),
        protocol: 51,
        ip_header: &header,
        payload: &sealed,
    };
    lab.node.receive(&datagram, lab.now);
    lab.collect();
    assert_eq!(lab.state(), State::Backup);
    lab.effects.clear();
    lab.run_to(9_000);
    let sequence = lab.effects.iter().find_map(|effect| match effect {
        Effect::Advertise { payload, .. } => Some(payload[8..12].to_vec()),
        _ => None,
    });
    assert_eq!(sequence.unwrap(), [0, 0, 0, 42], "keepalived takes no sequence number below one it has seen");
}

#[test]
fn a_late_timer_demotes_where_asked_for() {
    for (timer_expired_backup, state) in [(None, State::Master), (Some(100), State::Backup)] {
        let mut lab = master(RouterConfig { timer_expired_backup, ..vi("VI_1", 51, 150) });
        // The last advert went out at 3.414 s; priority 100 takes over 3.609 s after it.
        lab.now = lab.at(7_023_000_000);
        lab.node.handle_timeout(lab.now);
        assert_eq!(lab.state(), State::Master);
        lab.now = lab.at(10_633_000_000);
        lab.node.handle_timeout(lab.now);
        assert_eq!(lab.state(), state);
    }
}

#[test]
fn five_hundred_routers_share_one_clock() {
    let router = |index: u16| {
        let vrid = u8::try_from(index % 255 + 1).unwrap();
        RouterConfig { link: Link(u32::from(index / 255) + 2), ..vi(&format!("VI_{index}"), vrid, 150) }
    };
    let mut lab = Lab::new(node_of((0..500).map(router).collect()));
    lab.node.set_source(Link(3), Family::V4, Some(ip("10.78.0.1")), lab.now);
    lab.run_to(10_000);
    assert!(lab.node.views().iter().all(|view| view.state == State::Master && view.statistics.adverts_sent == 7));
}

#[test]
fn counters_begin_at_zero_again() {
    let mut lab = master(vi("VI_1", 51, 150));
    assert_eq!(lab.view().statistics.became_master, 1);
    lab.node.clear_statistics();
    assert_eq!(lab.view().statistics, Statistics::default());
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn of_two_owners_the_lesser_address_gives_way() {
    let mut config = vi("VI_1", 51, 255);
    config.starts_as_master = true;
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    lab.run_to(100).take();
    lab.hear(&config, "10.77.0.9", 255);
    let lines = lab.take();
    assert!(
        lines.iter().any(|line| line.contains("CONFIGURATION ERROR") && line.contains("reducing local priority")),
        "{lines:?}"
    );
    assert_eq!((lab.view().state, lab.view().effective_priority), (State::Backup, 254));
    lab.hear(&config, "10.77.0.9", 0);
    lab.run_to(1_000);
    assert_eq!((lab.view().state, lab.view().effective_priority), (State::Master, 254));
}

#[test]
fn an_owner_may_listen_to_nobody() {
    let mut config = vi("VI_1", 51, 255);
    config.starts_as_master = true;
    config.owner_ignore_adverts = true;
    let mut lab = Lab::new(node_of(vec![config.clone()]));
    lab.run_to(100).take();
    lab.hear(&config, "10.77.0.9", 255);
    assert_eq!(lab.take(), ["100 (VI_1) Dropping packet(s) from 10.77.0.9 since we are address owner"]);
    assert_eq!(lab.state(), State::Master);
}

#[test]
fn unicast_without_peers_is_a_fault_where_asked_for() {
    let mut config = vi("VI_1", 51, 150);
    config.lacks_peers = true;
    let mut lab = Lab::new(node_of(vec![config]));
    let log = lab.run_to(9_000).log();
    assert_eq!(log[0], "0 (VI_1) Cannot use unicast without any peers - going to fault state");
    assert_eq!(lab.state(), State::Fault);
    assert_eq!(lab.view().last_transition().unwrap().reason, TransitionReason::NoPeers);
}

#[test]
fn checksums_of_version_3_may_leave_out_the_pseudo_header() {
    let mut config = vi("VI_1", 51, 150);
    config.version = Version::V3;
    let with_header = config.clone();
    config.v3_checksum_as_v2 = true;
    let sent = packet::AdvertSpec::of(&config, 200).encode(&ip("10.77.0.9"), &config.multicast_group);
    assert_eq!(packet_sum(&sent), 0xffff);
    for theirs in [&config, &with_header] {
        let mut lab = master(config.clone());
        lab.hear(theirs, "10.77.0.9", 200);
        assert_eq!(lab.state(), State::Backup);
    }
    let mut strict = master(with_header);
    strict.hear(&config, "10.77.0.9", 200);
    assert!(strict.log()[0].ends_with("Invalid VRRPv3 checksum"));
}

fn packet_sum(message: &[u8]) -> u32 {
    let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    (sum & 0xffff) + (sum >> 16)
}

#[test]
fn unknown_identifiers_are_told_ten_times_a_second() {
    let config = NodeConfig { log_unknown_vrids: true, ..node_of(vec![vi("VI_1", 51, 150)]) };
    let mut lab = Lab::new(config);
    lab.run_to(100).take();
    for _ in 0..50 {
        lab.hear(&vi("VI_9", 9, 100), "10.77.0.9", 100);
    }
    assert_eq!(lab.take(), ["100 > unknown vrid 9 from 10.77.0.9"; 10]);
    let mut silent = Lab::new(node_of(vec![vi("VI_1", 51, 150)]));
    silent.run_to(100).take();
    silent.hear(&vi("VI_9", 9, 100), "10.77.0.9", 100);
    assert!(silent.take().is_empty());
}

#[test]
fn a_source_that_vanishes_is_a_fault() {
    let source = TrackerName::Source(ip("10.77.0.7"));
    let mut config = vi("VI_1", 51, 150);
    config.source = Some(ip("10.77.0.7"));
    config.trackers = vec![TrackerConfig { tracker: source.clone(), weight: 0, reverse: false }];
    let mut lab = Lab::new(node_of(vec![config]));
    lab.node.set_tracker(&source, TrackerStatus::Up, lab.now);
    lab.run_to(4_000).take();
    lab.node.set_tracker(&source, TrackerStatus::Down, lab.now);
    assert_eq!(lab.state(), State::Fault);
    assert_eq!(lab.view().last_transition().unwrap().reason.to_string(), "source address 10.77.0.7 is down");
}
