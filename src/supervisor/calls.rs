//! Calls of the control socket.

use crate::control::{Inbox, Incoming, Server};
use std::path::Path;
use tracing::warn;

/// The socket, if it could be opened: the daemon does its work without.
pub(super) struct Calls(Option<(Server, Inbox)>);

impl Calls {
    pub(super) fn listen(path: &Path) -> Self {
        match Server::start(path.to_owned()) {
            Ok(server) => Self(Some(server)),
            Err(error) => {
                warn!("No control socket at {}: {error}", path.display());
                Self(None)
            }
        }
    }

    /// The next call; for ever none where there is no socket.
    pub(super) async fn next(&mut self) -> Incoming {
        if let Some((_, inbox)) = &mut self.0
            && let Some(call) = inbox.recv().await
        {
            return call;
        }
        std::future::pending().await
    }
}
