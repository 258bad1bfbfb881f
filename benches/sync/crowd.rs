//! Clients that open connections: a SYN each, and the packet that completes the handshake ten milliseconds later.

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};
use standfast_labkit::Host;
use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::site::VIP;

const TICK: Duration = Duration::from_millis(1);
/// Ticks between the first packet of a connection and the second.
const ROUND_TRIP: usize = 10;
const AT_ONCE: usize = 64;
const NOTHING: [ControlMessage<'static>; 0] = [];
const SYN: u8 = 2;
const ACK: u8 = 16;

/// Opens `count` connections, so many a second, from as many addresses and ports as it takes; the time that it took.
pub fn open(client: &Host, rate: usize, count: usize) -> Duration {
    client.enter(|| Crowd::new().open(rate, count)).unwrap()
}

struct Crowd {
    socket: Socket,
    target: SockaddrIn,
}

impl Crowd {
    fn new() -> Crowd {
        // IPPROTO_RAW: packets with their IP headers.
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).unwrap();
        socket.set_send_buffer_size(4 << 20).unwrap();
        Crowd { socket, target: SocketAddrV4::new(VIP.parse().unwrap(), 0).into() }
    }

    fn open(&self, rate: usize, count: usize) -> Duration {
        // The first packet finds the way.
        self.send(SYN, 0..1);
        std::thread::sleep(Duration::from_millis(300));
        let (start, each) = (Instant::now(), rate.div_ceil(1000));
        for tick in 0..count.div_ceil(each) + ROUND_TRIP {
            let batch = |tick: usize| (tick * each).min(count)..((tick + 1) * each).min(count);
            self.send(SYN, batch(tick));
            if let Some(earlier) = tick.checked_sub(ROUND_TRIP) {
                self.send(ACK, batch(earlier));
            }
            let due = start + TICK * u32::try_from(tick).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        start.elapsed()
    }

    fn send(&self, flags: u8, connections: std::ops::Range<usize>) {
        let packets: Vec<_> = connections.map(|number| packet(number, flags)).collect();
        for packets in packets.chunks(AT_ONCE) {
            let parts: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
            let mut headers = MultiHeaders::preallocate(parts.len(), None);
            let targets = vec![Some(self.target); parts.len()];
            // What finds no room is lost as on any network, and counted at the director.
            let _ = sendmmsg(self.socket.as_raw_fd(), &mut headers, &parts, targets, NOTHING, MsgFlags::empty());
        }
    }
}

/// The kernel fills in the length and the checksum of the IP header.
fn packet(number: usize, flags: u8) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    let [high, low] = u16::try_from(number / 50_000).unwrap().to_be_bytes();
    packet[12..16].copy_from_slice(&[10, 64, high, low]);
    packet[16..20].copy_from_slice(&VIP.parse::<std::net::Ipv4Addr>().unwrap().octets());
    packet[20..22].copy_from_slice(&(1024 + u16::try_from(number % 50_000).unwrap()).to_be_bytes());
    packet[22..24].copy_from_slice(&80_u16.to_be_bytes());
    packet[32..34].copy_from_slice(&[0x50, flags]);
    packet
}
