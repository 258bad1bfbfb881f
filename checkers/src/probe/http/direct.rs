//! The request over TLS through hyper on a socket of our own.

use super::answer::{Answer, fault, head_phrase, innermost};
use super::{Trouble, certificate, connect_trouble, headers, method, tls};
use crate::probe::connect::connect;
use crate::spec::{HttpProtocol, HttpSpec, HttpUrl};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Uri, Version};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::fmt::Write as _;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) async fn exchange(spec: &HttpSpec, url: &HttpUrl) -> Result<Answer, Trouble> {
    let request = request(spec, url)?;
    let deadline = Instant::now() + spec.connect.timeout;
    let stream = connect(&spec.connect).await.map_err(|error| connect_trouble(error, spec.connect.timeout))?;
    let stream = handshake(spec, url, stream, deadline).await?;
    if let Some(least) = spec.extras.expiry_min {
        certificate::outlasts(stream.get_ref().1.peer_certificates().unwrap_or_default(), least)?;
    }
    talk(stream, request, url, spec.connect.timeout).await
}

pub(super) async fn handshake(
    spec: &HttpSpec,
    url: &HttpUrl,
    stream: TcpStream,
    deadline: Instant,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let broken = |error: io::Error| fault("SSL handshake/communication error connecting to", error.to_string());
    let config =
        tls::config(spec.identity.as_ref()).ok_or_else(|| Trouble::Local("no TLS can be set up".to_owned()))?;
    let name = server_name(spec, url);
    match timeout_at(deadline, TlsConnector::from(config.clone()).connect(name, stream)).await {
        Ok(stream) => stream.map_err(broken),
        Err(_) => Err(fault("Timeout connecting", "the TLS handshake did not end in time")),
    }
}

/// With `enable_sni` the virtual host, without its port; an address is never sent.
fn server_name(spec: &HttpSpec, url: &HttpUrl) -> ServerName<'static> {
    let host = spec.extras.sni_name.as_deref().or(url.virtualhost.as_deref().filter(|_| spec.enable_sni));
    let name = host.map(|host| host.split(':').next().unwrap_or(host).to_owned());
    name.and_then(|name| ServerName::try_from(name).ok()).unwrap_or_else(|| spec.connect.target.ip().into())
}

async fn talk(
    stream: TlsStream<TcpStream>,
    request: Request<Empty<Bytes>>,
    url: &HttpUrl,
    limit: Duration,
) -> Result<Answer, Trouble> {
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).ignore_invalid_headers_in_responses(true);
    builder.allow_spaces_after_header_name_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| read_trouble(&error))?;
    let exchange = async {
        let response = timeout(limit, sender.send_request(request))
            .await
            .map_err(|_| fault("Timeout WEB read", format!("no answer within {limit:?}")))?
            .map_err(|error| read_trouble(&error))?;
        Answer::read(response.status().as_u16(), response.into_body(), url, limit).await
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection may end before its answer has been looked at; how it ended is in there.
        _ = connection => exchange.await,
    }
}

fn read_trouble(error: &hyper::Error) -> Trouble {
    fault(head_phrase(error), innermost(error))
}

fn request(spec: &HttpSpec, url: &HttpUrl) -> Result<Request<Empty<Bytes>>, Trouble> {
    let unsayable = || Trouble::Local(format!("path `{}` cannot be asked for", url.path));
    let path: PathAndQuery = escape(&url.path).parse().map_err(|_| unsayable())?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from(path);
    *request.method_mut() = method(&spec.extras)?;
    *request.headers_mut() = headers(spec, url)?;
    *request.version_mut() = if spec.protocol == HttpProtocol::V1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    Ok(request)
}

/// Bytes that would end or break the request line are sent percent-encoded; everything else stays as written.
pub(super) fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len() + 1);
    if !path.starts_with(['/', '?', '*']) {
        escaped.push('/');
    }
    for byte in path.bytes() {
        match byte {
            0..=b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'#' | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
            _ => escaped.push(char::from(byte)),
        }
    }
    escaped
}
