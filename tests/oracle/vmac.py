#!/usr/bin/python3
"""Virtual MAC addresses (macvlan and ipvlan) beside keepalived: the same file, the same links, addresses, frames and states at every step.

    python3 tests/oracle/vmac.py target/debug/standfast [a directory for the programs' logs]

Needs root, iproute2 and keepalived on a Linux whose kernel has macvlan and ipvlan, for instance a virtual machine; it makes network
namespaces of its own. What the last run said is in docs/vrrp-differences.md.

Two networks that are alike: in one, director `a` is keepalived, in the other it is Standfast. Director `b` is keepalived in both,
and a third host watches the wire.
"""
import os, re, signal, socket, struct, subprocess, sys, tempfile, threading, time

from lab import check, finish, inns, ip, link, namespace, run, wait

OURS = sys.argv[1]
DIR = tempfile.mkdtemp()
LOGS = sys.argv[2] if len(sys.argv) > 2 else DIR
WORLDS = {"k": ["keepalived"], "s": [OURS]}
BASE = {"a": "02:77:00:00:0%d:01", "b": "02:77:00:00:0%d:02", "p": "02:77:00:00:0%d:09"}
HOST = {"a": 2, "b": 3, "p": 9}


def host(world, name):
    namespace(world + name)
    for number, network in ((0, "192.0.2"), (1, "198.51.100")):
        link(world + name, f"eth{number}", f"br{world}{number}", BASE[name] % number, f"{network}.{HOST[name]}/24")
        ip(world + name, f"addr add 2001:db8:{number}::{HOST[name]}/64 dev eth{number} nodad")


namespace("lan")
for world in WORLDS:
    for number in (0, 1):
        ip("lan", f"link add br{world}{number} type bridge mcast_snooping 0"); ip("lan", f"link set br{world}{number} up")
    for name in HOST:
        host(world, name)


def instance(vrid, interface, lines, *addresses, version=3):
    return (vrid, f" interface {interface}\n virtual_router_id {vrid}\n version {version}\n advert_int 1\n garp_master_delay 1\n {lines}\n"
                  " virtual_ipaddress {\n  " + "\n  ".join(addresses) + "\n }\n")


MAC = instance(51, "eth0", "use_vmac", "192.0.2.151/24", version=2)
XMIT = instance(52, "eth0", "use_vmac\n vmac_xmit_base", "192.0.2.152/24")
SIX = instance(53, "eth0", "use_vmac", "fe80::153/64", "2001:db8::153/64")
ADDRESS = instance(54, "eth0", "", "192.0.2.154/24 use_vmac")
VLAN = instance(55, "eth1", "use_ipvlan 198.51.100.5OWN/24", "198.51.100.155/24")
VLAN6 = instance(56, "eth1", "use_ipvlan ipv56 fe80::5OWN", "fe80::156/64", "2001:db8:1::156/64")
NAMED = instance(57, "eth0", "use_vmac named\n vmac_xmit_base", "192.0.2.157/24", "198.51.100.157/24 dev eth1")
PLAIN = instance(51, "eth0", "", "192.0.2.151/24", version=2)
ALL = [MAC, XMIT, SIX, ADDRESS, VLAN, VLAN6, NAMED]


def text(instances, priority):
    blocks = (f"vrrp_instance V{vrid} {{\n priority {priority}\n{body}}}\n" for vrid, body in instances)
    return "global_defs {\n router_id oracle\n}\n" + "".join(blocks)


class Daemon:
    """one program in its namespace"""
    def __init__(self, ns, words, instances, priority):
        self.ns, self.words, self.priority, self.process = ns, words, priority, None
        self.log = open(f"{LOGS}/{ns}.log", "w+")
        self.configure(instances)

    def configure(self, instances):
        with open(f"{DIR}/{self.ns}.conf", "w") as file:
            file.write(text(instances, self.priority).replace("OWN", str(HOST[self.ns[1]])))

    def start(self):
        pids = [word for which in "prc" for word in ("-" + which, f"{DIR}/{self.ns}{which}.pid")]
        with inns(self.ns):
            # keepalived's children outlive it if it is killed; a group of its own takes them along
            self.process = subprocess.Popen(self.words + ["-n", "-l", "-D", "-P", "-f", f"{DIR}/{self.ns}.conf"] + pids,
                                            stdout=self.log, stderr=self.log, start_new_session=True)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL); self.process.wait()

    def states(self):
        told = re.findall(r"\((V\d+)\) (?:Entering (\w+) STATE|(?:e|E)ntering (FAULT) state)", open(self.log.name).read())
        states = {}
        for name, *state in told:
            states.setdefault(name, []).append("".join(state))
        return states


class Watch:
    """what the third host of a network sees: of each kind of frame one line"""
    def __init__(self, world):
        self.seen, self.lock = set(), threading.Lock()
        for number in (0, 1):
            with inns(world + "p"):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                s.bind((f"eth{number}", 0))
            threading.Thread(target=self.listen, args=(s, number), daemon=True).start()

    def listen(self, s, number):
        while True:
            line = described(s.recv(2000))
            if line:
                with self.lock:
                    self.seen.add(f"eth{number}: {line}")

    def take(self):
        with self.lock:
            seen, self.seen = self.seen, set()
        return seen


def described(frame):
    mac, kind, body = frame[6:12].hex(":"), frame[12:14], frame[14:]
    if kind == b"\x08\x00" and body[9] == 112:
        vrrp = body[(body[0] & 15) * 4:]
        return f"advert v{vrrp[0] >> 4} vrid {vrrp[1]} prio {vrrp[2]} from {socket.inet_ntoa(body[12:16])} {mac}"
    if kind == b"\x86\xdd" and body[6] == 112:
        return f"advert v{body[40] >> 4} vrid {body[41]} prio {body[42]} from {socket.inet_ntop(socket.AF_INET6, body[8:24])} {mac}"
    if kind == b"\x08\x06" and body[14:18] == body[24:28]:
        return f"GARP {socket.inet_ntoa(body[14:18])} is at {body[8:14].hex(':')} from {mac}"
    if kind == b"\x86\xdd" and body[6] == 58 and body[40] == 136 and frame[0] == 0x33:
        return f"NA {socket.inet_ntop(socket.AF_INET6, body[48:64])} is at {body[66:72].hex(':')} from {mac}"
    return None


def links(ns):
    """the links that a daemon made, with what makes them what they are"""
    found = {}
    for line in run(ns, "ip", "-d", "-o", "link").splitlines():
        number, name, rest = line.split(": ", 2)
        kind = re.search(r"(macvlan|ipvlan)\s+mode (\w+)( \w+)?", rest)
        mac = re.search(r"link/ether (\S+)", rest)
        if kind:
            up = "up" if ",UP" in rest or "<UP" in rest else "down"
            found[name.split("@")[0]] = (f"{kind[1]} {kind[2]} {mac[1]} {up}", number)
    return found


def picture(world):
    """what a director's kernel holds"""
    ns = world + "a"
    lines = {f"link {name} {what}" for name, (what, _) in links(ns).items()}
    for line in run(ns, "ip", "-o", "addr").splitlines():
        words = line.split()
        if words[1] != "lo":
            scope = words[words.index("scope") + 1]
            more = {"secondary", "deprecated", "nodad", "tentative"} & set(words)
            lines.add(f"address {words[1]} {words[3]} {scope} {' '.join(sorted(more))}".strip())
    return lines


SETTINGS = [f"ipv4/conf/{{}}/{name}" for name in ("arp_ignore", "arp_filter", "rp_filter", "accept_local", "promote_secondaries")]


def settings(world):
    names = [f"/proc/sys/net/{setting.format(link)}" for link in [*links(world + "a"), "eth0", "eth1"] for setting in SETTINGS]
    return {f"{name} {value}" for name, value in zip(names, run(world + "a", "cat", *names).split())}


def same(what, k, s):
    different = [f"   only keepalived: {line}" for line in sorted(set(k) - set(s))]
    different += [f"   only Standfast:  {line}" for line in sorted(set(s) - set(k))]
    check(f"{what}: the same", not different, "\n".join(different))


def addresses(world):
    return run(world + "a", "ip", "-o", "addr")


def stands(*wanted):
    return lambda: all(address + "/" in addresses(world) for world in WORLDS for address in wanted)


def gone(*unwanted):
    return lambda: not any(address + "/" in addresses(world) for world in WORLDS for address in unwanted)


def ask(world, *wanted):
    """who answers the third host, by MAC (keepalived also asks its neighbours in the name of a virtual address, with its own MAC: they are not compared)"""
    run(world + "p", "ip", "neigh", "flush", "all")
    found = set()
    for address in wanted:
        answered = "1 received" in run(world + "p", "ping", "-c", "1", "-W", "2", address, check=False)
        mac = re.search(r"lladdr (\S+)", run(world + "p", "ip", "neigh", "show", address))
        found.add(f"{address} answers: {answered}, from {mac and mac[1]}")
    return found


FOUR = ["192.0.2.151", "192.0.2.152", "192.0.2.154", "192.0.2.157", "198.51.100.155", "198.51.100.157"]
SIXES = ["2001:db8::153", "2001:db8:1::156"]
VIPS = FOUR + SIXES
watches = {world: Watch(world) for world in WORLDS}
masters = {world: Daemon(world + "a", words, ALL, 150) for world, words in WORLDS.items()}
backups = {world: Daemon(world + "b", ["keepalived"], ALL, 100) for world in WORLDS}


def compare(what, *asked):
    """everything since the last comparison"""
    same(f"{what}, links and addresses", *map(picture, WORLDS))
    same(f"{what}, frames on the wire", *(watch.take() for watch in watches.values()))
    if asked:
        k, s = (ask(world, *asked) for world in WORLDS)
        answers = [{line.split(", from")[0] for line in lines} for lines in (k, s)]
        same(f"{what}, who answers", *answers)
        print("     " + "\n     ".join(sorted(s)))


def each(act):
    for world in WORLDS:
        act(world)


each(lambda world: masters[world].start())
wait("election: every address stands", stands(*VIPS), 90)
time.sleep(4)
each(lambda world: backups[world].start())
compare("election", *VIPS)
same("election, settings of the links", *map(settings, WORLDS))
for line in sorted(watches["s"].take() | picture("s")):
    print("    ", line)

indices = {world: {name: number for name, (_, number) in links(world + "a").items()} for world in WORLDS}
each(lambda world: masters[world].kill())
time.sleep(6)
compare("killed, the backup leads")
each(lambda world: masters[world].start())
time.sleep(1.5)
same("started again, links and addresses", *map(picture, WORLDS))
kept = {world: {f"{name} kept: {number == indices[world].get(name)}" for name, (_, number) in links(world + 'a').items()} for world in WORLDS}
same("started again, the links that were left", kept["k"], kept["s"])
wait("failback: every address stands", stands(*VIPS), 90)
time.sleep(4)
compare("failback", *VIPS)

each(lambda world: [ip(world + "a", f"link del {name}") for name in ("vrrp.51", "vrrp.53", "ipv56")])
time.sleep(10)
compare("links removed by hand")
each(lambda world: ip(world + "a", "link set eth0 down"))
time.sleep(6)
compare("eth0 down")
each(lambda world: ip(world + "a", "link set eth0 up"))
each(lambda world: ip(world + "a", "addr replace 2001:db8:0::2/64 dev eth0 nodad"))
time.sleep(12)
compare("eth0 up again", *VIPS)

each(lambda world: masters[world].configure([PLAIN, SIX, ADDRESS, VLAN6, NAMED]))
each(lambda world: masters[world].process.send_signal(signal.SIGHUP))
time.sleep(10)
compare("a reload without some", "192.0.2.151", "192.0.2.157")
each(lambda world: masters[world].configure(ALL))
each(lambda world: masters[world].process.send_signal(signal.SIGHUP))
time.sleep(10)
compare("a reload with all", *VIPS)

each(lambda world: masters[world].process.send_signal(signal.SIGTERM))
wait("the end: no address stands", gone(*VIPS))
time.sleep(6)
compare("the end", *FOUR)
states = [masters[world].states() for world in WORLDS]
for name in sorted(set(states[0]) | set(states[1])):
    told = [" ".join(state.get(name, [])) for state in states]
    check(f"states of {name}: {told[0]}", told[0] == told[1], f"   Standfast: {told[1]}")
finish()
