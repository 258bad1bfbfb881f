use super::command::ScriptPolicy;
use super::*;
use standfast_parser::model::{Globals, Notify, Script, ScriptUser, SyncGroup};
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Instant;

fn script(text: String) -> Script {
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone(), "own argument".to_owned()];
    Script { argv, text, user: None, span: Default::default() }
}

/// A group is the smallest thing that has scripts.
fn group(name: &str, notify: Notify) -> SyncGroup {
    SyncGroup { name: name.to_owned(), members: Vec::new(), notify, smtp_alert: true, ..SyncGroup::default() }
}

fn notifier(config: &Config) -> Notifier {
    let mut policy = ScriptPolicy::new(&config.globals);
    let book = Book::new(config, &mut policy);
    Notifier::new(config, book, "host.example")
}

fn globals() -> Globals {
    let script_user = Some(ScriptUser { user: Account::own().uid.to_string(), group: None });
    Globals { script_user, ..Globals::default() }
}

#[tokio::test]
async fn state_scripts_start_before_the_general_one_and_get_no_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let say = |word: &str| Some(script(format!("echo {word} \"$@\" >> {}", out.display())));
    let notify = Notify { master: say("master"), ..Notify::default() };
    let config = Config { globals: globals(), sync_groups: vec![group("G 1", notify)], ..Config::default() };
    let mut notifier = notifier(&config);
    notifier.handle(&Event::Group { name: "G 1".into(), state: State::Backup });
    notifier.handle(&Event::Group { name: "G 1".into(), state: State::Master });
    assert!(notifier.launcher.settle(Duration::from_secs(20)).await);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "master\n");
    let notify = Notify { any: say("any"), ..Notify::default() };
    let config = Config { sync_groups: vec![group("G 1", notify)], ..config };
    let book = Book::new(&config, &mut ScriptPolicy::new(&config.globals));
    notifier.reconfigure(&config, book, "host.example");
    notifier.handle(&Event::Group { name: "G 1".into(), state: State::Fault });
    notifier.finish(Duration::from_secs(20)).await;
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "master\nany GROUP G 1 FAULT 0\n");
}

#[tokio::test]
async fn what_a_reload_removed_is_told_by_its_old_scripts_as_a_fault_or_as_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let say = |word: &str| Some(script(format!("echo {word} \"$@\" >> {}", out.display())));
    let plain = Notify { fault: say("fault"), ..Notify::default() };
    let aware = Notify { deleted: say("deleted"), fault: say("fault"), ..Notify::default() };
    let config = Config {
        globals: globals(),
        sync_groups: vec![group("plain", plain), group("aware", aware)],
        ..Config::default()
    };
    let mut notifier = notifier(&config);
    let empty = Config { globals: globals(), ..Config::default() };
    notifier.reconfigure(&empty, Book::default(), "host.example");
    for name in ["plain", "aware"] {
        notifier.handle(&Event::Group { name: name.into(), state: State::Deleted });
        assert!(notifier.launcher.settle(Duration::from_secs(20)).await);
    }
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "fault\ndeleted\n");
    notifier.reconfigure(&empty, Book::default(), "host.example");
    assert!(notifier.book.groups.is_empty());
}

#[tokio::test]
async fn records_reach_the_fifos_of_their_kind() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let fifo = |name: &str| Some(FifoConfig { path: path(name), user: None, script: None });
    let globals =
        Globals { notify_fifo: fifo("all"), vrrp_notify_fifo: fifo("vrrp"), lvs_notify_fifo: fifo("lvs"), ..globals() };
    let mut notifier = notifier(&Config { globals, ..Config::default() });
    notifier.handle(&Event::Instance { name: "VI_1".into(), state: State::Master, priority: 150 });
    notifier.handle(&Event::Group { name: "G1".into(), state: State::Master });
    notifier.handle(&Event::LowerPriorityReceived { name: "VI_1".into(), priority: 150 });
    notifier.handle(&Event::PriorityChanged { name: "VI_1".into(), master: true, priority: 140 });
    let (service, server) = ("[10.0.0.1]:tcp:80".to_owned(), "[10.1.0.1]:tcp:80".to_owned());
    notifier.handle(&Event::Server { service: service.clone(), server, up: false, script: None });
    notifier.handle(&Event::Quorum { service, up: true, script: None });
    let vrrp = "INSTANCE \"VI_1\" MASTER 150\nGROUP \"G1\" MASTER 0\nINSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 150\n";
    let lvs = "RS [10.1.0.1]:tcp:80 [10.0.0.1]:tcp:80 DOWN\nVS [10.0.0.1]:tcp:80 UP\n";
    for (name, expected) in [("all", format!("{vrrp}{lvs}")), ("vrrp", vrrp.into()), ("lvs", lvs.into())] {
        let mut text = vec![0; 4096];
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path(name)).unwrap();
        let length = file.read(&mut text).unwrap();
        assert_eq!(String::from_utf8_lossy(&text[..length]), expected, "{name}");
    }
}

#[tokio::test]
async fn a_fifo_script_gets_the_path_and_a_kept_fifo_starts_none_again() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("fifo").display().to_string();
    let reader = script(format!("echo \"$@\" >> {}", out.display()));
    let notify_fifo = Some(FifoConfig { path: path.clone(), user: None, script: Some(reader) });
    let config = Config { globals: Globals { notify_fifo, ..globals() }, ..Config::default() };
    let mut notifier = notifier(&config);
    let book = Book::new(&config, &mut ScriptPolicy::new(&config.globals));
    notifier.reconfigure(&config, book, "host.example");
    notifier.finish(Duration::from_secs(20)).await;
    assert_eq!(std::fs::read_to_string(&out).unwrap(), format!("{path}\n"));
}

#[tokio::test]
async fn a_state_is_mailed_once_and_faults_only_if_wanted() {
    let config = Config { globals: globals(), sync_groups: vec![group("G1", Notify::default())], ..Config::default() };
    let mut notifier = notifier(&config);
    notifier.book.no_email_faults = true;
    for state in [State::Backup, State::Backup, State::Fault] {
        notifier.handle(&Event::Group { name: "G1".into(), state });
    }
    assert_eq!(notifier.mailed.get(&("Group", "G1".to_owned())), Some(&State::Backup));
    assert!(!notifier.mailed.contains_key(&("Instance", "G1".to_owned())));
}

#[tokio::test]
async fn handling_takes_no_time_worth_mentioning_whatever_the_world_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo").display().to_string();
    let globals = Globals { notify_fifo: Some(FifoConfig { path, user: None, script: None }), ..globals() };
    let mut notifier = notifier(&Config { globals, ..Config::default() });
    let start = Instant::now();
    for priority in 0..=255 {
        (0..40).for_each(|_| notifier.handle(&Event::Instance { name: "X".into(), state: State::Fault, priority }));
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}
