//! What checks can ask beyond keepalived's: methods, headers, credentials, texts, names and dates of TLS, gRPC.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use standfast_checkers::judge::{Attempt, Evidence};
use standfast_checkers::probe::attempt;
use standfast_checkers::{ConnectSpec, GrpcSpec, HttpExtras, HttpSpec, HttpUrl, ProbeSpec};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;

const LIMIT: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(86_400);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Answers every request with `body` and hands on what it heard.
async fn web(body: &'static str) -> (SocketAddr, UnboundedReceiver<String>) {
    let (listener, address) = listener().await;
    let (heard, requests) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            heard.send(String::from_utf8(request).unwrap()).unwrap();
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

fn url(path: &str) -> HttpUrl {
    HttpUrl::new(path)
}

fn check(target: SocketAddr, tls: bool, extras: HttpExtras, url: HttpUrl) -> ProbeSpec {
    ProbeSpec::Http(HttpSpec { tls, extras, ..HttpSpec::new(ConnectSpec::new(target, LIMIT), vec![url]) })
}

fn detail(attempt: Attempt) -> String {
    match attempt {
        Attempt::Failed(fault) => fault.detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn method_headers_and_credentials_are_sent() {
    let (target, mut requests) = web("").await;
    let extras = HttpExtras {
        method: Some("HEAD".to_owned()),
        headers: vec![("X-Probe".to_owned(), "a b".to_owned()), ("User-Agent".to_owned(), "other".to_owned())],
        basic_auth: Some(("user".to_owned(), "pass:word".to_owned())),
        ..HttpExtras::default()
    };
    let outcome = attempt(&check(target, false, extras, url("/a")), 0).await;
    assert_eq!(outcome, Attempt::HttpPassed(Evidence::Status));
    let request = requests.recv().await.unwrap().to_lowercase();
    assert!(request.starts_with("head /a http/1.0\r\n"), "{request}");
    let expected = ["authorization: basic dxnlcjpwyxnzondvcmq=", "x-probe: a b", "user-agent: other"];
    assert!(expected.iter().all(|line| request.contains(&format!("\r\n{line}\r\n"))), "{request}");
    assert!(!request.contains("keepaliveclient"), "{request}");
}

#[tokio::test]
async fn the_body_must_contain_the_text() {
    let (target, _requests) = web("all is well here").await;
    let of = |text: &str| HttpUrl { body_match: Some(text.to_owned()), ..url("/") };
    let found = attempt(&check(target, false, HttpExtras::default(), of("is well")), 0).await;
    assert_eq!(found, Attempt::HttpPassed(Evidence::Status));
    let missing = attempt(&check(target, false, HttpExtras::default(), of("is ill")), 0).await;
    assert!(detail(missing).starts_with("`is ill` is not in"));
}

#[tokio::test]
async fn what_cannot_be_sent_judges_nobody() {
    let (target, _requests) = web("").await;
    let bad = [
        HttpExtras { method: Some("GET /x".to_owned()), ..HttpExtras::default() },
        HttpExtras { headers: vec![("X".to_owned(), "a\r\nb: c".to_owned())], ..HttpExtras::default() },
        HttpExtras { headers: vec![("X Y".to_owned(), "a".to_owned())], ..HttpExtras::default() },
    ];
    for extras in bad {
        let outcome = attempt(&check(target, false, extras, url("/")), 0).await;
        assert!(matches!(outcome, Attempt::Unjudged(_)), "{outcome:?}");
    }
}

fn fixture(name: &str) -> String {
    format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(fixture("untrusted-certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("untrusted-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers without a length and ends with the farewell of TLS, or without; tells the names in the greetings.
async fn tls_web(farewell: bool) -> (SocketAddr, UnboundedReceiver<Option<String>>) {
    let (listener, address) = listener().await;
    let (heard, names) = unbounded_channel();
    let acceptor = acceptor(&[]);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A probe that dislikes the certificate goes away here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            heard.send(stream.get_ref().1.server_name().map(str::to_owned)).unwrap();
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_err() {
                continue;
            }
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nbody").await.unwrap();
            stream.flush().await.unwrap();
            if farewell {
                stream.shutdown().await.unwrap();
            }
        }
    });
    (address, names)
}

#[tokio::test]
async fn a_certificate_must_be_valid_for_long_enough() {
    let (target, _names) = tls_web(true).await;
    let least = |time| HttpExtras { expiry_min: Some(time), ..HttpExtras::default() };
    let outcome = attempt(&check(target, true, least(DAY), url("/")), 0).await;
    assert_eq!(outcome, Attempt::HttpPassed(Evidence::Status));
    let outcome = attempt(&check(target, true, least(DAY * 36_500), url("/")), 0).await;
    assert!(detail(outcome).starts_with("it expires in "));
}

#[tokio::test]
async fn the_name_in_the_greeting_can_be_chosen() {
    let (target, mut names) = tls_web(true).await;
    let extras = HttpExtras { sni_name: Some("www.example.org".to_owned()), ..HttpExtras::default() };
    let named = HttpUrl { virtualhost: Some("other.example.org".to_owned()), ..url("/") };
    attempt(&check(target, true, extras, named), 0).await;
    assert_eq!(names.recv().await.unwrap().as_deref(), Some("www.example.org"));
}

#[tokio::test]
async fn a_compliant_server_says_goodbye() {
    for (farewell, path, passes) in [(true, "/", true), (false, "/", false), (false, "/x/../y", false)] {
        let (target, _names) = tls_web(farewell).await;
        let strict = HttpUrl { tls_compliant: true, ..url(path) };
        let outcome = attempt(&check(target, true, HttpExtras::default(), strict), 0).await;
        assert_eq!(outcome == Attempt::HttpPassed(Evidence::Status), passes, "{farewell} {path} {outcome:?}");
        let outcome = attempt(&check(target, true, HttpExtras::default(), url(path)), 0).await;
        assert_eq!(outcome, Attempt::HttpPassed(Evidence::Status), "{farewell} {path}");
    }
}

/// grpc.health.v1 as a server gives it: `asked` must be the whole request message.
async fn health(asked: &'static [u8], message: &'static [u8], grpc_status: &'static str, tls: bool) -> SocketAddr {
    let (listener, address) = listener().await;
    let answer = move |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), asked);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(grpc_status));
        let frames: [Result<_, Infallible>; 2] =
            [Ok(Frame::data(Bytes::from_static(message))), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures::stream::iter(frames));
        Ok::<_, Infallible>(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = http2::Builder::new(TokioExecutor::new());
            if tls {
                let Ok(stream) = acceptor(&["h2"]).accept(stream).await else { continue };
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            } else {
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            }
        }
    });
    address
}

fn grpc(target: SocketAddr, service: &str, tls: bool) -> ProbeSpec {
    ProbeSpec::Grpc(GrpcSpec {
        connect: ConnectSpec::new(target, LIMIT),
        service: service.to_owned(),
        tls,
        identity: None,
    })
}

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 2];

#[tokio::test]
async fn a_serving_service_passes() {
    for tls in [false, true] {
        let target = health(&[0, 0, 0, 0, 0], SERVING, "0", tls).await;
        assert_eq!(attempt(&grpc(target, "", tls), 0).await, Attempt::Passed, "tls {tls}");
    }
    let target = health(&[0, 0, 0, 0, 5, 10, 3, b'a', b'.', b'b'], SERVING, "0", false).await;
    assert_eq!(attempt(&grpc(target, "a.b", false), 0).await, Attempt::Passed);
}

#[tokio::test]
async fn every_other_answer_fails() {
    let target = health(&[0, 0, 0, 0, 0], NOT_SERVING, "0", false).await;
    assert_eq!(detail(attempt(&grpc(target, "", false), 0).await), "the service is NOT_SERVING");
    let target = health(&[0, 0, 0, 0, 0], SERVING, "5", false).await;
    assert_eq!(detail(attempt(&grpc(target, "", false), 0).await), "gRPC status 5 ");
    let target = health(&[0, 0, 0, 0, 0], &[1, 2, 3], "0", false).await;
    assert_eq!(detail(attempt(&grpc(target, "", false), 0).await), "the answer is no HealthCheckResponse");
    let target = health(&[0, 0, 0, 0, 0], &[0; 4000], "0", false).await;
    assert_eq!(detail(attempt(&grpc(target, "", false), 0).await), "the answer is too long");
}

#[tokio::test]
async fn a_server_of_something_else_fails() {
    let (target, _requests) = web("").await;
    assert!(matches!(attempt(&grpc(target, "", false), 0).await, Attempt::Failed(_)));
    let (listener, silent) = listener().await;
    let short = GrpcSpec {
        connect: ConnectSpec::new(silent, DAY / 864_000),
        service: String::new(),
        tls: false,
        identity: None,
    };
    assert!(matches!(attempt(&ProbeSpec::Grpc(short), 0).await, Attempt::Failed(fault) if fault.phrase == "timeout"));
    drop(listener);
}
