//! The request over TLS through reqwest. Clients are shared by all checks with the same local side and hold no connections.

use super::answer::{Answer, chain, ends_early, fault, head_phrase, innermost};
use super::{TlsIdentity, Trouble, authority, headers, method, tls};
use crate::probe::connect::is_ours;
use crate::spec::{HttpProtocol, HttpSpec, HttpUrl};
use reqwest::{Body, Client, Error, Response, Url, Version};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tower::util::MapResponseLayer;

/// Different local sides that are remembered; a configuration has one or two.
const CLIENTS: usize = 64;

tokio::task_local! {
    /// Told when the request's connection stands, TLS included.
    static CONNECTED: Arc<Notify>;
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct LocalSide {
    bind_ip: Option<IpAddr>,
    bind_if: Option<String>,
    identity: Option<TlsIdentity>,
}

/// The address to ask reqwest for, if it can make this request without changing it.
pub(super) fn reachable(spec: &HttpSpec, url: &HttpUrl) -> Option<Url> {
    let connect = &spec.connect;
    let scoped = matches!(connect.target, std::net::SocketAddr::V6(target) if target.scope_id() != 0);
    let named = spec.extras.sni_name.is_some() || (spec.enable_sni && url.virtualhost.is_some());
    let seen = spec.extras.expiry_min.is_some();
    if connect.fwmark.is_some() || connect.bind_port.is_some() || scoped || named || seen {
        return None;
    }
    let address = Url::parse(&format!("https://{}{}", authority(connect.target), url.path)).ok()?;
    let target = match address.query() {
        Some(query) => format!("{}?{query}", address.path()),
        None => address.path().to_owned(),
    };
    (target == url.path && address.fragment().is_none() && address.username().is_empty()).then_some(address)
}

pub(super) async fn exchange(spec: &HttpSpec, url: &HttpUrl, address: Url) -> Result<Answer, Trouble> {
    let client = client(spec).ok_or_else(|| Trouble::Local("no HTTP client can be set up".to_owned()))?;
    let version = if spec.protocol == HttpProtocol::V1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let request = client.request(method(&spec.extras)?, address).version(version).headers(headers(spec, url)?);
    let response = within_steps(request.send(), spec.connect.timeout).await?;
    Answer::read(response.status().as_u16(), Body::from(response), url, spec.connect.timeout).await
}

/// Gives the connection and the answer's head `limit` each.
async fn within_steps(
    send: impl Future<Output = Result<Response, Error>>,
    limit: Duration,
) -> Result<Response, Trouble> {
    let connected = Arc::new(Notify::new());
    let mut send = pin!(CONNECTED.scope(connected.clone(), send));
    let mut stands = false;
    let mut deadline = Instant::now() + limit;
    loop {
        tokio::select! {
            response = &mut send => return response.map_err(|error| classify(&error, stands)),
            () = connected.notified(), if !stands => {
                stands = true;
                deadline = Instant::now() + limit;
            }
            () = sleep_until(deadline) => return Err(late(stands, limit)),
        }
    }
}

fn late(stands: bool, limit: Duration) -> Trouble {
    if stands {
        fault("Timeout WEB read", format!("no answer within {limit:?}"))
    } else {
        fault("Timeout connecting", format!("no connection within {limit:?}"))
    }
}

fn classify(error: &Error, stands: bool) -> Trouble {
    let detail = innermost(error);
    if !error.is_connect() || stands {
        return fault(head_phrase(error), detail);
    }
    if chain(error).any(<dyn std::error::Error>::is::<rustls::Error>) || ends_early(error) {
        return fault("SSL handshake/communication error connecting to", detail);
    }
    let cause = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    if cause.is_some_and(is_ours) {
        return Trouble::Local(format!("WEB socket: {detail}. Rescheduling"));
    }
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => fault("Timeout connecting", detail),
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            fault("HTTP_CHECK - network unreachable", detail)
        }
        _ => fault("Error connecting", detail),
    }
}

fn client(spec: &HttpSpec) -> Option<Client> {
    static KNOWN: OnceLock<Mutex<HashMap<LocalSide, Client>>> = OnceLock::new();
    let side = LocalSide {
        bind_ip: spec.connect.bind_ip,
        bind_if: spec.connect.bind_if.clone(),
        identity: spec.identity.clone(),
    };
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = known.get(&side) {
        return Some(client.clone());
    }
    if known.len() >= CLIENTS {
        known.clear();
    }
    let client = build(&side)?;
    known.insert(side, client.clone());
    Some(client)
}

fn build(side: &LocalSide) -> Option<Client> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls::config(side.identity.as_ref())?.as_ref().clone())
        .http1_only()
        .http1_title_case_headers()
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .tcp_keepalive(None)
        .connector_layer(MapResponseLayer::new(announce))
        .local_address(side.bind_ip);
    if let Some(device) = &side.bind_if {
        builder = builder.interface(device);
    }
    builder.build().ok()
}

/// Passes the connection on and tells the request that waits for it.
fn announce<C>(connection: C) -> C {
    // Outside of a request nobody waits.
    let _ = CONNECTED.try_with(|connected| connected.notify_one());
    connection
}
