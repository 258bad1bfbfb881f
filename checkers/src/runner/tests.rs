use super::*;
use crate::judge::JudgeSettings;
use crate::script::Command;
use crate::spec::{ConnectSpec, MiscSpec, ProbeSpec};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

fn settings() -> JudgeSettings {
    JudgeSettings {
        delay_loop: Duration::from_millis(50),
        retry: 1,
        delay_before_retry: Duration::from_millis(20),
        warmup: Duration::ZERO,
        alpha: false,
        log_all_failures: false,
    }
}

fn spec(id: u64, probe: ProbeSpec) -> CheckerSpec {
    CheckerSpec {
        id: CheckerId(id),
        probe,
        settings: settings(),
        service: format!("[10.1.0.{id}]:tcp:80"),
        virtual_service: "[10.0.0.100]:tcp:80".to_owned(),
    }
}

fn tcp(target: SocketAddr) -> ProbeSpec {
    ProbeSpec::Tcp(ConnectSpec::new(target, Duration::from_secs(2)))
}

fn misc(text: &str) -> ProbeSpec {
    let command = Command::new("/bin/sh").with_arguments(["-c", text]);
    ProbeSpec::Misc(MiscSpec { command: command.with_timeout(Duration::from_secs(5)), dynamic: true })
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn verdict(events: &mut UnboundedReceiver<CheckEvent>) -> (CheckerId, bool) {
    loop {
        match timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap() {
            CheckEvent::Up { id, .. } => return (id, true),
            CheckEvent::Down { id, .. } => return (id, false),
            _ => {}
        }
    }
}

fn begin(specs: Vec<CheckerSpec>) -> (Runner, UnboundedReceiver<CheckEvent>) {
    let (sender, events) = unbounded_channel();
    (Runner::start(specs, sender, &RunnerOptions { seed: 1, ..RunnerOptions::default() }), events)
}

#[tokio::test]
async fn a_server_goes_and_returns() {
    let (server, address) = listener().await;
    let (runner, mut events) = begin(vec![spec(1, tcp(address))]);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), true));
    drop(server);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), false));
    let _server = TcpListener::bind(address).await.unwrap();
    assert_eq!(verdict(&mut events).await, (CheckerId(1), true));
    runner.stop().await;
    assert!(timeout(Duration::from_secs(1), async { while events.recv().await.is_some() {} }).await.is_ok());
}

#[tokio::test]
async fn an_unchanged_checker_keeps_its_phase_and_says_nothing() {
    let (_server, address) = listener().await;
    let begun = Instant::now();
    let (runner, mut events) = begin(vec![spec(1, tcp(address))]);
    tokio::time::sleep(Duration::from_millis(900)).await;
    runner.update(vec![spec(1, tcp(address)), spec(2, tcp(address))]);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), true));
    assert!(begun.elapsed() < Duration::from_millis(1850), "the update restarted the checker");
    assert_eq!(verdict(&mut events).await, (CheckerId(2), true));
    runner.update(vec![spec(2, tcp(address))]);
    runner.stop().await;
    while let Some(event) = events.recv().await {
        assert!(!matches!(event, CheckEvent::Up { .. } | CheckEvent::Down { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn an_edited_checker_keeps_its_verdict_until_it_knows_better() {
    let (server, dead) = listener().await;
    drop(server);
    let (_server, alive) = listener().await;
    let (runner, mut events) = begin(vec![spec(1, tcp(dead))]);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), false));
    runner.update(vec![spec(1, tcp(alive))]);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), true));
    runner.stop().await;
}

#[tokio::test]
async fn a_program_asks_for_a_weight() {
    let (runner, mut events) = begin(vec![spec(1, misc("exit 12"))]);
    let weight = async {
        loop {
            if let Some(CheckEvent::Weight { weight, .. }) = events.recv().await {
                return weight;
            }
        }
    };
    assert_eq!(timeout(Duration::from_secs(10), weight).await.unwrap(), Some(10));
    runner.stop().await;
}

#[tokio::test]
async fn stopping_kills_programs_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let (runner, _events) = begin(vec![spec(1, misc(&format!("echo $$ > {}; sleep 1000", pids.display())))]);
    let pid = loop {
        match std::fs::read_to_string(&pids) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    runner.stop().await;
    for _ in 0..200 {
        if !std::fs::exists(format!("/proc/{}", pid.trim())).unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("program {pid} is still there");
}

#[tokio::test]
async fn a_suspended_checker_makes_no_attempts() {
    let (server, address) = listener().await;
    let (runner, mut events) = begin(vec![spec(1, tcp(address))]);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), true));
    runner.set_enabled(CheckerId(1), false);
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(server);
    assert!(timeout(Duration::from_millis(400), verdict(&mut events)).await.is_err());
    runner.set_enabled(CheckerId(1), true);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), false));
    runner.stop().await;
}

#[tokio::test]
async fn few_places_are_shared_by_many() {
    let (_server, address) = listener().await;
    let (sender, mut events) = unbounded_channel();
    let specs = (1..=40).map(|id| spec(id, tcp(address))).collect();
    let runner = Runner::start(specs, sender, &RunnerOptions { max_in_flight: 2, seed: 7 });
    let mut seen = BTreeSet::new();
    while seen.len() < 40 {
        assert!(seen.insert(verdict(&mut events).await));
    }
    runner.stop().await;
}

#[tokio::test]
async fn a_shorter_delay_loop_counts_at_once() {
    let (server, address) = listener().await;
    let mut slow = spec(1, tcp(address));
    slow.settings.delay_loop = Duration::from_secs(600);
    let (runner, mut events) = begin(vec![slow]);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), true));
    drop(server);
    runner.update(vec![spec(1, tcp(address))]);
    assert_eq!(verdict(&mut events).await, (CheckerId(1), false));
    runner.stop().await;
}
