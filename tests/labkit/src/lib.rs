//! Small networks made of network namespaces, for tests and for the failover lab.
//!
//! A [`Lab`] is a set of [`Host`]s (network namespaces) and [`Switch`]es (bridges in a namespace of their own), joined by
//! veth cables. Namespaces are held by file descriptors and never by name, so nothing is left in `/run/netns`: they vanish
//! with the process and its children, whatever the way it ends. Interface names inside a host are free: `eth0`, `ens33`.
//!
//! Two levels of isolation:
//! - [`Lab::new`] needs root (`CAP_SYS_ADMIN` and `CAP_NET_ADMIN`) and works in any test, in any thread.
//! - [`sandbox::enter`], called first thing in `main`, moves the whole program into a PID, mount and network namespace, as
//!   root or as an ordinary user inside a user namespace. All that it starts is killed with it by the kernel. [`harness::main`]
//!   does this for a test binary (`harness = false`) and shows a test that cannot run as ignored, with its reason.
//!
//! It does not emulate loss or delay, and it never touches the interfaces, addresses or routes of the machine.

pub mod harness;
mod host;
mod process;
mod root;
pub mod sandbox;
pub mod servers;
mod wait;

pub use host::{Host, Lab, Switch};
pub use process::{Finished, Process};
pub use wait::{eventually, wait_until};

use std::fmt;

/// Why this machine or this user cannot run a lab, as one sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Looks for every program of `tools` in `PATH` and the system directories.
///
/// # Errors
/// Names the first that is missing and the Debian package that has it, where that is known.
pub fn require_tools(tools: &[&str]) -> Result<(), Unavailable> {
    match tools.iter().find(|tool| find_tool(tool).is_none()) {
        None => Ok(()),
        Some(tool) => Err(Unavailable(format!("the program `{tool}` is missing{}", package_hint(tool)))),
    }
}

/// The path of `tool`, from `PATH` or from `/usr/sbin` and its like, which an ordinary user's `PATH` often lacks.
pub fn find_tool(tool: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]);
    places.filter(|place| !place.is_empty()).map(|place| std::path::Path::new(place).join(tool)).find(|p| p.is_file())
}

fn package_hint(tool: &str) -> String {
    let package = match tool {
        "ip" | "ss" | "bridge" => "iproute2",
        "nft" => "nftables",
        "nginx" => "nginx-light",
        "nc" => "netcat-openbsd",
        "unshare" | "nsenter" => "util-linux",
        "sysctl" => "procps",
        "keepalived" | "ipvsadm" | "tcpdump" | "arping" | "curl" | "haproxy" | "ethtool" => tool,
        _ => return String::new(),
    };
    format!(" (Debian: apt-get install {package})")
}
