use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const VIRTUAL: &str = "[10.0.0.100]:tcp:80";

fn server(index: u64, weight: i32, checkers: &[u64]) -> ServerConfig {
    ServerConfig {
        id: ServerId(index),
        name: format!("[10.1.0.{index}]:tcp:80"),
        weight,
        inhibit_on_failure: false,
        checkers: checkers.iter().map(|&id| PoolChecker::new(CheckerId(id), false)).collect(),
    }
}

fn config(quorum: u32, hysteresis: u32, servers: Vec<ServerConfig>) -> PoolConfig {
    PoolConfig {
        service: VIRTUAL.to_owned(),
        quorum,
        hysteresis,
        omega: false,
        init_notifies: false,
        sorry: None,
        servers,
    }
}

fn sorry(inhibit: bool) -> Option<SorryConfig> {
    Some(SorryConfig { name: "[10.1.0.4]:tcp:80".to_owned(), inhibit })
}

fn up(id: u64) -> CheckEvent {
    CheckEvent::Up { id: CheckerId(id), first: false, mail: None }
}

fn down(id: u64) -> CheckEvent {
    CheckEvent::Down { id: CheckerId(id), first: false, reason: String::new(), mail: None }
}

/// The forwarding table that the effects describe.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    servers: BTreeMap<ServerId, u32>,
    sorry: Option<u32>,
}

impl Table {
    /// Panics where a real table would refuse.
    fn apply(&mut self, effect: &PoolEffect) {
        match effect {
            PoolEffect::AddServer { server, weight } => assert_eq!(self.servers.insert(*server, *weight), None),
            PoolEffect::RemoveServer { server } => assert!(self.servers.remove(server).is_some()),
            PoolEffect::SetWeight { server, weight } => assert!(self.servers.insert(*server, *weight).is_some()),
            PoolEffect::AddSorry { weight } => assert_eq!(self.sorry.replace(*weight), None),
            PoolEffect::SetSorryWeight { weight } => assert!(self.sorry.replace(*weight).is_some()),
            PoolEffect::RemoveSorry => assert!(self.sorry.take().is_some()),
            _ => {}
        }
    }
}

fn drain(pool: &mut Pool) -> Vec<PoolEffect> {
    std::iter::from_fn(|| pool.poll_effect()).collect()
}

/// Effects in short: log lines as they are.
fn told(pool: &mut Pool) -> Vec<String> {
    let name = |server: ServerId| server.0;
    drain(pool)
        .into_iter()
        .map(|effect| match effect {
            PoolEffect::Log(line) => line,
            PoolEffect::AddServer { server, weight } => format!("+ {} {weight}", name(server)),
            PoolEffect::RemoveServer { server } => format!("- {}", name(server)),
            PoolEffect::SetWeight { server, weight } => format!("~ {} {weight}", name(server)),
            PoolEffect::AddSorry { weight } => format!("+ sorry {weight}"),
            PoolEffect::SetSorryWeight { weight } => format!("~ sorry {weight}"),
            PoolEffect::RemoveSorry => "- sorry".to_owned(),
            PoolEffect::ServerUp { server } => format!("notify_up {}", name(server)),
            PoolEffect::ServerDown { server } => format!("notify_down {}", name(server)),
            PoolEffect::ServerMail { server, up, changed, body } => {
                format!("mail {} up={up} changed={changed} {body}", name(server))
            }
            PoolEffect::QuorumUp { text } => format!("quorum_up {text}"),
            PoolEffect::QuorumDown { text } => format!("quorum_down {text}"),
        })
        .collect()
}

fn after(pool: &mut Pool, event: &CheckEvent) -> Vec<String> {
    assert!(pool.handle(event));
    told(pool)
}

/// The pool of `e1_http.txt`: weights 1, 2, 3, quorum 2, a sorry server.
fn recorded() -> Pool {
    let servers = vec![server(1, 1, &[1]), server(2, 2, &[2]), server(3, 3, &[3])];
    Pool::new(PoolConfig { sorry: sorry(false), ..config(2, 0, servers) })
}

#[test]
fn servers_enter_before_any_check() {
    let expected = [
        "+ 1 1",
        "+ 2 2",
        "+ 3 3",
        "Gained quorum 2+0=2 <= 6 for VS [10.0.0.100]:tcp:80",
        "quorum_up => Starting with quorum up 2+0=2 <= 6 <=",
    ];
    assert_eq!(told(&mut recorded()), expected);
}

#[test]
fn the_sorry_server_steps_in_and_out_as_recorded() {
    let mut pool = recorded();
    told(&mut pool);
    let expected = ["Removing service [10.1.0.2]:tcp:80 from VS [10.0.0.100]:tcp:80", "- 2", "notify_down 2"];
    assert_eq!(after(&mut pool, &down(2)), expected);
    let expected = [
        "Removing service [10.1.0.3]:tcp:80 from VS [10.0.0.100]:tcp:80",
        "- 3",
        "notify_down 3",
        "Lost quorum 2-0=2 > 1 for VS [10.0.0.100]:tcp:80",
        "Adding sorry server [10.1.0.4]:tcp:80 to VS [10.0.0.100]:tcp:80",
        "+ sorry 1",
        "Removing alive servers from the pool for VS [10.0.0.100]:tcp:80",
        "- 1",
        "quorum_down => Lost quorum 2+0=2 <= 1 <=",
    ];
    assert_eq!(after(&mut pool, &down(3)), expected);
    let expected = ["Removing service [10.1.0.1]:tcp:80 from VS [10.0.0.100]:tcp:80", "notify_down 1"];
    assert_eq!(after(&mut pool, &down(1)), expected);
    let expected = ["Adding service [10.1.0.1]:tcp:80 to VS [10.0.0.100]:tcp:80", "notify_up 1"];
    assert_eq!(after(&mut pool, &up(1)), expected);
    let expected = [
        "Adding service [10.1.0.2]:tcp:80 to VS [10.0.0.100]:tcp:80",
        "notify_up 2",
        "Gained quorum 2+0=2 <= 3 for VS [10.0.0.100]:tcp:80",
        "Removing sorry server [10.1.0.4]:tcp:80 from VS [10.0.0.100]:tcp:80",
        "- sorry",
        "Adding alive servers to the pool for VS [10.0.0.100]:tcp:80",
        "+ 1 1",
        "+ 2 2",
        "quorum_up => Gained quorum 2+0=2 <= 3 <=",
    ];
    assert_eq!(after(&mut pool, &up(2)), expected);
}

#[test]
fn alpha_with_inhibition_starts_with_weight_zero_as_recorded() {
    let mut servers = vec![server(1, 5, &[1]), server(2, 6, &[2])];
    for server in &mut servers {
        server.inhibit_on_failure = true;
        server.checkers[0].alpha = true;
    }
    let mut pool = Pool::new(config(1, 0, servers));
    assert_eq!(told(&mut pool), ["+ 1 0", "+ 2 0"]);
    let expected = [
        "Enabling service [10.1.0.1]:tcp:80 of VS [10.0.0.100]:tcp:80",
        "~ 1 5",
        "notify_up 1",
        "Gained quorum 1+0=1 <= 5 for VS [10.0.0.100]:tcp:80",
        "quorum_up => Gained quorum 1+0=1 <= 5 <=",
    ];
    assert_eq!(after(&mut pool, &up(1)), expected);
    after(&mut pool, &up(2));
    let expected = ["Disabling service [10.1.0.1]:tcp:80 of VS [10.0.0.100]:tcp:80", "~ 1 0", "notify_down 1"];
    assert_eq!(after(&mut pool, &down(1)), expected);
    let expected = [
        "Disabling service [10.1.0.2]:tcp:80 of VS [10.0.0.100]:tcp:80",
        "~ 2 0",
        "notify_down 2",
        "Lost quorum 1-0=1 > 0 for VS [10.0.0.100]:tcp:80",
        "quorum_down => Lost quorum 1+0=1 <= 0 <=",
    ];
    assert_eq!(after(&mut pool, &down(2)), expected);
}

#[test]
fn hysteresis_is_as_recorded() {
    let servers = vec![server(1, 1, &[1]), server(2, 2, &[2]), server(3, 2, &[3]), server(4, 1, &[])];
    let mut pool = Pool::new(config(3, 1, servers));
    assert!(told(&mut pool).contains(&"Gained quorum 3+1=4 <= 6 for VS [10.0.0.100]:tcp:80".to_owned()));
    after(&mut pool, &down(1));
    after(&mut pool, &down(2));
    let lost = "Lost quorum 3-1=2 > 1 for VS [10.0.0.100]:tcp:80".to_owned();
    assert!(after(&mut pool, &down(3)).contains(&lost));
    after(&mut pool, &up(1));
    let gained = "Gained quorum 3+1=4 <= 4 for VS [10.0.0.100]:tcp:80".to_owned();
    assert!(after(&mut pool, &up(2)).contains(&gained));
}

#[test]
fn weights_from_programs_are_as_recorded() {
    let weight = |weight| CheckEvent::Weight { id: CheckerId(1), weight };
    let mut pool = Pool::new(config(1, 0, vec![server(1, 4, &[1, 2]), server(2, 4, &[3])]));
    told(&mut pool);
    let line = |from, to| {
        format!("Changing weight from {from} to {to} for active service [10.1.0.1]:tcp:80 of VS [10.0.0.100]:tcp:80")
    };
    assert_eq!(after(&mut pool, &weight(Some(0))), [line(4, 0), "~ 1 0".to_owned()]);
    assert_eq!(after(&mut pool, &weight(Some(20))), [line(0, 20), "~ 1 20".to_owned()]);
    // The other checker fails: the weight asked for comes back with the server.
    after(&mut pool, &down(2));
    assert!(after(&mut pool, &up(2)).contains(&"+ 1 20".to_owned()));
    // The program itself fails: the configured weight comes back.
    after(&mut pool, &down(1));
    assert!(after(&mut pool, &up(1)).contains(&"+ 1 4".to_owned()));
}

#[test]
fn a_server_is_up_only_while_all_its_checkers_are() {
    let mut pool = Pool::new(config(1, 0, vec![server(1, 1, &[1, 2])]));
    told(&mut pool);
    assert_eq!(after(&mut pool, &down(1)).len(), 5);
    assert!(after(&mut pool, &down(2)).is_empty());
    assert!(after(&mut pool, &up(1)).is_empty());
    assert!(after(&mut pool, &up(2)).contains(&"+ 1 1".to_owned()));
}

#[test]
fn mails_tell_whether_the_server_changed() {
    let mail = |up: bool| {
        let mail = Some("=> TCP CHECK failed on service <=".to_owned());
        if up {
            CheckEvent::Up { id: CheckerId(1), first: false, mail }
        } else {
            CheckEvent::Down { id: CheckerId(1), first: false, reason: String::new(), mail }
        }
    };
    let mut pool = Pool::new(config(1, 0, vec![server(1, 1, &[1, 2])]));
    told(&mut pool);
    let last = after(&mut pool, &mail(false)).pop();
    assert_eq!(last.as_deref(), Some("mail 1 up=false changed=true => TCP CHECK failed on service <="));
    after(&mut pool, &down(2));
    let last = after(&mut pool, &mail(true)).pop();
    assert_eq!(last.as_deref(), Some("mail 1 up=false changed=false => TCP CHECK failed on service <="));
}

#[test]
fn the_first_failure_in_alpha_mode_is_notified() {
    let mut alpha = server(1, 1, &[1]);
    alpha.checkers[0].alpha = true;
    let mut pool = Pool::new(config(1, 0, vec![alpha]));
    assert!(told(&mut pool).is_empty());
    let event = CheckEvent::Down { id: CheckerId(1), first: true, reason: String::new(), mail: None };
    assert_eq!(after(&mut pool, &event), ["notify_down 1"]);
}

#[test]
fn an_inhibited_sorry_server_waits_in_the_table() {
    let mut pool = Pool::new(PoolConfig { sorry: sorry(true), ..config(1, 0, vec![server(1, 1, &[1])]) });
    assert_eq!(told(&mut pool).last().map(String::as_str), Some("+ sorry 0"));
    assert!(after(&mut pool, &down(1)).contains(&"~ sorry 1".to_owned()));
    assert!(after(&mut pool, &up(1)).contains(&"~ sorry 0".to_owned()));
}

#[test]
fn an_alpha_pool_with_a_sorry_server_starts_with_it() {
    let mut alpha = server(1, 1, &[1]);
    alpha.checkers[0].alpha = true;
    let mut pool = Pool::new(PoolConfig { sorry: sorry(false), ..config(1, 0, vec![alpha]) });
    let told = told(&mut pool);
    assert_eq!(told[0], "Starting with quorum down 1-0=1 > 0 for VS [10.0.0.100]:tcp:80");
    assert!(told.contains(&"+ sorry 1".to_owned()));
}

#[test]
fn the_end_empties_the_table() {
    let mut pool = Pool::new(PoolConfig { omega: true, ..config(1, 0, vec![server(1, 1, &[1])]) });
    told(&mut pool);
    pool.stop();
    let expected = [
        "Shutting down service [10.1.0.1]:tcp:80 from VS [10.0.0.100]:tcp:80",
        "- 1",
        "notify_down 1",
        "mail 1 up=false changed=true => Shutting down <=",
        "quorum_down => Shutting down <=",
    ];
    assert_eq!(told(&mut pool), expected);
}

#[test]
fn a_reload_is_as_recorded() {
    let mut pool = Pool::new(config(1, 0, vec![server(1, 1, &[1]), server(2, 2, &[2])]));
    told(&mut pool);
    after(&mut pool, &down(2));
    pool.update(config(1, 0, vec![server(1, 7, &[1]), server(2, 2, &[2]), server(3, 3, &[3])]));
    let weight = "Changing weight from 1 to 7 for active service [10.1.0.1]:tcp:80 of VS [10.0.0.100]:tcp:80";
    assert_eq!(told(&mut pool), [weight, "~ 1 7", "+ 3 3"]);
    after(&mut pool, &up(2));
    pool.update(config(1, 0, vec![server(1, 7, &[1]), server(3, 3, &[3])]));
    let expected = [
        "service [10.1.0.2]:tcp:80 no longer exist",
        "Removing service [10.1.0.2]:tcp:80 from VS [10.0.0.100]:tcp:80",
        "- 2",
        "notify_down 2",
        "mail 2 up=false changed=true => Removing <=",
    ];
    assert_eq!(told(&mut pool), expected);
}

#[test]
fn a_reload_that_moves_weight_between_servers_does_not_flap() {
    let mut pool = Pool::new(config(4, 0, vec![server(1, 3, &[1]), server(2, 1, &[2])]));
    told(&mut pool);
    pool.update(config(4, 0, vec![server(1, 1, &[1]), server(2, 3, &[2])]));
    assert!(told(&mut pool).iter().all(|line| !line.contains("quorum")));
}

#[test]
fn a_failed_checker_that_goes_away_frees_its_server() {
    let mut pool = Pool::new(config(1, 0, vec![server(1, 1, &[1, 2])]));
    told(&mut pool);
    after(&mut pool, &down(2));
    pool.update(config(1, 0, vec![server(1, 1, &[1])]));
    assert!(told(&mut pool).contains(&"+ 1 1".to_owned()));
}

#[test]
fn events_of_strangers_are_refused() {
    assert!(!recorded().handle(&up(99)));
}

fn any_config() -> impl Strategy<Value = PoolConfig> {
    let server = (0..5i32, any::<bool>(), any::<bool>(), 0..3usize);
    let servers = prop::collection::btree_map(0..6u64, server, 0..6);
    (servers, 1..6u32, 0..4u32, prop::option::of(any::<bool>())).prop_map(|(servers, quorum, hysteresis, inhibit)| {
        let servers = servers.into_iter().map(|(id, (weight, inhibit, alpha, checkers))| ServerConfig {
            id: ServerId(id),
            name: format!("[10.1.0.{id}]:tcp:80"),
            weight,
            inhibit_on_failure: inhibit,
            checkers: (0..checkers as u64).map(|n| PoolChecker::new(CheckerId(id * 10 + n), alpha)).collect(),
        });
        PoolConfig { sorry: inhibit.and_then(sorry), ..config(quorum, hysteresis.min(quorum - 1), servers.collect()) }
    })
}

#[derive(Debug, Clone)]
enum Step {
    Event(CheckEvent),
    Reload(PoolConfig),
}

fn any_step() -> impl Strategy<Value = Step> {
    let id = (0..6u64, 0..3u64).prop_map(|(server, checker)| server * 10 + checker);
    prop_oneof![
        8 => (id.clone(), any::<bool>()).prop_map(|(id, is_up)| Step::Event(if is_up { up(id) } else { down(id) })),
        3 => (id, prop::option::of(0..9i32))
            .prop_map(|(id, weight)| Step::Event(CheckEvent::Weight { id: CheckerId(id), weight })),
        1 => any_config().prop_map(Step::Reload),
    ]
}

/// The table that the pool's own view calls for.
fn wanted_table(pool: &Pool) -> BTreeMap<ServerId, u32> {
    let serving = |server: &ServerView<'_>| server.alive && !pool.sorry_serves();
    pool.servers()
        .filter(|server| server.in_table)
        .map(|server| (server.server, if serving(&server) { server.weight } else { 0 }))
        .collect()
}

proptest! {
    /// The effects, replayed on a table that refuses nonsense, give the table that the states call for.
    #[test]
    fn effects_replay_to_the_table(config in any_config(), steps in prop::collection::vec(any_step(), 0..60)) {
        let mut pool = Pool::new(config.clone());
        let mut inhibit: BTreeMap<_, _> = config.servers.iter().map(|server| (server.id, server.inhibit_on_failure)).collect();
        let mut table = Table::default();
        drain(&mut pool).iter().for_each(|effect| table.apply(effect));
        for step in steps {
            match step {
                Step::Event(event) => { pool.handle(&event); }
                Step::Reload(config) => {
                    inhibit = config.servers.iter().map(|server| (server.id, server.inhibit_on_failure)).collect();
                    pool.update(config);
                }
            }
            drain(&mut pool).iter().for_each(|effect| table.apply(effect));
            prop_assert_eq!(&table.servers, &wanted_table(&pool));
            for server in pool.servers() {
                prop_assert_eq!(server.alive, server.failed_checkers == 0);
                let stays = server.alive && !pool.sorry_serves();
                prop_assert!(!stays || server.in_table);
                prop_assert!(!server.in_table || stays || inhibit[&server.server]);
            }
            prop_assert_eq!(pool.sorry_serves(), table.sorry == Some(1));
            prop_assert!(!pool.sorry_serves() || !pool.has_quorum());
        }
        pool.stop();
        drain(&mut pool).iter().for_each(|effect| table.apply(effect));
        prop_assert_eq!(table, Table::default());
    }

    /// The weight in the table is the configured one, moved by what each checker asks for and by each fact, within 0 and what
    /// 31 bits hold; whoever is down has no say.
    #[test]
    fn weights_add_up(
        configured in 0..100i32,
        steps in prop::collection::vec((1..4u64, any::<bool>(), prop::option::of(0..300i32), -1000..1000i32), 0..40),
    ) {
        let mut pool = Pool::new(config(1, 0, vec![server(1, configured, &[1, 2, 3])]));
        let mut table = Table::default();
        drain(&mut pool).iter().for_each(|effect| table.apply(effect));
        // What checker 1 asks for; what checkers 2 and 3 know.
        let (mut asked, mut facts) = (None, [Fact { up: true, shift: 0 }; 2]);
        for (id, up, wish, shift) in steps {
            match id {
                1 => {
                    asked = wish;
                    pool.handle(&CheckEvent::Weight { id: CheckerId(1), weight: wish });
                }
                _ => {
                    let fact = Fact { up, shift };
                    facts[usize::try_from(id - 2).unwrap()] = fact;
                    prop_assert!(pool.learn(CheckerId(id), fact, false, None));
                }
            }
            drain(&mut pool).iter().for_each(|effect| table.apply(effect));
            let alive = facts.iter().all(|fact| fact.up);
            let shifts: i32 = facts.iter().filter(|fact| fact.up).map(|fact| fact.shift).sum();
            let wanted = u32::try_from((asked.unwrap_or(configured) + shifts).max(0)).unwrap();
            let expected: BTreeMap<_, _> = alive.then_some((ServerId(1), wanted)).into_iter().collect();
            prop_assert_eq!(&table.servers, &expected);
        }
    }

    /// The sum must cross the whole band of the hysteresis to change the quorum back.
    #[test]
    fn quorum_does_not_flap_within_its_hysteresis(
        verdicts in prop::collection::vec((1..9u64, any::<bool>()), 0..80), quorum in 2..6u32, hysteresis in 0..5u32,
    ) {
        let hysteresis = hysteresis.min(quorum - 1);
        let servers = (1..9).map(|index| server(index, 1, &[index])).collect();
        let mut pool = Pool::new(config(quorum, hysteresis, servers));
        drain(&mut pool);
        let mut had = pool.has_quorum();
        for (id, is_up) in verdicts {
            pool.handle(&if is_up { up(id) } else { down(id) });
            let sum: u32 = pool.servers().filter(|server| server.alive).map(|server| server.weight).sum();
            match (had, pool.has_quorum()) {
                (false, true) => prop_assert!(sum >= quorum + hysteresis),
                (true, false) => prop_assert!(sum < quorum - hysteresis || sum == 0),
                (true, true) => prop_assert!(sum >= quorum - hysteresis && sum > 0),
                (false, false) => prop_assert!(sum < quorum + hysteresis),
            }
            had = pool.has_quorum();
            let told = drain(&mut pool);
            let changes = told.iter().filter(|effect| matches!(effect, PoolEffect::QuorumUp { .. } | PoolEffect::QuorumDown { .. }));
            prop_assert!(changes.count() <= 1);
        }
    }
}
