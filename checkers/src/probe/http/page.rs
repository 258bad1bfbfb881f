//! A page as it comes over the wire: what keepalived computes its digests of. With HTTP/1.1 that includes the frame of a
//! chunked body, which no HTTP library shows.

use super::answer::{Answer, BODY_LIMIT};
use super::{Trouble, connect_trouble, direct, headers, method};
use crate::probe::connect::connect;
use crate::spec::{HttpProtocol, HttpSpec, HttpUrl};
use md5::{Digest, Md5};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// Longest head of an answer.
const HEAD_LIMIT: usize = 64 << 10;
/// Bytes that a request and most answers fit in.
const ROOM: usize = 2 << 10;
/// Bytes read at a time.
const PIECE: usize = 16 << 10;

/// An answer without any interpretation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Status line and headers with the empty line behind them; everything where there is none.
    pub head: Vec<u8>,
    /// What follows.
    pub body: Vec<u8>,
}

/// Asks for a page and reads until the server closes. Every step may take the time-out of `spec.connect`.
///
/// # Errors
/// keepalived's words for what went wrong, and a detail.
pub async fn page(spec: &HttpSpec, url: &HttpUrl) -> Result<Page, String> {
    fetch(spec, url).await.map_err(|trouble| match trouble {
        Trouble::Fault(fault) => format!("{}: {}", fault.phrase, fault.detail),
        Trouble::Local(reason) => reason,
    })
}

async fn fetch(spec: &HttpSpec, url: &HttpUrl) -> Result<Page, Trouble> {
    let request = request(spec, url)?;
    let limit = spec.connect.timeout;
    let deadline = Instant::now() + limit;
    let stream = connect(&spec.connect).await.map_err(|error| connect_trouble(error, limit))?;
    if spec.tls {
        converse(direct::handshake(spec, url, stream, deadline).await?, &request, limit).await
    } else {
        converse(stream, &request, limit).await
    }
}

/// Only a digest can tell the frame of a chunked body from the body.
pub(super) fn is_needed(spec: &HttpSpec, url: &HttpUrl) -> bool {
    spec.protocol == HttpProtocol::V1_1
        && url.digest.is_some()
        && spec.extras.expiry_min.is_none()
        && !url.tls_compliant
}

/// The digest may be keepalived's, of the body as sent, or that of its content.
pub(super) async fn exchange(spec: &HttpSpec, url: &HttpUrl) -> Result<Answer, Trouble> {
    let mut page = fetch(spec, url).await?;
    // What a server sends beyond its own announcement is no part of the body.
    page.body.truncate(announced(&page.head).unwrap_or(usize::MAX));
    let status =
        page.status().ok_or_else(|| super::answer::fault("Read error with", "the answer has no status line"))?;
    let sent = Md5::digest(&page.body).into();
    if !is_chunked(&page.head) {
        return Ok(Answer::of(status, &page.body, [sent, sent], url));
    }
    let content = unframe(&page.body);
    Ok(Answer::of(status, &content, [sent, Md5::digest(&content).into()], url))
}

/// What is within the chunks (RFC 9112 section 7.1), as far as they are sound.
fn unframe(mut framed: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(end) = framed.windows(2).position(|two| two == b"\r\n") {
        let line = framed.get(..end).unwrap_or_default();
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let rest = framed.get(end + 2..).unwrap_or_default();
        let Some(chunk) = size.filter(|size| *size > 0).and_then(|size| rest.get(..size)) else { break };
        content.extend_from_slice(chunk);
        framed = rest.get(chunk.len() + 2..).unwrap_or_default();
    }
    content
}

/// The request as it is sent, with room for an answer of the usual length.
pub(super) fn request(spec: &HttpSpec, url: &HttpUrl) -> Result<Vec<u8>, Trouble> {
    let version = if spec.protocol == HttpProtocol::V1_1 { "1.1" } else { "1.0" };
    let mut request = Vec::with_capacity(ROOM);
    for part in [method(&spec.extras)?.as_str(), " ", &direct::escape(&url.path), " HTTP/", version, "\r\n"] {
        request.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &headers(spec, url)? {
        request.extend(title(name.as_str()));
        request.extend_from_slice(b": ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    Ok(request)
}

/// `user-agent` as servers are used to see it.
fn title(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().scan(b'-', |before, byte| {
        let begins = std::mem::replace(before, byte) == b'-';
        Some(if begins { byte.to_ascii_uppercase() } else { byte })
    })
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
    limit: Duration,
) -> Result<Page, Trouble> {
    let late = |_| super::answer::fault("Timeout WEB read", format!("no answer within {limit:?}"));
    let sent = timeout(limit, stream.write_all(request)).await.map_err(late)?;
    sent.map_err(|error| super::answer::fault("Read error with", error.to_string()))?;
    let answer = timeout(limit, read_all(&mut stream)).await.map_err(late)?;
    let answer = answer.map_err(|error| super::answer::fault("Read error with", error.to_string()))?;
    if answer.is_empty() {
        return Err(super::answer::fault("no data received from remote webserver", "the connection was closed"));
    }
    Ok(split(answer))
}

/// Until the end, which a server may forget to announce.
async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = vec![0; PIECE];
    let mut extent = None;
    loop {
        let read = match stream.read(&mut piece).await {
            Ok(0) => return Ok(answer),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(answer),
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(piece.get(..read).unwrap_or_default());
        extent = extent.or_else(|| Extent::of(&answer));
        if extent.as_ref().is_some_and(|extent| extent.is_reached(&answer)) {
            return Ok(answer);
        }
        if answer.len() as u64 > BODY_LIMIT {
            return Err(io::Error::other(format!("the answer is longer than {BODY_LIMIT} bytes")));
        }
    }
}

/// How far an answer goes, once its head is there: a server that does not close is not waited for.
struct Extent {
    /// Length of the head.
    head: usize,
    length: Option<usize>,
    chunked: bool,
}

impl Extent {
    fn of(answer: &[u8]) -> Option<Self> {
        // A head that was not there before does not come to be within its limit now.
        let may_be = answer.len() <= HEAD_LIMIT + PIECE;
        let end = may_be.then(|| end_of_head(answer)).flatten()?;
        let head = answer.get(..end)?;
        Some(Self { head: end, length: announced(head), chunked: is_chunked(head) })
    }

    fn is_reached(&self, answer: &[u8]) -> bool {
        let body = answer.get(self.head..).unwrap_or_default();
        (self.chunked && body.ends_with(b"0\r\n\r\n")) || self.length.is_some_and(|length| body.len() >= length)
    }
}

/// `Content-Length`.
fn announced(head: &[u8]) -> Option<usize> {
    headers_named(head, "content-length:").find_map(|value| value.trim().parse().ok())
}

fn is_chunked(head: &[u8]) -> bool {
    headers_named(head, "transfer-encoding:").any(|value| value.contains("chunked"))
}

/// The values of all headers of this name, in lower case.
fn headers_named(head: &[u8], name: &'static str) -> impl Iterator<Item = String> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).to_ascii_lowercase());
    lines.filter_map(move |line| Some(line.strip_prefix(name)?.to_owned()))
}

fn end_of_head(answer: &[u8]) -> Option<usize> {
    let window = answer.get(..HEAD_LIMIT).unwrap_or(answer);
    window.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn split(mut answer: Vec<u8>) -> Page {
    let end = end_of_head(&answer).unwrap_or(answer.len());
    let body = answer.split_off(end);
    Page { head: answer, body }
}

impl Page {
    /// The status code, if the first line has one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let line = self.head.split(|byte| *byte == b'\r').next()?;
        std::str::from_utf8(line).ok()?.strip_prefix("HTTP/")?.split_whitespace().nth(1)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_behind_its_headers() {
        let page = split(Vec::from(b"HTTP/1.0 404 Nope\r\nX: y\r\n\r\nnot\r\n\r\nhere"));
        assert_eq!((page.status(), page.body.as_slice()), (Some(404), b"not\r\n\r\nhere".as_slice()));
        let headless = split(Vec::from(b"hello"));
        assert_eq!((headless.status(), headless.body.len()), (None, 0));
    }

    #[test]
    fn chunks_lose_their_frames() {
        let framed = b"5\r\nhello\r\n6; x=y\r\n world\r\n0\r\n\r\n";
        assert_eq!(unframe(framed), b"hello world");
        assert_eq!(unframe(b"ffffffffffffffff\r\nhello"), b"");
        assert_eq!(unframe(b"5\r\nhello\r\nzz\r\n"), b"hello");
    }

    #[test]
    fn names_are_written_as_servers_know_them() {
        assert!(title("user-agent").eq(*b"User-Agent"));
        assert!(title("host").eq(*b"Host"));
    }
}
