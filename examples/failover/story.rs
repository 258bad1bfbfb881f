//! What happens in the lab, step by step, and what is expected of it.

use crate::Options;
use crate::network::{Network, VIP};
use crate::timeline::{Timeline, ms};
use crate::traffic::Traffic;
use nix::sys::signal::Signal;
use standfast_labkit::wait_until;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const MOMENT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays everything; was it all as expected?
pub fn tell(options: &Options) -> io::Result<bool> {
    println!("{}", options.mode.picture());
    let network = Network::build(options.mode, options.daemon.as_deref())?;
    let target: IpAddr = VIP.parse().map_err(io::Error::other)?;
    let traffic = Traffic::start(&network.client, SocketAddr::new(target, 80))?;
    let mut story = Story { network, traffic, timeline: Timeline::start() };
    if let Err(error) = story.play() {
        story.show_logs();
        return Err(error);
    }
    story.timeline.say(format_args!("{} requests were made", story.traffic.total()));
    let good = story.timeline.summary();
    if options.verbose || !good {
        story.show_logs();
    }
    Ok(good)
}

struct Story {
    network: Network,
    traffic: Traffic,
    timeline: Timeline,
}

impl Story {
    fn play(&mut self) -> io::Result<()> {
        self.election()?;
        self.round_robin();
        self.director_killed()?;
        self.director_returns()?;
        self.server_killed();
        self.server_returns()?;
        self.all_servers_killed()?;
        self.messages();
        self.everything_stops()
    }

    fn election(&mut self) -> io::Result<()> {
        self.timeline.say("both directors start");
        let start = Instant::now();
        for director in &mut self.network.directors {
            director.start()?;
        }
        let elected = wait_until(PATIENCE, || self.network.directors[0].holds_vip());
        let good = elected.is_some_and(within(2500, 5000)) && !self.network.directors[1].holds_vip();
        if elected.is_none() {
            return Err(io::Error::other("director1 was not elected within 10 s; without that there is no story"));
        }
        self.timeline.measure("election of director1", show(elected), "3 adverts + skew time: 2.5 to 5 s", good);
        let answered = wait_until(PATIENCE, || !self.traffic.answers(start, Instant::now()).is_empty());
        self.timeline.measure("first answer", show(answered.map(|_| start.elapsed())), "within 6 s", {
            start.elapsed() < Duration::from_secs(6) && answered.is_some()
        });
        Ok(())
    }

    fn round_robin(&mut self) {
        self.timeline.say("requests for two seconds");
        let (from, to) = self.watch(MOMENT);
        let answers = self.traffic.answers(from, to);
        let of = |name: &str| answers.get(name).copied().unwrap_or_default();
        let (one, two) = (of("web1"), of("web2"));
        let good = one > 50 && one.abs_diff(two) <= 8;
        self.timeline.measure("answers by web1 and web2", format!("{one} and {two}"), "half each", good);
        let failures = self.traffic.failures(from, to);
        self.timeline.measure("requests lost in two seconds", failures, "0", failures == 0);
    }

    fn director_killed(&mut self) -> io::Result<()> {
        self.timeline.say("director1 is killed (SIGKILL)");
        let from = Instant::now();
        self.network.directors[0].daemon()?.kill();
        let moved = wait_until(PATIENCE, || self.network.directors[1].holds_vip());
        self.timeline.say(format_args!("    director2 holds {VIP} after {}", show(moved)));
        wait_until(PATIENCE, || self.web_answers_after(from + moved.unwrap_or_default()));
        let (_, to) = self.watch(MOMENT);
        let outage = self.traffic.longest_silence(from, to);
        let good = moved.is_some() && within(1500, 4500)(outage);
        self.timeline.measure("outage when a director dies", ms(outage), "3 adverts + skew time: about 3 s", good);
        Ok(())
    }

    fn director_returns(&mut self) -> io::Result<()> {
        self.timeline.say("director1 starts again");
        let from = Instant::now();
        self.network.directors[0].start()?;
        let moved =
            wait_until(PATIENCE, || self.network.directors[0].holds_vip() && !self.network.directors[1].holds_vip());
        self.timeline.measure(
            "preemption by director1",
            show(moved),
            "2.5 to 6 s",
            moved.is_some_and(within(2500, 6000)),
        );
        let (_, to) = self.watch(MOMENT);
        let outage = self.traffic.longest_silence(from, to);
        self.timeline.measure(
            "outage when it takes over again",
            ms(outage),
            "below 1 s",
            outage < Duration::from_secs(1),
        );
        Ok(())
    }

    fn server_killed(&mut self) {
        self.timeline.say("web1 is killed");
        let from = Instant::now();
        self.network.web[0].kill();
        self.watch(Duration::from_secs(5));
        let settled = self.traffic.last_refusal(from);
        let good = settled.is_none_or(|last| last < Duration::from_secs(4));
        self.timeline.measure("web1 out of the pool after", show(settled), "within 4 s", good);
        let failures = self.traffic.failures(from, Instant::now());
        self.timeline.measure("requests lost until then", failures, "half of them", failures < 600);
    }

    fn server_returns(&mut self) -> io::Result<()> {
        self.timeline.say("web1 starts again");
        let from = Instant::now();
        self.network.web[0].start()?;
        wait_until(PATIENCE, || self.traffic.first_answer(from, "web1").is_some());
        let joined = self.traffic.first_answer(from, "web1");
        self.timeline.measure(
            "web1 answers again after",
            show(joined),
            "within 4 s",
            joined.is_some_and(within(0, 4000)),
        );
        let failures = self.traffic.failures(from, Instant::now());
        self.timeline.measure("requests lost meanwhile", failures, "0", failures == 0);
        Ok(())
    }

    fn all_servers_killed(&mut self) -> io::Result<()> {
        self.timeline.say("web1 and web2 are killed");
        let from = Instant::now();
        self.network.web.iter_mut().for_each(crate::network::WebServer::kill);
        wait_until(PATIENCE, || self.traffic.first_answer(from, "sorry").is_some());
        let sorry = self.traffic.first_answer(from, "sorry");
        self.timeline.measure(
            "the sorry server answers after",
            show(sorry),
            "within 4 s",
            sorry.is_some_and(within(0, 4000)),
        );
        self.timeline.say("web1 and web2 start again");
        let from = Instant::now();
        for server in &mut self.network.web {
            server.start()?;
        }
        wait_until(PATIENCE, || self.both_answer(from));
        let back = ["web1", "web2"].map(|name| self.traffic.first_answer(from, name)).into_iter().max().flatten();
        self.timeline.measure("both answer again after", show(back), "within 4 s", back.is_some_and(within(0, 4000)));
        let (from, to) = self.watch(MOMENT);
        let sorry = self.traffic.answers(from, to).get("sorry").copied().unwrap_or_default();
        self.timeline.measure("answers by the sorry server", sorry, "0", sorry == 0);
        Ok(())
    }

    /// Scripts and mails, of which some may still be under way.
    fn messages(&mut self) {
        let expected = [(0, "MASTER"), (1, "BACKUP"), (1, "MASTER"), (0, "SERVER web1 DOWN"), (0, "SERVER web1 UP")];
        wait_until(MOMENT, || self.missing_notifications(&expected).is_empty());
        let missing = self.missing_notifications(&expected);
        self.timeline.measure(
            "notify scripts",
            said(&missing, "none missing"),
            "called for every change",
            missing.is_empty(),
        );
        let subjects = ["Entering MASTER state", "Entering BACKUP state", "Realserver", "- DOWN", "- UP"];
        let absent = |story: &Story| -> Vec<String> {
            let mails = story.network.mail.subjects();
            let missing = subjects.iter().filter(|part| !mails.iter().any(|mail| mail.contains(**part)));
            missing.map(|part| (*part).to_owned()).collect()
        };
        wait_until(MOMENT, || absent(self).is_empty());
        let missing = absent(self);
        self.timeline.measure("mails", said(&missing, "none missing"), "one for every change", missing.is_empty());
        let mails = self.network.mail.subjects();
        self.timeline.say(format_args!("    {} mails, among them:", mails.len()));
        for part in ["Entering MASTER", "DOWN"] {
            if let Some(subject) = mails.iter().find(|subject| subject.contains(part)) {
                self.timeline.say(format_args!("    {subject}"));
            }
        }
    }

    fn everything_stops(&mut self) -> io::Result<()> {
        self.timeline.say("both directors are told to stop (SIGTERM)");
        let mut left = Vec::new();
        for director in &mut self.network.directors {
            director.daemon()?.signal(Signal::SIGTERM)?;
        }
        for director in &mut self.network.directors {
            let status = director.daemon()?.wait(PATIENCE);
            if status.is_none_or(|status| !status.success()) {
                left.push(format!("{}: {status:?}", director.name));
            }
            if director.holds_vip() {
                left.push(format!("{} still has {VIP}", director.name));
            }
            if standfast_labkit::find_tool("nft").is_some() {
                let rules = director.host.run_checked("nft", "list ruleset")?;
                left.extend((!rules.trim().is_empty()).then(|| format!("{}: {rules}", director.name)));
            }
        }
        self.timeline.measure("left behind", said(&left, "nothing"), "nothing", left.is_empty());
        Ok(())
    }

    fn watch(&self, duration: Duration) -> (Instant, Instant) {
        let from = Instant::now();
        std::thread::sleep(duration);
        (from, Instant::now())
    }

    fn web_answers_after(&self, moment: Instant) -> bool {
        self.traffic.answers(moment, Instant::now()).keys().any(|server| server.starts_with("web"))
    }

    fn both_answer(&self, from: Instant) -> bool {
        ["web1", "web2"].iter().all(|name| self.traffic.first_answer(from, name).is_some())
    }

    fn missing_notifications(&self, expected: &[(usize, &str)]) -> Vec<String> {
        let missing = expected.iter().filter(|(director, text)| {
            !self.network.directors[*director].notifications().lines().any(|line| line.contains(text))
        });
        missing.map(|(director, text)| format!("director{}: {text}", director + 1)).collect()
    }

    fn show_logs(&self) {
        for director in &self.network.directors {
            println!("\n--- {} logged:\n{}", director.name, director.log());
            println!("--- {} notified:\n{}", director.name, director.notifications());
        }
    }
}

fn within(least: u64, most: u64) -> impl Fn(Duration) -> bool {
    move |duration| (Duration::from_millis(least)..=Duration::from_millis(most)).contains(&duration)
}

fn show(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "never".into(), ms)
}

fn said(list: &[String], none: &str) -> String {
    if list.is_empty() { none.into() } else { list.join(", ") }
}
