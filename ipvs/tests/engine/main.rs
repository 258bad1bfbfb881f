//! The engine as its driver sees it: bytes and time in, verdicts out.

#![expect(clippy::disallowed_methods, reason = "a test needs some moment to begin at")]

#[cfg(test)]
mod captures;
#[cfg(test)]
mod carriage;
#[cfg(test)]
mod defence;
#[cfg(test)]
mod full_nat;
#[cfg(test)]
#[path = "../../../fuzz/director.rs"]
mod fuzz;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod persistence;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod sctp_states;
#[cfg(test)]
mod services;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod tcp_states;
#[cfg(test)]
mod tunnels;
