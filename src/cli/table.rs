//! The options that keepalived has, one row each: the parser and the help text are made from this table.

/// What an option does; the parser maps each to a field of [`super::Options`] or to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// `-f`: configuration file or pattern.
    UseFile,
    /// `-P`: VRRP only.
    Vrrp,
    /// `-C`: health checking and forwarding only.
    Check,
    /// `-B`: no BFD.
    NoBfd,
    /// `--all`.
    All,
    /// `-l`: log to the console.
    LogConsole,
    /// `-D`: detailed log.
    LogDetail,
    /// `-S`: syslog facility.
    LogFacility,
    /// `-g`: log to a file.
    LogFile,
    /// `--flush-log-file`.
    FlushLogFile,
    /// `-G`: no syslog.
    NoSyslog,
    /// `-u`: file creation mask.
    Umask,
    /// `-X`: drop addresses when a signal ends the daemon.
    ReleaseVips,
    /// `-V`: keep addresses at stop.
    DontReleaseVrrp,
    /// `-I`: keep virtual services at stop.
    DontReleaseIpvs,
    /// `--lvs-backend`: who forwards.
    LvsBackend,
    /// `-R`: do not restart a part that died.
    DontRespawn,
    /// `-n`: stay in the foreground.
    DontFork,
    /// `-d`: log the configuration at start.
    DumpConf,
    /// `-p`: pid file.
    PidFile,
    /// `-r`: pid file of VRRP.
    VrrpPidFile,
    /// `-c`: pid file of health checking.
    CheckersPidFile,
    /// `-b`: pid file of BFD.
    BfdPidFile,
    /// `-T`: genhash.
    Genhash,
    /// `-a`: log address changes.
    AddressMonitoring,
    /// `-x`: SNMP.
    Snmp,
    /// `-A`: SNMP agent socket.
    SnmpAgentSocket,
    /// `-s`: network namespace.
    Namespace,
    /// `-m`: core dumps.
    CoreDump,
    /// `-M`: core pattern.
    CoreDumpPattern,
    /// `-e`: every configuration file must exist.
    AllConfig,
    /// `-i`: configuration id for `@id` lines.
    ConfigId,
    /// `--ignore-sigint`.
    IgnoreSigint,
    /// `--signum`: print the number of a signal.
    Signum,
    /// `-t`: test the configuration.
    ConfigTest,
    /// `--json`: findings as JSON.
    Json,
    /// `--print-config`: print the effective configuration.
    PrintConfig,
    /// `--replay`: judge the packets of a capture.
    Replay,
    /// `--web-address`: where metrics and the status page are served.
    WebAddress,
    /// `-v`: version.
    Version,
    /// `-h`: help.
    Help,
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// It takes none.
    None,
    /// It needs one, attached or as the next word; the text names it in the help.
    Required(&'static str),
    /// It takes one only when attached (`-tFILE`, `--config-test=FILE`).
    Attached(&'static str),
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Letter, if it has one.
    pub short: Option<char>,
    /// Long name without dashes.
    pub long: &'static str,
    /// Its value.
    pub value: Value,
    /// What it does.
    pub meaning: Meaning,
    /// Help text; a line break continues in the same column.
    pub help: &'static str,
}

const fn row(short: char, long: &'static str, value: Value, meaning: Meaning, help: &'static str) -> Row {
    Row { short: Some(short), long, value, meaning, help }
}

const fn long(long: &'static str, value: Value, meaning: Meaning, help: &'static str) -> Row {
    Row { short: None, long, value, meaning, help }
}

/// Every option, in the order of the help text.
pub const OPTIONS: &[Row] = &[
    row(
        'f',
        "use-file",
        Value::Required("FILE"),
        Meaning::UseFile,
        "Read this configuration file\n(default /etc/keepalived/keepalived.conf)",
    ),
    row('P', "vrrp", Value::None, Meaning::Vrrp, "Run VRRP only"),
    row('C', "check", Value::None, Meaning::Check, "Run health checking and forwarding only"),
    row('B', "no_bfd", Value::None, Meaning::NoBfd, "Run without BFD"),
    long("all", Value::None, Meaning::All, "Run every part even without configuration (accepted)"),
    row('l', "log-console", Value::None, Meaning::LogConsole, "Log to the terminal too (with --dont-fork)"),
    row('D', "log-detail", Value::None, Meaning::LogDetail, "Log in detail"),
    row(
        'S',
        "log-facility",
        Value::Required("0-7|local0-7|user|daemon"),
        Meaning::LogFacility,
        "Syslog facility (default daemon)",
    ),
    row('g', "log-file", Value::Required("FILE"), Meaning::LogFile, "Log to this file too; SIGHUP opens it again"),
    long("flush-log-file", Value::None, Meaning::FlushLogFile, "Write every line to the file at once (always so)"),
    row('G', "no-syslog", Value::None, Meaning::NoSyslog, "Keep syslog out of it"),
    row('u', "umask", Value::Required("MASK"), Meaning::Umask, "File creation mask (022, 0x12, 18)"),
    row(
        'X',
        "release-vips",
        Value::None,
        Meaning::ReleaseVips,
        "Drop virtual addresses when a signal ends the daemon\n(always so, unless -V)",
    ),
    row('V', "dont-release-vrrp", Value::None, Meaning::DontReleaseVrrp, "Leave virtual addresses in place at stop"),
    row(
        'I',
        "dont-release-ipvs",
        Value::None,
        Meaning::DontReleaseIpvs,
        "Leave virtual services in place at stop, where the kernel's\nIPVS forwards (those of the embedded engine end with it)",
    ),
    long(
        "lvs-backend",
        Value::Required("embedded|kernel|auto"),
        Meaning::LvsBackend,
        "Who forwards, whatever the file says: this daemon, the\nkernel's IPVS, or the kernel's where it has one",
    ),
    row('R', "dont-respawn", Value::None, Meaning::DontRespawn, "Stop the daemon when one of its parts dies"),
    row('n', "dont-fork", Value::None, Meaning::DontFork, "Stay in the foreground"),
    row('d', "dump-conf", Value::None, Meaning::DumpConf, "Log the configuration as it was understood"),
    row('p', "pid", Value::Required("FILE"), Meaning::PidFile, "Pid file of the daemon (default /run/keepalived.pid)"),
    row(
        'r',
        "vrrp_pid",
        Value::Required("FILE"),
        Meaning::VrrpPidFile,
        "Pid file written while VRRP runs (default /run/vrrp.pid)",
    ),
    row(
        'T',
        "genhash",
        Value::None,
        Meaning::Genhash,
        "Compute the digest of a web page; must be the first option,\nthose of genhash follow",
    ),
    row(
        'c',
        "checkers_pid",
        Value::Required("FILE"),
        Meaning::CheckersPidFile,
        "Pid file written while health checking runs\n(default /run/checkers.pid)",
    ),
    row(
        'a',
        "address-monitoring",
        Value::None,
        Meaning::AddressMonitoring,
        "Log every address that comes or goes (accepted)",
    ),
    row('b', "bfd_pid", Value::Required("FILE"), Meaning::BfdPidFile, "Pid file of BFD (accepted, never written)"),
    row('x', "snmp", Value::None, Meaning::Snmp, "Enable SNMP (accepted, there is none)"),
    row('A', "snmp-agent-socket", Value::Required("FILE"), Meaning::SnmpAgentSocket, "SNMP agent socket (accepted)"),
    row('s', "namespace", Value::Required("NAME"), Meaning::Namespace, "Run in this network namespace"),
    row('m', "core-dump", Value::None, Meaning::CoreDump, "Allow core dumps"),
    row(
        'M',
        "core-dump-pattern",
        Value::Attached("PATTERN"),
        Meaning::CoreDumpPattern,
        "Allow core dumps (the system's pattern is left alone)",
    ),
    row('e', "all-config", Value::None, Meaning::AllConfig, "A missing configuration file is an error"),
    row(
        'i',
        "config-id",
        Value::Required("ID"),
        Meaning::ConfigId,
        "Keep lines that begin with @ID, drop those that begin with\n@^ID (default: the host name up to its first dot)",
    ),
    long("ignore-sigint", Value::None, Meaning::IgnoreSigint, "Do not stop on SIGINT"),
    long(
        "signum",
        Value::Required("NAME"),
        Meaning::Signum,
        "Print the number of the signal for STOP, RELOAD, DATA, STATS\nor JSON",
    ),
    row(
        't',
        "config-test",
        Value::Attached("FILE"),
        Meaning::ConfigTest,
        "Check the configuration, report to standard error or FILE",
    ),
    long("json", Value::None, Meaning::Json, "With --config-test: report as JSON, for editors and CI"),
    long(
        "print-config",
        Value::None,
        Meaning::PrintConfig,
        "Print the effective configuration, every default spelled out\n(findings go to standard error, status as --config-test)",
    ),
    long(
        "replay",
        Value::Required("FILE"),
        Meaning::Replay,
        "Print what forwarding would do with each packet of a pcap file",
    ),
    long(
        "web-address",
        Value::Required("ADDRESS[:PORT]"),
        Meaning::WebAddress,
        "Serve metrics, health and a status page there (port 9650),\nin place of web_address in the configuration",
    ),
    row('v', "version", Value::None, Meaning::Version, "Print the version"),
    row('h', "help", Value::None, Meaning::Help, "Print this text"),
];
