//! Tables that killed processes have left behind, once they are without effect.

use std::io;
use std::path::Path;

use nix::sys::socket::SockProtocol;

use super::WILL;
use super::rules::{ALIVE, Batch, FAMILY_INET, FAMILY_NETDEV, ask_for_elements, ask_for_tables};
use crate::dataplane::netlink::{Received, Socket, attributes};

/// The name of a table, or the list of a set's elements, among the attributes of an answer.
const NAME: u16 = 1;
const LIST: u16 = 3;

/// Deletes the tables in which the element has ended: a living process writes it anew in time, and without it nothing in them counts.
///
/// # Errors
/// What the kernel says.
pub(super) fn sweep() -> io::Result<()> {
    sweep_if(|_| false)
}

/// The same at an orderly end, and those whose process is gone: nobody waits for another director any more. A process of another PID
/// namespace is taken for gone; it writes its table anew.
///
/// # Errors
/// What the kernel says.
pub(super) fn sweep_orphans() -> io::Result<()> {
    sweep_if(is_orphan)
}

/// Whether no process has the number in a table's name.
fn is_orphan(table: &str) -> bool {
    let number = table.trim_start_matches(WILL).trim_start_matches('-').split('-').next();
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn sweep_if(dead: impl Fn(&str) -> bool) -> io::Result<()> {
    let mut socket = Socket::open(SockProtocol::NetlinkNetFilter, 0)?;
    for family in [FAMILY_NETDEV, FAMILY_INET] {
        for table in wills(&mut socket, family)? {
            if dead(&table) || has_ended(&mut socket, family, &table)? {
                let mut batch = Batch::of_family(&table, family);
                batch.delete();
                socket.exchange(&batch.finish(), |_| ())?;
                tracing::debug!(table, "what a killed daemon has left behind is deleted");
            }
        }
    }
    Ok(())
}

fn wills(socket: &mut Socket, family: u8) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    socket.exchange(&ask_for_tables(family), |answer| {
        let name = value(answer, NAME).and_then(|bytes| std::str::from_utf8(bytes).ok());
        names.extend(name.map(|name| name.trim_end_matches('\0').to_owned()).filter(|name| name.starts_with(WILL)));
    })?;
    Ok(names)
}

/// A table of that name without such a set is somebody else's.
fn has_ended(socket: &mut Socket, family: u8, table: &str) -> io::Result<bool> {
    let mut elements = 0;
    let asked = socket.exchange(&ask_for_elements(family, table, ALIVE), |answer| {
        elements += value(answer, LIST).map_or(0, |list| attributes(list).count());
    });
    match asked {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        asked => asked.map(|()| elements == 0),
    }
}

/// An attribute behind the header of nfnetlink.
fn value(answer: Received<'_>, wanted: u16) -> Option<&[u8]> {
    let found = attributes(answer.payload.get(4..)?).find(|(kind, _)| *kind == wanted);
    found.map(|(_, value)| value)
}
