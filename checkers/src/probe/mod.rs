//! One attempt at a time: connect, ask, look. Every probe is bounded in time and memory whatever the other side does.

mod connect;
mod http;
mod misc;
mod tcp;

use crate::judge::Attempt;
use crate::spec::ProbeSpec;

/// Makes one attempt; `url` is the index of the URL for HTTP checks.
pub async fn attempt(spec: &ProbeSpec, url: usize) -> Attempt {
    match spec {
        ProbeSpec::Tcp(connect) => tcp::attempt(connect).await,
        ProbeSpec::Http(http) => http::attempt(http, url).await,
        ProbeSpec::Misc(misc) => misc::attempt(misc).await,
    }
}
