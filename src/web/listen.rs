//! Accepting connections, few at a time and none for long.

use super::desk::Desk;
use super::patience::Patient;
use super::respond::Site;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at a time; more wait in the kernel's queue until one leaves or is thrown out.
const CONNECTIONS: usize = 64;
/// Connections that the kernel keeps waiting.
const BACKLOG: u32 = 128;
/// How long a client may take to send its request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may take in all, unless it is a stream of events.
const LIFE: Duration = Duration::from_secs(30);
/// Longest request, bytes.
const LONGEST_REQUEST: usize = 16 << 10;
/// Headers in a request.
const MOST_HEADERS: usize = 64;
/// Pause when the system gives no more descriptors.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause before an address that could not be had is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Serves until it is dropped.
pub(super) async fn serve(address: SocketAddr, desk: Desk) {
    let listener = bind(address).await;
    tracing::info!("Metrics and status page at http://{address}/");
    let (places, site) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Site::new(desk)));
    loop {
        // The semaphore is never closed; if it were, nobody could be served any more.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(attend(stream, Arc::clone(&site), place))),
            Err(error) => {
                tracing::warn!("web server: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Tries until the address can be had: it may be in use for the moment, or a virtual one that is elsewhere. Complains once.
async fn bind(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match try_bind(address) {
            Ok(listener) => return listener,
            Err(error) if !told => {
                tracing::error!(
                    "Cannot serve metrics and the status page at {address}: {error}; everything else goes on, and it is tried again"
                );
                told = true;
            }
            Err(error) => tracing::debug!("web server at {address}: {error}"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn try_bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// One request on one connection.
async fn attend(stream: TcpStream, site: Arc<Site>, place: OwnedSemaphorePermit) {
    let visit = site.visit();
    let service = service_fn(|request| visit.respond(request));
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_PATIENCE)
        .max_buf_size(LONGEST_REQUEST)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = tokio::time::sleep(LIFE) => match visit.streams() {
            true => served.await,
            false => return,
        },
    };
    if let Err(error) = ended {
        tracing::trace!("web server: {error}");
    }
    drop(place);
}
