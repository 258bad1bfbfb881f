//! `docs/migrating.md`, played with the distribution's keepalived on a pair whose clients go on asking.

use crate::common::{Daemon, ELECTION, Pair, await_address, await_no_address};
use crate::{ask, await_told};
use standfast_labkit::servers::{Behaviour, WebServer, http_get};
use standfast_labkit::{Host, eventually};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const VIP: &str = "10.7.0.100";

/// Asks the virtual address again and again, each time on a connection of its own.
struct Asking {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<Vec<String>>>,
}

/// Longer than the time in which nobody holds the address: a lost SYN is sent again after a second.
const PATIENCE: Duration = Duration::from_secs(6);
const PACE: Duration = Duration::from_millis(20);

impl Asking {
    fn start(client: &Host) -> Asking {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (client, stopped, count) = (client.clone(), Arc::clone(&stop), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            let mut lost = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match request(&client) {
                    Ok(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
                    Err(problem) => lost.push(problem),
                }
                std::thread::sleep(PACE);
            }
            lost
        });
        Asking { stop, answered, thread: Some(thread) }
    }

    /// Waits for answers that were asked for from here on.
    fn await_answers(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually(ELECTION, "answers", || self.answered.load(Ordering::Relaxed) > before + 3);
    }

    fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// As a browser does, a request is repeated once where its connection broke under it.
fn request(client: &Host) -> Result<String, String> {
    let target = SocketAddr::new(VIP.parse().unwrap(), 80);
    let once = || http_get(client, target, "/", PATIENCE).map(|(_, body)| body);
    once().or_else(|_| once()).map_err(|error| error.to_string())
}

fn config(state: &str, priority: u8) -> String {
    format!(
        "global_defs {{\n router_id pair\n}}\nvrrp_instance VI_1 {{\n state {state}\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int 1\n authentication {{\n auth_type PASS\n auth_pass 1111\n }}\n \
         virtual_ipaddress {{\n {VIP}/24\n }}\n}}\n"
    )
}

pub fn a_pair_moves_from_keepalived_and_back_and_no_client_notices() {
    let pair = Pair::new("migrating");
    let configs = [config("MASTER", 150), config("BACKUP", 100)];
    let web = |host: &Host| WebServer::start(host, "0.0.0.0:80", Behaviour::Text(host.name().to_owned())).unwrap();
    let _webs = [web(&pair.directors[0]), web(&pair.directors[1])];
    let keepalived = |index: usize| {
        let mut daemon = Daemon::prepare(&pair.lab, &pair.directors[index], &configs[index]).with_program("keepalived");
        daemon.launch();
        daemon
    };
    let ours = |index: usize| pair.start(index, &configs[index]);

    let mut master = keepalived(0);
    let mut backup = keepalived(1);
    await_address(&pair.directors[0], VIP, ELECTION);
    let asking = Asking::start(&pair.client);
    asking.await_answers();

    // The file, then the backup.
    let checked = ask(&master, &["-t", "-f", &master.config().display().to_string()]);
    assert_eq!((checked.code(), checked.output.as_str()), (0, ""));
    backup.stop();
    let mut backup = ours(1);
    await_told(&backup, &["status"], "BACKUP");
    await_told(&backup, &["status"], "10.7.0.11 (150)");
    asking.await_answers();

    // The move: the master resigns, the backup takes over.
    master.stop();
    await_address(&pair.directors[1], VIP, ELECTION);
    await_told(&backup, &["status"], "MASTER");
    asking.await_answers();

    // The old master follows and preempts; a failover between the two.
    let mut master = ours(0);
    await_address(&pair.directors[0], VIP, ELECTION);
    await_no_address(&pair.directors[1], VIP, ELECTION);
    assert_eq!(ask(&master, &["failover", "VI_1"]).code(), 0);
    await_address(&pair.directors[1], VIP, ELECTION);
    asking.await_answers();
    let plan = ask(&master, &["plan"]);
    assert_eq!(plan.code(), 0, "{}", plan.output);
    // A failover holds for five minutes; the one that holds the address is asked to end it.
    assert_eq!(ask(&backup, &["failover", "VI_1", "--for", "1s"]).code(), 0);
    await_address(&pair.directors[0], VIP, ELECTION);
    asking.await_answers();

    // The way back.
    backup.stop();
    let mut backup = keepalived(1);
    backup.await_log("Entering BACKUP STATE", ELECTION);
    master.stop();
    await_address(&pair.directors[1], VIP, ELECTION);
    asking.await_answers();
    let mut master = keepalived(0);
    await_address(&pair.directors[0], VIP, ELECTION);
    asking.await_answers();
    let lost = asking.end();
    assert!(lost.is_empty(), "{} requests were lost: {lost:?}", lost.len());
    master.stop();
    backup.stop();
}
