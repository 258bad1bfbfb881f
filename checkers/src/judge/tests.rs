use super::*;
use crate::script::Outcome;
use proptest::prelude::*;

const SERVICE: &str = "[10.1.0.1]:tcp:80";
const VIRTUAL: &str = "[10.0.0.100]:tcp:80";

fn settings(delay_loop: u64, retry: u32, delay_before_retry: u64) -> JudgeSettings {
    JudgeSettings {
        delay_loop: secs(delay_loop),
        retry,
        delay_before_retry: secs(delay_before_retry),
        warmup: secs(delay_loop),
        alpha: false,
        log_all_failures: false,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A checker and its clock: attempts take no time and come when the judge asks for them.
struct Bench {
    judge: Judge,
    start: Instant,
    now: Instant,
}

impl Bench {
    fn new(kind: JudgeKind, settings: JudgeSettings) -> Self {
        let start = Instant::now();
        Self { judge: Judge::new(settings, kind, SERVICE, VIRTUAL), start, now: start }
    }

    /// One attempt: seconds since the start at which it was made, and its events in short.
    fn attempt(&mut self, attempt: &Attempt) -> (u64, Vec<String>) {
        let at = (self.now - self.start).as_secs();
        let judgement = self.judge.observe(attempt, self.now, self.now);
        self.now = judgement.next;
        (at, judgement.events.into_iter().map(short).collect())
    }

    fn proven(kind: JudgeKind, settings: JudgeSettings, pass: &Attempt) -> Self {
        let mut bench = Self::new(kind, settings);
        bench.attempt(pass);
        (bench.start, bench.now) = (bench.now, bench.now);
        bench
    }
}

fn short(event: Judged) -> String {
    match event {
        Judged::Log(line) => line,
        Judged::Weight(weight) => format!("WEIGHT {weight:?}"),
        Judged::Up { first, mail } => format!("UP first={first} {}", mail.unwrap_or_default()),
        Judged::Down { first, mail, .. } => format!("DOWN first={first} {}", mail.unwrap_or_default()),
    }
}

fn lines(expected: &[&str]) -> Vec<String> {
    expected.iter().map(|&line| line.to_owned()).collect()
}

fn failed() -> Attempt {
    Attempt::Failed(Fault::new("failed", "Connection refused"))
}

fn http(paths: &[&str], fast_recovery: bool) -> JudgeKind {
    JudgeKind::Http { paths: paths.iter().map(|&path| path.to_owned()).collect(), fast_recovery }
}

fn misc(dynamic: bool) -> JudgeKind {
    JudgeKind::Misc { program: "/tmp/k/misc.sh".to_owned(), dynamic }
}

const URL_OK: Attempt = Attempt::HttpPassed(Evidence::Status);

#[test]
fn tcp_needs_retry_plus_one_failures() {
    let mut bench = Bench::proven(JudgeKind::Tcp, settings(6, 2, 1), &Attempt::Passed);
    assert_eq!(bench.attempt(&failed()), (0, vec![]));
    assert_eq!(bench.attempt(&failed()), (1, vec![]));
    let expected = [
        "TCP_CHECK on service [10.1.0.1]:tcp:80 failed after 2 retries.",
        "DOWN first=false => TCP CHECK failed on service <=",
    ];
    assert_eq!(bench.attempt(&failed()), (2, lines(&expected)));
    assert_eq!(bench.attempt(&failed()), (8, vec![]));
}

#[test]
fn tcp_returns_at_the_first_success() {
    let mut bench = Bench::proven(JudgeKind::Tcp, settings(3, 0, 1), &Attempt::Passed);
    bench.attempt(&failed());
    let expected =
        ["TCP connection to [10.1.0.1]:tcp:80 success.", "UP first=false => TCP CHECK succeed on service <="];
    assert_eq!(bench.attempt(&Attempt::Passed), (3, lines(&expected)));
    assert_eq!(bench.attempt(&Attempt::Passed), (6, vec![]));
}

#[test]
fn one_failure_is_enough_at_first() {
    let mut bench = Bench::new(JudgeKind::Tcp, settings(3, 5, 1));
    let expected =
        ["TCP_CHECK on service [10.1.0.1]:tcp:80 failed.", "DOWN first=true => TCP CHECK failed on service <="];
    assert_eq!(bench.attempt(&failed()).1, lines(&expected));
}

#[test]
fn a_checker_that_joins_is_patient_as_recorded() {
    let mut bench = Bench::new(JudgeKind::Tcp, settings(3, 1, 1));
    bench.judge = bench.judge.joining();
    assert_eq!(bench.attempt(&failed()), (0, vec![]));
    let expected = [
        "TCP_CHECK on service [10.1.0.1]:tcp:80 failed after 1 retries.",
        "DOWN first=true => TCP CHECK failed on service <=",
    ];
    assert_eq!(bench.attempt(&failed()), (1, lines(&expected)));
}

#[test]
fn first_success_is_told_without_mail() {
    let mut bench = Bench::new(JudgeKind::Tcp, settings(3, 5, 1));
    let expected = ["TCP connection to [10.1.0.1]:tcp:80 success.", "UP first=true "];
    assert_eq!(bench.attempt(&Attempt::Passed).1, lines(&expected));
}

#[test]
fn alpha_starts_down() {
    let mut bench = Bench::new(JudgeKind::Tcp, JudgeSettings { alpha: true, ..settings(3, 1, 1) });
    assert!(!bench.judge.is_up());
    assert_eq!(
        bench.attempt(&failed()).1,
        lines(&["TCP_CHECK on service [10.1.0.1]:tcp:80 failed.", "DOWN first=true "])
    );
    let expected =
        ["TCP connection to [10.1.0.1]:tcp:80 success.", "UP first=false => TCP CHECK succeed on service <="];
    assert_eq!(bench.attempt(&Attempt::Passed).1, lines(&expected));
}

#[test]
fn log_all_failures_tells_attempts_of_a_living_server() {
    let mut bench =
        Bench::proven(JudgeKind::Tcp, JudgeSettings { log_all_failures: true, ..settings(3, 1, 1) }, &Attempt::Passed);
    let timeout = Attempt::Failed(Fault::new("timeout", "late"));
    assert_eq!(bench.attempt(&timeout).1, lines(&["TCP connection to [10.1.0.1]:tcp:80 timeout."]));
    bench.attempt(&timeout);
    assert_eq!(bench.attempt(&timeout).1, Vec::<String>::new());
}

#[test]
fn http_fails_and_recovers_as_recorded() {
    let mut bench = Bench::new(http(&["/check"], false), settings(3, 2, 1));
    assert_eq!(
        bench.attempt(&URL_OK),
        (0, lines(&["Remote Web server [10.1.0.1]:tcp:80 succeed on service.", "UP first=true "]))
    );
    assert_eq!(bench.attempt(&failed()), (3, vec![]));
    assert_eq!(bench.attempt(&failed()), (4, vec![]));
    let down = [
        "HTTP_CHECK on service [10.1.0.1]:tcp:80 failed after 2 retries.",
        "DOWN first=false => CHECK failed on service : HTTP/SSL request failed <=",
    ];
    assert_eq!(bench.attempt(&failed()), (5, lines(&down)));
    assert_eq!(bench.attempt(&failed()), (8, vec![]));
    let passed = "HTTP status code success to [10.1.0.1]:tcp:80 url(/check)";
    assert_eq!(bench.attempt(&URL_OK), (11, lines(&[passed])));
    let up = [
        passed,
        "Remote Web server [10.1.0.1]:tcp:80 succeed on service.",
        "UP first=false => CHECK succeed on service <=",
    ];
    assert_eq!(bench.attempt(&URL_OK), (14, lines(&up)));
    assert_eq!(bench.attempt(&URL_OK), (17, vec![]));
}

#[test]
fn http_asks_one_url_a_delay_loop() {
    let mut bench = Bench::new(http(&["/a", "/b"], false), settings(5, 1, 2));
    assert_eq!((bench.judge.url(), bench.attempt(&URL_OK)), (0, (0, vec![])));
    assert_eq!(bench.judge.url(), 1);
    assert_eq!(bench.attempt(&URL_OK).0, 5);
    assert!(bench.judge.has_run());
    assert_eq!(bench.judge.url(), 0);
}

#[test]
fn http_stays_with_the_failed_url_then_asks_all() {
    let mut bench = Bench::proven(http(&["/a", "/b"], false), settings(5, 0, 2), &URL_OK);
    assert_eq!(bench.judge.url(), 1);
    bench.attempt(&failed());
    assert_eq!((bench.judge.url(), bench.judge.is_up()), (1, false));
    bench.attempt(&URL_OK);
    assert_eq!((bench.judge.url(), bench.judge.is_up()), (0, false));
    bench.attempt(&URL_OK);
    assert_eq!((bench.judge.url(), bench.judge.is_up()), (1, false));
    bench.attempt(&URL_OK);
    assert!(bench.judge.is_up());
}

#[test]
fn fast_recovery_does_not_pause() {
    let mut bench = Bench::new(http(&["/a", "/b"], true), settings(5, 0, 2));
    bench.attempt(&URL_OK);
    assert_eq!(bench.attempt(&URL_OK).0, 0);
    bench.attempt(&failed());
    bench.attempt(&URL_OK);
    let before = bench.now;
    bench.attempt(&URL_OK);
    bench.attempt(&URL_OK);
    assert!(bench.judge.is_up());
    assert_eq!(bench.now - before, secs(5));
}

#[test]
fn misc_tells_its_retries_as_recorded() {
    let mut bench = Bench::proven(misc(false), settings(3, 2, 1), &Attempt::Script(Outcome::Exited(0)));
    let failure = Attempt::Script(Outcome::Exited(1));
    assert_eq!(bench.attempt(&failure), (0, vec![]));
    assert_eq!(bench.attempt(&failure), (1, vec![]));
    let down = [
        "Misc check for [[10.1.0.1]:tcp:80 VS [10.0.0.100]:tcp:80] by [/tmp/k/misc.sh] failed after 2 retries (exited with status 1).",
        "DOWN first=false => MISC CHECK failed on service <=",
    ];
    assert_eq!(bench.attempt(&failure), (2, lines(&down)));
    let up = [
        "Misc check for [[10.1.0.1]:tcp:80 VS [10.0.0.100]:tcp:80] by [/tmp/k/misc.sh] succeeded.",
        "UP first=false => MISC CHECK succeeded on service <=",
    ];
    assert_eq!(bench.attempt(&Attempt::Script(Outcome::Exited(0))), (5, lines(&up)));
}

#[test]
fn misc_without_retry_says_so() {
    let mut bench = Bench::proven(misc(false), settings(3, 0, 1), &Attempt::Script(Outcome::Exited(0)));
    let (_, events) = bench.attempt(&Attempt::Script(Outcome::Signaled(9)));
    let line = "Misc check for [[10.1.0.1]:tcp:80 VS [10.0.0.100]:tcp:80] by [/tmp/k/misc.sh] failed with retry disabled (due to signal 9).";
    assert_eq!(events.first().map(String::as_str), Some(line));
}

#[test]
fn misc_time_out_is_told() {
    let mut bench = Bench::proven(misc(false), settings(3, 0, 1), &Attempt::Script(Outcome::Exited(0)));
    let (_, events) = bench.attempt(&Attempt::Script(Outcome::TimedOut));
    let line =
        "Misc check for [[10.1.0.1]:tcp:80 VS [10.0.0.100]:tcp:80] by [/tmp/k/misc.sh] timed out with retry disabled.";
    assert_eq!(events, lines(&[line, "DOWN first=false => MISC CHECK timed out on service <="]));
}

#[test]
fn misc_dynamic_moves_the_weight() {
    let mut bench = Bench::proven(misc(true), settings(3, 0, 1), &Attempt::Script(Outcome::Exited(0)));
    let mut exit = |status| bench.attempt(&Attempt::Script(Outcome::Exited(status))).1;
    assert_eq!(exit(2), lines(&["WEIGHT Some(0)"]));
    assert_eq!(exit(2), Vec::<String>::new());
    assert_eq!(exit(255), lines(&["WEIGHT Some(253)"]));
    assert_eq!(exit(0), lines(&["WEIGHT None"]));
    assert!(exit(1).iter().any(|event| event.starts_with("DOWN")));
}

#[test]
fn exit_two_without_dynamic_is_a_failure() {
    let mut bench = Bench::proven(misc(false), settings(3, 0, 1), &Attempt::Script(Outcome::Exited(0)));
    bench.attempt(&Attempt::Script(Outcome::Exited(2)));
    assert!(!bench.judge.is_up());
}

#[test]
fn misc_counts_delays_from_the_start_of_the_program() {
    let mut judge = Judge::new(settings(3, 0, 1), misc(false), SERVICE, VIRTUAL);
    let start = Instant::now();
    let judgement = judge.observe(&Attempt::Script(Outcome::Exited(0)), start, start + secs(2));
    assert_eq!(judgement.next, start + secs(3));
    let judgement = judge.observe(&Attempt::Script(Outcome::Exited(0)), start, start + secs(10));
    assert_eq!(judgement.next, start + secs(10));
}

#[test]
fn dns_and_smtp_tell_the_attempt_instead_of_the_verdict() {
    let fault = Attempt::Failed(Fault::new("read timeout from socket", ""));
    let mut dns = Bench::proven(JudgeKind::Dns, settings(3, 1, 1), &Attempt::Passed);
    assert_eq!(dns.attempt(&fault).1, Vec::<String>::new());
    let expected = [
        "DNS_CHECK ([10.1.0.1]:tcp:80) read timeout from socket after 1 retries",
        "DOWN first=false => DNS_CHECK: failed on service <=",
    ];
    assert_eq!(dns.attempt(&fault).1, lines(&expected));

    let fault = Attempt::Failed(Fault::new("Read timeout from server [10.1.0.1]:25", ""));
    let mut smtp = Bench::proven(JudgeKind::Smtp, settings(3, 0, 1), &Attempt::Passed);
    let expected = [
        "SMTP_CHECK Read timeout from server [10.1.0.1]:25",
        "DOWN first=false => CHECK failed on service : Read timeout from server [10.1.0.1]:25 <=",
    ];
    assert_eq!(smtp.attempt(&fault).1, lines(&expected));
}

#[test]
fn trouble_on_this_side_judges_nothing() {
    let mut bench = Bench::new(JudgeKind::Tcp, settings(3, 0, 1));
    bench.attempt(&Attempt::Unjudged("no socket".to_owned()));
    assert!(bench.judge.is_up() && !bench.judge.has_run());
    assert_eq!(bench.now - bench.start, secs(3));
}

#[test]
fn the_first_attempt_comes_within_the_warmup() {
    let bench = Bench::new(JudgeKind::Tcp, settings(6, 0, 1));
    assert_eq!(bench.judge.first_attempt(bench.start, 0), bench.start + secs(1));
    assert_eq!(bench.judge.first_attempt(bench.start, u32::MAX), bench.start + secs(7));
}

#[test]
fn fewer_retries_leave_one_more_failure() {
    let mut bench = Bench::proven(JudgeKind::Tcp, settings(3, 5, 1), &Attempt::Passed);
    for _ in 0..4 {
        bench.attempt(&failed());
    }
    bench.judge.reconfigure(settings(3, 2, 1));
    bench.attempt(&failed());
    assert!(bench.judge.is_up());
    bench.attempt(&failed());
    assert!(!bench.judge.is_up());
}

proptest! {
    /// Detection takes retry failures at the pace of retries after the first failed attempt, for every kind.
    #[test]
    fn detection_time_is_what_the_settings_say(delay_loop in 1..60u64, retry in 0..6u32, pause in 1..20u64, kind in 0..6usize) {
        let kinds = [JudgeKind::Tcp, JudgeKind::Udp, JudgeKind::Ping, JudgeKind::Dns, JudgeKind::Smtp, http(&["/"], false)];
        let mut bench = Bench::proven(kinds[kind].clone(), settings(delay_loop, retry, pause), &Attempt::Passed);
        let mut at = 0;
        while bench.judge.is_up() {
            at = bench.attempt(&failed()).0;
        }
        prop_assert_eq!(at, u64::from(retry) * pause);
    }

    /// Whatever the attempts say: verdicts alternate, only the first may repeat the initial one, time goes on.
    #[test]
    fn verdicts_alternate(outcomes in prop::collection::vec(any::<bool>(), 1..80), retry in 0..4u32, alpha: bool, kind in 0..7usize) {
        let kinds = [
            JudgeKind::Tcp, JudgeKind::Udp, JudgeKind::Ping, JudgeKind::Dns, JudgeKind::Smtp,
            http(&["/a", "/b", "/c"], false), http(&["/a"], true),
        ];
        let mut bench = Bench::new(kinds[kind].clone(), JudgeSettings { alpha, ..settings(3, retry, 1) });
        let mut up = bench.judge.is_up();
        let mut verdicts = 0;
        for outcome in outcomes {
            let attempt = if outcome { Attempt::Passed } else { failed() };
            let (started, judgement) = (bench.now, bench.judge.observe(&attempt, bench.now, bench.now));
            prop_assert!(judgement.next >= started);
            bench.now = judgement.next;
            for event in judgement.events {
                let (now_up, first) = match event {
                    Judged::Up { first, .. } => (true, first),
                    Judged::Down { first, .. } => (false, first),
                    _ => continue,
                };
                prop_assert_eq!(first, verdicts == 0);
                prop_assert!(first || now_up != up);
                prop_assert_eq!(now_up, outcome);
                up = now_up;
                verdicts += 1;
            }
            prop_assert_eq!(bench.judge.is_up(), up);
        }
    }
}
