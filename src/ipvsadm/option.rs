//! ipvsadm's options and commands, and which go together.

/// An option that is no command. The order is the one in which faults are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opt {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forwarding,
    Weight,
    UpperThreshold,
    LowerThreshold,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    SyncId,
    Exact,
    OnePacket,
    Engine,
    SchedFlags,
    TunInfo,
    TunType,
    TunPort,
    TunNoCsum,
    TunCsum,
    TunRemCsum,
    Maxlen,
    McastGroup,
    McastPort,
    McastTtl,
    Sort,
    Ipv6,
}

impl Opt {
    /// As messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Opt::Numeric => "numeric",
            Opt::Connection => "connection",
            Opt::Service => "service-address",
            Opt::Scheduler => "scheduler",
            Opt::Persistent => "persistent",
            Opt::Netmask => "netmask",
            Opt::Server => "real-server",
            Opt::Forwarding => "forwarding-method",
            Opt::Weight => "weight",
            Opt::UpperThreshold => "u-threshold",
            Opt::LowerThreshold => "l-threshold",
            Opt::McastInterface => "mcast-interface",
            Opt::Timeout => "timeout",
            Opt::Daemon => "daemon",
            Opt::Stats => "stats",
            Opt::Rate => "rate",
            Opt::Thresholds => "thresholds",
            Opt::PersistentConn => "persistent-conn",
            Opt::NoSort => "nosort",
            Opt::SyncId => "syncid",
            Opt::Exact => "exact",
            Opt::OnePacket => "ops",
            Opt::Engine => "pe",
            Opt::SchedFlags => "sched-flags",
            Opt::TunInfo => "tun-info",
            Opt::TunType => "tun-type",
            Opt::TunPort => "tun-port",
            Opt::TunNoCsum => "tun-nocsum",
            Opt::TunCsum => "tun-csum",
            Opt::TunRemCsum => "tun-remcsum",
            Opt::Maxlen => "sync-maxlen",
            Opt::McastGroup => "mcast-group",
            Opt::McastPort => "mcast-port",
            Opt::McastTtl => "mcast-ttl",
            Opt::Sort => "sort",
            Opt::Ipv6 => "ipv6",
        }
    }
}

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    AddService,
    EditService,
    DeleteService,
    Clear,
    Restore,
    Save,
    AddServer,
    EditServer,
    DeleteServer,
    List,
    Zero,
    Set,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
}

impl Verb {
    /// As messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::AddService => "add-service",
            Verb::EditService => "edit-service",
            Verb::DeleteService => "delete-service",
            Verb::Clear => "flush",
            Verb::Restore => "restore",
            Verb::Save => "save",
            Verb::AddServer => "add-server",
            Verb::EditServer => "edit-server",
            Verb::DeleteServer => "delete-server",
            Verb::List => "list",
            Verb::Zero => "zero",
            Verb::Set => "set",
            Verb::StartDaemon => "start-daemon",
            Verb::StopDaemon => "stop-daemon",
            Verb::Help => "help",
            Verb::Version => "version",
        }
    }

    /// Options without which it means nothing.
    pub(super) fn required(self) -> &'static [Opt] {
        match self {
            Verb::AddService | Verb::EditService | Verb::DeleteService => &[Opt::Service],
            Verb::AddServer | Verb::EditServer | Verb::DeleteServer => &[Opt::Service, Opt::Server],
            _ => &[],
        }
    }

    /// Options that it takes besides.
    pub(super) fn optional(self) -> &'static [Opt] {
        use Opt::*;
        match self {
            Verb::AddService | Verb::EditService => &[Scheduler, Persistent, Netmask, OnePacket, Engine, SchedFlags],
            Verb::AddServer | Verb::EditServer => {
                &[Forwarding, Weight, UpperThreshold, LowerThreshold, TunType, TunPort, TunNoCsum, TunCsum, TunRemCsum]
            }
            Verb::Save => &[Numeric, NoSort],
            Verb::List => &[
                Numeric,
                Connection,
                Service,
                Timeout,
                Daemon,
                Stats,
                Rate,
                Thresholds,
                PersistentConn,
                NoSort,
                SyncId,
                Exact,
                TunInfo,
            ],
            Verb::Zero => &[Service],
            Verb::StartDaemon => &[McastInterface, SyncId, Maxlen, McastGroup, McastPort, McastTtl],
            Verb::StopDaemon => &[SyncId],
            _ => &[],
        }
    }
}

/// What a word of the command line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A command.
    Verb(Verb),
    /// An option.
    Opt(Opt),
}

/// Whether an option is followed by a word of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// Never.
    None,
    /// Always.
    Needed,
    /// If the next word does not begin with a dash.
    Optional,
}

/// A row of the table of options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) short: Option<char>,
    pub(super) long: &'static str,
    pub(super) argument: Argument,
    pub(super) meaning: Meaning,
}

const fn verb(short: char, long: &'static str, verb: Verb) -> Row {
    Row { short: Some(short), long, argument: Argument::None, meaning: Meaning::Verb(verb) }
}

const fn long_verb(long: &'static str, argument: Argument, verb: Verb) -> Row {
    Row { short: None, long, argument, meaning: Meaning::Verb(verb) }
}

const fn flag(short: char, long: &'static str, opt: Opt) -> Row {
    Row { short: Some(short), long, argument: Argument::None, meaning: Meaning::Opt(opt) }
}

const fn long_flag(long: &'static str, opt: Opt) -> Row {
    Row { short: None, long, argument: Argument::None, meaning: Meaning::Opt(opt) }
}

const fn value(short: char, long: &'static str, opt: Opt) -> Row {
    Row { short: Some(short), long, argument: Argument::Needed, meaning: Meaning::Opt(opt) }
}

const fn long_value(long: &'static str, opt: Opt) -> Row {
    Row { short: None, long, argument: Argument::Needed, meaning: Meaning::Opt(opt) }
}

/// Every option.
pub(super) const TABLE: &[Row] = &[
    verb('A', "add-service", Verb::AddService),
    verb('E', "edit-service", Verb::EditService),
    verb('D', "delete-service", Verb::DeleteService),
    verb('C', "clear", Verb::Clear),
    verb('R', "restore", Verb::Restore),
    verb('S', "save", Verb::Save),
    verb('a', "add-server", Verb::AddServer),
    verb('e', "edit-server", Verb::EditServer),
    verb('d', "delete-server", Verb::DeleteServer),
    verb('L', "list", Verb::List),
    verb('l', "list", Verb::List),
    verb('Z', "zero", Verb::Zero),
    long_verb("set", Argument::None, Verb::Set),
    long_verb("start-daemon", Argument::Needed, Verb::StartDaemon),
    long_verb("stop-daemon", Argument::Needed, Verb::StopDaemon),
    verb('h', "help", Verb::Help),
    verb('v', "version", Verb::Version),
    value('t', "tcp-service", Opt::Service),
    value('u', "udp-service", Opt::Service),
    long_value("sctp-service", Opt::Service),
    value('f', "fwmark-service", Opt::Service),
    value('s', "scheduler", Opt::Scheduler),
    Row { short: Some('p'), long: "persistent", argument: Argument::Optional, meaning: Meaning::Opt(Opt::Persistent) },
    value('M', "netmask", Opt::Netmask),
    value('r', "real-server", Opt::Server),
    flag('m', "masquerading", Opt::Forwarding),
    flag('i', "ipip", Opt::Forwarding),
    flag('g', "gatewaying", Opt::Forwarding),
    value('w', "weight", Opt::Weight),
    value('x', "u-threshold", Opt::UpperThreshold),
    value('y', "l-threshold", Opt::LowerThreshold),
    flag('n', "numeric", Opt::Numeric),
    flag('c', "connection", Opt::Connection),
    long_value("mcast-interface", Opt::McastInterface),
    long_value("syncid", Opt::SyncId),
    long_value("sync-maxlen", Opt::Maxlen),
    long_value("mcast-group", Opt::McastGroup),
    long_value("mcast-port", Opt::McastPort),
    long_value("mcast-ttl", Opt::McastTtl),
    long_flag("timeout", Opt::Timeout),
    long_flag("daemon", Opt::Daemon),
    long_flag("stats", Opt::Stats),
    long_flag("rate", Opt::Rate),
    long_flag("thresholds", Opt::Thresholds),
    long_flag("persistent-conn", Opt::PersistentConn),
    long_flag("nosort", Opt::NoSort),
    long_flag("sort", Opt::Sort),
    long_flag("exact", Opt::Exact),
    flag('6', "ipv6", Opt::Ipv6),
    flag('o', "ops", Opt::OnePacket),
    long_value("pe", Opt::Engine),
    value('b', "sched-flags", Opt::SchedFlags),
    long_flag("tun-info", Opt::TunInfo),
    long_value("tun-type", Opt::TunType),
    long_value("tun-port", Opt::TunPort),
    long_flag("tun-nocsum", Opt::TunNoCsum),
    long_flag("tun-csum", Opt::TunCsum),
    long_flag("tun-remcsum", Opt::TunRemCsum),
];
