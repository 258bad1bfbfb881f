//! IPVS's TCP state table (net/netfilter/ipvs/ip_vs_proto_tcp.c, as recorded from Linux 6.1).

use super::state::State;
use super::state::State::{
    Close as CL, CloseWait as CW, Established as ES, FinWait as FW, SynRecv as SR, SynSent as SS, TimeWait as TW,
};
use crate::packet::segment::TcpFlags;

/// Whose packets the director sees and who sent this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Both ways pass the director; from the client.
    Client,
    /// Both ways pass the director; from the server.
    Server,
    /// Only the client's packets pass the director.
    ClientOnly,
}

const STATES: usize = 8;

/// Columns by state: None, Established, SynSent, SynRecv, FinWait, TimeWait, Close, CloseWait; rows SYN, FIN, ACK, RST.
const CLIENT: [[State; STATES]; 4] = [
    [SR, ES, ES, SR, SR, SR, SR, SR],
    [CL, CW, SS, TW, TW, TW, CL, CW],
    [ES, ES, SS, ES, FW, TW, CL, CW],
    [CL, CL, CL, SR, CL, CL, CL, CL],
];
const SERVER: [[State; STATES]; 4] = [
    [SS, ES, SS, SR, SS, SS, SS, SS],
    [TW, FW, SS, TW, FW, TW, CL, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW],
    [CL, CL, SS, CL, CL, TW, CL, CL],
];
const CLIENT_ONLY: [[State; STATES]; 4] = [
    [SR, ES, ES, SR, SR, SR, SR, SR],
    [CL, FW, SS, TW, FW, TW, CL, CW],
    [ES, ES, ES, ES, FW, TW, CL, CW],
    [CL, CL, CL, SR, CL, CL, CL, CL],
];

/// The state after a packet with `flags`.
#[inline(always)]
pub(crate) fn next(view: View, state: State, flags: TcpFlags) -> State {
    let table = match view {
        View::Client => &CLIENT,
        View::Server => &SERVER,
        View::ClientOnly => &CLIENT_ONLY,
    };
    let row = row(flags).and_then(|row| table.get(row));
    row.and_then(|row| row.get(state as usize)).copied().unwrap_or(CL)
}

/// RST before SYN before FIN before ACK.
#[inline]
fn row(flags: TcpFlags) -> Option<usize> {
    if flags.has(TcpFlags::RST) {
        Some(3)
    } else if flags.has(TcpFlags::SYN) {
        Some(0)
    } else if flags.has(TcpFlags::FIN) {
        Some(1)
    } else if flags.has(TcpFlags::ACK) {
        Some(2)
    } else {
        None
    }
}
