//! From the configuration's model to what each part is told. The crates do not know the file; this folder does.

pub mod checkers;
pub mod engine;
pub mod group;
pub mod names;
mod vmac;
pub mod vrrp;
