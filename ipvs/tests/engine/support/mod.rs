//! Packets in words: `IP 10.0.0.50>10.0.0.100 len 40 ttl 64 tos 0x0 id 1 DF TCP 1000>80 [S] seq 1 ack 0 win 64240
//! data 0 sum 70e0 sum-ok`, built into bytes and described again.

pub mod build;
pub mod describe;
pub mod world;

/// The folded ones' complement sum, computed the slow way.
pub fn sum(bytes: &[u8], initial: u32) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut total = words.fold(u64::from(initial), |total, word| total + u64::from(word));
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// The sum of the pseudo header of an IP packet.
pub fn pseudo(packet: &[u8], protocol: u8, length: usize) -> u32 {
    let addresses = if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] };
    u32::from(sum(addresses, 0)) + u32::from(protocol) + length as u32
}

/// Length of the IP header.
pub fn header_length(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { usize::from(packet[0] & 15) * 4 } else { 40 }
}

use std::net::{IpAddr, SocketAddr};

use standfast_ipvs::{
    DestinationConfig, Director, Forwarding, Protocol, SchedulerFlags, SchedulerKind, ServiceConfig, ServiceId,
    ServiceKey,
};

/// A service with everything at its default.
pub fn service(protocol: Protocol, socket: SocketAddr, scheduler: SchedulerKind) -> ServiceConfig {
    ServiceConfig {
        id: ServiceId::Address(ServiceKey { protocol, address: socket.ip(), port: socket.port() }),
        scheduler,
        flags: SchedulerFlags::default(),
        persistence: None,
        one_packet: false,
        full_nat: Default::default(),
    }
}

/// A destination of weight 1 without thresholds.
pub fn destination(socket: SocketAddr, forwarding: Forwarding) -> DestinationConfig {
    DestinationConfig {
        address: socket.ip(),
        port: socket.port(),
        forwarding,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

/// Entries of the table by the counters of all destinations in use.
pub fn counted(director: &Director) -> usize {
    let services = director.services();
    let destinations = services.iter().flat_map(|service| director.destinations(&service.config.id).unwrap());
    destinations.map(|view| (view.active + view.inactive + view.persistent) as usize).sum()
}

/// The start of a packet's description: addresses and time to live.
pub fn ip_words(source: IpAddr, destination: IpAddr, ttl: u8) -> String {
    match source {
        IpAddr::V4(_) => format!("IP {source}>{destination} ttl {ttl} tos 0x0 id 1 DF"),
        IpAddr::V6(_) => format!("IP6 {source}>{destination} hlim {ttl} tc/fl 60000000"),
    }
}
