use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);

/// Polls `condition` every 5 ms until it holds or `limit` has passed; tells how long that took, or `None`.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    loop {
        if condition() {
            return Some(start.elapsed());
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

/// As [`wait_until`], for tests.
///
/// # Panics
/// When `limit` passes first; `what` says in the message what was awaited.
#[track_caller]
pub fn eventually(limit: Duration, what: &str, condition: impl FnMut() -> bool) -> Duration {
    let elapsed = wait_until(limit, condition);
    assert!(elapsed.is_some(), "waited {limit:?} in vain for: {what}");
    elapsed.unwrap_or_default()
}
