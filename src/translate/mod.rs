//! From the configuration's model to what each part is told. The crates do not know the file; this folder does.

pub mod checkers;
pub mod engine;
pub mod group;
pub mod names;
pub mod tls;
mod vmac;
pub mod vrrp;
