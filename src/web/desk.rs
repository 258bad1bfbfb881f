//! Where requests get their answers: the daemon is asked at most once a second for each thing, whoever wants it.

use super::metrics;
use super::process::Process;
use crate::status::{Journal, Status};
use hyper::body::Bytes;
use serde::Serialize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot};

/// Age at which an answer is old.
const FRESH: Duration = Duration::from_secs(1);
/// How long the daemon may take for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the server asks the daemon.
#[derive(Debug)]
pub enum Question {
    /// Everything at one moment.
    Picture(oneshot::Sender<Status>),
    /// Which parts live.
    Vitals(oneshot::Sender<Vitals>),
}

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It answers.
    Ok,
    /// It does not answer in time, or has died.
    Failing,
    /// Nothing is configured for it.
    Unused,
}

/// Which parts live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Vitals {
    /// The VRRP thread.
    pub vrrp: Health,
    /// The forwarding engine.
    pub forwarding: Health,
    /// Health checking.
    pub checks: Health,
}

impl Health {
    /// `Ok` or `Failing`.
    #[must_use]
    pub fn of(good: bool) -> Self {
        if good { Self::Ok } else { Self::Failing }
    }
}

impl Vitals {
    /// Nothing that is configured fails.
    #[must_use]
    pub fn are_good(&self) -> bool {
        ![self.vrrp, self.forwarding, self.checks].contains(&Health::Failing)
    }
}

/// A picture with the forms that were asked for, each made once.
#[derive(Debug)]
pub(super) struct Shot {
    status: Status,
    json: OnceLock<Bytes>,
    metrics: OnceLock<Bytes>,
}

impl Shot {
    pub(super) fn new(status: Status) -> Self {
        Self { status, json: OnceLock::new(), metrics: OnceLock::new() }
    }

    /// The picture as one line of JSON.
    pub(super) fn json(&self) -> Bytes {
        // A picture is made of numbers, texts and lists, which JSON always has words for.
        self.json.get_or_init(|| serde_json::to_vec(&self.status).unwrap_or_default().into()).clone()
    }

    /// OpenMetrics.
    pub(super) fn metrics(&self) -> Bytes {
        self.metrics.get_or_init(|| metrics::text(&self.status, &Process::now()).into()).clone()
    }
}

/// The last answer to a question, or when there was none.
#[derive(Debug)]
struct Held<T> {
    at: Instant,
    answer: Option<T>,
}

/// Clones are the same desk.
#[derive(Debug, Clone)]
pub struct Desk {
    line: mpsc::Sender<Question>,
    journal: Journal,
    picture: Arc<Mutex<Option<Held<Arc<Shot>>>>>,
    vitals: Arc<Mutex<Option<Held<Vitals>>>>,
}

impl Desk {
    /// A desk that asks through this line and reads this journal.
    #[must_use]
    pub fn new(line: mpsc::Sender<Question>, journal: Journal) -> Self {
        Self { line, journal, picture: Arc::default(), vitals: Arc::default() }
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The picture, a second old at most; `None` when the daemon does not answer.
    pub(super) async fn picture(&self) -> Option<Arc<Shot>> {
        fresh(&self.picture, async { Some(Arc::new(Shot::new(self.ask(Question::Picture).await?))) }).await
    }

    /// Which parts live, a second old at most; `None` when the daemon does not answer.
    pub(super) async fn vitals(&self) -> Option<Vitals> {
        fresh(&self.vitals, self.ask(Question::Vitals)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.line.send(question(reply)).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }
}

/// What is held while it is fresh, else what `ask` brings. Those who come meanwhile wait for the same answer, also for none.
async fn fresh<T: Clone>(held: &Mutex<Option<Held<T>>>, ask: impl Future<Output = Option<T>>) -> Option<T> {
    let mut held = held.lock().await;
    if let Some(held) = held.as_ref().filter(|held| held.at.elapsed() < FRESH) {
        return held.answer.clone();
    }
    let answer = ask.await;
    *held = Some(Held { at: Instant::now(), answer: answer.clone() });
    answer
}
