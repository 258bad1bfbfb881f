//! FILE_CHECK and BFD_CHECK: checkers that follow what others watch.

use super::*;
use crate::health::World;
use standfast_parser::model::{CheckerKind, TrackFile, TrackedWeight};

fn following(kind: CheckerKind) -> RealServer {
    let mut server = real("10.1.0.1:80", 5);
    server.checkers[0].kind = kind;
    server
}

fn file(weight: Option<i32>) -> CheckerKind {
    CheckerKind::File(TrackedWeight { name: "load".to_owned(), weight, reverse: None })
}

fn config(kind: CheckerKind) -> Config {
    let track = TrackFile {
        name: "load".to_owned(),
        file: "/run/load".to_owned(),
        weight: 2,
        reverse: false,
        init_file: None,
        overwrite: false,
        span: Default::default(),
    };
    let services = vec![service("10.0.0.100:80", vec![following(kind), real("10.1.0.2:80", 1)])];
    Config { virtual_servers: services, track_files: vec![track], ..Config::default() }
}

fn with_file(kind: CheckerKind, value: i32) -> (Bench, Vec<String>) {
    let mut bench = Bench::new();
    bench.farm = Farm::new(World { files: [("load".to_owned(), value)].into(), ..World::default() });
    let effects = bench.load_config(&config(kind));
    (bench, effects)
}

impl Bench {
    fn write(&mut self, value: i32) -> Vec<String> {
        self.farm.set_file("load", value, self.now);
        self.drain()
    }
}

#[test]
fn the_number_of_a_file_moves_the_weight_from_the_start() {
    let (mut bench, effects) = with_file(file(None), 3);
    assert_eq!(effects, ["-A rr", "-a 10.1.0.1 -w 11", "-a 10.1.0.2 -w 1", "quorum up=true"]);
    assert_eq!(bench.write(1), ["-e 10.1.0.1 -w 7"]);
    assert_eq!(bench.write(-9), ["-e 10.1.0.1 -w 0",]);
    assert_eq!(bench.write(0), ["-e 10.1.0.1 -w 5"]);
}

#[test]
fn with_weight_zero_a_number_is_a_fault() {
    let (mut bench, effects) = with_file(file(Some(0)), 1);
    assert_eq!(effects, ["-A rr", "-a 10.1.0.2 -w 1", "quorum up=true"]);
    assert_eq!(bench.write(0), ["-a 10.1.0.1 -w 5", "[10.1.0.1]:tcp:80 up=true"]);
    assert_eq!(bench.write(0), Vec::<String>::new());
    assert_eq!(bench.write(-1), ["-d 10.1.0.1", "[10.1.0.1]:tcp:80 up=false"]);
}

#[test]
fn a_reload_takes_another_weight_of_the_same_file() {
    let (mut bench, _) = with_file(file(None), 3);
    assert_eq!(bench.load_config(&config(file(Some(-1)))), ["-e 10.1.0.1 -w 2"]);
    assert_eq!(bench.load_config(&config(file(Some(0)))), ["-d 10.1.0.1", "[10.1.0.1]:tcp:80 up=false"]);
}

#[test]
fn a_bfd_session_takes_its_servers_down_and_up() {
    let mut bench = Bench::new();
    let bfd = CheckerKind::Bfd("peer".to_owned());
    let effects = bench.load_config(&config(bfd));
    assert!(effects.contains(&"-a 10.1.0.1 -w 5".to_owned()), "{effects:?}");
    bench.farm.set_bfd("peer", false, bench.now);
    let mail = "mail [10.1.0.1]:tcp:80 => BFD CHECK peer failed on service <=";
    assert_eq!(bench.drain(), ["-d 10.1.0.1", "[10.1.0.1]:tcp:80 up=false", mail]);
    bench.farm.set_bfd("stranger", true, bench.now);
    assert_eq!(bench.drain(), Vec::<String>::new());
    bench.farm.set_bfd("peer", true, bench.now);
    assert!(bench.drain().contains(&"-a 10.1.0.1 -w 5".to_owned()));
}
