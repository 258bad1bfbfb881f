//! Holds one thread of a process where it is.

use nix::sys::ptrace;
use nix::unistd::Pid;
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

/// The thread of a process that has this name.
#[track_caller]
pub fn thread_of(process: u32, name: &str) -> Pid {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let named = |number: &String| {
        std::fs::read_to_string(format!("/proc/{process}/task/{number}/comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let mut numbers = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
    let number = numbers.find(named).unwrap_or_else(|| panic!("no thread {name}"));
    Pid::from_raw(number.parse().unwrap())
}
