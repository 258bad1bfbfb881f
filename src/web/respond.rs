//! What is answered to which request.

use super::desk::{Desk, Vitals};
use super::feed::Feed;
use super::page;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::Semaphore;

/// Streams of events at a time.
const STREAMS: usize = 32;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What all connections share.
pub(super) struct Site {
    desk: Desk,
    streams: Arc<Semaphore>,
    policy: HeaderValue,
}

/// One connection.
pub(super) struct Visit {
    site: Arc<Site>,
    streams: AtomicBool,
}

/// An answer but for its common headers.
struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Body,
}

impl Site {
    pub(super) fn new(desk: Desk) -> Self {
        // The policy is plain ASCII; without it nothing on the page would run, which is safe.
        let policy = HeaderValue::from_str(&page::policy()).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { desk, streams: Arc::new(Semaphore::new(STREAMS)), policy }
    }

    pub(super) fn visit(self: &Arc<Self>) -> Visit {
        Visit { site: Arc::clone(self), streams: AtomicBool::new(false) }
    }
}

impl Visit {
    /// Whether the answer goes on for as long as the client listens.
    pub(super) fn streams(&self) -> bool {
        self.streams.load(Relaxed)
    }

    /// Answers; nothing can fail but by an answer that says so.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let answer = match *request.method() {
            Method::GET | Method::HEAD if !request.body().is_end_stream() => {
                Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body\n")
            }
            Method::GET => self.route(request.uri().path(), false).await,
            Method::HEAD => self.route(request.uri().path(), true).await,
            _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are understood here\n"),
        };
        Ok(self.dress(answer))
    }

    async fn route(&self, path: &str, head: bool) -> Answer {
        let desk = &self.site.desk;
        match path {
            "/" => Answer::of(page::KIND, Bytes::from_static(page::PAGE.as_bytes())),
            "/events" => self.stream(head),
            "/metrics" => match desk.picture().await {
                Some(shot) => Answer::of(OPENMETRICS, shot.metrics()),
                None => Answer::silence(),
            },
            "/status.json" => match desk.picture().await {
                Some(shot) => Answer::of(JSON, shot.json()),
                None => Answer::silence(),
            },
            "/healthz" => health(desk.vitals().await),
            _ => Answer::text(StatusCode::NOT_FOUND, "there are /, /events, /healthz, /metrics and /status.json\n"),
        }
    }

    fn stream(&self, head: bool) -> Answer {
        const KIND: &str = "text/event-stream";
        if head {
            return Answer::of(KIND, Bytes::new());
        }
        match Arc::clone(&self.site.streams).try_acquire_owned() {
            Ok(place) => {
                self.streams.store(true, Relaxed);
                let body = StreamBody::new(Feed::start(self.site.desk.clone(), place));
                Answer { status: StatusCode::OK, kind: KIND, body: body.boxed_unsync() }
            }
            Err(_) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n"),
        }
    }

    fn dress(&self, answer: Answer) -> Response<Body> {
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.kind));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.site.policy.clone());
        if answer.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        add_common(headers);
        response
    }
}

fn add_common(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// 200 while nothing that is configured fails; 503 also when the daemon itself does not answer.
fn health(vitals: Option<Vitals>) -> Answer {
    let good = vitals.is_some_and(|vitals| vitals.are_good());
    let mut text = match vitals {
        Some(vitals) => serde_json::json!(vitals),
        None => serde_json::json!({ "daemon": "failing" }),
    };
    text["status"] = if good { "ok" } else { "failing" }.into();
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer { status, ..Answer::of(JSON, format!("{text}\n").into()) }
}

impl Answer {
    fn of(kind: &'static str, body: Bytes) -> Self {
        Self { status: StatusCode::OK, kind, body: Full::new(body).boxed_unsync() }
    }

    fn text(status: StatusCode, text: &'static str) -> Self {
        Self { status, ..Self::of(TEXT, Bytes::from_static(text.as_bytes())) }
    }

    fn silence() -> Self {
        Self::text(StatusCode::SERVICE_UNAVAILABLE, "the daemon does not answer in time\n")
    }
}
