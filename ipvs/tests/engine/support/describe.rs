//! Bytes to words.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{header_length, pseudo, sum};

/// Describes a packet; a quoted one may be cut short.
pub fn packet(packet: &[u8]) -> String {
    let l4 = header_length(packet);
    let (head, protocol) = if packet[0] >> 4 == 4 { v4(packet) } else { v6(packet) };
    let rest = match protocol {
        _ if offset(packet) > 0 => {
            let offset = offset(packet);
            format!("off {offset} proto {protocol} fragment {} bytes", end(packet) - l4)
        }
        6 => tcp(packet, l4),
        17 => udp(packet, l4),
        _ => icmp(packet, l4, protocol),
    };
    format!("{head} {}", rest.trim_end())
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

fn v4(packet: &[u8]) -> (String, u8) {
    let address = |at: usize| Ipv4Addr::from(long(packet, at));
    let (tos, length, id, ttl) = (packet[1], word(packet, 2), word(packet, 4), packet[8]);
    let mut text = format!("IP {}>{} len {length} ttl {ttl} tos {tos:#x} id {id}", address(12), address(16));
    for (bit, name) in [(0x4000, " DF"), (0x2000, " MF")] {
        text += if word(packet, 6) & bit != 0 { name } else { "" };
    }
    text += if sum(&packet[..header_length(packet)], 0) == 0xffff { "" } else { " BADIPSUM" };
    (text, packet[9])
}

fn v6(packet: &[u8]) -> (String, u8) {
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let text = format!("IP6 {}>{} hlim {} tc/fl {:x}", address(8), address(24), packet[7], long(packet, 0));
    (text, packet[6])
}

/// Where the IP header says that the packet ends.
fn end(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { usize::from(word(packet, 2)) } else { 40 + usize::from(word(packet, 4)) }
}

/// Where a fragment belongs.
fn offset(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { (word(packet, 6) & 0x1fff) * 8 } else { 0 }
}

/// The verdict on a checksum, empty for a packet cut short and for a fragment.
fn verdict(packet: &[u8], l4: usize, protocol: u8) -> &'static str {
    let end = end(packet);
    let fragment = packet[0] >> 4 == 4 && word(packet, 6) & 0x3fff != 0;
    if packet.len() < end || fragment {
        return "";
    }
    match sum(&packet[l4..end], pseudo(packet, protocol, end - l4)) {
        0xffff => "sum-ok",
        _ => "BADSUM",
    }
}

fn tcp(packet: &[u8], l4: usize) -> String {
    let mut text = format!("TCP {}>{}", word(packet, l4), word(packet, l4 + 2));
    if packet.len() >= l4 + 20 {
        let letters = [(1, 'F'), (2, 'S'), (4, 'R'), (8, 'P'), (16, 'A')];
        let flags: String = letters.iter().filter(|flag| packet[l4 + 13] & flag.0 != 0).map(|flag| flag.1).collect();
        let header = usize::from(packet[l4 + 12] >> 4) * 4;
        let (seq, ack, win) = (long(packet, l4 + 4), long(packet, l4 + 8), word(packet, l4 + 14));
        let (data, sum) = (end(packet) - l4 - header, word(packet, l4 + 16));
        write!(text, " [{flags}] seq {seq} ack {ack} win {win} data {data} sum {sum:04x} ").unwrap();
        text += verdict(packet, l4, 6);
    }
    text
}

fn udp(packet: &[u8], l4: usize) -> String {
    let (from, to, length) = (word(packet, l4), word(packet, l4 + 2), word(packet, l4 + 4));
    let sum = word(packet, l4 + 6);
    let verdict = if sum == 0 { "no-sum" } else { verdict(packet, l4, 17) };
    format!("UDP {from}>{to} len {length} sum {sum:04x} {verdict}")
}

fn icmp(bytes: &[u8], l4: usize, protocol: u8) -> String {
    let name = if protocol == 58 { "ICMP6" } else { "ICMP" };
    let pseudo = if protocol == 58 { pseudo(bytes, 58, end(bytes) - l4) } else { 0 };
    let verdict = if sum(&bytes[l4..end(bytes)], pseudo) == 0xffff { "sum-ok" } else { "BADSUM" };
    let mut text = format!("{name} {}.{} rest {:#x} {verdict}", bytes[l4], bytes[l4 + 1], long(bytes, l4 + 4));
    let is_error = if protocol == 58 { bytes[l4] < 128 } else { [3, 4, 5, 11, 12].contains(&bytes[l4]) };
    if is_error {
        write!(text, " {{{}}}", packet(&bytes[l4 + 8..end(bytes)])).unwrap();
    }
    text
}
