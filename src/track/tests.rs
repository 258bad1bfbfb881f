use super::*;
use crate::users::Account;
use standfast_parser::model::{Globals, Script, SyncGroup, TrackedWeight, VrrpScript};
use std::path::Path;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

fn tracker(text: &str) -> ScriptTracker {
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()];
    ScriptTracker {
        name: "chk".into(),
        command: Command { argv, account: Account::own(), groups: Vec::new(), text: text.to_owned() },
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(10),
        rise: 1,
        fall: 1,
        init_fail: false,
    }
}

fn trackers() -> (ScriptTrackers, UnboundedReceiver<(String, bool)>) {
    let (sender, receiver) = unbounded_channel();
    let report: Report = Arc::new(move |name, up| drop(sender.send((name.to_owned(), up))));
    (ScriptTrackers::new(report), receiver)
}

async fn next(receiver: &mut UnboundedReceiver<(String, bool)>) -> bool {
    timeout(PATIENCE, receiver.recv()).await.expect("a report in time").expect("a running tracker").1
}

fn exit_with_content_of(path: &Path) -> String {
    format!("exit $(cat {})", path.display())
}

#[tokio::test]
async fn reports_follow_the_exit_status() {
    let directory = tempfile::tempdir().unwrap();
    let status = directory.path().join("status");
    std::fs::write(&status, "0").unwrap();
    let (mut trackers, mut reports) = trackers();
    trackers.update(vec![tracker(&exit_with_content_of(&status))]);
    assert!(next(&mut reports).await);
    std::fs::write(&status, "3").unwrap();
    assert!(!next(&mut reports).await);
    assert_eq!(trackers.states()["chk"], Some(false));
    std::fs::write(&status, "0").unwrap();
    assert!(next(&mut reports).await);
}

#[tokio::test]
async fn a_hanging_script_is_down_after_its_timeout() {
    let (mut trackers, mut reports) = trackers();
    trackers.update(vec![ScriptTracker { timeout: Duration::from_millis(100), ..tracker("exec sleep 30") }]);
    let start = Instant::now();
    assert!(!next(&mut reports).await);
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_script_that_vanishes_is_down() {
    let (mut trackers, mut reports) = trackers();
    let command = Command { argv: vec!["/no/such/script".into()], ..tracker("").command };
    trackers.update(vec![ScriptTracker { command, ..tracker("") }]);
    assert!(!next(&mut reports).await);
}

#[tokio::test]
async fn init_fail_is_down_before_the_first_result() {
    let (mut trackers, mut reports) = trackers();
    trackers.update(vec![ScriptTracker { init_fail: true, ..tracker("sleep 0.2") }]);
    assert_eq!(reports.try_recv(), Ok(("chk".to_owned(), false)));
    assert!(next(&mut reports).await);
}

#[tokio::test]
async fn an_unchanged_script_is_not_disturbed_and_a_changed_one_keeps_its_state() {
    let directory = tempfile::tempdir().unwrap();
    let runs = directory.path().join("runs");
    let slow =
        ScriptTracker { interval: Duration::from_secs(3600), ..tracker(&format!("echo x >> {}", runs.display())) };
    let (mut trackers, mut reports) = trackers();
    trackers.update(vec![slow.clone()]);
    assert!(next(&mut reports).await);
    trackers.update(vec![slow.clone()]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "x\n");
    trackers.update(vec![ScriptTracker { rise: 9, fall: 9, ..slow }]);
    assert_eq!(trackers.states()["chk"], Some(true));
    trackers.update(Vec::new());
    assert!(trackers.states().is_empty());
}

fn config(program: &str) -> Config {
    let script = Script { argv: vec![program.into()], text: program.into(), user: None, span: Default::default() };
    let script = VrrpScript {
        name: "chk".into(),
        script,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        weight: 0,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail: false,
        span: Default::default(),
    };
    let group = SyncGroup {
        name: "G1".into(),
        track_scripts: vec![TrackedWeight { name: "chk".into(), weight: None, reverse: None }],
        ..SyncGroup::default()
    };
    Config { scripts: vec![script], sync_groups: vec![group], ..Config::default() }
}

#[test]
fn a_missing_script_is_taken_out_of_those_who_track_it() {
    let mut config = config("/no/such/script");
    let mut policy = ScriptPolicy::new(&Globals::default());
    let (trackers, notes) = prepare(&mut config, &mut policy);
    assert_eq!(trackers, []);
    assert_eq!(notes, ["Disabling track script chk since not found/accessible"]);
    assert_eq!(config.sync_groups[0].track_scripts, []);
}

#[test]
fn only_scripts_that_somebody_tracks_are_prepared() {
    let mut tracked = config("/bin/true");
    let mut policy = ScriptPolicy::new(&Globals::default());
    assert_eq!(prepare(&mut tracked, &mut policy).0.len(), 1);
    tracked.sync_groups.clear();
    assert_eq!(prepare(&mut tracked, &mut policy).0, []);
}
