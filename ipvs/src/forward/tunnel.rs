//! Tunnels to real servers: the headers that go before a client's packet (ip_vs_xmit.c: IP in IP, RFC 2003 and 2473;
//! GUE, draft-ietf-intarea-gue; GRE, RFC 2784).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use crate::address::Address;
use crate::packet::{checksum, ipv4, ipv6, read, word};

const IPIP: u8 = 4;
const IPV6: u8 = 41;
const UDP: u8 = 17;
const GRE: u8 = 47;
const UDP_HEADER: usize = 8;
const GUE_HEADER: usize = 4;
const GRE_HEADER: usize = 4;
/// GUE of outer source ports: Linux's `ip_local_port_range`.
const PORTS: std::ops::Range<u16> = 32_768..61_000;

/// How a client's packet travels inside another one to its server (`ipvsadm -i`, `--tun-type`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tunnel {
    /// `--tun-type`.
    pub kind: TunnelKind,
    /// Whether the tunnel's own header carries a checksum; IP in IP has none.
    pub checksum: TunnelChecksum,
    /// SYNs tell no larger segments than fit: the driver calls [`clamp_mss`](crate::clamp_mss).
    pub clamp_mss: bool,
}

/// Checksum of a tunnel's own header. The two that exist mean the same here, as in the kernel for packets whose checksum is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TunnelChecksum {
    /// None, `--tun-nocsum`.
    #[default]
    None,
    /// `--tun-csum`.
    Full,
    /// `--tun-remcsum`.
    Remote,
}

/// The tunnel's header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TunnelKind {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP Encapsulation.
    Gue {
        /// The server's UDP port.
        port: u16,
    },
    /// Generic Routing Encapsulation.
    Gre,
}

impl Tunnel {
    /// Bytes that the tunnel adds to a packet on its way to `server`.
    #[must_use]
    pub fn overhead(&self, server: IpAddr) -> usize {
        let outer = if server.is_ipv4() { ipv4::HEADER } else { ipv6::HEADER };
        outer + self.shim()
    }

    fn has_checksum(&self) -> bool {
        self.checksum != TunnelChecksum::None
    }

    /// Bytes between the outer IP header and the packet.
    fn shim(&self) -> usize {
        match self.kind {
            TunnelKind::Ipip => 0,
            TunnelKind::Gue { .. } => UDP_HEADER + GUE_HEADER,
            TunnelKind::Gre if self.has_checksum() => GRE_HEADER + 4,
            TunnelKind::Gre => GRE_HEADER,
        }
    }

    /// The headers that go before `packet` (a whole IP packet with complete checksums), from the director's address
    /// `source` to `server`. `identification` is used where the outer header may be fragmented. None if the addresses
    /// are of different families or the packet is none.
    #[must_use]
    pub fn headers(&self, packet: &[u8], source: IpAddr, server: IpAddr, identification: u16) -> Option<TunnelHeaders> {
        let inner = Inner::read(packet)?;
        let mut headers = TunnelHeaders::default();
        let length = u16::try_from(self.shim() + packet.len()).ok()?;
        match (source, server) {
            (IpAddr::V4(source), IpAddr::V4(server)) => {
                headers.extend(&outer_v4(&inner, self.protocol(&inner), (source, server), length, identification)?);
            }
            (IpAddr::V6(source), IpAddr::V6(server)) => {
                headers.extend(&outer_v6(&inner, self.protocol(&inner), (source, server), length));
            }
            _ => return None,
        }
        match self.kind {
            TunnelKind::Ipip => (),
            TunnelKind::Gue { port } => self.gue(&mut headers, packet, &inner, (source, server), port, length),
            TunnelKind::Gre => self.gre(&mut headers, packet, &inner),
        }
        Some(headers)
    }

    fn protocol(&self, inner: &Inner) -> u8 {
        match self.kind {
            TunnelKind::Ipip => inner.protocol(),
            TunnelKind::Gue { .. } => UDP,
            TunnelKind::Gre => GRE,
        }
    }

    fn gue(
        &self,
        headers: &mut TunnelHeaders,
        packet: &[u8],
        inner: &Inner,
        ends: (IpAddr, IpAddr),
        port: u16,
        length: u16,
    ) {
        let [source, target, size] = [source_port(packet), port, length].map(u16::to_be_bytes);
        let mut shim = [source[0], source[1], target[0], target[1], size[0], size[1], 0, 0, 0, inner.protocol(), 0, 0];
        if self.has_checksum() {
            let pseudo = address_sum(ends.0) + address_sum(ends.1) + u32::from(UDP) + u32::from(length);
            let shim_sum = u32::from(checksum::sum(&shim, pseudo));
            let sum = match !checksum::sum(packet, shim_sum) {
                0 => 0xffff,
                other => other,
            };
            [shim[6], shim[7]] = sum.to_be_bytes();
        }
        headers.extend(&shim);
    }

    fn gre(&self, headers: &mut TunnelHeaders, packet: &[u8], inner: &Inner) {
        let [high, low] = inner.ethertype().to_be_bytes();
        if self.has_checksum() {
            let sum = checksum::sum(&[0x80, 0, high, low], 0);
            let [c0, c1] = (!checksum::sum(packet, u32::from(sum))).to_be_bytes();
            return headers.extend(&[0x80, 0, high, low, c0, c1, 0, 0]);
        }
        headers.extend(&[0, 0, high, low]);
    }
}

/// What the outer header takes over from the packet inside.
#[derive(Debug, Clone, Copy)]
struct Inner {
    v6: bool,
    /// Type of service or traffic class, as it goes outside: congestion experienced becomes "capable" (RFC 6040).
    tos: u8,
    ttl: u8,
    dont_fragment: bool,
}

impl Inner {
    fn read(packet: &[u8]) -> Option<Inner> {
        let fixed: &[u8; 20] = packet.first_chunk()?;
        let (v6, tos, ttl, dont_fragment) = match fixed[0] >> 4 {
            4 => (false, fixed[1], fixed[8], fixed[6] & 0x40 != 0),
            6 => (true, fixed[0] << 4 | fixed[1] >> 4, fixed[7], false),
            _ => return None,
        };
        let tos = if tos & 3 == 3 { tos & !1 } else { tos };
        Some(Inner { v6, tos, ttl, dont_fragment })
    }

    fn protocol(&self) -> u8 {
        if self.v6 { IPV6 } else { IPIP }
    }

    fn ethertype(&self) -> u16 {
        if self.v6 { 0x86dd } else { 0x0800 }
    }
}

fn outer_v4(
    inner: &Inner,
    protocol: u8,
    (source, server): (Ipv4Addr, Ipv4Addr),
    payload: u16,
    identification: u16,
) -> Option<[u8; ipv4::HEADER]> {
    let [l0, l1] = payload.checked_add(ipv4::HEADER as u16)?.to_be_bytes();
    let ([i0, i1], flags) = if inner.dont_fragment { ([0, 0], 0x40) } else { (identification.to_be_bytes(), 0) };
    let mut header = [0; ipv4::HEADER];
    header[..10].copy_from_slice(&[0x45, inner.tos, l0, l1, i0, i1, flags, 0, inner.ttl, protocol]);
    header[12..16].copy_from_slice(&source.octets());
    header[16..].copy_from_slice(&server.octets());
    let sum = !checksum::sum(&header, 0);
    [header[10], header[11]] = sum.to_be_bytes();
    Some(header)
}

fn outer_v6(inner: &Inner, protocol: u8, (source, server): (Ipv6Addr, Ipv6Addr), payload: u16) -> [u8; ipv6::HEADER] {
    let [l0, l1] = payload.to_be_bytes();
    let mut header = [0; ipv6::HEADER];
    header[..8].copy_from_slice(&[0x60 | inner.tos >> 4, inner.tos << 4, 0, 0, l0, l1, protocol, inner.ttl]);
    header[8..24].copy_from_slice(&source.octets());
    header[24..].copy_from_slice(&server.octets());
    header
}

fn address_sum(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.sum(),
        IpAddr::V6(address) => address.sum(),
    }
}

/// A port by which the network may spread flows: the same for all packets of a connection.
fn source_port(packet: &[u8]) -> u16 {
    let (start, l4) = match packet.first().map(|byte| byte >> 4) {
        Some(4) => (12, usize::from(packet.first().copied().unwrap_or_default() & 15) * 4),
        _ => (8, ipv6::HEADER),
    };
    let words = packet.get(start..l4 + 4).unwrap_or_default().as_chunks::<2>().0;
    let hash =
        words.iter().fold(0x811c_9dc5_u32, |hash, pair| (hash ^ u32::from(word(*pair))).wrapping_mul(0x0100_0193));
    PORTS.start + (hash >> 16) as u16 % (PORTS.end - PORTS.start)
}

/// The headers of a tunnel; dereferences to their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelHeaders {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl TunnelHeaders {
    /// The most that there are.
    pub const LONGEST: usize = 64;

    fn extend(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(self.length..).unwrap_or_default();
        self.length += free.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
    }
}

impl Default for TunnelHeaders {
    fn default() -> Self {
        TunnelHeaders { bytes: [0; Self::LONGEST], length: 0 }
    }
}

impl Deref for TunnelHeaders {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The packet inside a tunnel's packet, from `l4`, where what follows the outer IP header begins: its place, if the
/// protocol may be a tunnel's. The kernel looks for the same in ICMP errors.
pub(crate) fn inside(packet: &[u8], protocol: u8, l4: usize) -> Option<usize> {
    match protocol {
        IPIP | IPV6 => Some(l4),
        UDP => {
            let control = *packet.get(l4 + UDP_HEADER)?;
            let optional = usize::from(control & 0x1f) * 4;
            (control & 0xe0 == 0).then_some(l4 + UDP_HEADER + GUE_HEADER + optional)
        }
        GRE => {
            let flags = read(packet, l4)?;
            let optional = [0x8000, 0x2000, 0x1000].iter().filter(|bit| flags & **bit != 0).count() * 4;
            Some(l4 + GRE_HEADER + optional)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    const INNER_V4: &str = "45000028000140003f06273a0a0000320a00006420080050000003e8000000005002faf07c1c0000";
    const ENDS_V4: (&str, &str) = ("10.1.0.254", "10.1.0.50");

    fn headers(tunnel: Tunnel, inner: &[u8], (source, server): (&str, &str), id: u16) -> Vec<u8> {
        let server = server.parse().unwrap();
        let headers = tunnel.headers(inner, source.parse().unwrap(), server, id).unwrap();
        assert_eq!(headers.len(), tunnel.overhead(server));
        headers.to_vec()
    }

    /// The kernel's frames of ipvs-recordings/c/c2_tun_packets.txt, without Ethernet.
    #[test]
    fn gre_is_the_kernels() {
        let plain = Tunnel { kind: TunnelKind::Gre, checksum: TunnelChecksum::None, clamp_mss: false };
        let wanted = hex("45000040000040003f2f265e0a0100fe0a01003200000800");
        assert_eq!(headers(plain, &hex(INNER_V4), ENDS_V4, 7), wanted);
        let summed = Tunnel { checksum: TunnelChecksum::Full, ..plain };
        let wanted = hex("45000044000040003f2f265a0a0100fe0a010032800008008caf0000");
        assert_eq!(headers(summed, &hex(INNER_V4), ENDS_V4, 7), wanted);
    }

    /// As above; the kernel's source port comes from a random seed.
    #[test]
    fn gue_is_the_kernels_but_for_the_source_port() {
        let plain = Tunnel { kind: TunnelKind::Gue { port: 5555 }, checksum: TunnelChecksum::None, clamp_mss: false };
        let mut made = headers(plain, &hex(INNER_V4), ENDS_V4, 7);
        assert!(PORTS.contains(&word([made[20], made[21]])));
        [made[20], made[21]] = [0x9e, 0x51];
        assert_eq!(made, hex("45000048000040003f1126740a0100fe0a0100329e5115b30034000000040000"));
        let mut summed = headers(Tunnel { checksum: TunnelChecksum::Full, ..plain }, &hex(INNER_V4), ENDS_V4, 7);
        let port = word([summed[20], summed[21]]);
        let sum = checksum::update(word([summed[26], summed[27]]), u32::from(checksum::delta(u32::from(port), 0x9e51)));
        [summed[20], summed[21]] = [0x9e, 0x51];
        [summed[26], summed[27]] = sum.to_be_bytes();
        assert_eq!(summed, hex("45000048000040003f1126740a0100fe0a0100329e5115b300344afc00040000"));
    }

    /// ipvs-recordings/c/c2_ipv6_packets.txt, "TUN: SYN (ip6 in ip6)".
    #[test]
    fn ip6_in_ip6_is_the_kernels() {
        let inner = hex(
            "6b8000000014063ffd000000000000000000000000000050fd00000000000000000000000000010005140050000003e8000000005002faf0b0540000",
        );
        let wanted = hex("6b800000003c293ffd010000000000000000000000000254fd010000000000000000000000000050");
        assert_eq!(headers(Tunnel::default(), &inner, ("fd01::254", "fd01::50"), 7), wanted);
    }

    /// ipvs-recordings/c: type of service, time to live, "don't fragment", identification, in each combination.
    #[test]
    fn fields_come_from_the_packet_inside() {
        let mut inner = hex(INNER_V4);
        [inner[1], inner[6], inner[8]] = [3, 0, 4];
        let made = headers(Tunnel::default(), &inner, ENDS_V4, 33_545);
        assert_eq!(made[..10], [0x45, 2, 0, 60, 0x83, 0x09, 0, 0, 4, 4]);
        let made = headers(Tunnel::default(), &inner, ("fd01::254", "fd01::50"), 7);
        assert_eq!(made[..8], [0x60, 0x20, 0, 0, 0, 40, 4, 4]);
        let inner = hex(
            "6000000000140640fd000000000000000000000000000050fd00000000000000000000000000010005140050000003e8000000005002faf0b0540000",
        );
        assert_eq!(
            headers(Tunnel::default(), &inner, ENDS_V4, 12_558)[..10],
            [0x45, 0, 0, 80, 0x31, 0x0e, 0, 0, 64, 41]
        );
    }

    #[test]
    fn what_is_inside_is_found_again() {
        for kind in [TunnelKind::Ipip, TunnelKind::Gue { port: 6080 }, TunnelKind::Gre] {
            for checksum in [TunnelChecksum::None, TunnelChecksum::Full, TunnelChecksum::Remote] {
                let made = headers(Tunnel { kind, checksum, ..Tunnel::default() }, &hex(INNER_V4), ENDS_V4, 7);
                let whole = [made.clone(), hex(INNER_V4)].concat();
                assert_eq!(inside(&whole, whole[9], 20), Some(made.len()), "{kind:?} {checksum:?}");
            }
        }
    }

    #[test]
    fn no_packet_has_no_headers() {
        let ends = ("10.1.0.254".parse().unwrap(), "10.1.0.50".parse().unwrap());
        assert_eq!(Tunnel::default().headers(&[0x45; 10], ends.0, ends.1, 0), None);
        assert_eq!(Tunnel::default().headers(&[0x45; 65_530], ends.0, ends.1, 0), None, "longer than any packet");
        assert_eq!(Tunnel::default().headers(&hex(INNER_V4), ends.0, "fd01::1".parse().unwrap(), 0), None);
    }
}
