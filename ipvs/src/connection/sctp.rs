//! IPVS's SCTP state table (net/netfilter/ipvs/ip_vs_proto_sctp.c, as recorded from Linux 6.1).

use super::state::State;
use super::state::State::{
    SctpClosed as CL, SctpCookie as CO, SctpCookieEchoed as CE, SctpCookieReplied as CR, SctpCookieSent as CS,
    SctpCookieWait as CW, SctpEstablished as ES, SctpInit as IN, SctpInit1 as I1, SctpRejected as RJ,
    SctpShutdownAckSent as SA, SctpShutdownReceived as SR, SctpShutdownSent as SS,
};
use super::tcp::View;

const STATES: usize = 13;
const EVENTS: usize = 12;

/// Rows: data and all other chunks, INIT, INIT ACK, SACK, HEARTBEAT, ABORT, SHUTDOWN, SHUTDOWN ACK, ERROR, COOKIE ECHO,
/// COOKIE ACK, SHUTDOWN COMPLETE. Columns: Init1, Init, CookieSent, CookieReplied, CookieWait, Cookie, CookieEchoed,
/// Established, ShutdownSent, ShutdownReceived, ShutdownAckSent, Rejected, Closed.
const CLIENT: [[State; STATES]; EVENTS] = [
    [I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, I1],
    [CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL],
    [I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL],
    [I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL],
    [IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL],
    [I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL],
    [IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL],
    [CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL],
];
const SERVER: [[State; STATES]; EVENTS] = [
    [I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW],
    [CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL],
    [SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL],
    [SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL],
    [CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL],
    [ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL],
    [I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
];

/// The state after a packet with a first chunk of this type.
pub(crate) fn next(view: View, state: State, chunk: u8) -> State {
    let table = match view {
        View::Client | View::ClientOnly => &CLIENT,
        View::Server => &SERVER,
    };
    let column = match state {
        // The first packet, an INIT.
        State::None => return I1,
        state => (state as usize).checked_sub(I1 as usize),
    };
    let row = table.get(usize::from(event(chunk)));
    row.zip(column).and_then(|(row, column)| row.get(column)).copied().unwrap_or(CL)
}

/// The row of a chunk type (RFC 9260 section 3.2).
fn event(chunk: u8) -> u8 {
    match chunk {
        1..=3 => chunk,
        4 | 5 => 4,
        6..=11 => chunk - 1,
        14 => 11,
        _ => 0,
    }
}
