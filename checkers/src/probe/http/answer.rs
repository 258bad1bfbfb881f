//! Reading an answer without keeping it.

use super::Trouble;
use crate::judge::{Evidence, Fault};
use crate::pattern::WINDOW;
use crate::spec::HttpUrl;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use md5::{Digest, Md5};
use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a body that are looked at. A longer one fails a digest; a check of the status alone is content.
pub(super) const BODY_LIMIT: u64 = 64 << 20;

/// What an answer is measured by.
pub(super) struct Answer {
    pub(super) status: u16,
    body: Seen,
}

/// hyper's words for a connection that ended within a message.
pub(super) const EARLY: &str = "connection closed before message completed";

/// What is kept of a body.
#[derive(Default)]
struct Seen {
    /// `None` if no digest was asked for, or the body was longer than the limit.
    digest: Option<[u8; 16]>,
    /// The beginning, where a pattern is to be searched.
    window: Vec<u8>,
}

impl Answer {
    /// Reads what a library decrypts, within the check's limit.
    pub(super) async fn read<B>(status: u16, body: B, url: &HttpUrl, limit: Duration) -> Result<Self, Trouble>
    where
        B: Body<Data = Bytes>,
        B::Error: Error + 'static,
    {
        let late = |_| fault("Timeout SSL read", format!("the body did not end within {limit:?}"));
        let body = timeout(limit, see_body(body, url)).await.map_err(late)??;
        Ok(Self { status, body })
    }

    /// A body that was looked at to its end.
    pub(super) fn watched(status: u16, watch: Watch<'_>) -> Self {
        Self { status, body: watch.finish() }
    }

    /// A body that lies here whole; either digest will do.
    pub(super) fn of(status: u16, body: &[u8], digests: [[u8; 16]; 2], url: &HttpUrl) -> Self {
        let [first, second] = digests;
        let digest = if url.digest == Some(second) { second } else { first };
        let window = body.get(..WINDOW).unwrap_or(body).to_vec();
        Self { status, body: Seen { digest: Some(digest), window } }
    }

    /// Measures everything but the status code.
    pub(super) fn verify(&self, url: &HttpUrl) -> Result<Evidence, Fault> {
        self.verify_digest(url)?;
        self.verify_text(url)?;
        match &url.pattern {
            Some(pattern) if pattern.accepts(&self.body.window) => Ok(Evidence::Pattern),
            Some(pattern) => Err(Fault::new("Regex match failed", format!("the body does not pass {pattern:?}"))),
            None if url.digest.is_some() => Ok(Evidence::Digest),
            None => Ok(Evidence::Status),
        }
    }

    fn verify_digest(&self, url: &HttpUrl) -> Result<(), Fault> {
        let Some(wanted) = url.digest else { return Ok(()) };
        let detail = match self.body.digest {
            Some(found) if found == wanted => return Ok(()),
            Some(found) => format!("digest {}", hex(found)),
            None => format!("the body is longer than {BODY_LIMIT} bytes"),
        };
        Err(Fault::new("MD5 digest error to", detail))
    }
}

impl Answer {
    fn verify_text(&self, url: &HttpUrl) -> Result<(), Fault> {
        let Some(text) = url.body_match.as_deref().filter(|text| !text.is_empty()) else { return Ok(()) };
        if self.body.window.windows(text.len()).any(|window| window == text.as_bytes()) {
            return Ok(());
        }
        Err(Fault::new("Body match failed", format!("`{text}` is not in the first {WINDOW} bytes of the body")))
    }
}

async fn see_body<B>(body: B, url: &HttpUrl) -> Result<Seen, Trouble>
where
    B: Body<Data = Bytes>,
    B::Error: Error + 'static,
{
    let mut body = pin!(body);
    let mut watch = Watch::new(url);
    while let Some(frame) = body.frame().await
        && watch.length() <= BODY_LIMIT
    {
        match frame {
            Ok(frame) => watch.see(&frame.into_data().unwrap_or_default()),
            // keepalived takes an answer that ends early for what it is.
            Err(error) if ends_early(&error) && !url.tls_compliant => break,
            Err(error) => return Err(fault("SSL read error from", innermost(&error))),
        }
    }
    Ok(watch.finish())
}

/// Looks at a body piece by piece, and keeps what is asked for.
pub(super) struct Watch<'a> {
    url: &'a HttpUrl,
    digest: Option<Md5>,
    window: Vec<u8>,
    length: u64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(url: &'a HttpUrl) -> Self {
        Self { url, digest: url.digest.is_some().then(Md5::new), window: Vec::new(), length: 0 }
    }

    pub(super) fn see(&mut self, data: &[u8]) {
        self.length = self.length.saturating_add(data.len() as u64);
        if let Some(digest) = &mut self.digest {
            digest.update(data);
        }
        if self.url.pattern.is_some() || self.url.body_match.is_some() {
            let room = WINDOW - self.window.len().min(WINDOW);
            self.window.extend_from_slice(data.get(..room).unwrap_or(data));
        }
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn finish(self) -> Seen {
        let digest = self.digest.filter(|_| self.length <= BODY_LIMIT);
        Seen { digest: digest.map(|digest| digest.finalize().into()), window: self.window }
    }
}

pub(super) fn fault(phrase: &'static str, detail: impl Into<String>) -> Trouble {
    Trouble::Fault(Fault::new(phrase, detail))
}

/// keepalived's words for a head that did not come, or is none: to it, what is no status line has a wrong status.
pub(super) fn head_phrase(error: &(dyn Error + 'static)) -> &'static str {
    let cause = || chain(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>());
    if ends_early(error) {
        "Read, no data received from"
    } else if cause().any(hyper::Error::is_parse) {
        "HTTP status code error to"
    } else {
        "Read error with"
    }
}

/// Whether the connection ended in the middle of the message.
pub(super) fn ends_early(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        let incomplete = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        let eof = cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
        incomplete || eof
    })
}

/// The last cause, which says most.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// An `io::Error` leaves the error that it wraps out of the chain of sources.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn hex(digest: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(digest))
}
