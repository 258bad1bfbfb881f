//! Holds one thread of a process where it is.

use crate::common::SOON;
use nix::sys::ptrace;
use nix::unistd::Pid;
use standfast_labkit::eventually;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// A held thread; it goes on when this is dropped.
pub struct Held {
    release: Option<Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

/// Stops a thread at once. The kernel lets it go when the thread that traces it ends.
pub fn stop(thread: Pid) -> Held {
    let (release, released) = channel::<()>();
    let (stopped, is_stopped) = channel();
    let tracer = std::thread::spawn(move || {
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        stopped.send(()).unwrap();
        // It ends with an error, when the other end is dropped.
        let _ = released.recv();
    });
    is_stopped.recv().unwrap();
    Held { release: Some(release), tracer: Some(tracer) }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release = None;
        if let Some(tracer) = self.tracer.take() {
            tracer.join().unwrap();
        }
    }
}

/// The thread of a process that has this name, as soon as it has given itself the name.
#[track_caller]
pub fn thread_of(process: u32, name: &str) -> Pid {
    let mut found = None;
    eventually(SOON, name, || {
        found = threads(process).into_iter().find(|thread| {
            std::fs::read_to_string(format!("/proc/{process}/task/{thread}/comm")).is_ok_and(|comm| comm.trim() == name)
        });
        found.is_some()
    });
    Pid::from_raw(found.unwrap())
}

fn threads(process: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
}
