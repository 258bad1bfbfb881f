//! `HTTP_GET` and `SSL_GET`: one request, keepalived's, and the answer measured against the `url` block.
//!
//! Plain HTTP goes over a connection of our own ([`plain`]). For TLS, reqwest carries the request wherever it can say it. It
//! cannot set a mark or a source port, send a name in the TLS greeting that is not the one it connects to, show the server's
//! certificate, or leave a path as it is written; those go through hyper on a socket of our own.
//! None follows redirects, uses proxies or keeps connections.

mod answer;
mod certificate;
mod direct;
mod frame;
mod identity;
mod library;
mod page;
mod plain;
pub(super) mod tls;

pub use identity::{IdentityError, TlsIdentity};

use crate::judge::{Attempt, Fault};
use crate::probe::connect::ConnectError;
use crate::spec::{HttpExtras, HttpProtocol, HttpSpec, HttpUrl};
use answer::{Answer, fault};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
pub use page::{Page, page};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const USER_AGENT: &str = "KeepAliveClient";

/// A failed exchange, or a reason on this side why there was none.
pub(super) enum Trouble {
    Fault(Fault),
    Local(String),
}

pub(super) async fn attempt(spec: &HttpSpec, index: usize) -> Attempt {
    let Some(url) = spec.urls.get(index) else {
        return Attempt::Unjudged("the HTTP check has no URL".to_owned());
    };
    match exchange(spec, url).await {
        Ok(answer) => measure(url, &answer),
        Err(Trouble::Fault(fault)) => Attempt::Failed(fault),
        Err(Trouble::Local(reason)) => Attempt::Unjudged(reason),
    }
}

/// The ways over TLS take much more room than the plain one.
async fn exchange(spec: &HttpSpec, url: &HttpUrl) -> Result<Answer, Trouble> {
    if page::is_needed(spec, url) {
        return Box::pin(page::exchange(spec, url)).await;
    }
    if !spec.tls {
        return plain::exchange(spec, url).await;
    }
    match library::reachable(spec, url) {
        Some(address) => Box::pin(library::exchange(spec, url, address)).await,
        None => Box::pin(direct::exchange(spec, url)).await,
    }
}

fn connect_trouble(error: ConnectError, limit: Duration) -> Trouble {
    match error {
        ConnectError::Local(error) => Trouble::Local(format!("WEB socket: {error}. Rescheduling")),
        ConnectError::Timeout => fault("Timeout connecting", format!("no connection within {limit:?}")),
        ConnectError::Unreachable(error) => fault("HTTP_CHECK - network unreachable", error.to_string()),
        ConnectError::Refused(error) => fault("Error connecting", error.to_string()),
    }
}

fn measure(url: &HttpUrl, answer: &Answer) -> Attempt {
    if !accepts(url, answer.status) {
        return Attempt::Failed(Fault::new("HTTP status code error to", format!("status code {}", answer.status)));
    }
    match answer.verify(url) {
        Ok(evidence) => Attempt::HttpPassed(evidence),
        Err(fault) => Attempt::Failed(fault),
    }
}

fn accepts(url: &HttpUrl, status: u16) -> bool {
    match url.status_codes.as_slice() {
        [] => (200..=299).contains(&status),
        ranges => ranges.iter().any(|(low, high)| (*low..=*high).contains(&status)),
    }
}

/// The headers in keepalived's order.
fn headers(spec: &HttpSpec, url: &HttpUrl) -> Result<HeaderMap, Trouble> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if spec.protocol != HttpProtocol::V1_0 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let host = url.virtualhost.clone().unwrap_or_else(|| authority(spec.connect.target));
    let value = HeaderValue::try_from(&host)
        .map_err(|_| Trouble::Local(format!("virtualhost `{host}` cannot be a Host header")))?;
    headers.insert(header::HOST, value);
    add_extras(&mut headers, &spec.extras)?;
    Ok(headers)
}

fn add_extras(headers: &mut HeaderMap, extras: &HttpExtras) -> Result<(), Trouble> {
    if let Some((user, password)) = &extras.basic_auth {
        let credentials = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let value = HeaderValue::try_from(credentials).map_err(|_| unsayable("basic_auth", user))?;
        headers.insert(header::AUTHORIZATION, value);
    }
    for (name, value) in &extras.headers {
        let known = HeaderName::try_from(name).map_err(|_| unsayable("header", name))?;
        let value = HeaderValue::try_from(value).map_err(|_| unsayable("header", name))?;
        headers.insert(known, value);
    }
    Ok(())
}

fn method(extras: &HttpExtras) -> Result<Method, Trouble> {
    let Some(word) = &extras.method else { return Ok(Method::GET) };
    Method::try_from(word.as_str()).map_err(|_| unsayable("method", word))
}

fn unsayable(what: &str, text: &str) -> Trouble {
    Trouble::Local(format!("{what} `{text}` cannot be sent"))
}

/// `address:port`, always with the port and never with a scope.
fn authority(target: SocketAddr) -> String {
    match target {
        SocketAddr::V4(target) => target.to_string(),
        SocketAddr::V6(target) => format!("[{}]:{}", target.ip(), target.port()),
    }
}

#[cfg(test)]
mod tests;
