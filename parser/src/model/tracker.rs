//! What is tracked, and who tracks it.

use crate::span::Span;
use std::net::IpAddr;
use std::time::Duration;

/// `track_file NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// Name.
    pub name: String,
    /// `file`.
    pub file: String,
    /// `weight`, -254..=254, default 1: multiplier of the number in the file; 0 makes a number other than 0 a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `init_file [VALUE]`: the file is created with this number.
    pub init_file: Option<i64>,
    /// `init_file ... overwrite`.
    pub overwrite: bool,
    /// Head of the block.
    pub span: Span,
}

/// `vrrp_track_process NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackProcess {
    /// Name.
    pub name: String,
    /// `process`: command and the arguments that must match.
    pub process: Vec<String>,
    /// `param_match`.
    pub param_match: ParamMatch,
    /// `weight`, -254..=254; 0 makes a missing process a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `quorum`, default 1.
    pub quorum: u32,
    /// `quorum_max`; `None` is unlimited.
    pub quorum_max: Option<u32>,
    /// `fork_delay`, or `delay`.
    pub fork_delay: Duration,
    /// `terminate_delay`, or `delay`.
    pub terminate_delay: Duration,
    /// `full_command`.
    pub full_command: bool,
    /// Head of the block.
    pub span: Span,
}

/// `param_match`: how the arguments of a tracked process are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ParamMatch {
    /// Only the command counts.
    #[default]
    None,
    /// `param_match`: all arguments.
    Exact,
    /// `param_match initial`: the first arguments, the last one in part.
    Initial,
    /// `param_match partial`: the first arguments.
    Partial,
}

/// `bfd_instance NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdInstance {
    /// Name.
    pub name: String,
    /// `neighbor_ip`.
    pub neighbor: IpAddr,
    /// `source_ip`.
    pub source: Option<IpAddr>,
    /// `min_rx`, default 10 ms.
    pub min_rx: Duration,
    /// `min_tx`, default 10 ms.
    pub min_tx: Duration,
    /// `idle_tx`, default 1 s.
    pub idle_tx: Duration,
    /// `multiplier`, default 5.
    pub multiplier: u8,
    /// `passive`.
    pub passive: bool,
    /// `ttl` or `hoplimit`, default 255 for IPv4 and 64 for IPv6.
    pub ttl: u8,
    /// `max_hops`, -1 accepts any; default 0.
    pub max_hops: i16,
    /// `multihop`: UDP port 4784 (RFC 5883).
    pub multihop: bool,
    /// `weight`, -253..=253; 0 makes a lost session a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// `vrrp` absent or `checker` absent: which side hears of it. True: VRRP does.
    pub vrrp: bool,
    /// True: the checkers hear of it.
    pub checker: bool,
    /// Head of the block.
    pub span: Span,
}

/// One line of `track_interface`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedInterface {
    /// Interface.
    pub name: String,
    /// `weight`; 0 makes a loss a fault.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
}

/// One line of `track_script`, `track_file`, `track_process` or `track_bfd`: a tracked thing by name, with the weight of this tracking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedWeight {
    /// Name of a vrrp_script, track_file, vrrp_track_process or bfd_instance that exists.
    pub name: String,
    /// `weight` of this tracking; `None` takes the tracked thing's.
    pub weight: Option<i32>,
    /// `reverse` (true) or `noreverse` of this tracking, only with `weight`; `None` takes the tracked thing's.
    pub reverse: Option<bool>,
}

impl TrackedWeight {
    /// Weight and `reverse` of this tracking, where those of the tracked thing are `own`.
    #[must_use]
    pub fn weighed(&self, own: (i32, bool)) -> (i32, bool) {
        (self.weight.unwrap_or(own.0), self.reverse.unwrap_or(own.1))
    }
}
