//! The socket to the kernel's IPVS.

use std::io;
use std::process::{Command, Stdio};

use nix::sys::socket::SockProtocol;

use super::order::{Order, Question, Refusal};
use super::{Error, decode, encode};
use crate::dataplane::netlink::{Received, Socket};
use crate::ipvsadm::{Daemon, Entry, ServerEntry, Target, TimeoutSeconds};

/// Where the kernel says by which program it loads modules.
const MODPROBE: &str = "/proc/sys/kernel/modprobe";

/// IPVS in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Kernel {
    socket: Socket,
    family: u16,
}

/// What the rest needs of the kernel.
pub(super) trait Ipvs {
    /// Carries an order out.
    fn order(&mut self, order: &Order) -> Result<(), Refusal>;

    /// The servers of a service, the latest added first; none without the service.
    fn servers(&mut self, target: &Target) -> io::Result<Vec<ServerEntry>>;
}

impl Kernel {
    /// Opens it; has the module loaded if need be.
    ///
    /// # Errors
    /// [`Error::Absent`] on a kernel without IPVS.
    pub(super) fn open() -> Result<Kernel, Error> {
        let mut socket = Socket::open(SockProtocol::NetlinkGeneric, 0).map_err(Error::system("open its socket"))?;
        let family = match family(&mut socket) {
            Some(family) => family,
            None => {
                load_module();
                family(&mut socket).ok_or(Error::Absent)?
            }
        };
        Ok(Kernel { socket, family })
    }

    /// All services with their servers.
    pub(super) fn entries(&mut self) -> io::Result<Vec<Entry>> {
        let mut entries = self.services()?;
        for entry in &mut entries {
            entry.servers = self.servers(&entry.service.target)?;
        }
        Ok(entries)
    }

    /// All services without their servers.
    pub(super) fn services(&mut self) -> io::Result<Vec<Entry>> {
        self.ask(Question::Services, decode::entry)
    }

    pub(super) fn daemons(&mut self) -> io::Result<Vec<Daemon>> {
        self.ask(Question::Daemons, decode::daemon)
    }

    pub(super) fn timeouts(&mut self) -> io::Result<Option<TimeoutSeconds>> {
        Ok(self.ask(Question::Timeouts, decode::timeouts)?.pop())
    }

    pub(super) fn table_size(&mut self) -> io::Result<Option<u32>> {
        Ok(self.ask(Question::Info, decode::table_size)?.pop())
    }

    fn ask<T>(&mut self, question: Question<'_>, read: impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        let request = encode::question(self.family, question);
        let family = self.family;
        self.socket.exchange(&request, |answer: Received<'_>| {
            found.extend(read(answer.payload).filter(|_| answer.kind == family));
        })?;
        Ok(found)
    }
}

impl Ipvs for Kernel {
    fn order(&mut self, order: &Order) -> Result<(), Refusal> {
        let done = self.socket.exchange(&encode::order(self.family, order), |_| {});
        done.map_err(|error| Refusal::new(order, error.raw_os_error().unwrap_or(libc::EIO)))
    }

    fn servers(&mut self, target: &Target) -> io::Result<Vec<ServerEntry>> {
        self.ask(Question::Servers(target), |answer| decode::server(answer, target.is_ipv6()))
    }
}

fn family(socket: &mut Socket) -> Option<u16> {
    let mut found = None;
    let asked = socket.exchange(&encode::family_request(), |answer| {
        found = found.or_else(|| decode::family_id(answer.payload));
    });
    asked.ok().and(found)
}

/// As keepalived and ipvsadm do: nothing in the kernel asks for the module.
fn load_module() {
    let program = std::fs::read_to_string(MODPROBE).unwrap_or_default();
    let program = match program.trim() {
        "" => "modprobe",
        path => path,
    };
    let quiet = |command: &mut Command| {
        command.args(["-q", "ip_vs"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    if let Err(error) = quiet(&mut Command::new(program)) {
        tracing::debug!("{program} -q ip_vs: {error}");
    }
}
