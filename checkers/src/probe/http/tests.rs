use super::*;
use crate::judge::Evidence;
use crate::spec::ConnectSpec;
use crate::{BodyPattern, PatternSettings};
use md5::{Digest, Md5};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

const LIMIT: Duration = Duration::from_millis(400);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(2);
const GOOD: &str = "HTTP/1.0 200 OK\r\n\r\nhello";

/// A path that reqwest can say, and one that it would change, which matters over TLS.
const LIBRARY: &str = "/check?a=b";
const DIRECT: &str = "/x/../check";

/// A responder: what it does with each connection is the test's.
async fn responder<F, D>(deed: D) -> SocketAddr
where
    D: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(deed(stream));
        }
    });
    address
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}

/// Answers every request with the same bytes and closes.
async fn answering(answer: &'static str) -> SocketAddr {
    responder(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

/// Answers well and tells the requests.
async fn recording() -> (SocketAddr, UnboundedReceiver<String>) {
    let (sender, requests) = unbounded_channel();
    let address = responder(move |mut stream| {
        let sender = sender.clone();
        async move {
            sender.send(read_request(&mut stream).await).unwrap();
            let _ = stream.write_all(GOOD.as_bytes()).await;
        }
    })
    .await;
    (address, requests)
}

fn url(path: &str) -> HttpUrl {
    HttpUrl::new(path)
}

fn spec(target: SocketAddr, url: HttpUrl) -> HttpSpec {
    HttpSpec::new(ConnectSpec::new(target, LIMIT), vec![url])
}

async fn check(target: SocketAddr, path: &str) -> Attempt {
    attempt(&spec(target, url(path)), 0).await
}

fn phrase(attempt: Attempt) -> String {
    match attempt {
        Attempt::Failed(fault) => fault.phrase.into_owned(),
        other => panic!("{other:?}"),
    }
}

/// Fails with these words, within `steps` limits.
async fn fails_with(target: SocketAddr, expected: &str, steps: u32) {
    let begun = Instant::now();
    assert_eq!(phrase(check(target, "/check").await), expected);
    assert!(begun.elapsed() < LIMIT * steps + SLACK, "{:?}", begun.elapsed());
}

#[test]
fn each_way_takes_what_it_can_say() {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let way = |path: &str| library::reachable(&spec(target, url(path)), &url(path)).is_some();
    for path in ["/", "/check", "/a/b?c=d&e=%20", "/?"] {
        assert!(way(path), "{path}");
    }
    for path in ["", "check", "/a/../b", "/a b", "/a#b", "/\"", "@other/", ":81/", "//\u{e4}"] {
        assert!(!way(path), "{path}");
    }
    let mut marked = HttpSpec { tls: true, ..spec(target, url("/")) };
    marked.connect.fwmark = Some(1);
    assert!(library::reachable(&marked, &url("/")).is_none());
}

#[tokio::test]
async fn asks_as_keepalived_asks() {
    let (target, mut requests) = recording().await;
    check(target, DIRECT).await;
    let expected = format!("GET {DIRECT} HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: {target}\r\n\r\n");
    assert_eq!(requests.recv().await.unwrap(), expected);
}

#[tokio::test]
async fn says_version_close_and_host_as_told() {
    let (target, mut requests) = recording().await;
    for (protocol, version) in [(HttpProtocol::V1_0Close, "HTTP/1.0"), (HttpProtocol::V1_1, "HTTP/1.1")] {
        let url = HttpUrl { virtualhost: Some("www.example.com".to_owned()), ..url(LIBRARY) };
        let spec = HttpSpec { protocol, ..spec(target, url) };
        assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Status));
        let request = requests.recv().await.unwrap();
        assert!(request.starts_with(&format!("GET {LIBRARY} {version}\r\n")), "{request}");
        assert!(request.contains("\r\nConnection: close\r\n"), "{request}");
        assert!(request.contains("\r\nHost: www.example.com\r\n"), "{request}");
    }
}

#[tokio::test]
async fn unsayable_bytes_are_escaped() {
    let (target, mut requests) = recording().await;
    check(target, "a b\r\nX: y").await;
    assert!(requests.recv().await.unwrap().starts_with("GET /a%20b%0D%0AX:%20y HTTP/1.0\r\n"));
}

#[tokio::test]
async fn status_codes_are_measured() {
    let target = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    fails_with(target, "HTTP status code error to", 1).await;
    let url = HttpUrl { status_codes: vec![(200, 200), (404, 410)], ..url("/") };
    assert_eq!(attempt(&spec(target, url), 0).await, Attempt::HttpPassed(Evidence::Status));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = answering("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await;
    fails_with(target, "HTTP status code error to", 1).await;
}

#[tokio::test]
async fn digests_are_measured() {
    let target = answering(GOOD).await;
    let right = HttpUrl { digest: Some(Md5::digest("hello").into()), ..url("/") };
    assert_eq!(attempt(&spec(target, right), 0).await, Attempt::HttpPassed(Evidence::Digest));
    let wrong = HttpUrl { digest: Some([7; 16]), ..url("/") };
    assert_eq!(phrase(attempt(&spec(target, wrong), 0).await), "MD5 digest error to");
}

#[tokio::test]
async fn patterns_are_searched() {
    let target = answering(GOOD).await;
    let with = |regex: &str| {
        let settings = PatternSettings { regex: regex.to_owned(), ..PatternSettings::default() };
        HttpUrl { pattern: Some(BodyPattern::new(settings).unwrap()), ..url("/") }
    };
    assert_eq!(attempt(&spec(target, with("^h.*o$")), 0).await, Attempt::HttpPassed(Evidence::Pattern));
    assert_eq!(phrase(attempt(&spec(target, with("bye")), 0).await), "Regex match failed");
}

#[tokio::test]
async fn a_chunked_body_is_digested_without_its_frame() {
    let target =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").await;
    let url = HttpUrl { digest: Some(Md5::digest("hello").into()), ..url("/") };
    assert_eq!(attempt(&spec(target, url), 0).await, Attempt::HttpPassed(Evidence::Digest));
}

#[tokio::test]
async fn a_chunked_body_may_be_digested_with_its_frame_as_keepalived_does() {
    let body = "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    let target =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").await;
    let url = HttpUrl { digest: Some(Md5::digest(body).into()), ..url("/") };
    let spec = HttpSpec { protocol: HttpProtocol::V1_1, ..spec(target, url) };
    assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Digest));
}

#[tokio::test]
async fn an_answer_that_ends_early_is_taken_as_it_is() {
    let target = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").await;
    assert_eq!(check(target, "/").await, Attempt::HttpPassed(Evidence::Status));
    let strict = HttpUrl { tls_compliant: true, ..url("/") };
    assert_eq!(phrase(attempt(&spec(target, strict), 0).await), "Read error with");
}

#[tokio::test]
async fn no_listener() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = listener.local_addr().unwrap();
    drop(listener);
    fails_with(target, "Error connecting", 0).await;
}

#[tokio::test]
async fn accepts_and_is_silent() {
    let target = responder(|stream| async move {
        sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    fails_with(target, "Timeout WEB read", 1).await;
}

#[tokio::test]
async fn drips_its_head() {
    let target = responder(|stream| drip(stream, "")).await;
    fails_with(target, "Timeout WEB read", 1).await;
}

#[tokio::test]
async fn drips_its_body() {
    let target = responder(|stream| drip(stream, "HTTP/1.0 200 OK\r\n\r\n")).await;
    fails_with(target, "Timeout HTTP read", 1).await;
}

async fn drip(mut stream: TcpStream, start: &'static str) {
    read_request(&mut stream).await;
    let _ = stream.write_all(start.as_bytes()).await;
    while stream.write_all(b"H").await.is_ok() {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_step_has_its_own_limit() {
    let pause = Duration::from_millis(700);
    let target = responder(move |mut stream| async move {
        read_request(&mut stream).await;
        sleep(pause).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        sleep(pause).await;
        let _ = stream.write_all(b"hello").await;
    })
    .await;
    let mut spec = spec(target, url("/"));
    spec.connect.timeout = pause * 2 - Duration::from_millis(100);
    assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Status));
}

#[tokio::test]
async fn garbage() {
    fails_with(answering("\0\u{1}\u{2} 220 mail.example.com ESMTP\r\n\r\n").await, "HTTP status code error to", 1)
        .await;
}

#[tokio::test]
async fn closes_at_once() {
    fails_with(answering("").await, "Read, no data received from", 1).await;
    fails_with(answering("HTTP/1.0 200 OK\r\nX: ").await, "Read, no data received from", 1).await;
}

#[tokio::test]
async fn resets_in_the_middle() {
    let target = responder(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello").await;
        sleep(Duration::from_millis(50)).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    fails_with(target, "Read error with", 1).await;
}

#[tokio::test]
async fn broken_chunks() {
    let target = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n").await;
    fails_with(target, "Read error with", 1).await;
}

#[tokio::test]
async fn ten_thousand_headers() {
    let target = responder(|mut stream| async move {
        read_request(&mut stream).await;
        let head = format!("HTTP/1.0 200 OK\r\n{}\r\n", "X-Header: value\r\n".repeat(10_000));
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    fails_with(target, "HTTP status code error to", 1).await;
}

/// Memory stays bounded because nothing of a body is kept; time, because the body has a limit of its own.
#[tokio::test]
async fn an_endless_body_is_cut() {
    let target = responder(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        while stream.write_all(&[0; 1 << 16]).await.is_ok() {}
    })
    .await;
    let begun = Instant::now();
    let wants_digest = HttpUrl { digest: Some([0; 16]), ..url("/") };
    assert!(matches!(attempt(&spec(target, wants_digest), 0).await, Attempt::Failed(_)));
    assert!(begun.elapsed() < LIMIT * 2 + SLACK);
}

fn tls_acceptor() -> TlsAcceptor {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("../../../fixtures/untrusted-certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../fixtures/untrusted-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers over TLS and tells the name in the greeting.
async fn tls_responder() -> (SocketAddr, UnboundedReceiver<Option<String>>) {
    let (sender, names) = unbounded_channel();
    let acceptor = tls_acceptor();
    let target = responder(move |stream| {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            sender.send(stream.get_ref().1.server_name().map(str::to_owned)).unwrap();
            answer_without_farewell(&mut stream).await;
        }
    })
    .await;
    (target, names)
}

/// Many servers close without TLS's close_notify.
async fn answer_without_farewell<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    read_request(stream).await;
    let _ = stream.write_all(GOOD.as_bytes()).await;
    let _ = stream.flush().await;
}

#[tokio::test]
async fn ssl_get_takes_a_certificate_that_nobody_signed() {
    let (target, mut names) = tls_responder().await;
    for path in [LIBRARY, DIRECT] {
        let url = HttpUrl {
            digest: Some(Md5::digest("hello").into()),
            virtualhost: Some("www.example.com".to_owned()),
            ..url(path)
        };
        let spec = HttpSpec { tls: true, ..spec(target, url) };
        assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Digest));
        assert_eq!(names.recv().await.unwrap(), None);
        let spec = HttpSpec { enable_sni: true, ..spec };
        assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Digest));
        assert_eq!(names.recv().await.unwrap().as_deref(), Some("www.example.com"));
    }
}

#[tokio::test]
async fn ssl_get_to_a_server_without_tls() {
    let target = responder(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
        sleep(LIMIT).await;
    })
    .await;
    for path in [LIBRARY, DIRECT] {
        let spec = HttpSpec { tls: true, ..spec(target, url(path)) };
        assert_eq!(phrase(attempt(&spec, 0).await), "SSL handshake/communication error connecting to");
    }
}

#[tokio::test]
async fn ssl_get_to_a_silent_server() {
    let target = responder(|stream| async move {
        sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    for path in [LIBRARY, DIRECT] {
        let begun = Instant::now();
        let spec = HttpSpec { tls: true, ..spec(target, url(path)) };
        assert_eq!(phrase(attempt(&spec, 0).await), "Timeout connecting");
        assert!(begun.elapsed() < LIMIT + SLACK);
    }
}

#[tokio::test]
async fn binds_to_the_source_that_it_is_told() {
    let (sender, mut peers) = unbounded_channel();
    let target = responder(move |mut stream| {
        sender.send(stream.peer_addr().unwrap()).unwrap();
        async move { answer_without_farewell(&mut stream).await }
    })
    .await;
    let mut spec = spec(target, url("/"));
    spec.connect.bind_ip = Some(Ipv4Addr::new(127, 0, 0, 9).into());
    assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Status));
    assert_eq!(peers.recv().await.unwrap().ip(), Ipv4Addr::new(127, 0, 0, 9));
    // Nobody else is in this address's ports.
    spec.connect.bind_port = Some(41_234);
    spec.connect.bind_ip = Some(Ipv4Addr::new(127, 0, 77, 9).into());
    assert_eq!(attempt(&spec, 0).await, Attempt::HttpPassed(Evidence::Status));
    assert_eq!(peers.recv().await.unwrap(), SocketAddr::from(([127, 0, 77, 9], 41_234)));
}

#[tokio::test]
async fn a_source_that_is_not_ours_judges_nothing() {
    let target = answering(GOOD).await;
    for (tls, path) in [(false, LIBRARY), (true, LIBRARY), (true, DIRECT)] {
        let mut spec = HttpSpec { tls, ..spec(target, url(path)) };
        spec.connect.bind_ip = Some(Ipv4Addr::new(192, 0, 2, 1).into());
        assert!(matches!(attempt(&spec, 0).await, Attempt::Unjudged(_)));
    }
}
