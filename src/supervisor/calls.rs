//! Calls of the control socket.

use super::services::Services;
use super::{Next, Supervisor};
use crate::control::{self, Answer, Failure, Inbox, Incoming, Server};
use crate::health::Plan;
use std::path::Path;
use tokio::sync::oneshot;
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

impl Supervisor<'_> {
    /// Has a call carried out by a task of its own. The first service that is made by hand starts the data plane.
    pub(super) fn answer(&mut self, (request, reply): Incoming) -> Next {
        let request = match self.answer_sync(request) {
            Ok(outcome) => {
                send(reply, outcome);
                return Next::Live;
            }
            Err(request) => request,
        };
        if request.makes_something() {
            self.services_for_calls();
        }
        let engine = self.services.as_ref().and_then(Services::engine);
        tokio::spawn(async move { send(reply, control::answer(request, engine).await) });
        Next::Live
    }

    /// The services, started without any of the file's where there are none yet.
    pub(super) fn services_for_calls(&mut self) -> &Services {
        let (config, outbox) = (&self.config, &self.outbox);
        self.services.get_or_insert_with(|| Services::start(Plan::default(), config, outbox))
    }
}

fn send(reply: oneshot::Sender<Result<Answer, Failure>>, outcome: Result<Answer, Failure>) {
    if reply.send(outcome).is_err() {
        tracing::debug!("a client of the control socket did not wait for its reply");
    }
}
