//! Interfaces that a configuration names, for whoever can see whether they exist.

use crate::span::Span;

/// An interface that is named somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceMention {
    /// Its name.
    pub name: String,
    /// What it is for: `vrrp_instance V1`.
    pub role: String,
    /// What its absence means.
    pub need: Need,
    /// Where it is named.
    pub span: Span,
}

/// What it means that an interface does not exist and `dynamic_interfaces` is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// keepalived does not start.
    Start,
    /// keepalived complains and ignores what named it.
    Line,
    /// As `Line`, and keepalived's test ends with 4 when nothing worse is found.
    Fatal,
}
