//! The standfast daemon as a library: everything that owns sockets, netlink, clocks, signals and processes.
