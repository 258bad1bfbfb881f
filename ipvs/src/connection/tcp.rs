//! IPVS's TCP state table (net/netfilter/ipvs/ip_vs_proto_tcp.c, as recorded from Linux 6.1).

use super::state::State;
use super::state::State::{
    Close as CL, CloseWait as CW, Established as ES, FinWait as FW, SynAck as SA, SynRecv as SR, SynSent as SS,
    TimeWait as TW,
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

const STATES: usize = 9;

/// Columns by state: None, Established, SynSent, SynRecv, FinWait, TimeWait, Close, CloseWait, SynAck; rows SYN, FIN, ACK, RST,
/// and none: without any of these flags a packet resets the connection.
type Table = [[State; STATES]; 5];

/// By [`View`].
static USUAL: [Table; 3] = [
    [
        [SR, ES, ES, SR, SR, SR, SR, SR, SR],
        [CL, CW, SS, TW, TW, TW, CL, CW, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, ES],
        [CL, CL, CL, SR, CL, CL, CL, CL, SR],
        [CL; STATES],
    ],
    [
        [SS, ES, SS, SR, SS, SS, SS, SS, SR],
        [TW, FW, SS, TW, FW, TW, CL, TW, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, ES],
        [CL, CL, SS, CL, CL, TW, CL, CL, CL],
        [CL; STATES],
    ],
    [
        [SR, ES, ES, SR, SR, SR, SR, SR, SR],
        [CL, FW, SS, TW, FW, TW, CL, CW, TW],
        [ES, ES, ES, ES, FW, TW, CL, CW, ES],
        [CL, CL, CL, SR, CL, CL, CL, CL, CL],
        [CL; STATES],
    ],
];

/// Under `secure_tcp`: where both ways pass the director, the client alone does not establish a connection.
static SECURE: [Table; 3] = [
    [
        [SR, ES, ES, SR, SR, SR, SR, SR, SA],
        [CL, CW, SS, TW, TW, TW, CL, CW, SA],
        [ES, ES, SS, SR, FW, TW, CL, CW, SA],
        [CL, CL, CL, SR, CL, CL, CL, CL, CL],
        [CL; STATES],
    ],
    [
        [SS, ES, SS, SA, SS, SS, SS, SS, SA],
        [TW, FW, SS, TW, FW, TW, CL, TW, TW],
        [ES, ES, SS, ES, FW, TW, CL, CW, ES],
        [CL, CL, SS, CL, CL, TW, CL, CL, CL],
        [CL; STATES],
    ],
    [
        [SA, ES, ES, SR, SA, SA, SA, SA, SA],
        [CL, FW, SS, TW, FW, TW, CL, CW, TW],
        [ES, ES, ES, ES, FW, TW, CL, CW, ES],
        [CL, CL, CL, SR, CL, CL, CL, CL, CL],
        [CL; STATES],
    ],
];

/// The state after a packet with `flags`; `secure` is whether `secure_tcp` is at work.
#[inline(always)]
pub(crate) fn next(view: View, state: State, flags: TcpFlags, secure: bool) -> State {
    let tables = if secure { &SECURE } else { &USUAL };
    let [row, column] = [usize::from(ROWS[usize::from(flags.0 & 31)]), state as usize];
    let next = tables.get(view as usize).and_then(|table| table.get(row)).and_then(|row| row.get(column));
    next.copied().unwrap_or(CL)
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
