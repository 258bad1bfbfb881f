//! The failover lab: a client, two directors and two web servers on this machine, and what happens when they die.
//!
//! ```text
//! cargo run --release --example failover -- --mode nat
//! ```
//!
//! Every machine is a network namespace; the directors run the real daemon on the shipped `examples/*.conf`. The exit code is 0
//! when everything was as expected, 1 when not, and 2 when the lab cannot run here.

mod network;
mod roles;
mod story;
mod timeline;
mod traffic;

// This one program plays every role: it starts itself again as the daemon and as the web servers.
use network::Mode;
use standfast_labkit::{require_tools, sandbox};
use std::process::ExitCode;

const USAGE: &str = "usage: failover [--mode nat|dr] [--daemon COMMAND] [--verbose]
  --mode      how the directors forward: nat (default) or dr
  --daemon    another program (and first arguments) with keepalived's command line in place of standfast
  --verbose   show what the daemons log";

struct Options {
    mode: Mode,
    daemon: Option<String>,
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("daemon") => standfast::run::main(std::env::args_os().skip(1)),
        Some("web-server") => roles::web_server(&arguments[2..]),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => match parse(&arguments[1..]) {
            Ok(options) => lab(&options),
            Err(complaint) => {
                eprintln!("{complaint}\n{USAGE}");
                ExitCode::from(2)
            }
        },
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options { mode: Mode::Nat, daemon: None, verbose: false };
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        match argument {
            "--mode" => options.mode = Mode::from_name(rest.next().unwrap_or_default())?,
            "--daemon" => options.daemon = Some(rest.next().ok_or("--daemon needs a command")?.to_owned()),
            "--verbose" => options.verbose = true,
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(options)
}

fn lab(options: &Options) -> ExitCode {
    let entered = require_tools(&["ip"]).and_then(|()| sandbox::enter());
    match entered {
        Err(reason) => {
            eprintln!("failover: {reason}");
            ExitCode::from(2)
        }
        Ok(_) => match story::tell(options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("failover: {error}");
                ExitCode::from(2)
            }
        },
    }
}
