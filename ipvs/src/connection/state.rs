//! The states of a connection and how long each lasts.

use std::fmt;
use std::time::Duration;

use crate::service::Protocol;

/// Ticks per second of the engine's clock.
pub(crate) const TICKS: u32 = 64;

/// A connection's state, as `ipvsadm -Lnc` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A template that no established connection has confirmed yet, or a connection before its first packet.
    None,
    /// TCP: both ends talk.
    Established,
    /// TCP: the server opens.
    SynSent,
    /// TCP: the client opens.
    SynRecv,
    /// TCP: one end has finished.
    FinWait,
    /// TCP: both ends have finished.
    TimeWait,
    /// TCP: reset, or flags that make no sense.
    Close,
    /// TCP: the client has finished first.
    CloseWait,
    /// TCP under `secure_tcp`: the server has answered and has sent nothing since.
    SynAck,
    /// Any UDP connection.
    Udp,
    /// A template that an established connection has confirmed.
    Assured,
    /// SCTP: the client's first INIT.
    SctpInit1,
    /// SCTP: another INIT of the client.
    SctpInit,
    /// SCTP: the server has sent its cookie.
    SctpCookieSent,
    /// SCTP: the client has echoed the server's cookie.
    SctpCookieReplied,
    /// SCTP: the client's cookie is awaited.
    SctpCookieWait,
    /// SCTP: the client has sent a cookie.
    SctpCookie,
    /// SCTP: the server has echoed a cookie.
    SctpCookieEchoed,
    /// SCTP: both ends talk.
    SctpEstablished,
    /// SCTP: the server shuts down.
    SctpShutdownSent,
    /// SCTP: the client shuts down.
    SctpShutdownReceived,
    /// SCTP: the server confirms the shutdown.
    SctpShutdownAckSent,
    /// SCTP: aborted before it was established.
    SctpRejected,
    /// SCTP: closed.
    SctpClosed,
}

impl State {
    pub(crate) const COUNT: usize = 24;
    pub(crate) const ALL: [State; State::COUNT] = [
        State::None,
        State::Established,
        State::SynSent,
        State::SynRecv,
        State::FinWait,
        State::TimeWait,
        State::Close,
        State::CloseWait,
        State::SynAck,
        State::Udp,
        State::Assured,
        State::SctpInit1,
        State::SctpInit,
        State::SctpCookieSent,
        State::SctpCookieReplied,
        State::SctpCookieWait,
        State::SctpCookie,
        State::SctpCookieEchoed,
        State::SctpEstablished,
        State::SctpShutdownSent,
        State::SctpShutdownReceived,
        State::SctpShutdownAckSent,
        State::SctpRejected,
        State::SctpClosed,
    ];

    /// The kernel has two more states between, which no packet leads to.
    const SYN_ACK: u16 = 10;

    /// The number of the state in the kernel's table of its protocol (include/net/ip_vs.h), as sync daemons write it.
    pub(crate) fn number(self) -> u16 {
        match self {
            State::None | State::Udp => 0,
            State::Assured => 1,
            State::SynAck => Self::SYN_ACK,
            state if (state as u16) < State::SctpInit1 as u16 => state as u16,
            state => state as u16 - State::SctpInit1 as u16 + 1,
        }
    }

    /// The state of this number in the table of a protocol, or of templates.
    pub(crate) fn of_number(number: u16, protocol: u8, template: bool) -> Option<State> {
        let table: &[State] = match Protocol::from_number(protocol) {
            _ if template => &[State::None, State::Assured],
            Some(Protocol::Tcp) if number == Self::SYN_ACK => return Some(State::SynAck),
            Some(Protocol::Tcp) => State::ALL.get(..=State::CloseWait as usize)?,
            Some(Protocol::Udp) => &[State::Udp],
            Some(Protocol::Sctp) if number == 0 => &[State::None],
            Some(Protocol::Sctp) => {
                return State::ALL.get(State::SctpInit1 as usize - 1 + usize::from(number)).copied();
            }
            None => return None,
        };
        table.get(usize::from(number)).copied()
    }

    /// Whether the connection counts as active.
    pub(crate) fn is_active(self) -> bool {
        matches!(self, State::Established | State::SynSent | State::SynRecv | State::SynAck | State::SctpEstablished)
    }

    /// Whether a template whose connection gets here is confirmed.
    pub(crate) fn is_established(self) -> bool {
        matches!(self, State::Established | State::SctpEstablished)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::None => "NONE",
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN_SENT",
            State::SynRecv => "SYN_RECV",
            State::FinWait => "FIN_WAIT",
            State::TimeWait => "TIME_WAIT",
            State::Close => "CLOSE",
            State::CloseWait => "CLOSE_WAIT",
            State::SynAck => "SYNACK",
            State::Udp => "UDP",
            State::Assured => "ASSURED",
            State::SctpInit1 => "INIT1",
            State::SctpInit => "INIT",
            State::SctpCookieSent => "C-SENT",
            State::SctpCookieReplied => "C-REPLIED",
            State::SctpCookieWait => "C-WAIT",
            State::SctpCookie => "COOKIE",
            State::SctpCookieEchoed => "C-ECHOED",
            State::SctpEstablished => "ESTABLISHED",
            State::SctpShutdownSent => "S-SENT",
            State::SctpShutdownReceived => "S-RECEIVED",
            State::SctpShutdownAckSent => "S-ACK-SENT",
            State::SctpRejected => "REJECTED",
            State::SctpClosed => "CLOSED",
        })
    }
}

/// The time-outs that `ipvsadm --set` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Of an established TCP connection.
    pub tcp: Duration,
    /// Of a TCP connection after a FIN of one side.
    pub tcp_fin: Duration,
    /// Of UDP.
    pub udp: Duration,
}

impl Default for Timeouts {
    /// `ipvsadm --set 900 120 300`.
    fn default() -> Self {
        Timeouts { tcp: Duration::from_secs(900), tcp_fin: Duration::from_secs(120), udp: Duration::from_secs(300) }
    }
}

impl Timeouts {
    /// How long a connection in `state` lives without a packet, in ticks.
    #[inline]
    pub(crate) fn ticks(&self, state: State) -> u32 {
        match state {
            State::Established => ticks(self.tcp),
            State::FinWait => ticks(self.tcp_fin),
            State::Udp => ticks(self.udp),
            State::SynSent | State::TimeWait | State::SynAck => 120 * TICKS,
            State::SynRecv | State::CloseWait => 60 * TICKS,
            State::Close => 10 * TICKS,
            State::None | State::Assured => 2 * TICKS,
            State::SctpEstablished => 900 * TICKS,
            State::SctpInit1 | State::SctpRejected => 3 * TICKS,
            State::SctpInit
            | State::SctpCookieSent
            | State::SctpCookieReplied
            | State::SctpCookieWait
            | State::SctpCookie
            | State::SctpCookieEchoed
            | State::SctpShutdownSent
            | State::SctpShutdownReceived
            | State::SctpShutdownAckSent
            | State::SctpClosed => 60 * TICKS,
        }
    }
}

/// A duration in ticks, at most the longest that the kernel accepts (2,147,483 s).
#[inline]
pub(crate) fn ticks(duration: Duration) -> u32 {
    const LONGEST: u64 = 2_147_483;
    let whole = duration.as_secs().min(LONGEST) as u32 * TICKS;
    whole + duration.subsec_nanos() / (1_000_000_000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_by_their_numbers() {
        for state in State::ALL {
            let (protocol, template) = match state {
                State::None | State::Assured => (6, true),
                State::Udp => (17, false),
                state if (state as u8) < State::Udp as u8 => (6, false),
                _ => (132, false),
            };
            assert_eq!(State::of_number(state.number(), protocol, template), Some(state));
        }
        let unknown =
            [(2, 6, true), (8, 6, false), (1, 17, false), (14, 132, false), (u16::MAX, 132, false), (0, 50, false)];
        for (number, protocol, template) in unknown {
            assert_eq!(State::of_number(number, protocol, template), None, "{number} of {protocol}");
        }
    }
}
