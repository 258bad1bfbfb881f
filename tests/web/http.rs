//! HTTP by hand: requests as they are written, answers as they come.

use standfast_labkit::Host;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Option<Answer> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// The value of a header; empty when it is absent.
    pub fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Opens a connection inside a host.
pub fn connect(host: &Host, address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().unwrap();
    let stream = host.enter(|| TcpStream::connect_timeout(&address, PATIENCE))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request as it stands; the whole answer.
pub fn ask(host: &Host, address: &str, request: &str) -> io::Result<Answer> {
    let mut stream = connect(host, address)?;
    // A server that has heard enough may close before the end of a long request.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    Answer::parse(&text).ok_or_else(|| read.err().unwrap_or_else(|| io::Error::other(format!("no answer: {text}"))))
}

pub fn get(host: &Host, address: &str, path: &str) -> io::Result<Answer> {
    ask(host, address, &format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n"))
}

/// An answer that does not end.
pub struct Stream {
    stream: TcpStream,
    text: String,
}

pub fn open_stream(host: &Host, address: &str) -> io::Result<Stream> {
    let mut stream = connect(host, address)?;
    // In version 1.0 the text comes as it is, without chunks.
    stream.write_all(b"GET /events HTTP/1.0\r\nHost: lab\r\n\r\n")?;
    Ok(Stream { stream, text: String::new() })
}

impl Stream {
    /// Reads on until a text has come; everything so far.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while !self.text.contains(text) {
            let read = self.stream.read(&mut buffer).unwrap_or(0);
            assert!(read > 0 && Instant::now() < end, "no `{text}` in {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        self.text.clone()
    }
}
