//! The stream of events behind the status page.
//!
//! `journal` carries a list of events, first the latest ones, then each as it happens; `picture` the picture; `silence` comes in
//! its place when the daemon does not answer.

use super::desk::Desk;
use futures::Stream;
use futures::stream::unfold;
use hyper::body::{Bytes, Frame};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// Events that a page begins with.
const FIRST: u64 = 100;
/// Events in one message.
const MOST: usize = 100;
/// Time between two pictures.
const PACE: Duration = Duration::from_secs(1);
/// The same for large ones.
const SLOW_PACE: Duration = Duration::from_secs(5);
/// Size at which a picture is large, bytes.
const LARGE: usize = 256 << 10;
/// A client that is so far behind is not there any more, or is not worth it.
const LAG: Duration = Duration::from_secs(15);
/// A stream ends after this time; a page that still lives opens another.
const LIFE: Duration = Duration::from_secs(3600);

/// One client's stream.
pub(super) struct Feed {
    desk: Desk,
    parts: VecDeque<Bytes>,
    /// Number of the last event that was sent.
    told: u64,
    due: Instant,
    /// When the client took the last part.
    taken: Instant,
    end: Instant,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// A stream that begins with the latest events and a picture.
    pub(super) fn start(
        desk: Desk,
        place: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        let now = Instant::now();
        let told = desk.journal().latest().saturating_sub(FIRST);
        let parts = VecDeque::from([Bytes::from_static(b"retry: 2000\n\n")]);
        let feed = Self { desk, parts, told, due: now, taken: now, end: now + LIFE, _place: place };
        unfold(feed, |mut feed| async { Some((Ok(Frame::data(feed.next().await?)), feed)) })
    }

    /// The next part of the text; it is asked for when the client has room for it.
    async fn next(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        if now > self.end || now.duration_since(self.taken) > LAG {
            return None;
        }
        while self.parts.is_empty() {
            self.await_news().await;
        }
        self.taken = Instant::now();
        self.parts.pop_front()
    }

    /// Events come first: a picture that follows shows what they have led to.
    async fn await_news(&mut self) {
        let patience = self.due.saturating_duration_since(Instant::now());
        let entries = self.desk.journal().wait_after(self.told, MOST, patience).await;
        if let Some(last) = entries.last() {
            self.told = last.number;
            // Entries are numbers and texts, which JSON always has words for.
            self.say("journal", serde_json::to_vec(&entries).unwrap_or_default().into());
        }
        if Instant::now() >= self.due {
            self.show().await;
        }
    }

    async fn show(&mut self) {
        let mut pace = PACE;
        match self.desk.picture().await {
            Some(shot) => {
                let json = shot.json();
                if json.len() > LARGE {
                    pace = SLOW_PACE;
                }
                self.say("picture", json);
            }
            None => self.say("silence", Bytes::from_static(b"{}")),
        }
        self.due = Instant::now() + pace;
    }

    /// JSON has no line breaks, so one line of data holds it. It is shared with other clients, not copied.
    fn say(&mut self, event: &str, data: Bytes) {
        self.parts.push_back(format!("event: {event}\ndata: ").into());
        self.parts.push_back(data);
        self.parts.push_back(Bytes::from_static(b"\n\n"));
    }
}
