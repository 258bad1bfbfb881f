//! `standfast status`, `why`, `events`, and orders to a running daemon.

mod events;
mod line;
mod plan;
mod status;
mod time;
mod why;

use crate::control::{self, Answer, Client, ClientError, Request, ServerName};
use crate::plan::{Outcome, Outlook};
use crate::status::Status;
use clap::{CommandFactory as _, Parser as _};
use line::{Command, Line, ServerArgument};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long a client waits for the next event before it asks again.
const EVENT_WAIT_MS: u64 = 4000;

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0}")]
    Said(String),
    /// Nobody reads on.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// The grammar of clients' command lines, for help, completion and the man page.
#[must_use]
pub fn command_line() -> clap::Command {
    Line::command()
}

/// Runs a client's command line; `None` where it is not one but the daemon's.
#[must_use]
pub fn run(words: &[String]) -> Option<ExitCode> {
    let first = words.first()?;
    if !Line::command().get_subcommands().any(|command| command.get_name() == first) {
        return None;
    }
    let line = match Line::try_parse_from(std::iter::once("standfast").chain(words.iter().map(String::as_str))) {
        Ok(line) => line,
        Err(error) => {
            // Nobody is left to be told when the output is closed.
            let _ = error.print();
            return Some(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    Some(match carry_out(&line) {
        Ok(code) => code,
        // `standfast events --follow | head` ends here.
        Err(Trouble::Output(_)) => ExitCode::SUCCESS,
        Err(trouble) => {
            let _ = writeln!(io::stderr(), "standfast: {trouble}");
            ExitCode::FAILURE
        }
    })
}

fn carry_out(line: &Line) -> Result<ExitCode, Trouble> {
    if let Command::Completion { shell } = &line.command {
        // It panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Line::command(), "standfast", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut session =
        Session { client: Client::connect(&line.socket.clone().unwrap_or_else(control::socket))?, json: line.json };
    session.run(&line.command)
}

struct Session {
    client: Client,
    json: bool,
}

impl Session {
    fn run(&mut self, command: &Command) -> Result<ExitCode, Trouble> {
        match command {
            Command::Status => self.status(),
            Command::Why { subject, from } => self.why(subject, from),
            Command::Events { follow, last } => self.events(*follow, *last),
            Command::Drain { server, deadline } => {
                self.order(Request::Drain { server: name(server), deadline_ms: ms(*deadline) })
            }
            Command::Undrain { server } => self.order(Request::Undrain { server: name(server) }),
            Command::Weight { server, weight, lasts } => {
                self.order(Request::Weight { server: name(server), weight: *weight, lasts_ms: ms(*lasts) })
            }
            Command::Pause { server, lasts } => {
                self.order(Request::Pause { server: name(server), lasts_ms: ms(*lasts) })
            }
            Command::Resume { server } => self.order(Request::Resume { server: name(server) }),
            Command::Failover { instance, lasts } => {
                let lasts_ms = ms(Some(*lasts)).unwrap_or_default();
                self.order(Request::Failover { instance: instance.clone(), lasts_ms })
            }
            Command::Plan { file } => {
                let request = Request::Plan { file: absolute(file.as_deref())? };
                self.outlook(request, plan::status)
            }
            Command::Reload { file, refuse_destructive } => {
                let (file, refuse_destructive) = (absolute(file.as_deref())?, *refuse_destructive);
                self.outlook(Request::Reload { file, refuse_destructive }, |outlook| {
                    u8::from(outlook.outcome == Outcome::Refused)
                })
            }
            // Answered without the daemon.
            Command::Completion { .. } => Ok(ExitCode::SUCCESS),
        }
    }

    fn picture(&mut self) -> Result<Status, Trouble> {
        match self.client.call(Request::Status)? {
            Answer::Status(status) => Ok(*status),
            _ => Err(unexpected()),
        }
    }

    fn status(&mut self) -> Result<ExitCode, Trouble> {
        let picture = self.picture()?;
        self.show(&picture, || status::text(&picture))?;
        Ok(ExitCode::SUCCESS)
    }

    fn why(&mut self, subject: &str, from: &[String]) -> Result<ExitCode, Trouble> {
        let picture = self.picture()?;
        let found = why::find(&picture, subject).map_err(Trouble::Said)?;
        if let Some((client, port)) = why::client(from).map_err(Trouble::Said)? {
            return self.why_client(&picture, found, client, port);
        }
        if self.json {
            print(&found.json())?;
        } else {
            print(&found.text(&picture))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn why_client(
        &mut self,
        picture: &Status,
        found: why::Found<'_>,
        client: IpAddr,
        port: Option<u16>,
    ) -> Result<ExitCode, Trouble> {
        let why::Found::Service(service) = found else {
            return Err(Trouble::Said("`from CLIENT` is for virtual servers".to_owned()));
        };
        let remembered = match self.client.call(Request::Client { client, port })? {
            Answer::Client(remembered) => remembered,
            _ => return Err(unexpected()),
        };
        let ours: Vec<_> = remembered.into_iter().filter(|entry| why::is_of(service, entry)).collect();
        self.show(&ours, || why::client_text(picture, service, &ours, client))?;
        Ok(ExitCode::SUCCESS)
    }

    fn events(&mut self, follow: bool, last: usize) -> Result<ExitCode, Trouble> {
        let mut known = 0;
        let mut kept = Vec::new();
        loop {
            let entries = self.events_after(known, 0)?;
            let Some(latest) = entries.last().map(|entry| entry.number) else { break };
            known = latest;
            kept.extend(entries);
        }
        for entry in kept.iter().skip(kept.len().saturating_sub(last)) {
            print(&events::line(entry, self.json))?;
        }
        if follow { self.follow(known) } else { Ok(ExitCode::SUCCESS) }
    }

    /// Ends with the daemon, or when nobody reads on.
    fn follow(&mut self, mut known: u64) -> Result<ExitCode, Trouble> {
        loop {
            for entry in self.events_after(known, EVENT_WAIT_MS)? {
                known = entry.number;
                print(&events::line(&entry, self.json))?;
            }
        }
    }

    fn events_after(&mut self, after: u64, wait_ms: u64) -> Result<Vec<crate::status::JournalEntry>, Trouble> {
        match self.client.call(Request::Events { after, wait_ms })? {
            Answer::Events(entries) => Ok(entries),
            _ => Err(unexpected()),
        }
    }

    fn outlook(&mut self, request: Request, status: impl Fn(&Outlook) -> u8) -> Result<ExitCode, Trouble> {
        let outlook = match self.client.call(request)? {
            Answer::Plan(outlook) => *outlook,
            _ => return Err(unexpected()),
        };
        self.show(&outlook, || plan::text(&outlook))?;
        Ok(ExitCode::from(status(&outlook)))
    }

    fn order(&mut self, request: Request) -> Result<ExitCode, Trouble> {
        let told = match self.client.call(request)? {
            Answer::Told(told) => told,
            _ => return Err(unexpected()),
        };
        self.show(&told, || told.iter().map(|sentence| format!("{sentence}\n")).collect())?;
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<(), Trouble> {
        print(&if self.json { json(value) } else { text() })
    }
}

/// A value on a line of its own.
fn json(value: &impl serde::Serialize) -> String {
    // Our own structures have string keys only, so that nothing can go wrong.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

fn print(text: &str) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The daemon has another working directory.
fn absolute(file: Option<&Path>) -> Result<Option<String>, Trouble> {
    let path = file.map(std::path::absolute).transpose()?;
    let text = path.map(|path| path.into_os_string().into_string()).transpose();
    text.map_err(|path| Trouble::Said(format!("{} is no path that can be told", path.display())))
}

fn unexpected() -> Trouble {
    Trouble::Said("the daemon gave an answer to another question".to_owned())
}

fn name(argument: &ServerArgument) -> ServerName {
    ServerName { server: argument.server, service: argument.service.clone() }
}

fn ms(duration: Option<Duration>) -> Option<u64> {
    duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
