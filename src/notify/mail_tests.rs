use super::*;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

fn globals(port: u16) -> Globals {
    Globals {
        router_id: Some("LAB".into()),
        smtp_server: Some(SmtpServer { host: "127.0.0.1".into(), port }),
        smtp_helo_name: Some("helo.lab.example".into()),
        smtp_connect_timeout: Duration::from_secs(5),
        notification_email: vec!["root@lab.example".into(), "Ops Team <ops@lab.example>".into()],
        notification_email_from: Some("Keep Alive <ka@lab.example>".into()),
        ..Globals::default()
    }
}

fn settings(globals: &Globals) -> Settings {
    Settings::new(globals, "host.lab.example").0.expect("complete settings")
}

fn mail() -> Mail {
    Mail {
        subject: "VRRP Instance VI_1 - Entering MASTER state".into(),
        body: "=> VRRP Instance is now owning VRRP VIPs <=".into(),
    }
}

/// Answers one conversation and returns what the client said.
async fn conversation(stream: TcpStream) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut said = Vec::new();
    stream.write_all(b"220 sink ESMTP\r\n").await.unwrap();
    let mut in_message = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap() == 0 {
            return said;
        }
        let line = line.trim_end_matches("\r\n").to_owned();
        let answer: &[u8] = match line.as_str() {
            "." => b"250 queued\r\n",
            _ if in_message => b"",
            "DATA" => b"354 go\r\n",
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        in_message = (in_message || line == "DATA") && line != ".";
        said.push(line);
        stream.write_all(answer).await.unwrap();
    }
}

#[tokio::test]
async fn the_dialogue_names_each_recipient_by_address_alone() {
    let sink = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Arc::new(settings(&globals(sink.local_addr().unwrap().port())));
    let postman = Postman::default();
    postman.send(&settings, mail());
    let (stream, _) = tokio::time::timeout(PATIENCE, sink.accept()).await.unwrap().unwrap();
    let mut said = tokio::time::timeout(PATIENCE, conversation(stream)).await.unwrap();
    assert!(said[5].starts_with("Date: ") && said[5].ends_with(" +0000"), "{said:?}");
    said.remove(5);
    let expected = [
        "EHLO helo.lab.example",
        "MAIL FROM:<ka@lab.example>",
        "RCPT TO:<root@lab.example>",
        "RCPT TO:<ops@lab.example>",
        "DATA",
        "From: \"Keep Alive\" <ka@lab.example>",
        "Subject: [LAB] VRRP Instance VI_1 - Entering MASTER state",
        "X-Mailer: Keepalived",
        "To: root@lab.example, \"Ops Team\" <ops@lab.example>",
        "",
        "=> VRRP Instance is now owning VRRP VIPs <=",
        "",
        ".",
        "QUIT",
    ];
    assert_eq!(said, expected);
    assert!(postman.finish(PATIENCE).await);
}

#[tokio::test]
async fn mails_that_wait_at_the_end_are_sent() {
    let sink = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Arc::new(settings(&globals(sink.local_addr().unwrap().port())));
    let server = tokio::spawn(async move {
        for _ in 0..10 {
            let (stream, _) = sink.accept().await.unwrap();
            conversation(stream).await;
        }
    });
    let postman = Postman::default();
    (0..10).for_each(|_| postman.send(&settings, mail()));
    assert!(postman.finish(PATIENCE).await);
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_or_refuses_ends_in_a_reason() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let hurried = Globals { smtp_connect_timeout: Duration::from_millis(50), ..globals(port) };
    assert_eq!(settings(&hurried).send(&mail()).await, Err(Failure::Silent));
    drop(silent);
    assert!(settings(&globals(port)).send(&mail()).await.unwrap_err().to_string().contains("refused"));
}

#[tokio::test]
async fn a_hanging_server_neither_blocks_nor_outlives_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Arc::new(settings(&globals(silent.local_addr().unwrap().port())));
    let postman = Postman::default();
    (0..QUEUE * 2).for_each(|_| postman.send(&settings, mail()));
    assert!(postman.dropped.load(Ordering::Relaxed) > 0);
    assert!(!postman.finish(Duration::from_millis(20)).await);
}

#[test]
fn mail_is_off_without_server_or_recipient() {
    assert_eq!(Settings::new(&Globals { smtp_server: None, ..globals(25) }, "h.example"), (None, Vec::new()));
    assert_eq!(Settings::new(&Globals { notification_email: Vec::new(), ..globals(25) }, "h.example").0, None);
    let (none, notes) = Settings::new(&Globals { notification_email: vec!["a b@c d".into()], ..globals(25) }, "h");
    assert_eq!((none, notes.len()), (None, 1));
}

#[test]
fn addresses_as_people_write_them() {
    let parsed = |text: &str| parse_mailbox(text, "host.example").map(|mailbox| mailbox.to_string());
    assert_eq!(parsed("ops@lab.example").as_deref(), Some("ops@lab.example"));
    assert_eq!(parsed("root").as_deref(), Some("root@host.example"));
    assert_eq!(parsed("root@localhost").as_deref(), Some("root@localhost"));
    assert_eq!(parsed("Dr. Ops, Jr. <ops@lab.example>").as_deref(), Some("\"Dr. Ops, Jr.\" <ops@lab.example>"));
    for bad in ["", "@", "a@b>", "<>", "x y z", "a@b\r\nRCPT TO:<c@d>"] {
        assert_eq!(parsed(bad), None, "{bad}");
    }
}

#[test]
fn names_cannot_add_headers_or_lines() {
    let settings = settings(&Globals { router_id: Some("A\r\nBcc: x@y".into()), ..globals(25) });
    let mail = Mail { subject: "VRRP\r\nBcc: x@y".into(), body: "a\r\n.\r\nb".into() };
    let text = settings.compose(&mail, SystemTime::UNIX_EPOCH);
    assert!(!text.contains("\nBcc:"), "{text}");
    assert!(text.ends_with("\r\n\r\na  .  b\r\n"), "{text}");
}

#[test]
fn unquoted_display_names_are_put_together_again() {
    let joined = |words: &str| join_names(&words.split('|').map(ToOwned::to_owned).collect::<Vec<_>>());
    assert_eq!(joined("root|Ops|Team|a@b"), ["root", "Ops", "Team", "a@b"]);
    assert_eq!(joined("a@b|Ops|Team|<ops@c>|root"), ["a@b", "Ops Team <ops@c>", "root"]);
    assert_eq!(joined("Ops Team <ops@c>|<x@y>"), ["Ops Team <ops@c>", "<x@y>"]);
}

#[test]
fn long_subjects_stay_on_one_line() {
    let subject = "Realserver [2001:db8:aaaa::1:21]:tcp:80 of virtual server [2001:db8:aaaa::2:100]:tcp:80 - DOWN";
    let text = settings(&globals(25)).compose(&Mail { subject: subject.into(), ..mail() }, SystemTime::UNIX_EPOCH);
    assert!(text.contains(&format!("\r\nSubject: [LAB] {subject}\r\n")), "{text}");
    let strange = settings(&globals(25)).compose(&Mail { subject: "Ä".into(), ..mail() }, SystemTime::UNIX_EPOCH);
    assert!(strange.contains("Subject: [LAB] =?utf-8?"), "{strange}");
}

#[test]
fn defaults_come_from_the_host() {
    let bare = Globals { router_id: None, smtp_helo_name: None, notification_email_from: None, ..globals(25) };
    let settings = settings(&bare);
    assert_eq!((settings.router_id.as_str(), settings.helo.as_str()), ("host.lab.example", "host.lab.example"));
    assert_eq!(settings.from.to_string(), "root@host.lab.example");
}

proptest::proptest! {
    #[test]
    fn no_name_breaks_the_composition(name in "\\PC{0,40}", router in ".{0,40}", subject in ".{0,40}") {
        let (to, router_id) = (vec![format!("{name} <a@b.example>"), name], Some(router));
        let globals = Globals { notification_email: to, router_id, ..globals(25) };
        if let (Some(settings), _) = Settings::new(&globals, "h.example") {
            let text = settings.compose(&Mail { subject: subject.clone(), body: subject }, SystemTime::UNIX_EPOCH);
            let (head, _) = text.split_once("\r\n\r\n").expect("an end of the headers");
            let starts = head.split("\r\n").filter(|line| !line.starts_with(' ')).count();
            proptest::prop_assert_eq!(starts, 5, "{}", text);
            let clean = head.split("\r\n").all(|line| !line.contains(char::is_control));
            proptest::prop_assert!(clean, "{}", text);
        }
    }
}
