//! What a thread that must not be late waits for: one timer, one bell and its sockets.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TIMER: u64 = 0;
const BELL: u64 = 1;
/// Tokens of sockets count from here.
pub(crate) const FIRST_SOCKET: u64 = 2;

/// Sockets that are told of at once: as many as there may be, so that no timer goes before an advert that is there already.
const EVENTS: usize = 512;

/// Wakes the thread from others; cheap to clone, rings never block.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<EventFd>);

impl Bell {
    pub(crate) fn new() -> nix::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        EventFd::from_value_and_flags(0, flags).map(|fd| Self(Arc::new(fd)))
    }

    /// Fails only when the counter is full, and then the thread is being woken anyway.
    pub(crate) fn ring(&self) {
        let _ = self.0.write(1);
    }

    fn hush(&self) {
        let _ = self.0.read();
    }
}

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    bell: Bell,
    armed: Option<Instant>,
}

impl Poller {
    pub(crate) fn new(bell: Bell) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        epoll.add(bell.0.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok(Self { epoll, timer, bell, armed: None })
    }

    /// Watches a socket; closing it ends that.
    pub(crate) fn watch(&self, socket: impl AsFd, token: u64) -> nix::Result<()> {
        self.epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token))
    }

    /// Waits for `deadline`, the bell or a socket; returns the tokens of readable sockets.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> nix::Result<Vec<u64>> {
        self.arm(deadline)?;
        let mut events = [EpollEvent::empty(); EVENTS];
        // A process that was stopped and goes on is interrupted here: what came meanwhile is looked at before what is late.
        let count = loop {
            match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(nix::Error::EINTR) => {}
                outcome => break outcome?,
            }
        };
        let tokens: Vec<u64> = events.iter().take(count).map(EpollEvent::data).collect();
        if tokens.contains(&BELL) {
            self.bell.hush();
        }
        if tokens.contains(&TIMER) {
            self.armed = None;
            self.timer.unset()?;
        }
        Ok(tokens.into_iter().filter(|token| *token >= FIRST_SOCKET).collect())
    }

    fn arm(&mut self, deadline: Option<Instant>) -> nix::Result<()> {
        if self.armed == deadline {
            return Ok(());
        }
        self.armed = deadline;
        match deadline {
            None => self.timer.unset(),
            Some(deadline) => {
                // Zero would switch the timer off.
                let wait = deadline.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                self.timer.set(Expiration::OneShot(TimeSpec::from_duration(wait)), TimerSetTimeFlags::empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_deadline_and_not_much_longer() {
        let mut poller = Poller::new(Bell::new().expect("a bell")).expect("a poller");
        let start = Instant::now();
        let deadline = start + Duration::from_millis(20);
        poller.wait(Some(deadline)).expect("a wait");
        assert!(Instant::now() >= deadline && start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn a_deadline_of_the_past_does_not_wait() {
        let mut poller = Poller::new(Bell::new().expect("a bell")).expect("a poller");
        let past = Instant::now();
        poller.wait(Some(past)).expect("a wait");
        poller.wait(Some(past)).expect("the same again");
        assert!(past.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn the_bell_wakes_once() {
        let bell = Bell::new().expect("a bell");
        let mut poller = Poller::new(bell.clone()).expect("a poller");
        bell.ring();
        bell.ring();
        assert!(poller.wait(None).expect("a wait").is_empty());
        let start = Instant::now();
        poller.wait(Some(start + Duration::from_millis(5))).expect("a wait");
        assert!(start.elapsed() >= Duration::from_millis(5), "the bell still rings");
    }
}
