//! Two to seven nodes on a network that loses, delays, doubles and divides, under a virtual clock.
//!
//! Every run is a function of its seed, which a failure prints. `STANDFAST_SEEDS=N` asks for N seeds of each property,
//! `STANDFAST_SEED=S` for seed S alone.

#![allow(clippy::unwrap_used, reason = "a simulation that cannot go on may panic")]
#![allow(clippy::panic, reason = "a simulation that cannot go on may panic")]
#![allow(clippy::disallowed_methods, reason = "the test owns the clock and the environment")]

#[path = "simulation/world.rs"]
mod world;

use standfast_vrrp::State;
use std::time::Duration;
use world::{Dice, Plan, World};

/// Seeds of each property in an ordinary run.
const SEEDS: u64 = 1_000;

fn for_each_seed(check: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let seeds = match number("STANDFAST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STANDFAST_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(cause) = std::panic::catch_unwind(|| check(seed)) {
            eprintln!("failing seed: STANDFAST_SEED={seed}");
            std::panic::resume_unwind(cause);
        }
    }
}

#[test]
fn after_healing_exactly_one_master_remains() {
    for_each_seed(|seed| {
        let mut world = World::new(Plan::any(&mut Dice::new(seed)), seed);
        world.chaos(25);
        world.heal();
        world.run_for(world.plan.settling_time());
        world.calm_down();
        world.run_for(world.plan.longest_interval() * 12);
        for vrid in world.plan.vrids() {
            let masters = world.masters(vrid);
            assert_eq!(masters.len(), 1, "VRID {vrid}: masters {masters:?}\n{}", world.story());
            if world.plan.best_must_win() {
                let best = world.plan.best_priority(vrid);
                let won = world.plan.priority(masters[0], vrid);
                assert_eq!(won, best, "VRID {vrid}: not the best one won\n{}", world.story());
            }
        }
        if world.plan.grouped {
            let owners: Vec<_> = world.plan.vrids().flat_map(|vrid| world.masters(vrid)).collect();
            assert!(owners.windows(2).all(|pair| pair[0] == pair[1]), "split group {owners:?}\n{}", world.story());
        }
        assert_eq!(world.transitions_since_calm(), 0, "unrest after healing\n{}", world.story());
    });
}

#[test]
fn a_connected_network_never_has_two_masters_for_longer_than_a_packet_travels() {
    for_each_seed(|seed| {
        let mut world = World::new(Plan::any(&mut Dice::new(seed)).without_groups(), seed);
        world.heal();
        world.watch_overlaps();
        for _ in 0..12 {
            world.kill_stop_or_start();
            let pause = world.dice.below(world.plan.longest_interval() * 8);
            world.run_for(pause);
        }
        let bound = World::LONGEST_CALM_DELAY + World::LATENESS;
        let longest = world.longest_overlap();
        assert!(longest <= bound, "two masters for {longest:?}\n{}", world.story());
    });
}

#[test]
fn nopreempt_never_preempts() {
    for_each_seed(|seed| {
        let mut world = World::new(Plan::any(&mut Dice::new(seed)).without_groups().nopreempt(), seed);
        world.heal();
        world.forbid_preemption();
        for _ in 0..12 {
            world.kill_stop_or_start();
            let pause = world.dice.below(world.plan.longest_interval() * 8);
            world.run_for(pause);
        }
    });
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = |seed| {
        let mut world = World::new(Plan::any(&mut Dice::new(seed)), seed);
        world.chaos(20);
        world.story()
    };
    for seed in 0..5 {
        assert_eq!(story(seed), story(seed));
    }
    assert_ne!(story(0), story(1));
}

#[test]
fn two_hundred_and_fifty_five_routers_rise_in_time() {
    let mut world = World::new(Plan::wide(), 7);
    world.heal();
    world.run_for(Duration::from_millis(3_700));
    assert!(world.plan.vrids().all(|vrid| world.masters(vrid) == [0]));
    assert!(world.states(1).iter().all(|state| *state == State::Backup));
}
