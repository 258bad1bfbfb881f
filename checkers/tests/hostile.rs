//! Servers that misbehave, each for every way of asking: the verdict is right, and it comes within the check's limits.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use standfast_checkers::judge::Attempt;
use standfast_checkers::probe::attempt;
use standfast_checkers::{
    ConnectSpec, DnsSpec, HttpProtocol, HttpSpec, HttpUrl, ProbeSpec, SmtpSpec, UdpReply, UdpSpec,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

const LIMIT: Duration = Duration::from_millis(400);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(4);

/// What a server does with a connection, behind the request.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// Says this and closes.
    Says(&'static str),
    /// Says the first, then the second again and again.
    Repeats(&'static str, &'static str),
    /// Says the first, then the second one byte at a time.
    Drips(&'static str, &'static str),
    /// Answers with a reset.
    Resets,
}
use Deed::{Drips, Repeats, Resets, Says};

async fn server(deed: Deed) -> SocketAddr {
    serving(move |stream| meet(stream, deed)).await
}

/// The same behind TLS.
async fn tls_server(deed: Deed) -> SocketAddr {
    let acceptor = tls_acceptor();
    serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            match (acceptor.accept(stream).await, deed) {
                (Ok(stream), Resets) => stream.get_ref().0.set_zero_linger().unwrap(),
                (Ok(stream), deed) => carry_out(stream, deed).await,
                (Err(error), _) => panic!("{error}"),
            }
        }
    })
    .await
}

async fn serving<F>(deed: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
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

fn tls_acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../fixtures/untrusted-certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../fixtures/untrusted-key.pem")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
}

async fn meet(mut stream: TcpStream, deed: Deed) {
    if matches!(deed, Resets) {
        // Who waits for a greeting asks nothing.
        let _ = tokio::time::timeout(LIMIT / 4, stream.read(&mut [0; 4096])).await;
        return stream.set_zero_linger().unwrap();
    }
    carry_out(stream, deed).await;
}

async fn carry_out(mut stream: impl AsyncRead + AsyncWrite + Unpin, deed: Deed) {
    let mut request = [0; 4096];
    let _ = tokio::time::timeout(LIMIT / 4, stream.read(&mut request)).await;
    // The other side may go at any time.
    match deed {
        Says(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.flush().await;
        }
        Resets => {}
        Repeats(head, text) => {
            let _ = stream.write_all(head.as_bytes()).await;
            let block = text.repeat(1 + 16_384 / text.len());
            while stream.write_all(block.as_bytes()).await.is_ok() {}
        }
        Drips(head, text) => {
            let _ = stream.write_all(head.as_bytes()).await;
            for byte in text.bytes().cycle() {
                if stream.write_all(&[byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

fn http(target: SocketAddr, path: &str, tls: bool, digest: Option<[u8; 16]>) -> ProbeSpec {
    let url = HttpUrl { digest, status_codes: vec![(200, 200)], ..HttpUrl::new(path) };
    ProbeSpec::Http(HttpSpec {
        tls,
        protocol: HttpProtocol::V1_1,
        ..HttpSpec::new(ConnectSpec::new(target, LIMIT), vec![url])
    })
}

/// Makes an attempt that must end within `steps` limits; returns keepalived's words for what is wrong.
async fn verdict(probe: ProbeSpec, steps: u32) -> String {
    let begun = Instant::now();
    let attempt = attempt(&probe, 0).await;
    assert!(begun.elapsed() < LIMIT * steps + SLACK, "{probe:?} took {:?}", begun.elapsed());
    match attempt {
        Attempt::Passed | Attempt::HttpPassed(_) => "passed".to_owned(),
        Attempt::Failed(fault) => fault.phrase.into_owned(),
        other => panic!("{other:?}"),
    }
}

/// A server, and the verdict of a check of its status.
const WEB: [(&str, Deed, &str); 18] = [
    ("a flood of 100 Continue", Repeats("", "HTTP/1.1 100 Continue\r\n\r\n"), "Timeout WEB read"),
    (
        "an interim answer",
        Says("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        "passed",
    ),
    ("HTTP/0.9", Says("<html>hello</html>\r\n\r\n"), "HTTP status code error to"),
    ("no HTTP at all", Says("220 mail.example.com ESMTP\r\n\r\n"), "HTTP status code error to"),
    ("a status of four digits", Says("HTTP/1.1 2000 OK\r\n\r\n"), "HTTP status code error to"),
    ("a head without end", Drips("HTTP/1.1 200 OK\r\n", "X: y\r\n"), "Timeout WEB read"),
    ("a header without end", Repeats("HTTP/1.1 200 OK\r\nX: ", "y"), "HTTP status code error to"),
    ("headers without end", Repeats("HTTP/1.1 200 OK\r\n", "X: y\r\n"), "HTTP status code error to"),
    ("a status line without end", Repeats("HTTP/1.1 200 ", "y"), "HTTP status code error to"),
    (
        "the largest chunk",
        Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhi"),
        "passed",
    ),
    (
        "a chunk beyond it",
        Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\nhi"),
        "Read error with",
    ),
    (
        "an extension of a chunk without end",
        Repeats("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", "y"),
        "Read error with",
    ),
    (
        "trailers without end",
        Repeats("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
        "Read error with",
    ),
    ("a length too short", Says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello"), "passed"),
    ("a length too long", Says("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nhello"), "passed"),
    ("a length that is none", Says("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello"), "HTTP status code error to"),
    (
        "two lengths",
        Says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        "HTTP status code error to",
    ),
    ("a reset", Resets, "Read error with"),
];

#[tokio::test]
async fn web_servers() {
    for (name, deed, expected) in WEB {
        let target = server(deed).await;
        assert_eq!(verdict(http(target, "/check", false, None), 2).await, expected, "{name}");
    }
}

#[tokio::test]
async fn web_servers_behind_tls() {
    for (name, deed, expected) in WEB {
        let target = tls_server(deed).await;
        // The second path is one that reqwest cannot ask for.
        for path in ["/check", "/x/../check"] {
            let words = verdict(http(target, path, true, None), 3).await;
            // A body is read in other words there.
            assert_eq!(words.replace("SSL read error from", "Read error with"), expected, "{name}, {path}");
        }
    }
}

#[tokio::test]
async fn bodies_that_lie_about_their_length_have_the_digest_of_what_came() {
    let hello = Some(0x5d41_402a_bc4b_2a76_b971_9d91_1017_c592_u128.to_be_bytes());
    for (length, expected) in [("5", "passed"), ("4", "MD5 digest error to"), ("99", "passed")] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello");
        let says = Says(answer.leak());
        let (plain, tls) = (server(says).await, tls_server(says).await);
        for (target, path, tls) in [(plain, "/check", false), (tls, "/check", true), (tls, "/x/../check", true)] {
            assert_eq!(verdict(http(target, path, tls, hello), 3).await, expected, "{length}, {path}");
        }
    }
}

#[tokio::test]
async fn handshakes_that_come_to_nothing() {
    let broken = "SSL handshake/communication error connecting to";
    for (name, deed, expected) in [
        ("a record byte by byte", Drips("\u{16}\u{3}\u{3}\u{40}", "\u{2}"), "Timeout connecting"),
        ("no record", Repeats("", "hello"), broken),
        ("an alert", Says("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}"), broken),
        ("its end", Says(""), broken),
        ("a reset", Resets, "Error connecting"),
    ] {
        let target = server(deed).await;
        for path in ["/check", "/x/../check"] {
            let words = verdict(http(target, path, true, None), 1).await;
            assert!(words == expected || words == broken, "{name}, {path}: {words}");
        }
    }
}

#[tokio::test]
async fn mail_servers() {
    for (name, deed, expected) in [
        ("a greeting of lines without end", Repeats("", "220-more\r\n"), "Read timeout from"),
        ("a line without end", Repeats("", "2"), "Read failure from"),
        ("a greeting byte by byte", Drips("", "220-more\r\n"), "Read timeout from"),
        ("a code of other digits", Says("\u{661}22 hello\r\n"), "Bad greeting banner from"),
        ("a code alone", Says("220\r\n"), "Read failure from"),
        ("the end", Says(""), "Read failure from"),
        ("a reset", Resets, "Read failure from"),
    ] {
        let target = server(deed).await;
        let spec = SmtpSpec { connect: ConnectSpec::new(target, LIMIT), helo_name: "checker".to_owned() };
        let words = verdict(ProbeSpec::Smtp(spec), 3).await;
        assert_eq!(words, format!("{expected} server [127.0.0.1]:{}", target.port()), "{name}");
    }
}

/// Answers every datagram with what `answers` makes of it, and then again and again if it is to be a flood.
async fn datagrams(answers: fn(&[u8]) -> Vec<u8>, flood: bool) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let answer = answers(&buffer[..length]);
            // The other side may have closed its socket.
            let mut goes_on = socket.send_to(&answer, peer).await.is_ok();
            while flood && goes_on {
                goes_on = socket.send_to(&answer, peer).await.is_ok();
            }
        }
    });
    address
}

/// The question as an answer with these flags.
fn answered(question: &[u8], flags: [u8; 2]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&flags);
    answer
}

#[tokio::test]
async fn name_servers() {
    type Answers = fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, Answers, bool, &str); 8] = [
        ("cut short", |question| answered(question, [0x83, 0x80]), false, "passed"),
        (
            "a name that points at itself",
            |question| {
                let mut answer = answered(question, [0x81, 0x80]);
                answer[7] = 1;
                let place = u8::try_from(answer.len()).unwrap();
                answer.extend([0xc0, place, 0, 6, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, place]);
                answer
            },
            false,
            "passed",
        ),
        ("no questions", |question| answered(question, [0x81, 0x80])[..12].to_vec(), false, "passed"),
        ("not implemented", |question| answered(question, [0x81, 0x84]), false, "read error occurred. (rcode = 4)"),
        ("half a header", |question| answered(question, [0x81, 0x80])[..11].to_vec(), true, "read timeout from socket"),
        (
            "another identity",
            |question| [&[!question[0]], &answered(question, [0x81, 0x80])[1..]].concat(),
            true,
            "read timeout from socket",
        ),
        ("the question itself", <[u8]>::to_vec, true, "read timeout from socket"),
        ("nothing", |_| Vec::new(), true, "read timeout from socket"),
    ];
    for (name, answers, flood, expected) in cases {
        let connect = ConnectSpec::new(datagrams(answers, flood).await, LIMIT);
        let spec = DnsSpec { connect, record_type: DnsSpec::SOA, name: "example.com".to_owned() };
        assert_eq!(verdict(ProbeSpec::Dns(spec), 1).await, expected, "{name}");
    }
}

#[tokio::test]
async fn replies_over_udp() {
    let reply = UdpReply { pattern: b"pong".to_vec(), ignored_bits: Vec::new(), min_length: 4, max_length: 8 };
    type Answers = fn(&[u8]) -> Vec<u8>;
    let cases: [(Answers, &str); 5] = [
        (|_| b"pong".to_vec(), "passed"),
        (|_| b"pong----".to_vec(), "passed"),
        (|_| b"pong-----".to_vec(), "reply data mismatch"),
        (|_| Vec::new(), "reply data mismatch"),
        (|_| vec![b'p'; 60_000], "reply data mismatch"),
    ];
    for (answers, expected) in cases {
        let connect = ConnectSpec::new(datagrams(answers, false).await, LIMIT);
        let spec = UdpSpec { connect, payload: Some(b"ping".to_vec()), reply: Some(reply.clone()) };
        assert_eq!(verdict(ProbeSpec::Udp(spec), 1).await, expected);
    }
}
