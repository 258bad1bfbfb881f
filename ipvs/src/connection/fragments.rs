//! Which connection a datagram's later fragments belong to: only the first carries ports.

use crate::address::Address;
use crate::connection::state::TICKS;
use crate::connection::{Connection, Direction};
use crate::hash::Seed;

/// Datagrams remembered at once; two that meet in one place take it from each other.
const PLACES: usize = 1024;
/// As long as a host waits for the rest of a datagram (Linux's `ipfrag_time`).
const LIFETIME: u32 = 30 * TICKS;

/// What the fragments of one datagram have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datagram<A> {
    pub(crate) source: A,
    pub(crate) destination: A,
    pub(crate) protocol: u8,
    pub(crate) identification: u32,
}

#[derive(Debug)]
struct Trace<A> {
    datagram: Datagram<A>,
    connection: u32,
    /// Guards against another connection in the same place of the table.
    ports: (u16, u16),
    direction: Direction,
    expires: u32,
}

#[derive(Debug)]
pub(crate) struct Fragments<A> {
    seed: Seed,
    places: Vec<Option<Trace<A>>>,
}

impl<A: Address> Fragments<A> {
    pub(crate) fn new(seed: Seed) -> Fragments<A> {
        Fragments { seed, places: std::iter::repeat_with(|| None).take(PLACES).collect() }
    }

    fn place(&mut self, datagram: &Datagram<A>) -> Option<&mut Option<Trace<A>>> {
        let rest = (u64::from(datagram.identification) << 8) | u64::from(datagram.protocol);
        let hash = A::hash(self.seed, datagram.source, datagram.destination, rest);
        self.places.get_mut(hash as usize % PLACES)
    }

    /// Remembers the connection of a datagram's first fragment.
    pub(crate) fn remember(
        &mut self,
        datagram: Datagram<A>,
        (id, direction): (u32, Direction),
        connection: &Connection<A>,
        now: u32,
    ) {
        let ports = (connection.client_port, connection.service_port);
        let expires = now.wrapping_add(LIFETIME);
        if let Some(place) = self.place(&datagram) {
            *place = Some(Trace { datagram, connection: id, ports, direction, expires });
        }
    }

    /// The connection of a later fragment; `of` gives a table entry.
    pub(crate) fn find<'c>(
        &mut self,
        datagram: &Datagram<A>,
        of: impl FnOnce(u32) -> Option<&'c Connection<A>>,
        now: u32,
    ) -> Option<(u32, Direction)> {
        let trace = self.place(datagram)?.as_ref()?;
        let fresh = trace.expires.wrapping_sub(now) as i32 > 0;
        if trace.datagram != *datagram || !fresh {
            return None;
        }
        let connection = of(trace.connection)?;
        let (near, far) = match trace.direction {
            Direction::FromClient => (connection.client, connection.service),
            Direction::FromServer => (connection.server, connection.client),
        };
        let same = (near, far) == (datagram.source, datagram.destination)
            && trace.ports == (connection.client_port, connection.service_port)
            && connection.protocol == datagram.protocol;
        same.then_some((trace.connection, trace.direction))
    }
}
