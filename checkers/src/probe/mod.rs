//! One attempt at a time: connect, ask, look. Every probe is bounded in time and memory whatever the other side does.

mod connect;
mod datagram;
mod dns;
mod grpc;
pub(crate) mod http;
mod misc;
mod ping;
mod smtp;
mod tcp;
mod udp;

pub use http::{Page, page};

use crate::judge::Attempt;
use crate::spec::ProbeSpec;
use std::net::SocketAddr;

/// Makes one attempt; `url` is the index of the URL for HTTP checks. The larger exchanges live on the heap: tasks are moved
/// several times on their way to the executor, and most attempts are small.
pub async fn attempt(spec: &ProbeSpec, url: usize) -> Attempt {
    match spec {
        ProbeSpec::Tcp(connect) => tcp::attempt(connect).await,
        ProbeSpec::Http(http) => Box::pin(http::attempt(http, url)).await,
        ProbeSpec::Misc(misc) => Box::pin(misc::attempt(misc)).await,
        ProbeSpec::Smtp(smtp) => Box::pin(smtp::attempt(smtp)).await,
        ProbeSpec::Dns(dns) => Box::pin(dns::attempt(dns)).await,
        ProbeSpec::Udp(udp) => Box::pin(udp::attempt(udp)).await,
        ProbeSpec::Ping(connect) => Box::pin(ping::attempt(connect)).await,
        ProbeSpec::Grpc(grpc) => Box::pin(grpc::attempt(grpc)).await,
    }
}

/// keepalived's notation of an address and its port.
fn pair(address: SocketAddr) -> String {
    format!("[{}]:{}", address.ip(), address.port())
}
