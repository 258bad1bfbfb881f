//! `GRPC_CHECK`: one unary call of `grpc.health.v1.Health/Check` over HTTP/2 on a socket of our own.
//!
//! The two messages have one field each; they are written and read here, which takes less than a generated codec.

use super::connect::{ConnectError, connect};
use super::http::tls;
use crate::judge::{Attempt, Fault};
use crate::spec::GrpcSpec;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::fmt::Display;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// More than any answer: five bytes of frame and two of message.
const ANSWER_LIMIT: usize = 1024;
/// Names in the status field of the answer.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;

pub(super) async fn attempt(spec: &GrpcSpec) -> Attempt {
    let stream = match connect(&spec.connect).await {
        Ok(stream) => stream,
        Err(error) => return refused(error),
    };
    let limit = spec.connect.timeout;
    match ask(spec, stream, limit).await {
        Ok(()) => Attempt::Passed,
        Err((phrase, detail)) => Attempt::Failed(Fault::new(phrase, detail)),
    }
}

fn refused(error: ConnectError) -> Attempt {
    match error {
        ConnectError::Local(error) => Attempt::Unjudged(format!("GRPC_CHECK socket: {error}. Rescheduling")),
        ConnectError::Timeout => Attempt::Failed(Fault::new("timeout", "no connection in time")),
        ConnectError::Unreachable(error) | ConnectError::Refused(error) => {
            Attempt::Failed(Fault::new("failed", error.to_string()))
        }
    }
}

/// The word of the log line and ours.
type Trouble = (&'static str, String);

async fn ask(spec: &GrpcSpec, stream: TcpStream, limit: Duration) -> Result<(), Trouble> {
    if !spec.tls {
        return within(limit, call(stream, spec)).await;
    }
    let config = tls::config_h2(spec.identity.as_ref()).ok_or_else(|| failed("no TLS can be set up"))?;
    let name = spec.connect.target.ip().into();
    let handshake = async { TlsConnector::from(config.clone()).connect(name, stream).await.map_err(failed) };
    let stream = within(limit, handshake).await?;
    within(limit, call(stream, spec)).await
}

async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(limit, step).await.map_err(|_| ("timeout", format!("no answer within {limit:?}")))?
}

fn failed(detail: impl Display) -> Trouble {
    ("failed", detail.to_string())
}

async fn call<S>(stream: S, spec: &GrpcSpec) -> Result<(), Trouble>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_header_list_size(16 << 10).initial_stream_window_size(64 << 10);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends with this attempt, also when the attempt is given up.
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request(spec)?).await.map_err(failed)?;
    judge(response).await
}

fn request(spec: &GrpcSpec) -> Result<Request<Full<Bytes>>, Trouble> {
    let uri = Uri::builder()
        .scheme(if spec.tls { "https" } else { "http" })
        .authority(spec.connect.target.to_string())
        .path_and_query("/grpc.health.v1.Health/Check");
    let mut request = Request::new(Full::new(Bytes::from(message(&spec.service))));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.build().map_err(failed)?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, HeaderValue::from_static("KeepAliveClient"));
    Ok(request)
}

async fn judge(response: Response<Incoming>) -> Result<(), Trouble> {
    if response.status() != 200 {
        return Err(failed(format!("HTTP status {}", response.status())));
    }
    verdict(response.headers())?;
    let mut body = response.into_body();
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(failed)?;
        if let Some(trailers) = frame.trailers_ref() {
            verdict(trailers)?;
        } else if let Ok(data) = frame.into_data() {
            if message.len() + data.len() > ANSWER_LIMIT {
                return Err(failed("the answer is too long"));
            }
            message.extend_from_slice(&data);
        }
    }
    match status(&message) {
        Some(SERVING) => Ok(()),
        Some(other) => {
            let name = usize::try_from(other).ok().and_then(|index| STATUSES.get(index)).unwrap_or(&"unheard of");
            Err(failed(format!("the service is {name}")))
        }
        None => Err(failed("the answer is no HealthCheckResponse")),
    }
}

/// `grpc-status`, in the headers or in the trailers.
fn verdict(headers: &HeaderMap) -> Result<(), Trouble> {
    let Some(code) = headers.get("grpc-status").filter(|code| *code != "0") else { return Ok(()) };
    let text = headers.get("grpc-message").map_or("", |text| text.to_str().unwrap_or_default());
    Err(failed(format!("gRPC status {} {text}", code.to_str().unwrap_or_default())))
}

/// A HealthCheckRequest: field 1 is the service's name. In front stand "not compressed" and the length in four bytes.
fn message(service: &str) -> Vec<u8> {
    let mut body = Vec::new();
    if !service.is_empty() {
        body.push(0x0a);
        push_varint(service.len(), &mut body);
        body.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut message = vec![0];
    message.extend_from_slice(&length.to_be_bytes());
    message.append(&mut body);
    message
}

fn push_varint(mut value: usize, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(0x80 | value.to_le_bytes()[0] & 0x7f);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

/// Field 1 of a HealthCheckResponse; other fields are passed over, an absent one is 0 (protobuf's wire format).
fn status(message: &[u8]) -> Option<u64> {
    let [0, a, b, c, d, body @ ..] = message else { return None };
    let mut body = body;
    if u32::from_be_bytes([*a, *b, *c, *d]) as usize != body.len() {
        return None;
    }
    let mut status = 0;
    while !body.is_empty() {
        let tag = take_varint(&mut body)?;
        match tag & 7 {
            0 => {
                let value = take_varint(&mut body)?;
                status = if tag == 8 { value } else { status };
            }
            1 => body = body.get(8..)?,
            2 => {
                let length = usize::try_from(take_varint(&mut body)?).ok()?;
                body = body.get(length..)?;
            }
            5 => body = body.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn take_varint(body: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = body.split_first()?;
        *body = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_protobuf_in_grpc_frames() {
        assert_eq!(message(""), [0, 0, 0, 0, 0]);
        assert_eq!(message("abc"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'b', b'c']);
        assert_eq!(&message(&"x".repeat(300))[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn the_status_is_found_among_other_fields() {
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(status(&[0, 0, 0, 0, 6, 0x12, 2, 8, 8, 8, 2]), Some(2));
        for wrong in
            [&[][..], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1], &[0, 0, 0, 0, 1, 8], &[0, 0, 0, 0, 2, 0x0a, 9]]
        {
            assert_eq!(status(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_in_peace(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut framed = vec![0, 0, 0, 0, u8::try_from(bytes.len()).unwrap()];
            framed.extend(&bytes);
            let _ = (status(&framed), status(&bytes));
        }
    }
}
