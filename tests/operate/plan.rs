//! What `plan` tells is what `reload` does; what would cost something can be refused; what is broken changes nothing.

use crate::ask;
use crate::common::site::{NOTICED, Site, real_server};
use crate::common::{Daemon, ELECTION, Pair, SOON, await_address};
use nix::sys::signal::Signal;
use serde_json::Value;
use standfast_labkit::eventually;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn json(daemon: &Daemon, arguments: &[&str]) -> (i32, Value) {
    let finished = ask(daemon, &[arguments, &["--json"]].concat());
    let value = serde_json::from_str(&finished.output).unwrap_or_else(|error| panic!("{error}: {}", finished.output));
    (finished.code(), value)
}

/// Writes another file beside the daemon's own; its path.
fn another(daemon: &Daemon, text: &str) -> String {
    let path = daemon.directory.join("new.conf");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// An outlook without what tells a plan from a reload.
fn without_outcome(mut outlook: Value) -> Value {
    outlook.as_object_mut().unwrap().remove("outcome");
    outlook
}

fn instance(name: &str, vrid: u8, priority: u8, addresses: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n advert_int 1\n \
         virtual_ipaddress {{\n {addresses}\n }}\n}}\n"
    )
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Addresses of `address 10.9.9.9/24 dev eth0` in one member of every instance.
fn addresses_of(outlook: &Value, member: &str) -> BTreeSet<String> {
    let all = outlook["instances"].as_array().unwrap().iter().flat_map(|instance| texts(&instance[member]));
    all.map(|thing| thing.split([' ', '/']).nth(1).unwrap().to_owned()).collect()
}

fn held(daemon: &Daemon) -> BTreeSet<String> {
    let all = daemon.host.addresses("eth0").unwrap().into_iter().map(|held| held.split('/').next().unwrap().to_owned());
    all.filter(|address| address.starts_with("10.9.9.")).collect()
}

pub fn a_plan_of_instances_comes_true() {
    let pair = Pair::new("plan-vrrp");
    let before = [
        instance("VI_keep", 50, 100, "10.9.9.50/24"),
        instance("VI_edit", 51, 100, "10.9.9.51/24\n 10.9.9.52/24"),
        instance("VI_gone", 52, 100, "10.9.9.53/24"),
    ];
    let daemon = pair.start(0, &before.concat());
    for address in ["10.9.9.50", "10.9.9.51", "10.9.9.53"] {
        await_address(&daemon.host, address, ELECTION);
    }
    let after = [
        instance("VI_keep", 50, 100, "10.9.9.50/24"),
        instance("VI_edit", 51, 120, "10.9.9.51/24\n 10.9.9.54/24"),
        instance("VI_new", 53, 100, "10.9.9.53/24"),
    ];
    let file = another(&daemon, &after.concat());
    let (code, planned) = json(&daemon, &["plan", "-f", &file]);
    assert_eq!(code, 4, "{planned}");
    let fates: Vec<_> = planned["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["change"].as_str().unwrap(), one["resigns"].as_u64().unwrap()))
        .collect();
    assert_eq!(fates, [("VI_edit", "changed", 0), ("VI_gone", "removed", 1), ("VI_new", "added", 0)]);
    let kinds: Vec<_> =
        planned["losses"].as_array().unwrap().iter().map(|loss| loss["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["master", "address", "address"]);

    let held_before = held(&daemon);
    let (code, done) = json(&daemon, &["reload", "-f", &file]);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("applied")), "{done}");
    assert_eq!(without_outcome(done), without_outcome(planned.clone()));
    let expected: BTreeSet<String> = held_before
        .difference(&addresses_of(&planned, "removes"))
        .cloned()
        .chain(addresses_of(&planned, "sets"))
        .collect();
    eventually(SOON, "the addresses that were told", || {
        let held = held(&daemon);
        held == expected || held.difference(&expected).eq(["10.9.9.53"].iter())
    });
    assert_eq!(daemon.log().matches("sent 0 priority").count(), 1, "{}", daemon.log());
    let status = json(&daemon, &["status"]).1;
    for told in planned["instances"].as_array().unwrap().iter().filter(|told| told["change"] != "removed") {
        let found = status["instances"].as_array().unwrap().iter().find(|found| found["name"] == told["name"]).unwrap();
        let last = texts(&told["transitions"]).last().cloned();
        let history = found["history"].as_array().unwrap();
        let done = |told: &String| {
            history
                .iter()
                .any(|one| *told == format!("{}: {}", one["to"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        };
        assert!(last.iter().all(done), "{last:?} is not in {history:?}");
        let (told_priority, priority) = (&told["priority_after"], &found["effective_priority"]);
        assert_eq!(told_priority, priority);
    }
    assert_eq!(status["configuration"], file);
    await_address(&daemon.host, "10.9.9.53", ELECTION);
}

/// Answers every line with itself for as long as the client stays.
fn echo(site: &Site, index: usize) {
    let host = site.servers[index].clone();
    let listener = host.enter(|| TcpListener::bind("0.0.0.0:80")).unwrap().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reading = stream.try_clone().unwrap();
                std::io::copy(&mut reading, &mut &stream)
            });
        }
    });
}

/// A connection to the service that waits for answers for a second.
fn connect(site: &Site) -> std::io::Result<TcpStream> {
    let target = "10.7.0.100:80".parse().unwrap();
    let stream = site.client.enter(|| TcpStream::connect_timeout(&target, SOON)).unwrap()?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(stream)
}

fn answers(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"hello"
}

pub fn a_plan_of_servers_comes_true_and_counts_the_connections_that_are_cut() {
    let site = Site::nat("plan-lvs", 3);
    (0..3).for_each(|index| echo(&site, index));
    let servers = |list: &[(&str, u32)]| {
        list.iter().map(|(address, weight)| real_server(address, *weight, "")).collect::<String>()
    };
    let daemon = site.start(&site.service_of("rr", "", &servers(&[("10.8.0.21", 1), ("10.8.0.22", 1)])));
    let mut clients = Vec::new();
    eventually(NOTICED, "four clients", || {
        clients.extend(connect(&site).ok());
        clients.len() == 4
    });
    assert!(clients.iter_mut().all(answers));
    let live = |address: &str| {
        let status = json(&daemon, &["status"]).1;
        let servers = status["services"][0]["servers"].as_array().unwrap().clone();
        let found = servers.into_iter().find(|server| server["name"].as_str().unwrap().contains(address)).unwrap();
        found["active"].as_u64().unwrap() + found["inactive"].as_u64().unwrap()
    };
    let before = [live("10.8.0.21"), live("10.8.0.22")];
    let file = another(&daemon, &site.service_of("rr", "", &servers(&[("10.8.0.22", 5), ("10.8.0.23", 2)])));
    let (code, planned) = json(&daemon, &["plan", "-f", &file]);
    assert_eq!(code, 4, "{planned}");
    let told: Vec<_> = planned["services"][0]["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|server| {
            (
                server["name"].as_str().unwrap(),
                server["change"].as_str().unwrap(),
                server["connections"].as_u64().unwrap(),
                server["connections_lost"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("[10.8.0.21]:tcp:80", "removed", before[0], before[0]),
        ("[10.8.0.22]:tcp:80", "changed", before[1], 0),
        ("[10.8.0.23]:tcp:80", "added", 0, 0),
    ];
    assert_eq!(told, expected);

    let (code, done) = json(&daemon, &["reload", "-f", &file]);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("applied")), "{done}");
    eventually(SOON, "the table that was told", || {
        let status = json(&daemon, &["status"]).1;
        let servers = status["services"][0]["servers"].as_array().unwrap().clone();
        let shown: Vec<_> = servers
            .iter()
            .map(|server| (server["name"].as_str().unwrap().to_owned(), server["weight"].as_u64()))
            .collect();
        shown == [("[10.8.0.22]:tcp:80".to_owned(), Some(5)), ("[10.8.0.23]:tcp:80".to_owned(), Some(2))]
    });
    let living = clients.iter_mut().map(answers).filter(|lives| *lives).count() as u64;
    assert_eq!((living, 4 - living), (before[1], before[0]), "those that go on, and those that are cut");
}

pub fn the_same_file_changes_nothing() {
    let site = Site::nat("plan-same", 1);
    let config = format!(
        "{}{}",
        instance("VI_1", 51, 100, "10.9.9.51/24"),
        site.service("rr", "", crate::common::site::TCP_CHECK)
    );
    let daemon = site.start(&config);
    await_address(&daemon.host, "10.9.9.51", ELECTION);
    let plan = ask(&daemon, &["plan"]);
    let text = format!("A reload of {} changes nothing\n", daemon.config().display());
    assert!(plan.code() == 0 && plan.output.starts_with(&text), "{}", plan.output);
    let reload = ask(&daemon, &["reload", "--refuse-destructive"]);
    let text = format!("Read {}: nothing changed\n", daemon.config().display());
    assert!(reload.code() == 0 && reload.output.starts_with(&text), "{}", reload.output);
    daemon.configure(&config.replace("priority 100", "priority 101"));
    let plan = ask(&daemon, &["plan"]);
    assert_eq!(plan.code(), 3, "{}", plan.output);
    assert!(plan.output.contains("~ VI_1, stays MASTER, priority 100 -> 101, advertises at once"), "{}", plan.output);
}

pub fn what_would_be_noticed_can_be_refused() {
    let pair = Pair::new("plan-refuse");
    let both = [instance("VI_1", 51, 100, "10.9.9.51/24"), instance("VI_2", 52, 100, "10.9.9.52/24")];
    let daemon = pair.start(0, &both.concat());
    await_address(&daemon.host, "10.9.9.51", ELECTION);
    await_address(&daemon.host, "10.9.9.52", ELECTION);
    daemon.configure(&both[0]);
    let refused = ask(&daemon, &["reload", "--refuse-destructive"]);
    assert_eq!(refused.code(), 1, "{}", refused.output);
    let reason = "A reload would be destructive (VI_2 gives up being master (removed from the configuration); 10.9.9.52/24 dev eth0 leaves this host)";
    assert!(refused.output.contains(reason), "{}", refused.output);
    assert!(daemon.log().contains(&format!("{reason}; what runs goes on unchanged")), "{}", daemon.log());
    assert_eq!(held(&daemon).len(), 2);
    assert!(ask(&daemon, &["events"]).output.contains("reload refused"));
    let applied = ask(&daemon, &["reload"]);
    assert_eq!(applied.code(), 0, "{}", applied.output);
    eventually(SOON, "one address", || held(&daemon).len() == 1);
}

pub fn a_broken_file_changes_nothing_and_says_why() {
    let pair = Pair::new("plan-broken");
    let config = instance("VI_1", 51, 100, "10.9.9.51/24");
    let mut daemon = pair.start(0, &config);
    await_address(&daemon.host, "10.9.9.51", ELECTION);
    let status = json(&daemon, &["status"]).1;
    let cut = config.trim_end().trim_end_matches('}');
    for (name, broken, words) in [
        ("cut off", cut.to_owned(), "has lost its form (missing-close)"),
        ("empty", String::new(), "leaves nothing to run"),
        ("another interface", config.replace("eth0", "nosuch0"), "the daemon does not start"),
        ("no value", config.replace("priority 100", "priority"), "the daemon does not start"),
    ] {
        daemon.configure(&broken);
        for command in ["plan", "reload"] {
            let told = ask(&daemon, &[command]);
            assert!(told.code() == 1 && told.output.contains(words), "{name}, {command}: {}", told.output);
        }
        daemon.signal(Signal::SIGHUP);
    }
    eventually(SOON, "eight refusals", || daemon.log().matches("what runs goes on unchanged").count() == 8);
    let (code, outlook) = json(&daemon, &["plan", "-f", "/no/such/file.conf"]);
    assert_eq!((code, outlook["outcome"].as_str()), (1, Some("refused")), "{outlook}");
    let now = json(&daemon, &["status"]).1;
    assert_eq!(now["instances"][0]["history"], status["instances"][0]["history"]);
    assert_eq!(now["configured_at_ms"], status["configured_at_ms"]);
    assert_eq!(held(&daemon).len(), 1);
}

/// Every output of a daemon whose file has a password and a key.
pub fn nobody_reads_a_password() {
    let pair = Pair::new("plan-secret");
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let secrets = ["sesame7", key, "wonderl4nd"];
    let config = format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n advert_int 1\n authentication {{\n auth_type PASS\n \
         auth_pass sesame7 surplus\n }}\n virtual_ipaddress {{\n 10.9.9.51/24\n }}\n}}\n\
         vrrp_instance VI_2 {{\n interface eth0\n virtual_router_id 52\n version 3\n auth_hmac {{\n key 1 hex:{key}\n active_key 1\n }}\n \
         virtual_ipaddress {{\n 10.9.9.52/24\n }}\n}}\n\
         virtual_server 10.9.9.51 80 {{\n lb_kind NAT\n real_server 10.8.0.21 80 {{\n HTTP_GET {{\n basic_auth alice wonderl4nd\n url {{\n \
         path /\n status_code 200\n }}\n }}\n }}\n}}\n"
    );
    let mut daemon = pair.start(0, &config);
    await_address(&daemon.host, "10.9.9.51", ELECTION);
    let changed = config.replace("sesame7", "joshua9").replace("wonderl4nd", "wonderl5nd").replace("hex:00", "hex:01");
    let file = another(&daemon, &changed);
    let mut outputs = vec![("test", daemon.run(&["-t", "-f", &daemon.config().display().to_string()]).output)];
    outputs.push(("test as JSON", daemon.run(&["-t", "--json", "-f", &daemon.config().display().to_string()]).output));
    for arguments in [
        &["status", "--json"][..],
        &["why", "VI_1"],
        &["events", "--json"],
        &["plan", "-f", &file],
        &["plan", "--json", "-f", &file],
        &["reload", "-f", &file],
    ] {
        outputs.push((arguments[0], ask(&daemon, arguments).output));
    }
    let plan = ask(&daemon, &["plan"]).output;
    assert!(plan.contains("auth_pass (not shown)"), "{plan}");
    outputs.push(("plan", plan));
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
        daemon.signal(signal);
    }
    daemon.await_log("Printing VRRP stats", SOON);
    outputs.push(("log", daemon.log()));
    let dumps = ["keepalived.data", "keepalived_parent.data", "keepalived_check.data", "keepalived.stats"];
    for name in dumps {
        let path = std::path::Path::new("/tmp").join(name);
        eventually(SOON, name, || path.exists());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{name}");
        outputs.push((name, std::fs::read_to_string(&path).unwrap()));
    }
    for (name, output) in &outputs {
        for secret in secrets.iter().chain(&["joshua9", "wonderl5nd"]) {
            assert!(!output.contains(secret), "{name} shows {secret}: {output}");
        }
    }
}
