//! `SMTP_CHECK`: greeting, HELO, QUIT.

use super::connect::{ConnectError, connect};
use super::pair;
use crate::judge::{Attempt, Fault};
use crate::spec::SmtpSpec;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest line that is read; RFC 5321 section 4.5.3.1.5 allows 512 bytes.
const LINE_LIMIT: u64 = 4096;

pub(super) async fn attempt(spec: &SmtpSpec) -> Attempt {
    let server = pair(spec.connect.target);
    let stream = match connect(&spec.connect).await {
        Ok(stream) => stream,
        Err(error) => return refused(error, &server),
    };
    match talk(stream, &spec.helo_name, spec.connect.timeout).await {
        Ok(()) => Attempt::Passed,
        Err((words, detail)) => Attempt::Failed(Fault::new(format!("{words} server {server}"), detail)),
    }
}

fn refused(error: ConnectError, server: &str) -> Attempt {
    let (words, detail) = match error {
        ConnectError::Local(error) => return Attempt::Unjudged(format!("SMTP_CHECK socket: {error}. Rescheduling.")),
        ConnectError::Timeout => ("Connection timeout to", "no connection in time".to_owned()),
        ConnectError::Unreachable(error) => ("Network unreachable for", error.to_string()),
        ConnectError::Refused(error) => ("Error connecting to", error.to_string()),
    };
    Attempt::Failed(Fault::new(format!("{words} server {server}"), detail))
}

/// keepalived's words and ours.
type Trouble = (&'static str, String);

async fn talk(stream: TcpStream, helo_name: &str, limit: Duration) -> Result<(), Trouble> {
    let mut stream = BufReader::new(stream);
    expect(&mut stream, 220, "Bad greeting banner from", limit).await?;
    say(&mut stream, &format!("HELO {helo_name}\r\n"), limit).await?;
    expect(&mut stream, 250, "Bad HELO response from", limit).await?;
    say(&mut stream, "QUIT\r\n", limit).await?;
    hear(&mut stream, limit).await.map(drop)
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str, limit: Duration) -> Result<(), Trouble> {
    match timeout(limit, stream.write_all(line.as_bytes())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(("Write failure to", error.to_string())),
        Err(_) => Err(("Write timeout to", format!("not taken within {limit:?}"))),
    }
}

async fn expect(
    stream: &mut BufReader<TcpStream>,
    code: u16,
    words: &'static str,
    limit: Duration,
) -> Result<(), Trouble> {
    let line = hear(stream, limit).await?;
    let found =
        line.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| digits.parse().ok());
    if found == Some(code) { Ok(()) } else { Err((words, String::from_utf8_lossy(&line).trim_end().to_owned())) }
}

/// The last line of a reply, which must be there within `limit`.
async fn hear(stream: &mut BufReader<TcpStream>, limit: Duration) -> Result<Vec<u8>, Trouble> {
    match timeout(limit, last_line(stream)).await {
        Ok(Ok(line)) => Ok(line),
        Ok(Err(error)) => Err(("Read failure from", error.to_string())),
        Err(_) => Err(("Read timeout from", format!("no line within {limit:?}"))),
    }
}

/// `220-` is followed by more, `220 ` is not (RFC 5321 section 4.2.1).
async fn last_line(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    loop {
        let mut line = Vec::new();
        stream.take(LINE_LIMIT).read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ConnectSpec;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Instant;
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_millis(300);

    /// Says each of `replies` in turn, a line of the client between them, and then is silent for ever.
    async fn server(replies: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            for reply in replies {
                stream.write_all(reply.as_bytes()).await.unwrap();
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        address
    }

    async fn phrase(target: SocketAddr) -> String {
        let begun = Instant::now();
        let spec = SmtpSpec { connect: ConnectSpec::new(target, LIMIT), helo_name: "checker".to_owned() };
        let attempt = attempt(&spec).await;
        assert!(begun.elapsed() < LIMIT + Duration::from_secs(2));
        match attempt {
            Attempt::Passed => "passed".to_owned(),
            Attempt::Failed(fault) => fault.phrase.replace(&pair(target), "X"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_good_server_passes() {
        let replies = &["220-mail.example.com\r\n220 ready\r\n", "250 hello\r\n", "221 bye\r\n"];
        assert_eq!(phrase(server(replies).await).await, "passed");
    }

    #[tokio::test]
    async fn bad_replies_fail() {
        assert_eq!(phrase(server(&["554 no\r\n"]).await).await, "Bad greeting banner from server X");
        assert_eq!(phrase(server(&["\r\n"]).await).await, "Bad greeting banner from server X");
        assert_eq!(phrase(server(&["220 x\r\n", "502 no\r\n"]).await).await, "Bad HELO response from server X");
    }

    #[tokio::test]
    async fn silence_fails_in_time() {
        assert_eq!(phrase(server(&[]).await).await, "Read timeout from server X");
        assert_eq!(phrase(server(&["220 x\r\n"]).await).await, "Read timeout from server X");
    }

    #[tokio::test]
    async fn endless_lines_fail() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while stream.write_all(&[b'2'; 4096]).await.is_ok() {}
        });
        assert_eq!(phrase(target).await, "Read failure from server X");
    }

    #[tokio::test]
    async fn replies_without_end_fail_in_time() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while stream.write_all(b"220-more\r\n").await.is_ok() {}
        });
        assert_eq!(phrase(target).await, "Read timeout from server X");
    }
}
