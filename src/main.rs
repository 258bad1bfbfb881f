//! The standfast daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    standfast::run::main(std::env::args_os())
}
