//! What becomes of a packet, and why.

use std::fmt;
use std::net::IpAddr;

use crate::forward::tunnel::Tunnel;
use crate::packet::ReplyBuffer;

/// The driver's name for where a packet came from (interface and source MAC address): answers go back through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct HopId(pub u32);

/// What the driver has to do with a frame after [`Director::receive`](crate::Director::receive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not the engine's: the host's own stack gets the untouched frame.
    Pass(PassReason),
    /// The frame goes nowhere.
    Drop(DropReason),
    /// The frame is rewritten; send it towards this next hop.
    ToServer {
        /// Address of the real server.
        address: IpAddr,
    },
    /// Send this packet instead of the frame towards this next hop.
    Instead {
        /// Address of the real server.
        address: IpAddr,
        /// A whole IP packet with complete checksums.
        packet: ReplyBuffer,
    },
    /// The packet's time to live is counted; send it inside another packet to this real server (see
    /// [`Tunnel::headers`](crate::Tunnel::headers)).
    Encapsulate {
        /// Address of the real server, of either family.
        address: IpAddr,
        /// How it travels.
        tunnel: Tunnel,
        /// The largest outer packet that passes on the way, where a router has told.
        path_mtu: Option<u16>,
    },
    /// A real server's answer, rewritten; send it back where the client's packets come from.
    ToClient {
        /// The client's hop as of its latest packet.
        hop: HopId,
    },
    /// The destination is this host: deliver the untouched frame to the host's own stack.
    Local,
    /// Send this packet of the engine's own to a client or to the sender of the frame.
    Reply {
        /// A whole IP packet.
        packet: ReplyBuffer,
        /// Where it goes: the frame's ingress, or the hop of the client that an error from elsewhere concerns.
        hop: HopId,
    },
}

/// The verdict as it travels inside the crate: small, the reply lies in the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Pass(PassReason),
    Drop(DropReason),
    ToServer(IpAddr),
    /// To the destination of this number.
    Encapsulate(u32),
    /// The packet that lies in the director, to the destination of this number.
    Instead(u32),
    ToClient(HopId),
    Local,
    Reply,
}

macro_rules! reasons {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$inner])* $variant,)+ }

        impl $name {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The reason in words, for listings and traces.
            pub const fn text(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

pub(crate) use reasons;

reasons! {
    /// Why a packet is left to the host's own stack.
    PassReason {
        /// Neither IPv4 nor IPv6, or shorter than its headers claim.
        Malformed => "malformed packet",
        /// IPv6 with eight extension headers or more, or with one that leads by way of another host.
        Extensions => "extension headers that are not followed",
        /// A protocol that no service can have.
        OtherProtocol => "protocol without services",
        /// A fragment.
        Fragment => "fragment",
        /// No service and no connection has these addresses and ports.
        NotOurs => "no service and no connection matches",
        /// A service, but the packet may not open a connection: the host's stack answers (RST) as it does under IPVS.
        NoConnection => "service without a connection for this packet",
        /// A connection whose service is gone, and no service is left.
        NoService => "no service is left",
        /// A client that no network has: the host's stack drops such packets (and may log them as martians).
        Martian => "source address that no client can have",
        /// An ICMP message that is no error about a connection.
        Icmp => "ICMP that concerns no connection",
        /// A server's packet whose time to live ends here: the host's stack reports it.
        TtlExpired => "time to live of a server's packet ends here",
    }
}

reasons! {
    /// Why a packet goes nowhere.
    DropReason {
        /// The IPv4 header checksum is wrong.
        IpChecksum => "bad IP header checksum",
        /// The TCP checksum is wrong, where a header of the PROXY protocol would have made it right.
        TcpChecksum => "bad TCP checksum before a PROXY header",
        /// The ICMP checksum is wrong.
        IcmpChecksum => "bad ICMP checksum",
        /// The connection's destination was removed (`expire_nodest_conn` is off).
        DestinationRemoved => "destination removed",
        /// The table holds as many connections as it may.
        ConnectionLimit => "connection limit reached",
        /// The packet asks for an ICMP error that the rate limit or RFC 1122 forbids.
        ErrorSuppressed => "ICMP error suppressed",
        /// The time to live of an ICMP error ends here.
        TtlExpired => "time to live of an ICMP error ends here",
        /// A SIP service with persistence by call, and a packet without a Call-ID.
        NoCall => "SIP message without a Call-ID",
        /// Full NAT found no free address and port.
        SourcesInUse => "full NAT has no free source left",
        /// The packet would open a connection, and `drop_packet` is at work.
        Defence => "dropped in defence (drop_packet)",
        /// The packet changed shape while being rewritten: a fault of this crate, counted instead of a panic.
        Internal => "internal fault",
    }
}
