//! The server before a daemon that is played by the test.

use super::*;
use crate::status::{EntryKind, Journal, Sources, Status, picture};
use crate::vrrp::Views;
use standfast_parser::model::Config;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const GOOD: Vitals = Vitals { vrrp: Health::Ok, forwarding: Health::Unused, checks: Health::Ok };

fn empty() -> Status {
    picture(&Sources {
        config: &Config::default(),
        path: "/x.conf",
        host: "lb1",
        started: SystemTime::UNIX_EPOCH,
        configured: SystemTime::UNIX_EPOCH,
        latest_event: 0,
        views: &Views::default(),
        sessions: &[],
        reports: &[],
        engine: None,
        announced: None,
        reloads: Default::default(),
        notifications: Default::default(),
        sync: None,
        forwarder: None,
        now: (Instant::now(), SystemTime::now()),
    })
}

/// A server on a free port, with a daemon that answers like this, and the number of its questions.
async fn serve(vitals: Option<Vitals>) -> (u16, Journal, Arc<AtomicU32>) {
    let (line, mut questions) = mpsc::channel(4);
    let (journal, asked) = (Journal::default(), Arc::<AtomicU32>::default());
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
    let desk = Desk::new(line, journal.clone());
    let server = Server::start((Ipv4Addr::LOCALHOST, port).into(), desk, None).unwrap();
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let (_server, mut unanswered) = (server, Vec::new());
        while let Some(question) = questions.recv().await {
            count.fetch_add(1, Relaxed);
            match (question, vitals) {
                (Question::Vitals(reply), Some(vitals)) => drop(reply.send(vitals)),
                (Question::Picture(reply), Some(_)) => drop(reply.send(empty())),
                (question, None) => unanswered.push(question),
            }
        }
    });
    (port, journal, asked)
}

async fn connect(port: u16) -> TcpStream {
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn get(port: u16, path: &str) -> String {
    let mut stream = connect(port).await;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn health_is_that_of_every_part() {
    let failing = Vitals { forwarding: Health::Failing, ..GOOD };
    for (vitals, status, body) in [
        (Some(GOOD), "200 OK", r#"{"checks":"ok","forwarding":"unused","status":"ok","vrrp":"ok"}"#),
        (Some(failing), "503", r#"{"checks":"ok","forwarding":"failing","status":"failing","vrrp":"ok"}"#),
        (None, "503", r#"{"daemon":"failing","status":"failing"}"#),
    ] {
        let (port, ..) = serve(vitals).await;
        let answer = get(port, "/healthz").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}\n")), "{answer}");
    }
}

#[tokio::test]
async fn the_daemon_is_asked_once_for_many() {
    let (port, _, asked) = serve(Some(GOOD)).await;
    let began = Instant::now();
    let answers = futures::future::join_all((0..40).map(|_| get(port, "/status.json"))).await;
    assert!(answers.iter().all(|answer| answer.contains("\"host\":\"lb1\"")));
    let (asked, seconds) = (asked.load(Relaxed), began.elapsed().as_secs());
    assert!(u64::from(asked) <= seconds + 1, "{asked} questions in {seconds} s");
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_waited_for_once() {
    let (port, ..) = serve(None).await;
    let answers = futures::future::join_all((0..10).map(|_| get(port, "/metrics"))).await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 503") && answer.contains("does not answer")));
}

#[tokio::test]
async fn a_stream_carries_events_and_pictures() {
    let (port, journal, _) = serve(Some(GOOD)).await;
    journal.write(EntryKind::Daemon, "", "a line\nand another", SystemTime::UNIX_EPOCH);
    let mut stream = connect(port).await;
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut text = String::new();
    while !text.contains("\"second\"") {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if text.contains("event: picture") && journal.latest() == 1 {
            journal.write(EntryKind::Order, "VI_1", "second", SystemTime::UNIX_EPOCH);
        }
    }
    assert!(text.contains("retry: 2000") && text.contains(r#"a line\nand another"#), "{text}");
    assert_eq!(text.matches("event: journal").count(), 2, "{text}");
}
