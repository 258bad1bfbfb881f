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

/// Columns by state: None, Established, SynSent, SynRecv, FinWait, TimeWait, Close, CloseWait; rows SYN, FIN, ACK, RST, none.
type Table = [[State; STATES]; 5];

const CLIENT: Table = [
    [SR, ES, ES, SR, SR, SR, SR, SR],
    [CL, CW, SS, TW, TW, TW, CL, CW],
    [ES, ES, SS, ES, FW, TW, CL, CW],
    [CL, CL, CL, SR, CL, CL, CL, CL],
    [CL; STATES],
];
const SERVER: Table = [
    [SS, ES, SS, SR, SS, SS, SS, SS],
    [TW, FW, SS, TW, FW, TW, CL, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW],
    [CL, CL, SS, CL, CL, TW, CL, CL],
    [CL; STATES],
];
const CLIENT_ONLY: Table = [
    [SR, ES, ES, SR, SR, SR, SR, SR],
    [CL, FW, SS, TW, FW, TW, CL, CW],
    [ES, ES, ES, ES, FW, TW, CL, CW],
    [CL, CL, CL, SR, CL, CL, CL, CL],
    [CL; STATES],
];

/// The state after a packet with `flags`.
#[inline(always)]
pub(crate) fn next(view: View, state: State, flags: TcpFlags) -> State {
    let table = match view {
        View::Client => &CLIENT,
        View::Server => &SERVER,
        View::ClientOnly => &CLIENT_ONLY,
    };
    let [row, column] = [usize::from(ROWS[usize::from(flags.0 & 31)]), state as usize];
    table.get(row).and_then(|row| row.get(column)).copied().unwrap_or(CL)
}

/// The row of each combination of the lowest five flags.
const ROWS: [u8; 32] = {
    let mut rows = [0; 32];
    let mut flags = 0;
    while flags < rows.len() {
        rows[flags] = row(TcpFlags(flags as u8));
        flags += 1;
    }
    rows
};

/// RST before SYN before FIN before ACK.
const fn row(flags: TcpFlags) -> u8 {
    if flags.has(TcpFlags::RST) {
        3
    } else if flags.has(TcpFlags::SYN) {
        0
    } else if flags.has(TcpFlags::FIN) {
        1
    } else if flags.has(TcpFlags::ACK) {
        2
    } else {
        4
    }
}
