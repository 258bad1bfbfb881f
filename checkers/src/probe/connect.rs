//! Sockets with the options that keepalived's connection block knows.

use crate::spec::ConnectSpec;
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How a connection failed.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The socket could not be made or bound on this side: nothing is known about the server.
    Local(io::Error),
    /// No answer in time.
    Timeout,
    /// No route, which keepalived names apart.
    Unreachable(io::Error),
    /// Refused or reset.
    Refused(io::Error),
}

/// Connects within `spec.timeout`.
pub(super) async fn connect(spec: &ConnectSpec) -> Result<TcpStream, ConnectError> {
    let socket = tcp_socket(spec).map_err(ConnectError::Local)?;
    let stands = begin(&socket, spec.target)?;
    let stream = TcpStream::from_std(socket.into()).map_err(ConnectError::Local)?;
    if !stands {
        establish(&stream, spec.timeout).await?;
    }
    Ok(stream)
}

/// Connects within `spec.timeout` and closes the connection.
pub(super) async fn reach(spec: &ConnectSpec) -> Result<(), ConnectError> {
    let socket = tcp_socket(spec).map_err(ConnectError::Local)?;
    if begin(&socket, spec.target)? {
        return Ok(());
    }
    let stream = TcpStream::from_std(socket.into()).map_err(ConnectError::Local)?;
    establish(&stream, spec.timeout).await
}

/// Asks for a connection; true if it stands at once. A server on this host, or in a container on it, has answered before the
/// first call returns, which says nevertheless that the connection is under way; the second one tells. Then there is nothing
/// to wait for.
fn begin(socket: &Socket, target: SocketAddr) -> Result<bool, ConnectError> {
    let target = SockAddr::from(target);
    for _ in 0..2 {
        match socket.connect(&target) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EALREADY)) => {}
            answer => return answer.map(|()| true).map_err(classify),
        }
    }
    Ok(false)
}

/// Waits until a connection that was asked for stands.
async fn establish(stream: &TcpStream, limit: Duration) -> Result<(), ConnectError> {
    let Ok(ready) = timeout(limit, stream.writable()).await else { return Err(ConnectError::Timeout) };
    match ready.and_then(|()| stream.take_error()) {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(classify(error)),
    }
}

fn classify(error: io::Error) -> ConnectError {
    if is_ours(&error) {
        return ConnectError::Local(error);
    }
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectError::Timeout,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ConnectError::Unreachable(error),
        _ => ConnectError::Refused(error),
    }
}

/// Errors that say something about this host: no descriptor, memory, port or right is left. No server goes down for them.
pub(super) fn is_ours(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(
        code,
        Some(
            Errno::EMFILE
                | Errno::ENFILE
                | Errno::ENOBUFS
                | Errno::ENOMEM
                | Errno::EADDRINUSE
                | Errno::EADDRNOTAVAIL
                | Errno::EACCES
                | Errno::EPERM
        )
    )
}

fn tcp_socket(spec: &ConnectSpec) -> io::Result<Socket> {
    let socket = socket(spec, Type::STREAM, Protocol::TCP)?;
    // A bound source port must be usable again while the last probe's connection is in TIME_WAIT.
    if spec.bind_port.is_some() {
        socket.set_reuse_address(true)?;
    }
    bind(&socket, spec)?;
    Ok(socket)
}

/// A non-blocking socket with mark and device, not yet bound.
pub(super) fn socket(spec: &ConnectSpec, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(spec.target), kind.nonblocking(), Some(protocol))?;
    if let Some(mark) = spec.fwmark {
        socket.set_mark(mark)?;
    }
    if let Some(device) = &spec.bind_if {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    Ok(socket)
}

/// Binds to the source address and port, where given.
pub(super) fn bind(socket: &Socket, spec: &ConnectSpec) -> io::Result<()> {
    if spec.bind_ip.is_none() && spec.bind_port.is_none() {
        return Ok(());
    }
    let any = match spec.target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let source = SocketAddr::new(spec.bind_ip.unwrap_or(any), spec.bind_port.unwrap_or(0));
    socket.bind(&SockAddr::from(source))
}
