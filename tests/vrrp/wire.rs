//! What passes on the wire, with the kernel's time stamps.

use nix::sys::socket::sockopt::{ReceiveTimeout, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt, socket,
};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};
use standfast_labkit::{Host, wait_until};
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A frame and when it passed, since the epoch.
#[derive(Debug, Clone)]
pub struct Frame {
    pub at: Duration,
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The VRRP message of an IPv4 advert, not sent with AH.
    pub fn vrrp(&self) -> Option<&[u8]> {
        let is_vrrp = self.bytes.get(12..14) == Some(&[8, 0]) && self.bytes.get(23) == Some(&112);
        self.bytes.get(34..).filter(|_| is_vrrp)
    }

    /// Priority of an IPv4 advert from the host `10.77.0.last`.
    pub fn advert(&self, last: u8) -> Option<u8> {
        let from = self.bytes.get(26..30)?;
        self.vrrp().filter(|_| from == [10, 77, 0, last])?.get(2).copied()
    }

    /// Whether this is a gratuitous ARP for `address` from `02:77:00:00:00:last`.
    pub fn is_garp(&self, address: [u8; 4], last: u8) -> bool {
        self.bytes.get(12..14) == Some(&[8, 6])
            && self.bytes.get(28..32) == Some(&address)
            && self.bytes.get(38..42) == Some(&address)
            && self.bytes.get(22..28) == Some(&[2, 0x77, 0, 0, 0, last])
    }
}

/// Records every frame that a host receives.
pub struct Capture {
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    pub fn start(host: &Host) -> Self {
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let fd = host
            .enter(|| socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll))
            .unwrap()
            .unwrap();
        setsockopt(&fd, ReceiveTimestampns, &true).unwrap();
        setsockopt(&fd, ReceiveTimeout, &TimeVal::milliseconds(50)).unwrap();
        let (into, until) = (Arc::clone(&frames), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                if let Some(frame) = receive(fd.as_raw_fd()) {
                    into.lock().unwrap().push(frame);
                }
            }
        });
        Self { frames, stop, thread: Some(thread) }
    }

    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.frames.lock().unwrap().clear();
    }

    pub fn pick(&self, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        self.frames().into_iter().filter(|frame| wanted(frame)).collect()
    }

    #[track_caller]
    pub fn await_some(&self, count: usize, limit: Duration, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        wait_until(limit, || self.pick(&wanted).len() >= count);
        let found = self.pick(&wanted);
        assert!(found.len() >= count, "{} of {count} frames in {limit:?}", found.len());
        found
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn receive(fd: i32) -> Option<Frame> {
    let mut buffer = [0; 2048];
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<()>(fd, &mut parts, Some(&mut control), MsgFlags::empty()).ok()?;
    let at = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
        _ => None,
    })?;
    let length = message.bytes;
    Some(Frame { at, bytes: buffer[..length].to_vec() })
}
