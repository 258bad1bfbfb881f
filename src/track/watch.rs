//! A thread that watches something of the system until nobody wants it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a watching thread waits at most before it looks whether it is still wanted.
pub(super) const GLANCE: Duration = Duration::from_millis(200);

/// Whether a watching thread is still wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A watching thread; it ends soon after this is dropped, and nobody waits for it.
#[derive(Debug)]
pub(super) struct Watch {
    wanted: Wanted,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts a thread of this name; a system that refuses it is logged, and [`Watch::has_died`] says so.
    pub(super) fn start(name: &str, work: impl FnOnce(&Wanted) + Send + 'static) -> Self {
        let wanted = Wanted::default();
        let told = wanted.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&told));
        let thread = thread.map_err(|error| tracing::error!(target: "vrrp", "Cannot start the thread {name}: {error}"));
        Self { wanted, thread: thread.ok() }
    }

    pub(super) fn has_died(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.wanted.0.store(true, Ordering::Relaxed);
    }
}
