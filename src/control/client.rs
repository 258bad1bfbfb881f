//! A client's end of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::message::Outcome;
use super::{Answer, Call, Failure, Reply, Request, VERSION};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest reply, bytes.
const LONGEST_REPLY: u64 = 256 << 20;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no daemon to talk to.
    #[error("cannot reach the daemon at {path}: {source}{advice}")]
    Unreachable {
        /// The socket.
        path: String,
        /// What the system said.
        source: io::Error,
        /// What to do about it.
        advice: &'static str,
    },
    /// It did not answer as it should.
    #[error("the daemon does not answer: {0}")]
    Broken(String),
    /// It refused.
    #[error("{}", .0.text)]
    Refused(Failure),
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    reading: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the daemon that listens at `path`.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let stream = UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => Ok(Client { reading: BufReader::new(stream) }),
            Err(source) => {
                let advice = advice(source.kind());
                Err(ClientError::Unreachable { path: path.display().to_string(), source, advice })
            }
        }
    }

    /// Makes a call and waits for the reply.
    ///
    /// # Errors
    /// What the daemon says, or that it says nothing.
    pub fn call(&mut self, request: Request) -> Result<Answer, ClientError> {
        let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
        let call = Call { version: VERSION, request };
        let mut line = serde_json::to_vec(&call).map_err(|error| broken(&error))?;
        line.push(b'\n');
        self.reading.get_mut().write_all(&line).map_err(|error| broken(&error))?;
        let mut line = Vec::new();
        let read = (&mut self.reading).take(LONGEST_REPLY).read_until(b'\n', &mut line);
        read.map_err(|error| broken(&error))?;
        let reply: Reply = serde_json::from_slice(&line).map_err(|error| broken(&error))?;
        match reply.outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Failure(failure) => Err(ClientError::Refused(failure)),
        }
    }
}

fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            " (is it running? The variable STANDFAST_SOCKET names another socket)"
        }
        io::ErrorKind::PermissionDenied => " (only root may ask)",
        _ => "",
    }
}
