//! Datagrams that nobody should believe, as many as a core sends, and a VRRP instance of 10 ms meanwhile.

use super::Size;
use super::site::Site;
use super::threads::Reading;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};
use standfast_ipvs::sync::{Entry, Flags, Format, Message, Packer, Seal, Stamp, Version};
use standfast_labkit::Host;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const KEY: &str = "a key of thirty-two octets, or more";
const AT_ONCE: usize = 64;
const NOTHING: [ControlMessage<'static>; 0] = [];

struct Flood {
    name: &'static str,
    from: &'static str,
    globals: &'static str,
    datagram: fn() -> Vec<u8>,
}

const FLOODS: [Flood; 6] = [
    Flood { name: "nothing", from: "10.9.0.66", globals: "", datagram: Vec::new },
    Flood { name: "from a foreign network", from: "192.0.2.66", globals: "", datagram: genuine },
    Flood { name: "of an unknown version", from: "10.9.0.66", globals: "", datagram: wrong },
    Flood { name: "replayed", from: "10.9.0.66", globals: "", datagram: genuine },
    Flood { name: "unsigned", from: "10.9.0.66", globals: SIGNED, datagram: genuine },
    Flood { name: "wrongly signed", from: "10.9.0.66", globals: SIGNED, datagram: forged },
];
const SIGNED: &str = "lvs_sync_key \"a key of thirty-two octets, or more\"";

pub fn measure(size: &Size) {
    println!(
        "{:<24} {:>9} {:>9} {:>12} {:>10} {:>8} {:>9}",
        "flood", "sent/s", "taken/s", "sync-backup", "dataplane", "adverts", "gap"
    );
    FLOODS.iter().for_each(|flood| one(flood, Duration::from_secs(size.seconds as u64)));
}

fn one(flood: &Flood, time: Duration) {
    let mut site = Site::new("sync-flood");
    // No instance decides about the daemons: the one that receives runs on the master of the instance that is watched.
    let globals = format!("lvs_sync_daemon eth1 id 7\n{}", flood.globals);
    site.directors[0].start(&fast(&globals));
    site.await_master();
    std::thread::sleep(Duration::from_secs(3));
    let adverts = Adverts::listen(&site.client);
    let before = Reading::of(site.directors[0].pid());
    let sent = pour(&site.stranger, flood, time);
    let after = Reading::of(site.directors[0].pid());
    let (count, gap) = adverts.stop();
    let seconds = after.after(&before).as_secs_f64();
    let share = |thread| after.since(&before, thread).as_secs_f64() / seconds * 100.0;
    let received = site.directors[0].status()["sync"]["received"].as_u64().unwrap_or_default();
    println!(
        "{:<24} {:>9.0} {:>9.0} {:>10.1} % {:>8.1} % {:>6.0}/s {:>6.1} ms",
        flood.name,
        sent as f64 / seconds,
        received as f64 / seconds,
        share("sync-backup"),
        share("dataplane"),
        count as f64 / seconds,
        gap.as_secs_f64() * 1e3
    );
}

fn fast(globals: &str) -> String {
    super::site::configuration(150, globals).replace("advert_int 1", "advert_int 0.01")
}

/// Sends the datagram again and again; the number of those that the link took.
fn pour(stranger: &Host, flood: &Flood, time: Duration) -> u64 {
    let (datagram, start, mut sent) = ((flood.datagram)(), Instant::now(), 0);
    if datagram.is_empty() {
        std::thread::sleep(time);
        return 0;
    }
    stranger
        .enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(flood.from.parse().unwrap(), 0)).unwrap();
            socket.connect(("224.0.0.81", 8848)).unwrap();
            let parts = vec![[IoSlice::new(&datagram)]; AT_ONCE];
            let mut headers = MultiHeaders::<()>::preallocate(AT_ONCE, None);
            while start.elapsed() < time {
                let result =
                    sendmmsg(socket.as_raw_fd(), &mut headers, &parts, [None; AT_ONCE], NOTHING, MsgFlags::empty());
                sent += result.map_or(0, Iterator::count) as u64;
            }
        })
        .unwrap();
    sent
}

/// Forty connections.
fn genuine() -> Vec<u8> {
    let format = Format { version: Version::V1, syncid: 7, longest: 1472 - Seal::ROOM, patience: Format::PATIENCE };
    let (mut packer, mut datagrams, mut record) = (Packer::new(format), Vec::new(), Vec::new());
    for port in 1000..1040 {
        let entry = Entry {
            protocol: 6,
            flags: Flags(Flags::DR),
            state: 1,
            client: SocketAddr::from(([10, 7, 0, 1], port)),
            service: SocketAddr::from(([10, 7, 0, 100], 80)),
            server: SocketAddr::from(([10, 7, 0, 21], 80)),
            mark: 0,
            timeout: 900,
            sequences: None,
            engine: None,
            source: None,
        };
        record.clear();
        entry.encode(&mut record);
        packer.push(&record, Instant::now(), &mut |datagram| datagrams.push(datagram.to_vec()));
    }
    packer.flush(&mut |datagram| datagrams.push(datagram.to_vec()));
    datagrams.into_iter().max_by_key(Vec::len).unwrap_or_default()
}

fn wrong() -> Vec<u8> {
    let mut datagram = genuine();
    datagram[5] = 9;
    datagram
}

/// Signed with the right key, and then changed.
fn forged() -> Vec<u8> {
    let mut datagram = genuine();
    let stamp = Stamp { session: 1, sequence: 1, hearers: [1, 0, 0, 0] };
    Seal::new(KEY.as_bytes()).unwrap().close(&mut datagram, &stamp);
    if let Some(last) = datagram.last_mut() {
        *last ^= 1;
    }
    assert!(Message::parse(&datagram).is_ok());
    datagram
}

/// Counts adverts that a host hears, and the longest time between two.
struct Adverts {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<(u64, Duration)>>,
}

impl Adverts {
    fn listen(host: &Host) -> Adverts {
        let stop = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&stop);
        let thread = host.spawn(move || {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112))).unwrap();
            socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 18), &Ipv4Addr::new(10, 7, 0, 1)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let (mut buffer, mut count, mut gap) = ([MaybeUninit::uninit(); 200], 0, Duration::ZERO);
            let mut latest = Instant::now();
            while !over.load(Relaxed) {
                if socket.recv(&mut buffer).is_ok() {
                    count += 1;
                    gap = gap.max(latest.elapsed());
                    latest = Instant::now();
                }
            }
            (count, gap)
        });
        Adverts { stop, thread: thread.unwrap() }
    }

    fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap().unwrap()
    }
}
