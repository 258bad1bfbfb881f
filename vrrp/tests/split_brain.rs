//! Two masters: noticed, told once, healed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use standfast_vrrp::*;
use support::*;

fn master(config: RouterConfig) -> Lab {
    let mut lab = Lab::new(node_of(vec![config]));
    lab.run_to(4_000).take();
    lab
}

/// The lines about a split brain, of adverts each second from `from` on.
fn split(lab: &mut Lab, theirs: &RouterConfig, priority: u8, from: u64, adverts: u64) -> Vec<String> {
    for second in 0..adverts {
        lab.run_to(from + second * 1_000);
        lab.hear(theirs, "10.77.0.2", priority);
    }
    lab.take().into_iter().filter(|line| line.to_lowercase().contains("split")).collect()
}

#[test]
fn a_lesser_master_that_stays_is_told_once() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    assert_eq!(
        split(&mut lab, &config, 90, 4_000, 30),
        [
            "6000 (VI_1) Split brain: 10.77.0.2 is master, too, with priority 90, ours 150 (3 adverts): it does not hear us or \
             refuses our adverts",
            "6000 > split 0 10.77.0.2 over false",
        ]
    );
    assert_eq!(lab.view().rival.unwrap().adverts, 30);
    let over = lab.run_to(40_000).take();
    assert_eq!(
        over.iter().filter(|line| line.to_lowercase().contains("split")).collect::<Vec<_>>(),
        ["36414 (VI_1) Split brain is over: 10.77.0.2 is silent, after 29.0 s", "36414 > split 0 10.77.0.2 over true"]
    );
    assert_eq!((lab.state(), lab.view().rival), (State::Master, None));
}

#[test]
fn a_partition_that_heals_at_once_is_none() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    assert!(split(&mut lab, &config, 90, 4_000, 2).is_empty());
    lab.run_to(20_000).take();
    assert!(split(&mut lab, &config, 90, 20_000, 2).is_empty(), "old adverts count no more");
}

#[test]
fn an_equal_with_a_lower_address_is_a_rival_too() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    for at in [4_000, 5_000, 6_000] {
        lab.run_to(at).hear(&config, "10.77.0.0", 150);
    }
    assert!(lab.log().iter().any(|line| line.contains("Split brain: 10.77.0.0 is master, too, with priority 150")));
}

#[test]
fn a_master_whose_adverts_are_refused_is_told_with_the_reason() {
    let config = vi("VI_1", 51, 150);
    let theirs = RouterConfig { authentication: Authentication::Pass(*b"other\0\0\0"), ..config.clone() };
    let mut lab = master(config);
    assert_eq!(
        split(&mut lab, &theirs, 200, 4_000, 5)[0],
        "6000 (VI_1) Split brain: 10.77.0.2 is master, too, with priority 200, ours 150 (3 adverts): its adverts are refused \
         here, received a 1 auth, expecting 0!"
    );
}

#[test]
fn the_winner_announces_its_addresses_again_where_asked_for() {
    let config = RouterConfig { split_brain_heal: true, ..vi("VI_1", 51, 150) };
    let mut lab = master(config.clone());
    split(&mut lab, &config, 90, 4_000, 4);
    lab.run_to(10_000);
    let healed: Vec<String> = lab.take().into_iter().filter(|line| line.starts_with("10414")).collect();
    assert!(healed.is_empty());
    lab.run_to(10_500);
    let lines = lab.take();
    assert!(lines.contains(&"10414 > announce 0 x5".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("after 3.0 s, announcing the addresses again")));
}

#[test]
fn a_flood_of_strangers_costs_no_memory_and_no_lines() {
    let config = vi("VI_1", 51, 150);
    let mut lab = master(config.clone());
    for host in 0..=255_u8 {
        lab.hear(&config, &format!("10.77.9.{host}"), 90);
    }
    assert!(!lab.log().iter().any(|line| line.contains("Split brain")));
}
