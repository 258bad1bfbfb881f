//! Floods are told of now and then.

use std::time::{Duration, Instant};

/// What is told within [`WINDOW`].
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// Counts what was told since when.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Restraint {
    window: Option<(Instant, u32)>,
}

impl Restraint {
    /// Whether this may be told.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        let window = self.window.filter(|(since, _)| now.saturating_duration_since(*since) < WINDOW);
        let (since, told) = window.unwrap_or((now, 0));
        self.window = Some((since, told.saturating_add(1)));
        told < MOST
    }
}
