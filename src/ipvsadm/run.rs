//! The command: reads the words, asks the daemon, prints.

use std::io::{self, BufRead, Write};
use std::path::Path;

use super::parse::{Command, ListCommand, parse};
use super::{Listing, Names, SystemNames, Table, USAGE, VERSION, save, split};
use crate::control::{Answer, Client, ClientError, Request};

/// ipvsadm's exit code for what the engine refuses.
const REFUSED: u8 = 255;

/// Longest line of `-R`, bytes.
const LONGEST_LINE: usize = 64 << 10;

/// What a command leaves: text for standard output, text for standard error, and an exit code.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    out: String,
    err: String,
    code: u8,
}

impl Outcome {
    fn done() -> Outcome {
        Outcome::default()
    }

    fn shown(out: String) -> Outcome {
        Outcome { out, ..Outcome::default() }
    }

    fn failed(text: impl std::fmt::Display, code: u8) -> Outcome {
        Outcome { err: format!("{text}\n"), code, ..Outcome::default() }
    }
}

/// Runs the command line `words` against the daemon that listens at `socket`; returns the exit code.
#[must_use]
pub fn run(program: &str, words: &[String], socket: &Path) -> u8 {
    let names = SystemNames::read();
    let mut session = Session { program, names: &names, socket, client: None };
    let outcome = match parse(program, words, &names) {
        Ok(Command::Restore) => session.restore(&mut io::stdin().lock()),
        Ok(command) => session.run(command),
        Err(refusal) => Outcome::failed(refusal.text, refusal.code),
    };
    print(&outcome);
    outcome.code
}

fn print(outcome: &Outcome) {
    // Nobody is left to be told when an output is closed.
    let _ = io::stdout().write_all(outcome.out.as_bytes());
    let _ = io::stderr().write_all(outcome.err.as_bytes());
}

struct Session<'a> {
    program: &'a str,
    names: &'a dyn Names,
    socket: &'a Path,
    client: Option<Client>,
}

impl Session<'_> {
    fn call(&mut self, request: Request) -> Result<Answer, ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(Client::connect(self.socket)?),
        };
        client.call(request)
    }

    fn run(&mut self, command: Command) -> Outcome {
        let request = match command {
            Command::Help => return Outcome::shown(format!("{VERSION}\n{USAGE}")),
            Command::Version => return Outcome::shown(format!("{VERSION}\n")),
            Command::Save { numeric, sorted } => {
                return self
                    .table()
                    .map_or_else(refused, |table| Outcome::shown(save(table, numeric, sorted, self.names)));
            }
            Command::List(list) => return self.list(list).unwrap_or_else(refused),
            Command::Restore => return Outcome::failed("-R within -R", 2),
            Command::Clear => Request::Clear,
            Command::AddService(service) => Request::AddService(service),
            Command::EditService(service) => Request::EditService(service),
            Command::DeleteService(target) => Request::RemoveService(target),
            Command::AddServer(target, server) => Request::AddServer(target, server),
            Command::EditServer(target, server) => Request::EditServer(target, server),
            Command::DeleteServer(target, address, port) => Request::RemoveServer(target, address, port),
            Command::Zero(target) => Request::Zero(target),
            Command::SetTimeouts(timeouts) => Request::SetTimeouts(timeouts),
            Command::StartDaemon(role, settings) => Request::StartDaemon(role, settings),
            Command::StopDaemon(role, syncid) => Request::StopDaemon(role, syncid),
        };
        self.call(request).map_or_else(refused, |_| Outcome::done())
    }

    /// Each line is a command line of its own. One that is none ends it; what the engine refuses does not.
    fn restore(&mut self, input: &mut dyn BufRead) -> Outcome {
        let mut all = Outcome::done();
        let mut line = Vec::new();
        loop {
            line.clear();
            match io::Read::take(&mut *input, LONGEST_LINE as u64).read_until(b'\n', &mut line) {
                Ok(0) => return all,
                Ok(_) if line.len() >= LONGEST_LINE => return Outcome::failed("a line is too long", 2),
                Ok(_) => {}
                Err(error) => return Outcome::failed(error, 1),
            }
            let words = split(&String::from_utf8_lossy(&line));
            let words = if words.is_empty() { vec![String::new()] } else { words };
            match parse(self.program, &words, self.names) {
                Ok(command) => {
                    let next = self.run(command);
                    all = Outcome { out: all.out + &next.out, err: all.err + &next.err, code: next.code };
                }
                Err(refusal) => {
                    return Outcome { err: format!("{}{}\n", all.err, refusal.text), code: refusal.code, ..all };
                }
            }
        }
    }

    fn table(&mut self) -> Result<Table, ClientError> {
        match self.call(Request::Services)? {
            Answer::Services(table) => Ok(table),
            other => Err(unexpected(&other)),
        }
    }

    fn list(&mut self, list: ListCommand) -> Result<Outcome, ClientError> {
        Ok(match list {
            ListCommand::Services { target, view } => {
                let mut table = self.table()?;
                if let Some(target) = target {
                    table.entries.retain(|entry| entry.service.target == target);
                    if table.entries.is_empty() {
                        return Ok(Outcome::failed("No such service", 1));
                    }
                }
                Outcome::shown(Listing::services(table, target.is_some(), view, self.names))
            }
            ListCommand::Connections { numeric, engines } => {
                Outcome::shown(Listing::connections(&self.connections()?, numeric, engines, self.names))
            }
            ListCommand::Timeouts => match self.call(Request::Timeouts)? {
                Answer::Timeouts(timeouts) => Outcome::shown(Listing::timeouts(timeouts)),
                other => return Err(unexpected(&other)),
            },
            ListCommand::Daemons => match self.call(Request::Daemons)? {
                Answer::Daemons(daemons) => Outcome::shown(Listing::daemons(&daemons)),
                other => return Err(unexpected(&other)),
            },
        })
    }

    /// The daemon gives them in pieces, so that a long list holds no packet up.
    fn connections(&mut self) -> Result<Vec<super::Connection>, ClientError> {
        let mut all = Vec::new();
        loop {
            match self.call(Request::Connections { skip: all.len() })? {
                Answer::Connections(more) if more.is_empty() => return Ok(all),
                Answer::Connections(more) => all.extend(more),
                other => return Err(unexpected(&other)),
            }
        }
    }
}

fn refused(error: ClientError) -> Outcome {
    Outcome::failed(error, REFUSED)
}

fn unexpected(answer: &Answer) -> ClientError {
    ClientError::Broken(format!("an answer to another question: {answer:?}"))
}
