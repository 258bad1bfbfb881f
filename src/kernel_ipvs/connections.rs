//! The kernel's connections, as `/proc/net/ip_vs_conn` has them: there is no other place to read them from.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::ipvsadm::{Connection, Protocol};

/// Of the network namespace of the thread that reads; `/proc/net` is that of the first thread.
const PATH: &str = "/proc/thread-self/net/ip_vs_conn";
/// So many at once.
const PAGE: usize = 1000;

/// Reads connections page by page; the place where a page ended is kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Pages {
    open: Option<(usize, BufReader<File>)>,
}

impl Pages {
    /// Connections from the `skip`th on; none past the end.
    pub(super) fn page(&mut self, skip: usize) -> io::Result<Vec<Connection>> {
        let (at, mut file) = match self.open.take().filter(|(at, _)| *at == skip && skip > 0) {
            Some(open) => open,
            None => (0, open()?),
        };
        let mut line = Vec::new();
        for _ in at..skip {
            if !next(&mut file, &mut line)? {
                return Ok(Vec::new());
            }
        }
        let mut page = Vec::new();
        while page.len() < PAGE && next(&mut file, &mut line)? {
            page.extend(std::str::from_utf8(&line).ok().and_then(parse));
        }
        if !page.is_empty() {
            self.open = Some((skip + page.len(), file));
        }
        Ok(page)
    }
}

fn open() -> io::Result<BufReader<File>> {
    let mut file = BufReader::new(File::open(PATH)?);
    file.skip_until(b'\n')?;
    Ok(file)
}

/// The next line; false at the end.
fn next(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(file.read_until(b'\n', line)? > 0)
}

/// A line of the list: protocol, three addresses with ports, state, seconds, and the persistence engine's name and data.
fn parse(line: &str) -> Option<Connection> {
    let mut words = line.split_ascii_whitespace();
    let protocol = match words.next()? {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    };
    let [client, service, server] = [socket(&mut words)?, socket(&mut words)?, socket(&mut words)?];
    let state = words.next()?.to_owned();
    let expires = words.next()?.parse().ok()?;
    let engine = words.next().map(|name| (name.to_owned(), words.collect::<Vec<_>>().join(" ")));
    Some(Connection { protocol, expires, state, client, service, server, engine })
}

fn socket<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<SocketAddr> {
    let (address, port) = (words.next()?, words.next()?);
    let address = match u32::from_str_radix(address, 16) {
        Ok(bits) => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        Err(_) => IpAddr::V6(address.trim_matches(['[', ']']).parse().ok()?),
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a kernel 6.1 wrote them.
    #[test]
    fn lines_of_both_families() {
        let line = "TCP 0A000032 DD39 0A000064 0050 0A010032 0050 ESTABLISHED     862\n";
        let found = parse(line).unwrap();
        assert_eq!((found.protocol, found.expires, found.state.as_str()), (Some(Protocol::Tcp), 862, "ESTABLISHED"));
        assert_eq!(found.client, "10.0.0.50:56633".parse().unwrap());
        assert_eq!((found.service, found.server), ("10.0.0.100:80".parse().unwrap(), "10.1.0.50:80".parse().unwrap()));
        let line = "UDP fd00:0000:0000:0000:0000:0000:0000:0050 1388 fd00:0000:0000:0000:0000:0000:0000:0100 0035 \
                    fd01:0000:0000:0000:0000:0000:0000:0001 0035 UDP             299";
        assert_eq!(parse(line).unwrap().server, "[fd01::1]:53".parse().unwrap());
    }

    #[test]
    fn templates_of_marks_and_calls() {
        let line = "IP  0A000032 0000 000004D2 0000 0A010032 0000 NONE             59 sip a84b@pc33";
        let found = parse(line).unwrap();
        assert_eq!((found.protocol, found.service), (None, "0.0.4.210:0".parse().unwrap()));
        assert_eq!(found.engine, Some(("sip".to_owned(), "a84b@pc33".to_owned())));
    }

    proptest! {
        #[test]
        fn other_lines_are_none(line in ".{0,200}") {
            parse(&line);
        }
    }
}
