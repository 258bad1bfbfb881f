//! `ipvsadm -L`: tables to the column.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use super::option::Opt;
use super::{
    Connection, Counts, Daemon, Entry, Method, Names, Protocol, SchedulerFlag, ServerEntry, Service, Table, Target,
    TimeoutSeconds,
};

/// How services are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// `-n`: no names.
    pub numeric: bool,
    /// `--exact`: long numbers are not shortened.
    pub exact: bool,
    /// No `--nosort`.
    pub sorted: bool,
    /// Which columns.
    pub(super) columns: Columns,
}

/// Which columns a table of services has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    Plain,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    TunInfo,
}

impl Columns {
    /// Of several options the first of this list counts.
    pub(super) fn choose(has: impl Fn(Opt) -> bool) -> Columns {
        let choices = [
            (Opt::Stats, Columns::Stats),
            (Opt::Rate, Columns::Rate),
            (Opt::Thresholds, Columns::Thresholds),
            (Opt::PersistentConn, Columns::PersistentConn),
            (Opt::TunInfo, Columns::TunInfo),
        ];
        choices.into_iter().find(|(opt, _)| has(*opt)).map_or(Columns::Plain, |(_, columns)| columns)
    }

    fn head(self) -> &'static str {
        match self {
            Columns::Plain => {
                "Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
            }
            Columns::TunInfo => {
                "Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
            }
            Columns::Stats => {
                "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  -> RemoteAddress:Port\n"
            }
            Columns::Rate => {
                "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  -> RemoteAddress:Port\n"
            }
            Columns::Thresholds => {
                "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  -> RemoteAddress:Port\n"
            }
            Columns::PersistentConn => {
                "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  -> RemoteAddress:Port\n"
            }
        }
    }
}

/// Makes text of what the daemon answers.
pub struct Listing<'a> {
    names: Option<&'a dyn Names>,
    text: String,
}

impl<'a> Listing<'a> {
    fn new(numeric: bool, names: &'a dyn Names) -> Listing<'a> {
        Listing { names: (!numeric).then_some(names), text: String::new() }
    }

    /// All services, or `only` one: then the first line is left out.
    pub fn services(mut table: Table, only: bool, view: View, names: &'a dyn Names) -> String {
        if view.sorted {
            super::sort::sort(&mut table.entries);
        }
        let mut listing = Listing::new(view.numeric, names);
        if !only {
            listing.line(format_args!("IP Virtual Server version 1.2.1 (size={})", table.size));
        }
        listing.text.push_str(view.columns.head());
        for entry in &table.entries {
            listing.service(entry, view);
        }
        listing.text
    }

    /// Connections; `engines` adds the columns of the persistence engine.
    pub fn connections(connections: &[Connection], numeric: bool, engines: bool, names: &'a dyn Names) -> String {
        let mut listing = Listing::new(numeric, names);
        let more = if engines { "        pe name          pe_data" } else { "" };
        listing.line(format_args!(
            "IPVS connection entries\npro expire state       source             virtual            destination{more}"
        ));
        for connection in connections {
            listing.connection(connection, engines);
        }
        listing.text
    }

    /// `--timeout`.
    pub fn timeouts(timeouts: TimeoutSeconds) -> String {
        format!("Timeout (tcp tcpfin udp): {} {} {}\n", timeouts.tcp, timeouts.tcpfin, timeouts.udp)
    }

    /// `--daemon`.
    pub fn daemons(daemons: &[Daemon]) -> String {
        daemons.iter().map(daemon).collect()
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn service(&mut self, entry: &Entry, view: View) {
        let name = self.target(&entry.service.target);
        match view.columns {
            Columns::Stats => self.counts(&format!("{name:<33}"), &entry.counts, view.exact),
            Columns::Rate => self.counts(&format!("{name:<33}"), &entry.rates, view.exact),
            _ => self.line(format_args!("{name} {}", details(&entry.service))),
        }
        let protocol = entry.service.target.protocol();
        for server in &entry.servers {
            // The port of a firewall mark's server has no protocol and so no name.
            let address = match entry.service.target {
                Target::Mark { .. } => SocketAddr::new(server.server.address, server.server.port).to_string(),
                Target::Address { .. } => self.socket(server.server.address, server.server.port, Some(protocol)),
            };
            self.server(&address, server, view);
        }
    }

    fn server(&mut self, address: &str, entry: &ServerEntry, view: View) {
        let (server, load) = (&entry.server, format!("{:<10} {:<10}", entry.active, entry.inactive));
        let (method, weight) = (server.method.name(), server.weight);
        match view.columns {
            Columns::Plain => self.line(format_args!("  -> {address:<28} {method:<7} {weight:<6} {load}")),
            Columns::TunInfo => {
                let tunnel = match server.method {
                    Method::Tunnel => server.tunnel.short(),
                    _ => "n/a".to_owned(),
                };
                self.line(format_args!("  -> {address:<28} {method:<7} {tunnel:<13} {weight:<6} {load}"));
            }
            Columns::Stats => self.counts(&format!("  -> {address:<28}"), &entry.counts, view.exact),
            Columns::Rate => self.counts(&format!("  -> {address:<28}"), &entry.rates, view.exact),
            Columns::Thresholds => {
                let (upper, lower) = (server.upper_threshold, server.lower_threshold);
                self.line(format_args!("  -> {address:<28} {upper:<10} {lower:<10} {load}"));
            }
            Columns::PersistentConn => {
                let persistent = entry.persistent;
                self.line(format_args!("  -> {address:<28} {weight:<9} {persistent:<11} {load}"));
            }
        }
    }

    fn counts(&mut self, name: &str, counts: &Counts, exact: bool) {
        let values = [counts.connections, counts.in_packets, counts.out_packets, counts.in_bytes, counts.out_bytes];
        let columns: String = values.into_iter().map(|value| format!(" {:>8}", short(value, exact))).collect();
        self.line(format_args!("{name}{columns}"));
    }

    fn connection(&mut self, connection: &Connection, engines: bool) {
        let name = connection.protocol.map_or("IP", Protocol::name);
        let expires = format!("{:02}:{:02}", connection.expires / 60, connection.expires % 60);
        let socket = |socket: SocketAddr| self.socket(socket.ip(), socket.port(), connection.protocol);
        let (client, service) = (socket(connection.client), socket(connection.service));
        let server = socket(connection.server);
        let state = &connection.state;
        match (&connection.engine, engines) {
            (Some((engine, data)), true) => self.line(format_args!(
                "{name:<3} {expires:<6} {state:<11} {client:<18} {service:<18} {server:<18} {engine:<16} {data}"
            )),
            _ => self.line(format_args!("{name:<3} {expires:<6} {state:<11} {client:<18} {service:<18} {server}")),
        }
    }

    fn target(&self, target: &Target) -> String {
        match *target {
            Target::Mark { mark, ipv6 } => format!("FWM  {}{}", mark as i32, if ipv6 { " IPv6" } else { "" }),
            Target::Address { protocol, address, port } => {
                format!("{:<4} {}", protocol.name(), self.socket(address, port, Some(protocol)))
            }
        }
    }

    fn socket(&self, address: IpAddr, port: u16, protocol: Option<Protocol>) -> String {
        let host = self.names.and_then(|names| names.host(address).filter(|_| address.is_ipv4()));
        let port_name = self.names.zip(protocol).and_then(|(names, protocol)| names.service(port, protocol));
        let port = port_name.unwrap_or_else(|| port.to_string());
        match (host, address) {
            (Some(host), _) => format!("{host}:{port}"),
            (None, IpAddr::V4(address)) => format!("{address}:{port}"),
            (None, IpAddr::V6(address)) => format!("[{address}]:{port}"),
        }
    }
}

impl Method {
    /// As listings write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Masq => "Masq",
            Method::Route => "Route",
            Method::Tunnel => "Tunnel",
            Method::Local => "Local",
            Method::FullNat => "FullNAT",
        }
    }
}

/// Scheduler, flags, persistence and the rest of a service's line.
fn details(service: &Service) -> String {
    let mut text = service.scheduler.clone();
    let flags = flags(service);
    if !flags.is_empty() {
        text += &format!(" ({flags})");
    }
    if let Some(persistence) = service.persistence {
        text += &format!(" persistent {}", persistence.timeout);
        if let Some(mask) = mask(service) {
            text += &format!(" mask {mask}");
        }
    }
    if let Some(engine) = service.engine.as_ref().filter(|_| service.persistence.is_some()) {
        text += &format!(" pe {engine}");
    }
    if service.one_packet {
        text += " ops";
    }
    text
}

/// Names of the scheduler's flags, comma-separated; empty for none.
pub(super) fn flags(service: &Service) -> String {
    let name = |flag: &SchedulerFlag| match (service.scheduler.as_str(), flag) {
        ("sh", SchedulerFlag::First) => Some("sh-fallback"),
        ("sh", SchedulerFlag::Second) => Some("sh-port"),
        ("mh", SchedulerFlag::First) => Some("mh-fallback"),
        ("mh", SchedulerFlag::Second) => Some("mh-port"),
        ("sh" | "mh", SchedulerFlag::Third) => None,
        (_, SchedulerFlag::First) => Some("flag-1"),
        (_, SchedulerFlag::Second) => Some("flag-2"),
        (_, SchedulerFlag::Third) => Some("flag-3"),
    };
    service.flags.iter().filter_map(name).collect::<Vec<_>>().join(",")
}

/// The granularity of a persistent service, if it is not that of a single client.
pub(super) fn mask(service: &Service) -> Option<String> {
    match service.target.is_ipv6() {
        true => (service.prefix != 128).then(|| service.prefix.to_string()),
        false => (service.netmask.to_bits() != u32::MAX).then(|| service.netmask.to_string()),
    }
}

/// Numbers of nine digits and more lose the last three, six or nine for a letter.
fn short(value: u64, exact: bool) -> String {
    match value {
        _ if exact => value.to_string(),
        0..100_000_000 => value.to_string(),
        100_000_000..100_000_000_000 => format!("{}K", value / 1_000),
        100_000_000_000..100_000_000_000_000 => format!("{}M", value / 1_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => format!("{}G", value / 1_000_000_000),
        _ => format!("{}T", value / 1_000_000_000_000),
    }
}

fn daemon(daemon: &Daemon) -> String {
    let role = daemon.role.word();
    let Daemon { interface, syncid, maxlen, group, port, ttl, .. } = daemon;
    format!(
        "{role} sync daemon (mcast={interface}, syncid={syncid}, maxlen={maxlen}, group={group}, port={port}, ttl={ttl})\n"
    )
}
