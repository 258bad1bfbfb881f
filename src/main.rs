//! The standfast daemon.

fn main() {}
