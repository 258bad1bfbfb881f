//! The web servers of the lab are processes of their own, so that they can be killed.

use standfast_labkit::servers::{Behaviour, respond};
use standfast_labkit::{Host, Process, wait_until};
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

/// Starts this program again as a web server on `host` and waits until it listens.
pub fn start_web_server(host: &Host, name: &str, address: &str) -> io::Result<Process> {
    let program = std::env::current_exe()?;
    let mut command = host.command(program);
    let process = host.start_command(command.args(["web-server", name, address]))?;
    match wait_until(Duration::from_secs(5), || process.output().contains("listening")) {
        Some(_) => Ok(process),
        None => Err(io::Error::other(format!("the web server {name} does not start: {}", process.output()))),
    }
}

/// The process that answers every request on `address` with `name`.
pub fn web_server(arguments: &[String]) -> ExitCode {
    let [name, address] = arguments else { return ExitCode::from(2) };
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("listening");
    for stream in listener.incoming().flatten() {
        let behaviour = Behaviour::Text(name.clone());
        std::thread::spawn(move || respond(&stream, &behaviour));
    }
    ExitCode::SUCCESS
}
