//! BFD sessions under a virtual clock: two hosts, a cable, and what a stranger may send.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use proptest::prelude::*;
use standfast_vrrp::bfd::*;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn config(neighbor: &str) -> SessionConfig {
    SessionConfig {
        name: "peer".to_owned(),
        neighbor: ip(neighbor),
        source: None,
        min_rx: 10 * MS,
        min_tx: 10 * MS,
        idle_tx: 1000 * MS,
        multiplier: 3,
        passive: false,
        ttl: 255,
        max_hops: Some(0),
        multihop: false,
    }
}

/// Two ends and the cable between them.
struct Pair {
    start: Instant,
    now: Instant,
    ends: [Bfd; 2],
    cut: [bool; 2],
    told: Vec<String>,
    packets: Vec<(Duration, usize, Packet)>,
}

const ADDRESSES: [&str; 2] = ["10.0.0.1", "10.0.0.2"];

impl Pair {
    #[allow(clippy::disallowed_methods, reason = "tests own the clock")]
    fn new(configs: [SessionConfig; 2]) -> Self {
        let start = Instant::now();
        let mut seed = 7;
        let ends = configs.map(|config| {
            seed += 1;
            let mut bfd = Bfd::new(seed);
            bfd.configure(vec![config], start);
            bfd
        });
        Self { start, now: start, ends, cut: [false; 2], told: Vec::new(), packets: Vec::new() }
    }

    fn plain() -> Self {
        Self::new([config(ADDRESSES[1]), config(ADDRESSES[0])])
    }

    fn run(&mut self, for_: Duration) -> &mut Self {
        let end = self.now + for_;
        self.settle();
        while let Some(at) = self.ends.iter().filter_map(Bfd::poll_timeout).map(|(at, _)| at).min() {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.ends.iter_mut().for_each(|bfd| bfd.handle_timeout(at));
            self.settle();
        }
        self.now = end;
        self
    }

    /// Carries packets until there are none.
    fn settle(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for from in [0, 1] {
                while let Some(effect) = self.ends[from].poll_effect() {
                    moved = true;
                    self.carry(from, &effect);
                }
            }
        }
    }

    fn carry(&mut self, from: usize, effect: &Effect) {
        let at = self.now - self.start;
        match effect {
            Effect::Send { payload, .. } => {
                self.packets.push((at, from, Packet::parse(payload).unwrap()));
                if !self.cut[from] {
                    let source = ip(ADDRESSES[from]);
                    let datagram = Datagram { source, ttl: Some(255), multihop: false, payload };
                    self.ends[1 - from].receive(&datagram, self.now);
                }
            }
            Effect::Changed { from: before, to, diagnostic, .. } => {
                self.told.push(format!("{from} {before}->{to} ({diagnostic})"));
            }
        }
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|end| self.ends[end].views()[0].state)
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

#[test]
fn two_ends_come_up_and_poll() {
    let mut pair = Pair::plain();
    pair.run(2100 * MS);
    assert_eq!(pair.states(), [State::Up, State::Up]);
    let last = pair.packets.last().unwrap().2;
    assert_eq!((last.desired_min_tx, last.required_min_rx, last.poll), (10 * MS, 10 * MS, false));
    assert!(pair.packets.iter().any(|(.., packet)| packet.poll) && pair.packets.iter().any(|(.., p)| p.is_final));
    let view = pair.ends[0].views().remove(0);
    assert_eq!((view.transmit_interval, view.detection_time), (Some(10 * MS), 30 * MS));
}

#[test]
fn packets_are_jittered_and_never_late() {
    let mut pair = Pair::plain();
    pair.run(2100 * MS).packets.clear();
    pair.run(1000 * MS);
    let times: Vec<Duration> = pair.packets.iter().filter(|(_, end, _)| *end == 0).map(|(at, ..)| *at).collect();
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (7500..=10_000).contains(&gap.as_micros())), "{gaps:?}");
    assert!(gaps.iter().max().unwrap().as_micros() - gaps.iter().min().unwrap().as_micros() > 1000);
}

#[test]
fn a_cut_is_noticed_after_three_intervals() {
    let mut pair = Pair::plain();
    pair.run(2100 * MS).take();
    pair.cut = [true; 2];
    let before = pair.now;
    pair.run(31 * MS);
    assert_eq!(pair.states(), [State::Down, State::Down]);
    assert_eq!(pair.now - before, 31 * MS);
    assert!(pair.take()[0].contains("Up->Down (Control Detection Time Expired)"));
    pair.cut = [false; 2];
    pair.run(2100 * MS);
    assert_eq!(pair.states(), [State::Up, State::Up]);
}

#[test]
fn one_way_loss_is_told_by_the_deaf_end() {
    let mut pair = Pair::plain();
    pair.run(2100 * MS).take();
    pair.cut = [false, true];
    pair.run(40 * MS);
    let told = pair.take();
    assert!(told.contains(&"0 Up->Down (Control Detection Time Expired)".to_owned()), "{told:?}");
    assert!(told.contains(&"1 Up->Down (Neighbor Signaled Session Down)".to_owned()), "{told:?}");
}

#[test]
fn an_end_that_stops_says_so() {
    let mut pair = Pair::plain();
    pair.run(2100 * MS).take();
    let now = pair.now;
    pair.ends[0].stop(now);
    pair.run(MS);
    assert_eq!(pair.take(), ["0 Up->AdminDown (Administratively Down)", "1 Up->Down (Neighbor Signaled Session Down)"]);
    pair.run(3000 * MS);
    assert_eq!(pair.states(), [State::AdminDown, State::Down]);
}

#[test]
fn a_passive_end_waits_to_be_spoken_to() {
    let passive = |neighbor| SessionConfig { passive: true, ..config(neighbor) };
    let mut both = Pair::new([passive(ADDRESSES[1]), passive(ADDRESSES[0])]);
    both.run(5000 * MS);
    assert!(both.packets.is_empty());
    let mut one = Pair::new([config(ADDRESSES[1]), passive(ADDRESSES[0])]);
    one.run(2100 * MS);
    assert_eq!(one.states(), [State::Up, State::Up]);
    one.cut = [true; 2];
    one.run(1000 * MS).packets.clear();
    one.run(3000 * MS);
    assert!(one.packets.iter().all(|(_, end, _)| *end == 0), "the passive end went on");
}

#[test]
fn the_slower_end_sets_the_pace() {
    let slow = SessionConfig { min_rx: 50 * MS, min_tx: 100 * MS, multiplier: 5, ..config(ADDRESSES[0]) };
    let mut pair = Pair::new([config(ADDRESSES[1]), slow]);
    pair.run(3000 * MS);
    let views = [0, 1].map(|end| pair.ends[end].views().remove(0));
    assert_eq!(views[0].transmit_interval, Some(50 * MS));
    assert_eq!(views[0].detection_time, 500 * MS);
    assert_eq!((views[1].transmit_interval, views[1].detection_time), (Some(100 * MS), 150 * MS));
}

#[test]
fn changed_settings_are_polled_for_and_others_end_the_session() {
    let mut pair = Pair::plain();
    pair.run(2100 * MS).take();
    let now = pair.now;
    let faster = SessionConfig { min_tx: 5 * MS, min_rx: 5 * MS, ..config(ADDRESSES[1]) };
    pair.ends[0].configure(vec![faster], now);
    pair.run(100 * MS);
    assert!(pair.take().is_empty());
    assert_eq!(pair.ends[1].views()[0].transmit_interval, Some(10 * MS));
    let now = pair.now;
    pair.ends[0].configure(Vec::new(), now);
    pair.run(10 * MS);
    assert!(pair.take()[0].starts_with("0 Up->AdminDown"));
    assert!(pair.ends[0].views().is_empty() && pair.ends[0].poll_timeout().is_none());
}

#[test]
fn packets_from_afar_and_from_strangers_are_refused() {
    let mut pair = Pair::plain();
    pair.run(2100 * MS);
    let now = pair.now;
    let down = Packet { state: State::Down, ..pair.packets.iter().rfind(|(_, end, _)| *end == 1).unwrap().2 };
    let payload = down.encode();
    let datagram = Datagram { source: ip(ADDRESSES[1]), ttl: Some(254), multihop: false, payload: &payload };
    assert!(!pair.ends[0].receive(&datagram, now));
    assert!(!pair.ends[0].receive(&Datagram { source: ip("10.0.0.9"), ttl: Some(255), ..datagram }, now));
    assert!(!pair.ends[0].receive(&Datagram { multihop: true, ttl: Some(255), ..datagram }, now));
    let forged = Packet { your_discriminator: down.your_discriminator ^ 1, ..down }.encode();
    assert!(!pair.ends[0].receive(&Datagram { ttl: Some(255), payload: &forged, ..datagram }, now));
    assert_eq!((pair.states()[0], pair.ends[0].views()[0].refused), (State::Up, 1));
    let mut far = Bfd::new(1);
    let hops = SessionConfig { max_hops: Some(2), ttl: 64, ..config(ADDRESSES[1]) };
    far.configure(vec![hops], now);
    let hello = Packet { your_discriminator: 0, ..down }.encode();
    for (ttl, taken) in [(62, true), (61, false), (255, true)] {
        assert_eq!(far.receive(&Datagram { ttl: Some(ttl), payload: &hello, ..datagram }, now), taken);
    }
}

#[test]
fn the_bytes_of_a_packet() {
    let packet = Packet {
        diagnostic: Diagnostic::EXPIRED,
        state: State::Up,
        poll: true,
        is_final: false,
        demand: false,
        multiplier: 3,
        my_discriminator: 0x0102_0304,
        your_discriminator: 0x0506_0708,
        desired_min_tx: Duration::from_millis(10),
        required_min_rx: Duration::from_millis(300),
    };
    let octets = [0x21, 0xe0, 3, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x27, 0x10, 0, 0x04, 0x93, 0xe0, 0, 0, 0, 0];
    assert_eq!(packet.encode(), octets);
    assert_eq!(Packet::parse(&octets), Ok(packet));
}

#[test]
fn malformed_packets_are_named() {
    let good = Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Down,
        poll: false,
        is_final: false,
        demand: false,
        multiplier: 3,
        my_discriminator: 1,
        your_discriminator: 0,
        desired_min_tx: MS,
        required_min_rx: MS,
    }
    .encode();
    let changed = |at: usize, to: u8| {
        let mut octets = good;
        octets[at] = to;
        Packet::parse(&octets).unwrap_err()
    };
    assert_eq!(Packet::parse(&good[..23]), Err(Malformed::TooShort(23)));
    assert_eq!(changed(0, 0x40), Malformed::Version(2));
    assert_eq!(changed(3, 23), Malformed::Length(23));
    assert_eq!(changed(3, 25), Malformed::Length(25));
    assert_eq!(changed(2, 0), Malformed::Multiplier);
    assert_eq!(changed(1, 0x41), Malformed::Multipoint);
    assert_eq!(changed(7, 0), Malformed::Discriminator);
    assert_eq!(changed(1, 0xc0), Malformed::NotOurs(State::Up));
    assert_eq!(changed(1, 0x70), Malformed::PollAndFinal);
    assert_eq!(changed(1, 0x44), Malformed::Length(24));
}

proptest! {
    #[test]
    fn what_is_sent_is_read_again(
        flags in 0..4_u8, state in 1..4_u8, numbers: [u32; 4], multiplier in 1..=255_u8, diagnostic in 0..32_u8,
    ) {
        let mut octets = [0; LENGTH];
        octets[0] = 0x20 | diagnostic;
        octets[1] = state << 6 | [0, 0x20, 0x10, 0x02][usize::from(flags)];
        (octets[2], octets[3]) = (multiplier, 24);
        for (place, number) in octets[4..20].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.max(1).to_be_bytes());
        }
        prop_assert_eq!(Packet::parse(&octets).unwrap().encode(), octets);
    }

    /// The body of the fuzz target: any octets, to a session that is up and to one that is not.
    #[test]
    fn no_octets_can_upset_a_session(octets: Vec<u8>, ttl: u8, up: bool) {
        let mut pair = Pair::plain();
        if up {
            pair.run(2100 * MS);
        }
        let now = pair.now;
        pair.ends[0].receive(&Datagram { source: ip(ADDRESSES[1]), ttl: Some(ttl), multihop: false, payload: &octets }, now);
        pair.run(100 * MS);
        if up {
            prop_assert_eq!(pair.states(), [State::Up, State::Up]);
        }
    }

    /// Well-formed packets of anybody at the neighbor's address, with any intervals: no panic, no flood.
    #[test]
    fn no_packets_make_a_session_flood(
        packets in prop::collection::vec((0..4_u8, 0..4_u8, any::<[u32; 3]>(), 1..=255_u8, 0..2_000_u32), 0..40),
    ) {
        let mut bfd = Bfd::new(3);
        #[allow(clippy::disallowed_methods, reason = "tests own the clock")]
        let mut now = Instant::now();
        bfd.configure(vec![config(ADDRESSES[1])], now);
        let (begin, mut sent) = (now, 0_u128);
        let answers = packets.len() as u128 * 2;
        for (state, flags, [mine, tx, rx], multiplier, wait) in packets {
            let mut octets = [0; LENGTH];
            octets[0] = 0x20;
            octets[1] = state << 6 | [0, 0x20, 0x10, 0x02][usize::from(flags)];
            (octets[2], octets[3]) = (multiplier, 24);
            octets[4..8].copy_from_slice(&mine.to_be_bytes());
            let ours = bfd.views()[0].discriminator;
            octets[8..12].copy_from_slice(&ours.to_be_bytes());
            octets[12..16].copy_from_slice(&tx.to_be_bytes());
            octets[16..20].copy_from_slice(&rx.to_be_bytes());
            bfd.receive(&Datagram { source: ip(ADDRESSES[1]), ttl: Some(255), multihop: false, payload: &octets }, now);
            let end = now + MS * wait;
            while let Some((at, _)) = bfd.poll_timeout().filter(|(at, _)| *at <= end) {
                now = now.max(at);
                bfd.handle_timeout(now);
            }
            now = end;
            while let Some(effect) = bfd.poll_effect() {
                sent += u128::from(matches!(effect, Effect::Send { .. }));
            }
        }
        prop_assert!(sent <= (now - begin).as_micros() / 7_500 + answers + 2, "{sent} packets");
    }
}
