//! From a command line to a [`Command`].

use std::net::{IpAddr, Ipv4Addr};

use super::address::{number, socket};
use super::listing::View;
use super::names::inet_aton;
use super::option::{Meaning, Opt, Verb};
use super::scan::{Piece, Scanner};
use super::tunnel::TunnelOptions;
use super::{
    DaemonSettings, Method, Names, Persistence, Protocol, Role, SchedulerFlag, Server, Service, Target, TimeoutSeconds,
};

/// Longest time-out: more milliseconds do not fit into the kernel's integer.
const LONGEST: i64 = 2_147_483;

/// Seconds of `-p` without a number.
const DEFAULT_PERSISTENCE: u32 = 360;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `-h`.
    Help,
    /// `-v`.
    Version,
    /// `-C`.
    Clear,
    /// `-R`: further commands on standard input.
    Restore,
    /// `-S`.
    Save {
        /// `-n`.
        numeric: bool,
        /// No `--nosort`.
        sorted: bool,
    },
    /// `-L`.
    List(ListCommand),
    /// `-A`.
    AddService(Service),
    /// `-E`.
    EditService(Service),
    /// `-D`.
    DeleteService(Target),
    /// `-a`.
    AddServer(Target, Server),
    /// `-e`.
    EditServer(Target, Server),
    /// `-d`.
    DeleteServer(Target, IpAddr, u16),
    /// `-Z`, of everything or one service.
    Zero(Option<Target>),
    /// `--set`.
    SetTimeouts(TimeoutSeconds),
    /// `--start-daemon`.
    StartDaemon(Role, DaemonSettings),
    /// `--stop-daemon`, with `--syncid`.
    StopDaemon(Role, Option<u8>),
}

/// What `-L` is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListCommand {
    /// The table, or one service of it.
    Services {
        /// Only this one.
        target: Option<Target>,
        /// How.
        view: View,
    },
    /// `-c`.
    Connections {
        /// `-n`.
        numeric: bool,
        /// `--persistent-conn`: with persistence engines.
        engines: bool,
    },
    /// `--timeout`.
    Timeouts,
    /// `--daemon`.
    Daemons,
}

/// Why a command line is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The message, without a line end.
    pub text: String,
    /// ipvsadm's exit code: 2, or 255 where it did not understand a word.
    pub code: u8,
}

/// A fault in what an option says.
fn fault(text: impl Into<String>) -> Refusal {
    Refusal { text: text.into(), code: 2 }
}

fn not_understood(text: impl Into<String>) -> Refusal {
    Refusal { text: text.into(), code: 255 }
}

/// Understands the words after the program's name, by which it is called in messages.
pub fn parse(program: &str, words: &[String], names: &dyn Names) -> Result<Command, Refusal> {
    let mut scanner = Scanner::new(words);
    let usage = || not_understood(format!("Try `{program} -h' or '{program} --help' for more information."));
    let (verb, value) = match scanner.next() {
        None => (Verb::List, None),
        Some(Ok(Piece::Option { meaning: Meaning::Verb(verb), value, .. })) => (verb, value),
        Some(_) => return Err(usage()),
    };
    match verb {
        Verb::Help => return Ok(Command::Help),
        Verb::Version => return Ok(Command::Version),
        _ => {}
    }
    let role = value.map(|text| role(verb, &text)).transpose()?;
    let mut draft = Draft::new(names);
    while let Some(piece) = scanner.next() {
        draft.take(piece.map_err(|bad| not_understood(bad.0))?)?;
    }
    draft.finish(verb, role)
}

fn role(verb: Verb, text: &str) -> Result<Role, Refusal> {
    match text {
        "master" => Ok(Role::Master),
        "backup" => Ok(Role::Backup),
        _ if verb == Verb::StopDaemon => Err(fault("illegal start_daemon specified")),
        _ => Err(fault("illegal start-daemon parameter specified")),
    }
}

/// What has been read so far.
struct Draft<'a> {
    names: &'a dyn Names,
    seen: Vec<Opt>,
    words: Vec<String>,
    target: Option<Target>,
    scheduler: Option<String>,
    flags: String,
    persistence: Option<Persistence>,
    netmask: Ipv4Addr,
    prefix: u8,
    engine: Option<String>,
    server: Option<(IpAddr, Option<u16>)>,
    method: Method,
    weight: u32,
    thresholds: (u32, u32),
    tunnel: TunnelOptions,
    daemon: DaemonSettings,
}

impl<'a> Draft<'a> {
    fn new(names: &'a dyn Names) -> Draft<'a> {
        Draft {
            names,
            seen: Vec::new(),
            words: Vec::new(),
            target: None,
            scheduler: None,
            flags: String::new(),
            persistence: None,
            netmask: Ipv4Addr::BROADCAST,
            prefix: 128,
            engine: None,
            server: None,
            method: Method::Route,
            weight: 1,
            thresholds: (0, 0),
            tunnel: TunnelOptions::default(),
            daemon: DaemonSettings::default(),
        }
    }

    fn take(&mut self, piece: Piece) -> Result<(), Refusal> {
        match piece {
            Piece::Word(word) => self.words.push(word),
            Piece::Option { meaning: Meaning::Verb(_), typed, .. } => {
                return Err(fault(format!("invalid option `{typed}'")));
            }
            Piece::Option { meaning: Meaning::Opt(opt), name, value, .. } => {
                if self.seen.contains(&opt) && !matches!(opt, Opt::Sort | Opt::Ipv6) {
                    return Err(fault(format!("multiple '{}' options specified", opt.name())));
                }
                self.seen.push(opt);
                self.option(opt, name, value.as_deref())?;
            }
        }
        Ok(())
    }

    fn option(&mut self, opt: Opt, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let text = value.unwrap_or_default();
        match opt {
            Opt::Service => self.target = Some(self.service(name, text)?),
            Opt::Ipv6 => self.ipv6()?,
            Opt::Scheduler => self.scheduler = Some(text.to_owned()),
            Opt::SchedFlags => self.flags = text.to_owned(),
            Opt::Engine => self.engine = Some(text.to_owned()),
            Opt::Persistent => self.persistence = Some(Persistence { timeout: persistence(value)? }),
            Opt::Netmask => self.netmask(text)?,
            Opt::Server => self.server = Some(self.real_server(text)?),
            Opt::Forwarding => self.method = method(name),
            Opt::Weight => self.weight = count(text, "weight")?,
            Opt::UpperThreshold => self.thresholds.0 = count(text, "u_threshold")?,
            Opt::LowerThreshold => self.thresholds.1 = count(text, "l_threshold")?,
            Opt::TunType | Opt::TunPort | Opt::TunNoCsum | Opt::TunCsum | Opt::TunRemCsum => {
                self.tunnel.take(opt, text).map_err(fault)?;
            }
            Opt::McastInterface => self.daemon.interface = Some(text.to_owned()),
            Opt::SyncId => self.daemon.syncid = Some(within(text, 0, 255, "syncid")? as u8),
            Opt::Maxlen => self.daemon.maxlen = Some(within(text, 1, 65507, "sync-maxlen")? as u16),
            Opt::McastPort => self.daemon.port = Some(within(text, 1, 65535, "mcast-port")? as u16),
            Opt::McastTtl => self.daemon.ttl = Some(within(text, 1, 255, "mcast-ttl")? as u8),
            Opt::McastGroup => self.daemon.group = Some(group(text)?),
            _ => {}
        }
        Ok(())
    }

    fn service(&self, option: &str, text: &str) -> Result<Target, Refusal> {
        let protocol = match option {
            "fwmark-service" => {
                let mark = number(text, 1, i64::from(u32::MAX));
                let mark = mark.ok_or_else(|| fault(format!("invalid fwmark value `{text}' specified")))?;
                return Ok(Target::Mark { mark: mark as u32, ipv6: false });
            }
            "udp-service" => Protocol::Udp,
            "sctp-service" => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let socket = socket(text, protocol, self.names);
        let (address, port) = socket.ok_or_else(|| fault("illegal virtual server address[:port] specified"))?;
        Ok(Target::Address { protocol, address, port: port.unwrap_or(0) })
    }

    fn ipv6(&mut self) -> Result<(), Refusal> {
        match &mut self.target {
            Some(Target::Mark { ipv6, .. }) => {
                *ipv6 = true;
                Ok(())
            }
            _ => Err(fault("-6 used before -f")),
        }
    }

    /// A mask is of the family that the service has so far.
    fn netmask(&mut self, text: &str) -> Result<(), Refusal> {
        if self.target.as_ref().is_some_and(Target::is_ipv6) {
            let prefix = number(text, 1, 128).ok_or_else(|| fault("illegal ipv6 netmask specified"))?;
            self.prefix = prefix as u8;
        } else {
            let mask = inet_aton(text).ok_or_else(|| fault("illegal virtual server persistent mask specified"))?;
            self.netmask = mask;
        }
        Ok(())
    }

    fn real_server(&self, text: &str) -> Result<(IpAddr, Option<u16>), Refusal> {
        let found = match &self.target {
            Some(target) => socket(text, target.protocol(), self.names),
            // Without a service so far there is no protocol in which a port could have a name.
            None => socket(text, Protocol::Tcp, &Unnamed(self.names)),
        };
        found.ok_or_else(|| fault("illegal real server address[:port] specified"))
    }

    fn finish(mut self, verb: Verb, role: Option<Role>) -> Result<Command, Refusal> {
        let timeouts = (verb == Verb::Set).then(|| self.timeouts()).transpose()?;
        if let Some(word) = self.words.first() {
            return Err(fault(format!("unexpected argument {word}")));
        }
        self.check(verb)?;
        if self.seen.contains(&Opt::Service) && matches!(verb, Verb::AddService | Verb::EditService) {
            self.check_service()?;
        }
        match verb {
            Verb::AddService => self.new_service().map(Command::AddService),
            Verb::EditService => self.new_service().map(Command::EditService),
            Verb::AddServer => self.new_server().map(|(target, server)| Command::AddServer(target, server)),
            Verb::EditServer => self.new_server().map(|(target, server)| Command::EditServer(target, server)),
            _ => self.plain(verb, role, timeouts).ok_or_else(incomplete),
        }
    }

    fn timeouts(&mut self) -> Result<TimeoutSeconds, Refusal> {
        if self.words.len() < 3 {
            return Err(fault("--set option requires 3 timeout values"));
        }
        let words: Vec<String> = self.words.drain(..3).collect();
        let mut values = words.iter().map(|text| seconds(text, 0));
        let mut next = || values.next().unwrap_or(Ok(0));
        Ok(TimeoutSeconds { tcp: next()?, tcpfin: next()?, udp: next()? })
    }

    /// Options that are missing, and options that do not belong here.
    fn check(&self, verb: Verb) -> Result<(), Refusal> {
        let required = verb.required();
        let mut opts: Vec<Opt> = required.iter().chain(&self.seen).copied().collect();
        opts.sort_unstable();
        for opt in opts {
            let (name, given) = (opt.name(), self.seen.contains(&opt));
            if !given {
                let text = format!("You need to supply the '{name}' option for the '{}' command", verb.name());
                return Err(fault(text));
            }
            let known = required.contains(&opt) || verb.optional().contains(&opt);
            if !known && !matches!(opt, Opt::Sort | Opt::Ipv6) {
                return Err(fault(format!("Illegal '{name}' option with the '{}' command", verb.name())));
            }
        }
        if verb == Verb::List { self.check_list() } else { Ok(()) }
    }

    fn check_list(&self) -> Result<(), Refusal> {
        let any = |opts: &[Opt]| opts.iter().any(|opt| self.seen.contains(opt));
        let exclusive = [Opt::Connection, Opt::Timeout, Opt::Daemon];
        if any(&exclusive) && any(&[Opt::Stats, Opt::Rate, Opt::Thresholds]) {
            return Err(fault("options conflicts in the list command"));
        }
        let pairs = [
            (Opt::Timeout, Opt::Connection),
            (Opt::Daemon, Opt::Connection),
            (Opt::Service, Opt::Connection),
            (Opt::Timeout, Opt::Service),
            (Opt::Daemon, Opt::Service),
            (Opt::Daemon, Opt::Timeout),
        ];
        match pairs.into_iter().find(|(one, other)| any(&[*one]) && any(&[*other])) {
            None => Ok(()),
            Some((one, other)) => Err(fault(format!(
                "The option '{}' conflicts with the '{}' option in the 'list' command",
                one.name(),
                other.name()
            ))),
        }
    }

    fn check_service(&self) -> Result<(), Refusal> {
        let one_packet = self.seen.contains(&Opt::OnePacket);
        match self.target {
            Some(Target::Address { port: 0, .. }) if self.persistence.is_none() => {
                Err(fault("Zero port specified for non-persistent service"))
            }
            Some(Target::Address { protocol, .. }) if one_packet && protocol != Protocol::Udp => {
                Err(fault("One-Packet Scheduling is only for UDP virtual services"))
            }
            _ => Ok(()),
        }
    }

    /// Commands that make nothing new. `None` cannot happen: `check` has seen to everything that is required.
    fn plain(self, verb: Verb, role: Option<Role>, timeouts: Option<TimeoutSeconds>) -> Option<Command> {
        Some(match verb {
            Verb::DeleteService => Command::DeleteService(self.target?),
            Verb::DeleteServer => {
                let (target, (address, port)) = (self.target?, self.server?);
                Command::DeleteServer(target, address, port.unwrap_or(port_of(&target)))
            }
            Verb::List => Command::List(self.list()),
            Verb::Save => Command::Save { numeric: self.has(Opt::Numeric), sorted: !self.has(Opt::NoSort) },
            Verb::Zero => Command::Zero(self.target),
            Verb::Set => Command::SetTimeouts(timeouts?),
            Verb::StartDaemon => Command::StartDaemon(role?, self.daemon),
            Verb::StopDaemon => Command::StopDaemon(role?, self.daemon.syncid),
            Verb::Clear => Command::Clear,
            Verb::Restore => Command::Restore,
            Verb::Help => Command::Help,
            Verb::Version => Command::Version,
            Verb::AddService | Verb::EditService | Verb::AddServer | Verb::EditServer => return None,
        })
    }

    fn has(&self, opt: Opt) -> bool {
        self.seen.contains(&opt)
    }

    fn list(&self) -> ListCommand {
        let numeric = self.has(Opt::Numeric);
        match () {
            () if self.has(Opt::Connection) => {
                ListCommand::Connections { numeric, engines: self.has(Opt::PersistentConn) }
            }
            () if self.has(Opt::Timeout) => ListCommand::Timeouts,
            () if self.has(Opt::Daemon) => ListCommand::Daemons,
            () => ListCommand::Services { target: self.target, view: self.view(numeric) },
        }
    }

    fn view(&self, numeric: bool) -> View {
        View {
            numeric,
            exact: self.has(Opt::Exact),
            sorted: !self.has(Opt::NoSort),
            columns: super::listing::Columns::choose(|opt| self.has(opt)),
        }
    }

    fn new_service(self) -> Result<Service, Refusal> {
        let scheduler = self.scheduler.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "wlc".to_owned());
        Ok(Service {
            target: self.target.ok_or_else(incomplete)?,
            flags: scheduler_flags(&self.flags, &scheduler)?,
            scheduler,
            one_packet: self.has(Opt::OnePacket),
            persistence: self.persistence,
            netmask: self.netmask,
            prefix: self.prefix,
            engine: self.engine,
        })
    }

    fn new_server(self) -> Result<(Target, Server), Refusal> {
        let (target, (address, port)) = self.target.zip(self.server).ok_or_else(incomplete)?;
        let tunnel = self.tunnel.finish(self.method).map_err(fault)?;
        if target.is_ipv6() != address.is_ipv6() && self.method != Method::Tunnel {
            return Err(fault("Different address family is allowed only for tunneling servers"));
        }
        let port = port.unwrap_or(port_of(&target));
        let (upper_threshold, lower_threshold) = self.thresholds;
        let (method, weight) = (self.method, self.weight);
        Ok((target, Server { address, port, method, tunnel, weight, upper_threshold, lower_threshold }))
    }
}

/// What `check` has ruled out.
fn incomplete() -> Refusal {
    fault("the command is not complete")
}

/// Names of hosts, but of no port.
struct Unnamed<'a>(&'a dyn Names);

impl Names for Unnamed<'_> {
    fn address(&self, host: &str) -> Option<IpAddr> {
        self.0.address(host)
    }

    fn port(&self, _: &str, _: Protocol) -> Option<u16> {
        None
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        self.0.host(address)
    }

    fn service(&self, _: u16, _: Protocol) -> Option<String> {
        None
    }
}

fn port_of(target: &Target) -> u16 {
    match target {
        Target::Address { port, .. } => *port,
        Target::Mark { .. } => 0,
    }
}

fn method(option: &str) -> Method {
    match option {
        "masquerading" => Method::Masq,
        "ipip" => Method::Tunnel,
        _ => Method::Route,
    }
}

fn persistence(value: Option<&str>) -> Result<u32, Refusal> {
    value.map_or(Ok(DEFAULT_PERSISTENCE), |text| seconds(text, 1))
}

fn seconds(text: &str, least: i64) -> Result<u32, Refusal> {
    let seconds = number(text, least, LONGEST);
    seconds.map(|seconds| seconds as u32).ok_or_else(|| fault(format!("invalid timeout value `{text}' specified")))
}

fn count(text: &str, what: &str) -> Result<u32, Refusal> {
    within(text, 0, i64::from(i32::MAX), what).map(|count| count as u32)
}

fn within(text: &str, least: i64, most: i64, what: &str) -> Result<i64, Refusal> {
    number(text, least, most).ok_or_else(|| fault(format!("illegal {what} specified")))
}

fn group(text: &str) -> Result<IpAddr, Refusal> {
    let (family, group) = match text.contains(':') {
        true => ("IPv6", text.parse().ok().map(IpAddr::V6)),
        false => ("IPv4", text.parse().ok().map(IpAddr::V4)),
    };
    group.filter(IpAddr::is_multicast).ok_or_else(|| fault(format!("invalid {family} mcast-group `{text}'")))
}

fn scheduler_flags(text: &str, scheduler: &str) -> Result<Vec<SchedulerFlag>, Refusal> {
    let mut flags = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (flag, only) = match word {
            "sh-fallback" => (SchedulerFlag::First, Some("sh")),
            "sh-port" => (SchedulerFlag::Second, Some("sh")),
            "mh-fallback" => (SchedulerFlag::First, Some("mh")),
            "mh-port" => (SchedulerFlag::Second, Some("mh")),
            "flag-1" => (SchedulerFlag::First, None),
            "flag-2" => (SchedulerFlag::Second, None),
            "flag-3" => (SchedulerFlag::Third, None),
            _ => return Err(fault(format!("invalid scheduler flag `{word}'"))),
        };
        if only.is_some_and(|only| only != scheduler) {
            return Err(fault(format!("incompatible scheduler flag `{word}'")));
        }
        flags.push(flag);
    }
    flags.sort_by_key(|flag| *flag as u8);
    flags.dedup();
    Ok(flags)
}
