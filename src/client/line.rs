//! The command line of clients.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Asks a running daemon, and tells it what to do.
#[derive(Debug, Parser)]
#[command(name = "standfast", disable_help_subcommand = true)]
pub(super) struct Line {
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The daemon's control socket [default: $STANDFAST_SOCKET, else /run/keepalived.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show instances, virtual servers, real servers and their checks
    Status,
    /// Explain the state of an instance, a sync group, a virtual server or a real server
    Why {
        /// VI_1, 10.0.0.100:80, 10.1.0.1:80 ...
        subject: String,
        /// "from CLIENT": which server a client of a virtual server gets, and by which rule
        #[arg(value_name = "from CLIENT", num_args = 0..=2)]
        from: Vec<String>,
    },
    /// Show what happened
    Events {
        /// Go on with what happens from now on
        #[arg(short, long)]
        follow: bool,
        /// How many of the latest events
        #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT")]
        last: usize,
    },
    /// Keep new connections away from a real server
    Drain {
        #[command(flatten)]
        server: ServerArgument,
        /// Give its last connections up after this time (30s, 5m, 1h)
        #[arg(long, value_name = "TIME", value_parser = super::time::parse)]
        deadline: Option<Duration>,
    },
    /// Undo drain and weight
    Undrain {
        #[command(flatten)]
        server: ServerArgument,
    },
    /// Give a real server another weight
    Weight {
        #[command(flatten)]
        server: ServerArgument,
        /// 0 to 65535
        #[arg(value_parser = clap::value_parser!(u32).range(0..=65535))]
        weight: u32,
        /// Only for this time (30s, 5m, 1h)
        #[arg(long = "for", value_name = "TIME", value_parser = super::time::parse)]
        lasts: Option<Duration>,
    },
    /// Pause the checks of a real server: they keep their verdicts
    Pause {
        #[command(flatten)]
        server: ServerArgument,
        /// Only for this time (30s, 5m, 1h)
        #[arg(long = "for", value_name = "TIME", value_parser = super::time::parse)]
        lasts: Option<Duration>,
    },
    /// Let paused checks go on
    Resume {
        #[command(flatten)]
        server: ServerArgument,
    },
    /// Have a master and its sync group resign, so that another router takes over
    Failover {
        /// Name of the instance
        instance: String,
        /// How long this router then leaves a master of lower priority in place
        #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = super::time::parse)]
        lasts: Duration,
    },
    /// Show what a reload would change on the live system, and what it would cost
    ///
    /// The exit status is 0 when nothing changes, 3 when something does, 4 when a master would give up, an address leave this host or
    /// connections be cut, and 1 when the file would not be applied.
    Plan {
        /// This file in place of the daemon's own
        #[arg(short = 'f', long = "use-file", value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Have the daemon read its configuration again, and show what that changed
    Reload {
        /// This file in place of the daemon's own, this once: a later reload reads the daemon's own again
        #[arg(short = 'f', long = "use-file", value_name = "FILE")]
        file: Option<PathBuf>,
        /// Change nothing if a master would give up, an address leave this host or connections be cut
        #[arg(long)]
        refuse_destructive: bool,
    },
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// A real server.
#[derive(Debug, Args)]
pub(super) struct ServerArgument {
    /// Address and port: 10.1.0.1:80, [2001:db8::1]:80
    pub(super) server: SocketAddr,
    /// Only in this virtual server (10.0.0.100:80, a firewall mark, or the name of a group); else wherever it stands
    #[arg(long, value_name = "SERVICE")]
    pub(super) service: Option<String>,
}
