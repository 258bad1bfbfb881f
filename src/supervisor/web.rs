//! What the web server asks, and where it serves.

use super::services::Services;
use super::virtual_routers::VirtualRouters;
use super::{Next, Supervisor};
use crate::web::{Desk, Health, Question, Server, Vitals};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Questions that may wait; the server asks one at a time of each kind.
const BACKLOG: usize = 4;
/// A part that takes longer than this to answer counts as failing.
const PATIENCE: Duration = Duration::from_secs(1);

/// The server, if it is wanted, and its line to the supervisor.
pub(super) struct Web {
    line: Sender<Question>,
    questions: Receiver<Question>,
    server: Option<Server>,
}

impl Default for Web {
    fn default() -> Self {
        let (line, questions) = channel(BACKLOG);
        Self { line, questions, server: None }
    }
}

impl Web {
    /// The next question.
    pub(super) async fn next(&mut self) -> Question {
        match self.questions.recv().await {
            Some(question) => question,
            // The line is held here and never closes.
            None => std::future::pending().await,
        }
    }
}

impl Supervisor<'_> {
    /// Serves where the command line or the configuration says; what is served at the same address goes on.
    pub(super) fn load_web(&mut self) {
        let wanted = self.options.web_address.or(self.config.globals.web_address);
        if self.web.server.as_ref().map(Server::address) == wanted {
            return;
        }
        let before = self.web.server.take();
        self.web.server = match wanted {
            Some(address) => self.serve(address, before),
            None => None,
        };
    }

    fn serve(&self, address: SocketAddr, before: Option<Server>) -> Option<Server> {
        let desk = Desk::new(self.web.line.clone(), self.journal.clone());
        let started = Server::start(address, desk, before);
        started.inspect_err(|error| tracing::error!("Cannot start the web server's thread: {error}")).ok()
    }

    /// Has a question answered by a task of its own.
    pub(super) fn tell_web(&self, question: Question) -> Next {
        // Whoever asked may have lost patience.
        match question {
            Question::Picture(reply) => {
                let asked = self.status();
                tokio::spawn(async move { reply.send(asked.await).is_ok() });
            }
            Question::Vitals(reply) => {
                let asked = self.vitals();
                tokio::spawn(async move { reply.send(asked.await).is_ok() });
            }
        }
        Next::Live
    }

    fn vitals(&self) -> impl Future<Output = Vitals> + Send + use<> {
        let vrrp = self.routers.as_ref().map(VirtualRouters::answers);
        let without_vrrp = if self.config.instances.is_empty() { Health::Unused } else { Health::Failing };
        let alive = self.services.as_ref().map(Services::are_alive);
        let forwarder = self.services.as_ref().and_then(Services::forwarder);
        let without_engine = if self.services.is_none() { Health::Unused } else { Health::Failing };
        let reports = self.services.as_ref().map(|services| services.health().reports());
        async move {
            let vrrp = async {
                match vrrp {
                    Some(answers) => Health::of(tokio::time::timeout(PATIENCE, answers).await == Ok(true)),
                    None => without_vrrp,
                }
            };
            let forwarding = async {
                match forwarder {
                    Some(forwarder) => {
                        Health::of(matches!(tokio::time::timeout(PATIENCE, forwarder.snapshot()).await, Ok(Some(_))))
                    }
                    None => without_engine,
                }
            };
            let checks = async {
                match reports {
                    Some(reports) => {
                        Health::of(tokio::time::timeout(PATIENCE, reports).await.is_ok() && alive == Some(true))
                    }
                    None => Health::Unused,
                }
            };
            let (vrrp, forwarding, checks) = tokio::join!(vrrp, forwarding, checks);
            Vitals { vrrp, forwarding, checks }
        }
    }
}
