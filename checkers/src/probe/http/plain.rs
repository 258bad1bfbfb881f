//! The request over a TCP connection of our own, for every check without TLS.
//!
//! Such checks come in thousands. What a client library sets up for a connection (channels, a task, maps of headers) is dropped
//! unread by a check, and costs several times what the exchange itself does; here there is one buffer and one future. The answer
//! is parsed by `httparse`, hyper's own parser.

use super::answer::{Answer, BODY_LIMIT, EARLY, Watch, fault};
use super::frame::{Head, Malformed, may_end, take_head};
use super::{Trouble, connect_trouble, page};
use crate::probe::connect::connect;
use crate::spec::{HttpSpec, HttpUrl};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest head of an answer, hyper's limit.
const HEAD_LIMIT: usize = 8192 + 4096 * 100;
/// Room for what is read at once of a head, and of a body.
const PIECES: (usize, usize) = (2 << 10, 16 << 10);

pub(super) async fn exchange(spec: &HttpSpec, url: &HttpUrl) -> Result<Answer, Trouble> {
    let limit = spec.connect.timeout;
    let mut buffer = page::request(spec, url)?;
    let mut stream = connect(&spec.connect).await.map_err(|error| connect_trouble(error, limit))?;
    let method = spec.extras.method.as_deref().unwrap_or("GET");
    let head = timeout(limit, ask(&mut stream, &mut buffer, method)).await;
    let head = head.map_err(|_| fault("Timeout WEB read", format!("no answer within {limit:?}")))??;
    let status = head.status;
    let watch = timeout(limit, watch(&mut stream, buffer, head, url)).await;
    let late = |_| fault("Timeout HTTP read", format!("the body did not end within {limit:?}"));
    Ok(Answer::watched(status, watch.map_err(late)??))
}

/// Sends what is in the buffer and reads the head of the answer; what came behind it is in the buffer then.
async fn ask(stream: &mut TcpStream, buffer: &mut Vec<u8>, method: &str) -> Result<Head, Trouble> {
    stream.write_all(buffer).await.map_err(|error| broken(&error))?;
    buffer.clear();
    let mut known = 0;
    while buffer.len() < HEAD_LIMIT {
        if read(stream, buffer, PIECES.0).await? == 0 {
            return Err(fault("Read, no data received from", EARLY));
        }
        // A head that comes in many pieces is not parsed at each of them.
        if (known == 0 || may_end(buffer, known))
            && let Some(head) = take_head(buffer, method).map_err(no_http)?
        {
            return Ok(head);
        }
        known = buffer.len();
    }
    Err(no_http(Malformed(format!("the head is longer than {HEAD_LIMIT} bytes"))))
}

/// Looks at the body until it ends. keepalived takes an answer that ends early for what it is.
async fn watch<'a>(
    stream: &mut TcpStream,
    mut buffer: Vec<u8>,
    mut head: Head,
    url: &'a HttpUrl,
) -> Result<Watch<'a>, Trouble> {
    let mut watch = Watch::new(url);
    let torn = |Malformed(how)| fault("Read error with", how);
    while !head.extent.take(&buffer, &mut |data| watch.see(data)).map_err(torn)? && watch.length() <= BODY_LIMIT {
        buffer.clear();
        if read(stream, &mut buffer, PIECES.1).await? == 0 {
            return if url.tls_compliant && !head.extent.is_open() {
                Err(fault("Read error with", EARLY))
            } else {
                Ok(watch)
            };
        }
    }
    Ok(watch)
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, room: usize) -> Result<usize, Trouble> {
    buffer.reserve(room);
    stream.read_buf(buffer).await.map_err(|error| broken(&error))
}

fn broken(error: &io::Error) -> Trouble {
    fault("Read error with", error.to_string())
}

/// To keepalived, what is no status line has a wrong status.
fn no_http(Malformed(how): Malformed) -> Trouble {
    fault("HTTP status code error to", how)
}
