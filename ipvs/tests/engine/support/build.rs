//! Words to bytes.

use std::net::IpAddr;

use super::{header_length, pseudo, sum};

/// Splits a description and hands out what follows a word.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn after(&self, name: &str) -> Option<&'a str> {
        let position = self.0.iter().position(|word| *word == name)?;
        self.0.get(position + 1).copied()
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.after(name).map(number)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn pair(text: &str) -> (&str, &str) {
    text.split_once('>').unwrap_or_else(|| panic!("{text} is no pair"))
}

/// Builds the packet that `text` describes.
///
/// A checksum that is given is met exactly: by the first two bytes of the payload if it is a right one. `fill SUM` gives
/// a packet without checksum the payload that would have this one.
pub fn packet(text: &str) -> Vec<u8> {
    let (outer, quoted) = match text.split_once('{') {
        Some((outer, quoted)) => (outer, Some(quoted.trim_end_matches('}'))),
        None => (text, None),
    };
    let words = Words(outer.split_whitespace().collect());
    let total = words.number("len").filter(|_| words.0[0] == "IP" && words.0[2] == "len").map(|length| length as usize);
    let mut packet = ip_header(&words);
    let header = packet.len();
    if words.has("fragment") {
        packet.extend(vec![0; words.number("fragment").unwrap() as usize]);
    } else if words.has("ICMP") || words.has("ICMP6") {
        icmp(&mut packet, &words, quoted, total);
    } else {
        transport(&mut packet, &words, total);
    }
    packet.truncate(total.unwrap_or(packet.len()));
    finish(&mut packet, header, &words, total);
    packet
}

fn ip_header(words: &Words<'_>) -> Vec<u8> {
    let (source, destination) = pair(words.0[1]);
    let addresses: [IpAddr; 2] = [source.parse().unwrap(), destination.parse().unwrap()];
    let mut packet = if words.0[0] == "IP" { v4_header(words) } else { v6_header(words) };
    for address in addresses {
        match address {
            IpAddr::V4(address) => packet.extend(address.octets()),
            IpAddr::V6(address) => packet.extend(address.octets()),
        }
    }
    packet
}

fn protocol(words: &Words<'_>) -> u8 {
    if let Some(number) = words.number("proto") {
        return number as u8;
    }
    let known = [("TCP", 6), ("UDP", 17), ("ICMP", 1), ("ICMP6", 58)];
    known.iter().find(|(name, _)| words.has(name)).unwrap_or_else(|| panic!("{:?}: which protocol?", words.0)).1
}

fn v4_header(words: &Words<'_>) -> Vec<u8> {
    let mut header = vec![0x45, words.number("tos").unwrap_or(0) as u8, 0, 0];
    header.extend((words.number("id").unwrap_or(0) as u16).to_be_bytes());
    let fragment: u16 = if words.has("DF") { 0x4000 } else { 0 } | if words.has("MF") { 0x2000 } else { 0 };
    let fragment = fragment | (words.number("off").unwrap_or(0) / 8) as u16;
    header.extend(fragment.to_be_bytes());
    header.extend([words.number("ttl").unwrap() as u8, protocol(words), 0, 0]);
    header
}

fn v6_header(words: &Words<'_>) -> Vec<u8> {
    let first = u32::from_str_radix(words.after("tc/fl").unwrap(), 16).unwrap();
    let mut header = first.to_be_bytes().to_vec();
    header.extend([0, 0, protocol(words), words.number("hlim").unwrap() as u8]);
    header
}

fn transport(packet: &mut Vec<u8>, words: &Words<'_>, total: Option<usize>) {
    match words.after("TCP") {
        Some(ports) => tcp(packet, words, ports, total),
        None => udp(packet, words),
    }
}

fn put_ports(packet: &mut Vec<u8>, ports: &str) {
    let (source, destination) = pair(ports);
    packet.extend((number(source) as u16).to_be_bytes());
    packet.extend((number(destination) as u16).to_be_bytes());
}

fn tcp(packet: &mut Vec<u8>, words: &Words<'_>, ports: &str, total: Option<usize>) {
    let data = words.number("data").unwrap_or(0) as usize;
    let header = packet.len();
    let options = total.map_or(0, |total| total.saturating_sub(header + 20 + data));
    put_ports(packet, ports);
    packet.extend(words.number("seq").unwrap_or(0).to_be_bytes());
    packet.extend(words.number("ack").unwrap_or(0).to_be_bytes());
    packet.push((((20 + options) / 4) << 4) as u8);
    packet.push(flags(words.0.iter().find(|word| word.starts_with('[')).unwrap_or(&"[]")));
    packet.extend((words.number("win").unwrap_or(0) as u16).to_be_bytes());
    packet.extend([0; 4]);
    // The only option in use: a maximum segment size of 1460.
    packet.extend([2, 4, 5, 180].iter().take(options));
    packet.extend(std::iter::repeat_n(0, data));
    meet_checksum(packet, header, 16, header + 20 + options, words);
}

fn flags(text: &str) -> u8 {
    let bit = |letter| match letter {
        'F' => 1,
        'S' => 2,
        'R' => 4,
        'P' => 8,
        'A' => 16,
        _ => 0,
    };
    text.chars().map(bit).sum()
}

fn udp(packet: &mut Vec<u8>, words: &Words<'_>) {
    let header = packet.len();
    let rest = words.0.iter().position(|word| *word == "UDP").unwrap();
    let length = number(words.0[rest + 3]) as usize;
    put_ports(packet, words.0[rest + 1]);
    packet.extend((length as u16).to_be_bytes());
    packet.extend([0; 2]);
    packet.extend(std::iter::repeat_n(0, length - 8));
    meet_checksum(packet, header, 6, header + 8, words);
}

fn meet_checksum(packet: &mut [u8], l4: usize, at: usize, payload: usize, words: &Words<'_>) {
    let protocol = protocol(words);
    let pseudo = pseudo(packet, protocol, packet.len() - l4);
    let right = !sum(&packet[l4..], pseudo);
    let hex = |name| words.after(name).and_then(|sum| u16::from_str_radix(sum, 16).ok());
    let wanted = hex("sum");
    let met = hex("fill").or(wanted.filter(|_| words.has("sum-ok")));
    if let Some(met) = met
        && packet.len() >= payload + 2
    {
        let filler = sum(&[], u32::from(!met) + u32::from(right));
        packet[payload..payload + 2].copy_from_slice(&filler.to_be_bytes());
    }
    packet[l4 + at..l4 + at + 2].copy_from_slice(&wanted.unwrap_or(right).to_be_bytes());
}

fn icmp(packet: &mut Vec<u8>, words: &Words<'_>, quoted: Option<&str>, total: Option<usize>) {
    let kind = words.after("ICMP").or_else(|| words.after("ICMP6")).unwrap();
    let (kind, code) = kind.split_once('.').unwrap();
    let start = packet.len();
    packet.extend([number(kind) as u8, number(code) as u8, 0, 0]);
    packet.extend(words.number("rest").unwrap_or(0).to_be_bytes());
    packet.extend(quoted.map(self::packet).unwrap_or_default());
    packet.resize(total.unwrap_or(packet.len()), 0);
    let pseudo = if packet[0] >> 4 == 6 { pseudo(packet, 58, packet.len() - start) } else { 0 };
    let sum = !sum(&packet[start..], pseudo) ^ u16::from(words.has("BADSUM"));
    packet[start + 2..start + 4].copy_from_slice(&sum.to_be_bytes());
}

/// Lengths and the IP checksum.
fn finish(packet: &mut [u8], header: usize, words: &Words<'_>, total: Option<usize>) {
    if header == 20 {
        let total = total.unwrap_or(packet.len()) as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        let sum = !sum(&packet[..header_length(packet)], 0) ^ u16::from(words.has("BADIPSUM"));
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        let payload = (packet.len() - header) as u16;
        packet[4..6].copy_from_slice(&payload.to_be_bytes());
    }
}
