//! `ipvsadm -S`: the commands that make a table.

use std::net::{IpAddr, SocketAddr};

use super::listing::{flags, mask};
use super::{Entry, Method, Names, Protocol, Server, ServerEntry, Service, Table, Target};

/// One command a line, without the program's name.
pub fn save(mut table: Table, numeric: bool, sorted: bool, names: &dyn Names) -> String {
    if sorted {
        super::sort::sort(&mut table.entries);
    }
    let names = (!numeric).then_some(names);
    table.entries.iter().map(|entry| commands(entry, names)).collect()
}

fn commands(entry: &Entry, names: Option<&dyn Names>) -> String {
    let target = target(&entry.service.target, names);
    let mut text = format!("-A {target} {}\n", options(&entry.service));
    for ServerEntry { server, .. } in &entry.servers {
        text += &format!("-a {target} {}\n", server_options(server, &entry.service.target, names));
    }
    text
}

fn target(target: &Target, names: Option<&dyn Names>) -> String {
    match *target {
        Target::Mark { mark, ipv6 } => format!("-f {}{}", mark as i32, if ipv6 { " -6" } else { "" }),
        Target::Address { protocol, address, port } => {
            format!("{} {}", protocol.option(), socket(address, port, protocol, names))
        }
    }
}

fn options(service: &Service) -> String {
    let mut text = format!("-s {}", service.scheduler);
    if let Some(persistence) = service.persistence {
        text += &format!(" -p {}", persistence.timeout);
        if let Some(mask) = mask(service) {
            text += &format!(" -M {mask}");
        }
    }
    if let Some(engine) = &service.engine {
        text += &format!(" --pe {engine}");
    }
    if service.one_packet {
        text += " -o";
    }
    let flags = flags(service);
    if !flags.is_empty() {
        text += &format!(" -b {flags}");
    }
    text
}

fn server_options(server: &Server, of: &Target, names: Option<&dyn Names>) -> String {
    let address = match of {
        Target::Mark { .. } => SocketAddr::new(server.address, server.port).to_string(),
        Target::Address { protocol, .. } => socket(server.address, server.port, *protocol, names),
    };
    let method = match server.method {
        Method::Masq | Method::FullNat => "-m",
        Method::Route | Method::Local => "-g",
        Method::Tunnel => "-i",
    };
    let tunnel = match server.method {
        Method::Tunnel => format!(" {}", server.tunnel.options()),
        _ => String::new(),
    };
    format!("-r {address} {method} -w {}{tunnel}", server.weight)
}

fn socket(address: IpAddr, port: u16, protocol: Protocol, names: Option<&dyn Names>) -> String {
    let host = names.and_then(|names| names.host(address).filter(|_| address.is_ipv4()));
    let port = names.and_then(|names| names.service(port, protocol)).unwrap_or_else(|| port.to_string());
    match (host, address) {
        (Some(host), _) => format!("{host}:{port}"),
        (None, IpAddr::V4(address)) => format!("{address}:{port}"),
        (None, IpAddr::V6(address)) => format!("[{address}]:{port}"),
    }
}
