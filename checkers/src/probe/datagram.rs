//! Connected UDP sockets that hear of ICMP errors.

use super::connect::{bind, socket};
use crate::spec::ConnectSpec;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Protocol, Socket, Type};
use std::io;
use tokio::net::UdpSocket;

/// Why there is no socket.
pub(super) enum OpenError {
    /// A reason on this side.
    Local(io::Error),
    /// No route to the server.
    Unreachable(io::Error),
}

pub(super) fn open(spec: &ConnectSpec) -> Result<UdpSocket, OpenError> {
    let socket = prepare(spec).map_err(OpenError::Local)?;
    socket.connect(&spec.target.into()).map_err(OpenError::Unreachable)?;
    UdpSocket::from_std(socket.into()).map_err(OpenError::Local)
}

fn prepare(spec: &ConnectSpec) -> io::Result<Socket> {
    let socket = socket(spec, Type::DGRAM, Protocol::UDP)?;
    if spec.target.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    bind(&socket, spec)?;
    Ok(socket)
}
