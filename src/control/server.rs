//! The daemon's end of the control socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Answer, Call, Failure, Reply, Request, VERSION};

/// Clients at a time; more wait until one leaves or is thrown out.
const CLIENTS: usize = 16;
/// Longest call, bytes.
const LONGEST_CALL: u64 = 64 << 10;
/// How long a client may take for a call, or to read its reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls that wait for the supervisor.
const BACKLOG: usize = 16;
/// Pause when the system gives no more descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// A call and where its reply goes.
pub type Incoming = (Request, oneshot::Sender<Result<Answer, Failure>>);

/// Calls for the supervisor.
pub type Inbox = mpsc::Receiver<Incoming>;

/// Listens until it is dropped; then the socket's file is removed.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens at `path`, where a file of a daemon that was killed is replaced.
    ///
    /// # Errors
    /// What the system says, or that another daemon listens there.
    pub fn start(path: PathBuf) -> io::Result<(Server, Inbox)> {
        make_room(&path)?;
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let (calls, inbox) = mpsc::channel(BACKLOG);
        let task = tokio::spawn(accept(listener, calls));
        Ok((Server { path, task }, inbox))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Removes a socket that nobody listens at. Only a socket: whatever else lies there is not ours.
fn make_room(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::other("a file that is no socket lies there")),
        Ok(_) => match Probe::connect(path) {
            Ok(_) => Err(io::Error::other("another daemon listens there")),
            Err(_) => std::fs::remove_file(path),
        },
    }
}

async fn accept(listener: UnixListener, calls: mpsc::Sender<Incoming>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // The semaphore is never closed; if it were, nobody could be served any more.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, calls.clone(), place))),
            Err(error) => {
                tracing::warn!("control socket: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One client, call after call, until it leaves or takes too long.
async fn serve(stream: UnixStream, calls: mpsc::Sender<Incoming>, _place: OwnedSemaphorePermit) {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    loop {
        let line = match tokio::time::timeout(PATIENCE, line(&mut reading)).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None) | Err(_)) | Err(_) => return,
        };
        let reply = Reply::from(reply(&line, &calls).await);
        let Ok(mut text) = serde_json::to_vec(&reply) else { return };
        text.push(b'\n');
        if !matches!(tokio::time::timeout(PATIENCE, writing.write_all(&text)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// A line without its end; `None` at the end of the stream and for a line that is too long.
async fn line(reading: &mut BufReader<tokio::net::unix::OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reading.take(LONGEST_CALL).read_until(b'\n', &mut line).await?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

async fn reply(line: &[u8], calls: &mpsc::Sender<Incoming>) -> Result<Answer, Failure> {
    let call: Call = serde_json::from_slice(line).map_err(|error| Failure::new(format!("not a call: {error}")))?;
    if call.version != VERSION {
        let text = format!("this daemon speaks version {VERSION} of the protocol, not {}", call.version);
        return Err(Failure::new(text));
    }
    let stopping = || Failure::new("the daemon is stopping");
    let (reply, answer) = oneshot::channel();
    calls.send((call.request, reply)).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())?
}
