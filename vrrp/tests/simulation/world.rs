//! The network and the hosts on it.

use standfast_vrrp::packet::ipv4_header;
use standfast_vrrp::{
    Authentication, Datagram, Effect, Family, GroupConfig, Link, Node, NodeConfig, RouterConfig, RouterId, State,
    TimerReason, TrackerConfig, TrackerName, TrackerStatus, Version,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

const LINK: Link = Link(2);
const WEIGHTED: &str = "weighted";
const FATAL: &str = "fatal";

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.roll() % (range.end() - range.start() + 1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(0..=99) < percent
    }

    pub fn below(&mut self, limit: Duration) -> Duration {
        Duration::from_nanos(self.within(0..=u64::try_from(limit.as_nanos()).unwrap()))
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.within(0..=u64::try_from(len).unwrap() - 1)).unwrap()
    }
}

/// Who runs what.
pub struct Plan {
    pub hosts: Vec<NodeConfig>,
    pub grouped: bool,
}

impl Plan {
    pub fn any(dice: &mut Dice) -> Self {
        let hosts = dice.within(2..=7);
        let vrids = dice.within(1..=3);
        let grouped = vrids > 1 && dice.chance(40);
        let preempt = dice.chance(70);
        let shapes: Vec<RouterConfig> = (1..=vrids).map(|vrid| Self::shape(vrid, dice)).collect();
        let host = |_| {
            let routers = shapes.iter().map(|shape| Self::router(shape, preempt, dice)).collect();
            NodeConfig { routers, groups: Self::group(grouped, vrids), ..NodeConfig::default() }
        };
        Self { hosts: (0..hosts).map(host).collect(), grouped }
    }

    /// 255 routers on two hosts.
    pub fn wide() -> Self {
        let host = |priority| {
            let router = |vrid: u8| {
                let mut config = RouterConfig::new(&format!("VI_{vrid}"), LINK, vrid);
                config.priority = priority;
                config.addresses = vec![IpAddr::V4(Ipv4Addr::new(10, 78, 0, vrid))];
                config
            };
            NodeConfig { routers: (1..=255).map(router).collect(), ..NodeConfig::default() }
        };
        Self { hosts: vec![host(150), host(100)], grouped: false }
    }

    /// What all hosts must agree on.
    fn shape(vrid: u64, dice: &mut Dice) -> RouterConfig {
        let vrid = u8::try_from(vrid).unwrap();
        let mut config = RouterConfig::new(&format!("VI_{vrid}"), LINK, vrid);
        config.addresses = vec![IpAddr::V4(Ipv4Addr::new(10, 77, 1, vrid))];
        if dice.chance(50) {
            config.version = Version::V3;
            config.advert_interval = Duration::from_millis(dice.within(1..=200) * 10);
            return config;
        }
        config.advert_interval = Duration::from_secs(dice.within(1..=3));
        config.authentication = match dice.within(0..=2) {
            0 => Authentication::None,
            1 => Authentication::Pass(*b"secret77"),
            _ => Authentication::Ah(*b"secret77"),
        };
        config
    }

    /// What each host may choose.
    fn router(shape: &RouterConfig, preempt: bool, dice: &mut Dice) -> RouterConfig {
        let mut config = shape.clone();
        config.priority = u8::try_from(if dice.chance(20) { 100 } else { dice.within(1..=254) }).unwrap();
        config.preempt = preempt || dice.chance(50);
        config.higher_prio_send_advert = dice.chance(20);
        config.lower_prio_no_advert = dice.chance(20);
        config.timer_expired_backup = dice.chance(20).then_some(254);
        if dice.chance(20) {
            config.preempt_delay = config.advert_interval * 4;
        }
        let tracker = |name: &str, weight| TrackerConfig {
            tracker: TrackerName::Script(name.to_owned()),
            weight,
            reverse: false,
        };
        config.trackers = vec![tracker(WEIGHTED, -60), tracker(FATAL, 0)];
        config
    }

    fn group(grouped: bool, vrids: u64) -> Vec<GroupConfig> {
        let members = (1..=vrids).map(|vrid| format!("VI_{vrid}")).collect();
        let group = GroupConfig { name: "G".to_owned(), members, trackers: Vec::new() };
        if grouped { vec![group] } else { Vec::new() }
    }

    pub fn without_groups(mut self) -> Self {
        self.grouped = false;
        for host in &mut self.hosts {
            host.groups.clear();
        }
        self
    }

    pub fn nopreempt(mut self) -> Self {
        for router in self.hosts.iter_mut().flat_map(|host| &mut host.routers) {
            router.preempt = false;
        }
        self
    }

    pub fn vrids(&self) -> impl Iterator<Item = u8> + use<> {
        1..=u8::try_from(self.hosts[0].routers.len()).unwrap()
    }

    pub fn priority(&self, host: usize, vrid: u8) -> u8 {
        self.hosts[host].routers[usize::from(vrid) - 1].priority
    }

    pub fn best_priority(&self, vrid: u8) -> u8 {
        (0..self.hosts.len()).map(|host| self.priority(host, vrid)).max().unwrap()
    }

    /// Without groups and with preemption everywhere the best priority wins.
    pub fn best_must_win(&self) -> bool {
        !self.grouped && self.routers().all(|router| router.preempt)
    }

    fn routers(&self) -> impl Iterator<Item = &RouterConfig> {
        self.hosts.iter().flat_map(|host| &host.routers)
    }

    pub fn longest_interval(&self) -> Duration {
        self.routers().map(|router| router.advert_interval).max().unwrap()
    }

    /// Master down intervals that may follow each other: the one that runs, and the one after a preemption delay. Groups
    /// whose members were promised to different hosts may need some more.
    pub fn settling_time(&self) -> Duration {
        let skew = self.longest_interval().max(Duration::from_secs(1));
        let master_down = self.longest_interval() * 3 + skew;
        let delay = self.routers().map(|router| router.preempt_delay).max().unwrap();
        (master_down * 2 + delay + World::LONGEST_CHAOS_DELAY) * if self.grouped { 8 } else { 1 }
    }
}

struct Host {
    node: Option<Node>,
    address: IpAddr,
    paused_until: Option<Instant>,
    waiting: Vec<Frame>,
    holds: BTreeSet<RouterId>,
}

#[derive(Clone)]
struct Frame {
    from: usize,
    to: usize,
    protocol: u8,
    header: [u8; 20],
    destination: IpAddr,
    payload: Vec<u8>,
}

/// One master of one VRID.
struct Reign {
    host: usize,
    since: Instant,
}

pub struct World {
    pub plan: Plan,
    pub dice: Dice,
    start: Instant,
    now: Instant,
    hosts: Vec<Host>,
    frames: BTreeMap<(Instant, u64), Frame>,
    sequence: u64,
    cut: BTreeSet<(usize, usize)>,
    loss: u64,
    doubling: u64,
    longest_delay: Duration,
    lateness: Duration,
    reigns: BTreeMap<u8, Vec<Reign>>,
    longest_overlap: Option<Duration>,
    preemption_forbidden: bool,
    transitions: u64,
    story: String,
}

impl World {
    pub const LONGEST_CALM_DELAY: Duration = Duration::from_micros(800);
    pub const LONGEST_CHAOS_DELAY: Duration = Duration::from_millis(300);
    /// How late a host may notice a timer.
    pub const LATENESS: Duration = Duration::from_micros(200);

    pub fn new(plan: Plan, seed: u64) -> Self {
        let start = Instant::now();
        let host = |index: usize| Host {
            node: None,
            address: IpAddr::V4(Ipv4Addr::new(10, 77, 0, u8::try_from(index + 1).unwrap())),
            paused_until: None,
            waiting: Vec::new(),
            holds: BTreeSet::new(),
        };
        let mut world = Self {
            hosts: (0..plan.hosts.len()).map(host).collect(),
            plan,
            dice: Dice::new(seed ^ 0x5eed),
            start,
            now: start,
            frames: BTreeMap::new(),
            sequence: 0,
            cut: BTreeSet::new(),
            loss: 0,
            doubling: 0,
            longest_delay: Self::LONGEST_CALM_DELAY,
            lateness: Self::LATENESS,
            reigns: BTreeMap::new(),
            longest_overlap: None,
            preemption_forbidden: false,
            transitions: 0,
            story: String::new(),
        };
        for host in 0..world.hosts.len() {
            world.boot(host);
        }
        world
    }

    /// `blows` strokes of fate, some intervals apart.
    pub fn chaos(&mut self, blows: u32) {
        self.longest_delay = Self::LONGEST_CHAOS_DELAY;
        for _ in 0..blows {
            self.loss = if self.dice.chance(50) { self.dice.within(0..=40) } else { 0 };
            self.doubling = self.dice.within(0..=20);
            self.blow();
            let pause = self.dice.below(self.plan.longest_interval() * 5);
            self.run_for(pause);
        }
    }

    fn blow(&mut self) {
        let host = self.dice.index(self.hosts.len());
        match self.dice.within(0..=9) {
            0 | 1 => self.divide(),
            2 => self.cut.clear(),
            3 | 4 => self.pause(host),
            5 => self.vote(host, WEIGHTED),
            6 => self.vote(host, FATAL),
            7 => self.lose_address(host),
            8 => self.move_address(host),
            _ => self.kill_stop_or_start(),
        }
    }

    fn divide(&mut self) {
        let sides: Vec<bool> = self.hosts.iter().map(|_| self.dice.chance(50)).collect();
        let one_way = self.dice.chance(20);
        self.cut.clear();
        for (a, b) in pairs(self.hosts.len()).filter(|(a, b)| sides[*a] != sides[*b]) {
            if !one_way || sides[a] {
                self.cut.insert((a, b));
            }
        }
        let cut = format!("cut {:?}", self.cut);
        self.tell(&cut);
    }

    fn pause(&mut self, host: usize) {
        let pause = self.dice.below(self.plan.longest_interval() * 8);
        self.hosts[host].paused_until = Some(self.now + pause);
        self.tell(&format!("pause {host} for {pause:?}"));
    }

    fn vote(&mut self, host: usize, name: &str) {
        let status = if self.dice.chance(50) { TrackerStatus::Up } else { TrackerStatus::Down };
        self.tell(&format!("host {host}: {name} {status:?}"));
        self.act(host, |node, now| node.set_tracker(&TrackerName::Script(name.to_owned()), status, now));
    }

    fn lose_address(&mut self, host: usize) {
        let Some(router) = self.hosts[host].holds.first().copied() else { return };
        self.tell(&format!("host {host}: address lost"));
        let address = self.plan.hosts[host].routers[0].addresses[0];
        self.act(host, |node, now| node.address_lost(router, address, now));
    }

    fn move_address(&mut self, host: usize) {
        let address = self.hosts[host].address;
        self.tell(&format!("host {host}: no source for a moment"));
        self.act(host, |node, now| node.set_source(LINK, Family::V4, None, now));
        self.act(host, |node, now| node.set_source(LINK, Family::V4, Some(address), now));
    }

    /// One host dies, says goodbye, or comes up.
    pub fn kill_stop_or_start(&mut self) {
        let host = self.dice.index(self.hosts.len());
        if self.hosts[host].node.is_none() {
            self.boot(host);
            return;
        }
        if self.dice.chance(50) {
            self.tell(&format!("stop {host}"));
            self.act(host, Node::stop);
        }
        self.tell(&format!("end of {host}"));
        self.hosts[host].node = None;
        self.hosts[host].holds.clear();
        self.hosts[host].waiting.clear();
        let now = self.now;
        for vrid in self.plan.vrids() {
            self.end_reign(vrid, host, now);
        }
    }

    fn boot(&mut self, host: usize) {
        self.tell(&format!("start {host}"));
        let config = self.plan.hosts[host].clone();
        let address = self.hosts[host].address;
        self.hosts[host].node = Some(Node::new(config, self.now));
        self.hosts[host].paused_until = None;
        self.act(host, |node, now| {
            node.set_source(LINK, Family::V4, Some(address), now);
            for name in [WEIGHTED, FATAL] {
                node.set_tracker(&TrackerName::Script(name.to_owned()), TrackerStatus::Up, now);
            }
        });
    }

    /// A perfect network of hosts that all run and are well.
    pub fn heal(&mut self) {
        self.tell("heal");
        self.cut.clear();
        (self.loss, self.doubling, self.longest_delay) = (0, 0, Self::LONGEST_CALM_DELAY);
        for host in 0..self.hosts.len() {
            if self.hosts[host].node.is_none() {
                self.boot(host);
            }
            self.resume(host);
            for name in [WEIGHTED, FATAL] {
                let name = TrackerName::Script(name.to_owned());
                self.act(host, |node, now| node.set_tracker(&name, TrackerStatus::Up, now));
            }
        }
    }

    /// From here on nothing may change.
    pub fn calm_down(&mut self) {
        self.tell("calm");
        self.transitions = 0;
    }

    pub fn transitions_since_calm(&self) -> u64 {
        self.transitions
    }

    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let frame = self.frames.first_key_value().map(|((at, _), _)| *at);
            let timer = self.next_timer();
            let next = [frame, timer.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            match timer {
                Some((due, host)) if frame.is_none_or(|frame| due < frame) => self.wake(host),
                _ => self.deliver(),
            }
        }
        self.now = end;
    }

    /// When the next host wakes up: at the end of its pause, or when its node wants to, a little late.
    fn next_timer(&self) -> Option<(Instant, usize)> {
        let wake = |(index, host): (usize, &Host)| {
            let (deadline, _) = host.node.as_ref()?.poll_timeout()?;
            Some((host.paused_until.unwrap_or(deadline + self.lateness / 2), index))
        };
        self.hosts.iter().enumerate().filter_map(wake).min()
    }

    fn wake(&mut self, host: usize) {
        self.resume(host);
        self.act(host, |_, _| {});
    }

    fn resume(&mut self, host: usize) {
        self.hosts[host].paused_until = None;
        for frame in std::mem::take(&mut self.hosts[host].waiting) {
            self.receive(&frame);
        }
    }

    fn deliver(&mut self) {
        let Some((_, frame)) = self.frames.pop_first() else { return };
        if self.hosts[frame.to].paused_until.is_some() {
            self.hosts[frame.to].waiting.push(frame);
        } else {
            self.receive(&frame);
        }
    }

    fn receive(&mut self, frame: &Frame) {
        let source = self.hosts[frame.from].address;
        let Some(node) = &mut self.hosts[frame.to].node else { return };
        let datagram = Datagram {
            link: LINK,
            source,
            destination: frame.destination,
            ttl: Some(255),
            protocol: frame.protocol,
            ip_header: &frame.header,
            payload: &frame.payload,
        };
        node.receive(&datagram, self.now);
        self.carry_out(frame.to);
    }

    fn act(&mut self, host: usize, act: impl FnOnce(&mut Node, Instant)) {
        let now = self.now;
        let Some(node) = &mut self.hosts[host].node else { return };
        act(node, now);
        if self.hosts[host].paused_until.is_none() {
            let node = self.hosts[host].node.as_mut().unwrap();
            node.handle_timeout(now);
            assert!(node.poll_timeout().is_none_or(|(at, _)| at > now), "a deadline in the past");
        }
        self.carry_out(host);
    }

    fn carry_out(&mut self, host: usize) {
        let before = self.transitions;
        while let Some(effect) = self.hosts[host].node.as_mut().and_then(Node::poll_effect) {
            match effect {
                Effect::Advertise { protocol, identification, destination, payload, ttl, .. } => {
                    let header = self.header(host, destination, protocol, ttl, identification, payload.len());
                    self.send(&Frame { from: host, to: host, protocol, header, destination, payload });
                }
                Effect::SetAddresses { router } => {
                    assert!(self.hosts[host].holds.insert(router), "set twice\n{}", self.story());
                }
                Effect::ClearAddresses { router } => {
                    self.hosts[host].holds.remove(&router);
                }
                Effect::Transition { router, from, to, reason, .. } => {
                    self.tell(&format!("host {host} router {} {from} -> {to}: {reason}", router.0));
                    self.transition(host, router, to);
                }
                _ => {}
            }
        }
        if self.transitions != before {
            self.check(host);
        }
    }

    fn header(&self, host: usize, to: IpAddr, protocol: u8, ttl: u8, identification: u16, len: usize) -> [u8; 20] {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.hosts[host].address, to) else {
            panic!("the simulation speaks IPv4");
        };
        ipv4_header(source, destination, protocol, ttl, identification, len)
    }

    fn send(&mut self, frame: &Frame) {
        for to in (0..self.hosts.len()).filter(|to| *to != frame.from) {
            let copies = if self.dice.chance(self.doubling) { 2 } else { 1 };
            for _ in 0..copies {
                let lost = self.dice.chance(self.loss) || self.cut.contains(&(frame.from, to));
                let delay = self.dice.below(self.longest_delay);
                if !lost {
                    self.sequence += 1;
                    self.frames.insert((self.now + delay, self.sequence), Frame { to, ..frame.clone() });
                }
            }
        }
    }

    fn transition(&mut self, host: usize, router: RouterId, to: State) {
        self.transitions += 1;
        let vrid = u8::try_from(router.0 + 1).unwrap();
        let now = self.now;
        if to != State::Master {
            self.end_reign(vrid, host, now);
            return;
        }
        let others = self.reigns.entry(vrid).or_default();
        if self.preemption_forbidden {
            let preempted = others.iter().find(|reign| now - reign.since > Self::LONGEST_CALM_DELAY + Self::LATENESS);
            let preempted = preempted.map(|reign| reign.host);
            assert_eq!(preempted, None, "host {host} preempted VRID {vrid}\n{}", self.story());
        }
        self.reigns.entry(vrid).or_default().push(Reign { host, since: now });
    }

    /// Two masters overlap from the second one's beginning to the first one's end.
    fn end_reign(&mut self, vrid: u8, host: usize, now: Instant) {
        let reigns = self.reigns.entry(vrid).or_default();
        let Some(index) = reigns.iter().position(|reign| reign.host == host) else { return };
        let ended = reigns.remove(index);
        let others = reigns.iter().map(|other| now - other.since.max(ended.since));
        if let (Some(overlap), Some(longest)) = (others.max(), &mut self.longest_overlap) {
            *longest = overlap.max(*longest);
        }
    }

    pub fn watch_overlaps(&mut self) {
        self.longest_overlap = Some(Duration::ZERO);
    }

    pub fn forbid_preemption(&mut self) {
        self.preemption_forbidden = true;
    }

    pub fn longest_overlap(&mut self) -> Duration {
        let now = self.now;
        for vrid in self.plan.vrids() {
            for host in 0..self.hosts.len() {
                self.end_reign(vrid, host, now);
            }
        }
        self.longest_overlap.unwrap()
    }

    pub fn masters(&self, vrid: u8) -> Vec<usize> {
        self.reigns.get(&vrid).into_iter().flatten().map(|reign| reign.host).collect()
    }

    pub fn states(&self, host: usize) -> Vec<State> {
        let views = self.hosts[host].node.as_ref().map(Node::views).unwrap_or_default();
        views.iter().map(|view| view.state).collect()
    }

    /// What must be true of a host after every change of state.
    fn check(&mut self, host: usize) {
        let Some(node) = &self.hosts[host].node else { return };
        let mut masters = 0;
        let views = node.views();
        for view in &views {
            let waits = |reason| view.timers.iter().any(|timer| timer.1 == reason);
            let holds = self.hosts[host].holds.contains(&view.id);
            assert_eq!(view.state == State::Master, holds, "addresses of {}\n{}", view.name, self.story());
            assert_eq!(view.state == State::Master, waits(TimerReason::Advertise), "adverts of {}", view.name);
            let listens = waits(TimerReason::MasterDown) || waits(TimerReason::Skew);
            assert_eq!(view.state == State::Backup, listens, "deadline of {}", view.name);
            masters += usize::from(holds);
        }
        let whole = masters == 0 || masters == views.len();
        assert!(!self.plan.grouped || whole, "host {host} holds a part of its group\n{}", self.story());
    }

    fn tell(&mut self, line: &str) {
        let at = self.now.duration_since(self.start).as_secs_f64();
        let _ = writeln!(self.story, "{at:12.6} {line}");
    }

    /// What happened so far, a line each.
    pub fn story(&self) -> String {
        let mut story = self.story.clone();
        for (index, config) in self.plan.hosts.iter().enumerate() {
            for router in &config.routers {
                let _ = writeln!(
                    story,
                    "host {index} {}: priority {} {:?} every {:?} preempt {} after {:?}",
                    router.name,
                    router.priority,
                    router.version,
                    router.advert_interval,
                    router.preempt,
                    router.preempt_delay
                );
            }
        }
        story
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b)
}
