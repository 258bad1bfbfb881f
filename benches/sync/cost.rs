//! New connections at a steady pace, told to the other director and told to nobody.

use super::site::Site;
use super::threads::Reading;
use super::{Size, crowd};
use serde_json::Value;
use std::time::Duration;

/// What one run has cost.
struct Run {
    master: [Reading; 2],
    backup: [Reading; 2],
    opened: u64,
}

impl Run {
    fn spent(readings: &[Reading; 2], thread: &str) -> Duration {
        readings[1].since(&readings[0], thread)
    }

    /// Nanoseconds for each connection.
    fn each(&self, readings: &[Reading; 2], thread: &str) -> f64 {
        Self::spent(readings, thread).as_nanos() as f64 / self.opened as f64
    }
}

pub fn measure(size: &Size) {
    let (key, nobody) = ("lvs_sync_key \"a key of thirty-two octets, or more\"", "");
    let alone = run(&silent(size), nobody);
    for (name, more) in [("plain", nobody), ("signed", key)] {
        let told = run(size, &format!("lvs_sync_daemon eth1 VI_1\n{more}"));
        report(size, name, &told, &alone);
    }
}

/// A shorter run tells as much where nobody is told.
fn silent(size: &Size) -> Size {
    Size { seconds: size.seconds.div_ceil(2), ..*size }
}

fn run(of: &Size, globals: &str) -> Run {
    let mut site = Site::new("sync-cost");
    site.start(globals);
    // Where there are daemons, the one has heard of the other.
    std::thread::sleep(Duration::from_secs(4));
    let before = site.directors[1].resident();
    let reading = |site: &Site| site.directors.each_ref().map(|director| Reading::of(director.pid()));
    let [master, backup] = reading(&site);
    let took = crowd::open(&site.client, of.rate, of.rate * of.seconds);
    std::thread::sleep(Duration::from_secs(2));
    let [master_after, backup_after] = reading(&site);
    let [opened, told] = site.directors.each_ref().map(super::site::Director::connections);
    if !globals.is_empty() {
        let memory = site.directors[1].resident().saturating_sub(before) as f64 / told.max(1) as f64;
        println!(
            "{opened} connections opened in {:.1} s, {told} on the backup, {memory:.0} bytes each there",
            took.as_secs_f64()
        );
        site.directors.iter().for_each(|director| println!("  {}", sync_line(&director.status()["sync"])));
    }
    Run { master: [master, master_after], backup: [backup, backup_after], opened }
}

fn sync_line(sync: &Value) -> String {
    let number = |name: &str| sync[name].as_u64().unwrap_or_default();
    format!(
        "{} datagrams sent with {} entries, {} entries not sent; {} received, refused {}, taken in {}",
        number("sent"),
        number("entries_sent"),
        number("unsent"),
        number("received"),
        sync["refused"],
        sync["adopted"]
    )
}

fn report(size: &Size, name: &str, told: &Run, alone: &Run) {
    let extra = told.each(&told.master, "dataplane") - alone.each(&alone.master, "dataplane");
    let sender = told.each(&told.master, "sync-master");
    let (receiver, table) = (told.each(&told.backup, "sync-backup"), told.each(&told.backup, "dataplane"));
    let share = |nanoseconds: f64| nanoseconds * size.rate as f64 / 1e7;
    println!("{name}, ns a connection, and the share of one core at {} a second:", size.rate);
    for (side, parts, sum) in [
        ("master", format!("sync-master {sender:.0}, dataplane {extra:.0} more than told nobody"), sender + extra),
        ("backup", format!("sync-backup {receiver:.0}, dataplane {table:.0}"), receiver + table),
    ] {
        println!("  {side:<7} {sum:>6.0}  {:>5.1} %   {parts}", share(sum));
    }
}
