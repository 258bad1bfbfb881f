#!/usr/bin/python3
"""What the kernel's IPVS does with services, edits and packets drawn at random: recordings that `ipvs/tests/engine/recorded.rs`
plays against the engine. Root on a kernel that has IPVS, with ipvsadm, iproute2 and nft.

    ipvs.py OUT KIND FIRST_SEED COUNT

KIND is one of the functions marked `@kind` below, or `all`. Each seed gives one file OUT/KIND-SEED.txt. A line is an order, or `>` with
a packet that came out (side, last byte of the MAC address, bytes), or `|` with a line of a table. Orders begin with the milliseconds
that have passed. Timers and counters are the kernel's own: now and then one is a moment late, and the recording is of no use.
"""
import os, random, socket, struct, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import inns, namespace, run
from frames import *

CM, SM = "02:00:00:00:00:50", "02:00:00:00:01:50"
DM, D1M = "02:00:00:00:00:fe", "02:00:00:00:01:fe"
SERVERS = range(1, 6)
CLIENTS = {4: [f"10.0.0.{n}" for n in (1, 2, 3)] + ["10.9.1.1", "10.9.1.2", "10.9.2.1"],
           6: [f"fd00::{n}" for n in (1, 2, 3)] + ["fd00:0:0:9::1", "fd00:0:0:9::1:2", "fd00:0:0:a::1"]}
VIPS = {4: ["10.0.0.100", "10.0.0.101"] + [f"10.0.0.{n}" for n in (110, 111, 112, 120)],
        6: ["fd00::100", "fd00::101", "fd00::110", "fd00::111", "fd00::112", "fd00::120"]}
SCHEDULERS = "rr wrr lc wlc sed nq sh dh lblc lblcr fo ovf mh".split()
kinds = {}


def kind(f):
    kinds[f.__name__] = f
    return f


def server_address(v, n):
    return f"10.1.0.{n}" if v == 4 else f"fd01::{n}"


def socket_of(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


ports = {}


def sysctl(ns, name, value):
    with inns(ns), open("/proc/sys/" + name.replace(".", "/"), "w") as f:
        f.write(str(value))


def batch(ns, lines):
    run(ns, "ip", "-batch", "-", given="\n".join(lines) + "\n")


def stations():
    """Two networks, and a station without a stack on each that stands for all clients and all servers."""
    namespace("lan")
    batch("lan", [f"link add {b} type bridge forward_delay 0 mcast_snooping 0" for b in ("br0", "br1")] +
          [f"link set {b} up" for b in ("br0", "br1")])
    for ns, side, bridge, address in (("gc", "client", "br0", CM), ("gs", "server", "br1", SM)):
        namespace(ns)
        sysctl(ns, "net.ipv6.conf.all.disable_ipv6", 1)
        plug(ns, "g0", bridge, address)
        ports[side] = Port(ns, "g0", address)


def plug(ns, device, bridge, address):
    batch("lan", [f"link add {ns}-{device} type veth peer name {device} address {address} netns {ns}",
                  f"link set {ns}-{device} master {bridge} up"])
    batch(ns, [f"link set {device} up"])
    run(ns, "ethtool", "-K", device, "tx", "off", "gro", "off", "gso", "off", check=False)


def director():
    """A director without history: IPVS's state is its network namespace's."""
    namespace("d")
    for name, value in (("net.ipv4.ip_forward", 1), ("net.ipv6.conf.all.forwarding", 1), ("net.ipv4.icmp_ratelimit", 0),
                        ("net.ipv6.icmp.ratelimit", 0), ("net.ipv4.conf.all.rp_filter", 0), ("net.ipv4.conf.default.rp_filter", 0),
                        ("net.ipv6.conf.default.accept_dad", 0)):
        sysctl("d", name, value)
    plug("d", "d0", "br0", DM)
    plug("d", "d1", "br1", D1M)
    lines = ["addr add 10.0.0.254/24 dev d0", "addr add 10.1.0.254/24 dev d1", "addr add fd00::254/64 dev d0 nodad",
             "addr add fd01::254/64 dev d1 nodad"]
    lines += [f"addr add {v}/32 dev d0" for v in VIPS[4]] + [f"addr add {v}/128 dev d0 nodad" for v in VIPS[6]]
    lines += [f"route add {r} dev d0" for r in ("10.9.0.0/16", "fd00:0:0:9::/64", "fd00:0:0:a::/64")]
    lines += [f"neigh add {c} lladdr {CM} dev d0 nud permanent" for v in (4, 6) for c in CLIENTS[v]]
    lines += [f"neigh add {server_address(v, n)} lladdr 02:00:00:00:01:{n:02x} dev d1 nud permanent" for v in (4, 6) for n in SERVERS]
    batch("d", lines)
    rules = [f"{ip} daddr {first}-{last} meta mark set {mark}" for ip, first, last, mark in (
        ("ip", "10.0.0.110", "10.0.0.119", 7), ("ip", "10.0.0.120", "10.0.0.129", 8),
        ("ip6", "fd00::110", "fd00::119", 7), ("ip6", "fd00::120", "fd00::129", 8))]
    lines = ["table inet m {", "chain c {", "type filter hook prerouting priority mangle", *rules, "}", "}", ""]
    run("d", "nft", "-f", "-", given="\n".join(lines))


def conns():
    """The rows of the connection table."""
    with inns("d"), open("/proc/thread-self/net/ip_vs_conn") as f:
        rows = [line.split() for line in f.read().splitlines()[1:]]
    plain = lambda text: socket.inet_ntoa(bytes.fromhex(text)) if len(text) == 8 else text
    return [dict(proto=r[0], caddr=plain(r[1]), cport=int(r[2], 16), vaddr=plain(r[3]), vport=int(r[4], 16), daddr=plain(r[5]),
                 dport=int(r[6], 16), state=r[7], expires=int(r[8])) for r in rows]


class Lab:
    def __init__(self, out):
        self.out = out
        director()
        time.sleep(0.05)
        self.drain()
        self.start = time.monotonic()

    def write(self, line):
        self.out.write(line + "\n")

    def order(self, text):
        self.write(f"{int((time.monotonic() - self.start) * 1000)} {text}")

    def drain(self):
        of_director = (mac(DM), mac(D1M))
        return [(name, frame) for name, port in ports.items() for frame in port.heard() if frame[6:12] in of_director]

    def adm(self, line):
        """An ipvsadm command; the kernel may refuse."""
        with inns("d"):
            done = subprocess.run(["ipvsadm"] + line.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.write("| " + ("ok" if done.returncode == 0 else "refused"))

    def set(self, name, value):
        sysctl("d", "net.ipv4.vs." + name, value)
        if name in ("secure_tcp", "drop_entry", "drop_packet"):
            time.sleep(1.1)
        self.order(f"set {name} {value}")

    def of(self, id):
        proto, _, rest = id.partition("/")
        return {"tcp": f"-t {rest}", "udp": f"-u {rest}", "sctp": f"--sctp-service {rest}", "mark": f"-f {rest}",
                "mark6": f"-f {rest} -6"}[proto]

    def service(self, verb, id, scheduler, flags=(), persist=0, mask=None, ops=False, pe=None):
        line = f"{'-A' if verb == 'service' else '-E'} {self.of(id)} -s {scheduler}"
        words = [verb, id, scheduler]
        if flags:
            line += " -b " + ",".join(flags)
            words.append("flags=" + ",".join(flags))
        if persist:
            line += f" -p {persist}"
            words.append(f"persist={persist}")
        if persist and mask is not None:
            v6 = "[" in id or id.startswith("mark6")
            line += f" -M {mask}" if v6 else f" -M {socket.inet_ntoa(struct.pack('>I', 0xffffffff << (32 - mask) & 0xffffffff))}"
            words.append(f"mask={mask}")
        if persist and pe:
            line += f" --pe {pe}"
            words.append(f"pe={pe}")
        if ops:
            line += " -o"
            words.append("ops")
        self.order(" ".join(words))
        self.adm(line)

    def unservice(self, id):
        self.order(f"unservice {id}")
        self.adm(f"-D {self.of(id)}")

    def server(self, verb, id, socket_, method="nat", weight=1, upper=0, lower=0):
        how = {"nat": "-m", "dr": "-g", "tun": "-i", "gre": "-i --tun-type gre", "gre:csum": "-i --tun-type gre --tun-csum",
               "gue": "-i --tun-type gue --tun-port 5555", "gue:csum": "-i --tun-type gue --tun-port 5555 --tun-csum",
               "gue:remcsum": "-i --tun-type gue --tun-port 5555 --tun-remcsum"}[method]
        self.order(f"{verb} {id} {socket_} {method} {weight} {upper} {lower}")
        self.adm(f"{'-a' if verb == 'server' else '-e'} {self.of(id)} -r {socket_} {how} -w {weight} -x {upper} -y {lower}")

    def unserver(self, id, socket_):
        self.order(f"unserver {id} {socket_}")
        self.adm(f"-d {self.of(id)} -r {socket_}")
        # With expire_nodest_conn a worker of the kernel's looks for connections afterwards.
        time.sleep(0.03)

    def wait(self, seconds):
        time.sleep(seconds)

    def send(self, side, *packets):
        self.drain()
        for packet in packets:
            self.order(f"from-{side} {packet.hex()}")
            ports[side].send(DM if side == "client" else D1M, packet)
            time.sleep(0.001)
            frames = self.drain()
            if not frames:
                time.sleep(0.01)
                frames = self.drain()
            for name, frame in frames:
                self.write(f"> {name} {frame[5]} {frame[14:].hex()}")

    def dump(self):
        self.order("table")
        for c in conns():
            a = [socket_of(self.plain(c[x]), c[y]) for x, y in (("caddr", "cport"), ("vaddr", "vport"), ("daddr", "dport"))]
            self.write(f"| {c['proto']} {' '.join(a)} {c['state']} {c['expires']}")
        text = run("d", "ipvsadm", "-Ln", "--nosort", "--persistent-conn")
        self.order("loads")
        for line in text.splitlines()[3:]:
            f = line.split()
            if f[0] == "->":
                self.write(f"| -> {f[1]} {f[2]} {f[3]} {f[4]} {f[5]}")
            else:
                self.write(f"| {f[0]} {f[1]}")

    def plain(self, a):
        if len(a) > 20:
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, a.strip("[]")))
        return a

    def stats(self):
        time.sleep(2.2)
        self.order("stats")
        text = run("d", "ipvsadm", "-Ln", "--nosort", "--stats", "--exact")
        for line in text.splitlines()[3:]:
            self.write("| " + " ".join(line.split()))


def ip_packet(v, s, d, proto, body, **more):
    if v == 4:
        return ip4(s, d, proto, body, **more)
    return ip6(s, d, proto, body, hlim=more.get("ttl", 64), tc=more.get("tos", 0))


def draw_service(r, lab, v, proto, id, persist_chance=0.4):
    scheduler = r.choice(SCHEDULERS)
    flags = []
    if scheduler in ("sh", "mh"):
        flags = [f"{scheduler}-{x}" for x in ("port", "fallback") if r.random() < 0.5]
    persist = r.choice([0, 30, 100, 360]) if r.random() < persist_chance else 0
    if id.endswith(":0") and not persist:
        persist = 77
    mask = r.choice([None, 24, 16, 32] if v == 4 else [None, 64, 48, 128])
    return dict(scheduler=scheduler, flags=flags, persist=persist, mask=mask, ops=proto == "udp" and r.random() < 0.25)


METHODS = ["nat"] * 6 + ["dr"] * 2 + ["tun", "gue", "gre:csum"]


def play(r, lab, v, proto, steps, methods=METHODS, services=None, persist_chance=0.4, thresholds=0.3, edits=0.12):
    """Services and servers drawn at random, then packets, edits and pauses."""
    ids = services or [f"{proto}/{socket_of(VIPS[v][0], 80)}"]
    if not services and r.random() < 0.4:
        ids.append(r.choice([f"{proto}/{socket_of(VIPS[v][1], 0)}", "mark/7" if v == 4 else "mark6/7"]))
    for name in ("expire_nodest_conn", "expire_quiescent_template", "sloppy_tcp"):
        if r.random() < 0.3:
            lab.set(name, 1)
    if r.random() < 0.3:
        lab.set("conn_reuse_mode", r.choice([0, 2]))
    if proto == "tcp" and r.random() < 0.3:
        lab.set("secure_tcp", 3)
    made = {}
    counted = True

    def port_of(id):
        if id.startswith("mark"):
            return r.choice([0, 80, 8080])
        return int(id.rsplit(":", 1)[1])

    def draw_server(id):
        n = r.choice(SERVERS)
        method = r.choice(methods)
        port = port_of(id) if method != "nat" or r.random() < 0.5 or port_of(id) == 0 else 8080
        upper = r.choice([1, 2, 3, 5]) if r.random() < thresholds else 0
        lower = r.randrange(0, upper + 1) if upper and r.random() < 0.5 else 0
        return socket_of(server_address(v, n), port), method, r.choice([0, 1, 1, 1, 2, 3, 5, 100]), upper, lower

    for id in ids:
        lab.service("service", id, **draw_service(r, lab, v, proto, id, persist_chance))
        made[id] = {}
        for _ in range(r.randrange(1, 5)):
            s, *rest = draw_server(id)
            if s not in made[id]:
                lab.server("server", id, s, *rest)
                made[id][s] = rest
    ports = list(range(1000, 1005))

    def client_packet():
        id = r.choice(ids)
        if id.startswith("mark"):
            d, dport = r.choice(VIPS[v][2:5]), r.choice([80, 81, 443])
        else:
            d, dport = id.partition("/")[2].rsplit(":", 1)
            d, dport = d.strip("[]"), int(dport) or r.choice([80, 81, 22])
            if dport == 21:
                dport = r.choice([21, 21, 21, 20, 80, 1023, 1024, 5000])
        s, sport = r.choice(CLIENTS[v]), r.choice(ports)
        return transport(s, d, sport, dport, r.choice("S S S S S A A A FA R PA SA F RA SF".split() + [""]), r)

    def transport(s, d, sport, dport, flags, r):
        if proto == "tcp":
            data = b"x" * r.choice([0, 0, 1, 7]) if "A" in flags else b""
            body = tcp(s, d, sport, dport, flags, seq=r.randrange(1 << 32), ack=r.randrange(1 << 32), data=data)
            return ip_packet(v, s, d, 6, body, ident=r.randrange(1, 1 << 16), tos=r.choice([0, 0x10, 3]))
        if proto == "udp":
            body = udp(s, d, sport, dport, b"y" * r.choice([0, 1, 2, 9]), nosum=v == 4 and r.random() < 0.2)
            return ip_packet(v, s, d, 17, body, ident=r.randrange(1, 1 << 16), df=r.random() < 0.5)
        chunk = r.choice([1, 1, 1, 1, 10, 10, 0, 3, 2, 6, 7, 8, 11, 14, 9, 4, 5, 12, 200])
        return ip_packet(v, s, d, 132, sctp(sport, dport, chunk, body=b"z" * 8), ident=r.randrange(1, 1 << 16))

    def server_packet():
        rows = [c for c in conns() if c["cport"] != 0]
        if not rows or r.random() < 0.1:
            s, d, sport, dport = server_address(v, r.choice(SERVERS)), r.choice(CLIENTS[v]), 80, r.choice(ports)
        else:
            c = r.choice(rows)
            s, d, sport, dport = lab.plain(c["daddr"]), lab.plain(c["caddr"]), c["dport"], c["cport"]
        if s not in [server_address(v, n) for n in SERVERS]:
            return None
        return transport(s, d, sport, dport, r.choice("SA SA SA A A PA FA FA R S".split() + [""]), r)

    for step in range(steps):
        dice = r.random()
        if dice < edits:
            id = r.choice(ids)
            what = r.random()
            held = sorted(made[id])
            if what < 0.45 and held:
                s = r.choice(held)
                rest = made[id][s]
                upper = r.choice([rest[2], rest[2], 0, 2, 4])
                rest = [rest[0], r.choice([0, 1, 2, 3, 7]), upper, min(rest[3], upper)]
                made[id][s] = rest
                lab.server("edit", id, s, *rest)
            elif what < 0.6 and held:
                s = r.choice(held)
                del made[id][s]
                lab.unserver(id, s)
            elif what < 0.85:
                s, *rest = draw_server(id)
                # An edit to another method makes the kernel forget what kind of tunnel connections are in.
                rest[0] = made[id].get(s, rest)[0]
                lab.server("edit" if s in made[id] else "server", id, s, *rest)
                made[id][s] = rest
            elif what < 0.93:
                lab.service("reservice", id, **draw_service(r, lab, v, proto, id, persist_chance))
            elif what < 0.96:
                # Counters of servers that come back with another service begin at what the latest estimate has not seen.
                counted = False
                lab.unservice(id)
                lab.service("service", id, **draw_service(r, lab, v, proto, id, persist_chance))
                made[id] = {}
                for _ in range(2):
                    s, *rest = draw_server(id)
                    if s not in made[id]:
                        lab.server("server", id, s, *rest)
                        made[id][s] = rest
            else:
                name = r.choice(["expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode", "sloppy_tcp"])
                lab.set(name, r.choice([0, 1, 2, 3] if name == "conn_reuse_mode" else [0, 1]))
        elif dice < edits + 0.05:
            # SCTP's shortest time-out is 3 s, and the kernel's timers are late.
            lab.wait(r.choice([0.1, 0.5, 1, 2, 5] if proto != "sctp" else [0.1, 0.5]))
        elif dice < edits + 0.08:
            lab.dump()
        elif dice < 0.7:
            lab.send("client", client_packet())
        else:
            packet = server_packet()
            if packet:
                lab.send("server", packet)
    lab.dump()
    if counted:
        lab.stats()


@kind
def tcp4(r, lab):
    play(r, lab, 4, "tcp", 90)


@kind
def tcp6(r, lab):
    play(r, lab, 6, "tcp", 70)


@kind
def udp4(r, lab):
    play(r, lab, 4, "udp", 70)


@kind
def udp6(r, lab):
    play(r, lab, 6, "udp", 60)


@kind
def sctp4(r, lab):
    play(r, lab, 4, "sctp", 90, methods=["nat", "nat", "nat", "dr"])


@kind
def sctp6(r, lab):
    play(r, lab, 6, "sctp", 60, methods=["nat", "nat", "nat", "dr"])


@kind
def marks(r, lab):
    v = r.choice([4, 6])
    play(r, lab, v, r.choice(["tcp", "udp"]), 80, services=["mark/7" if v == 4 else "mark6/7"], persist_chance=0.6)


@kind
def thresholds(r, lab):
    play(r, lab, 4, r.choice(["tcp", "udp"]), 90, methods=["nat"], thresholds=0.9, persist_chance=0.2, edits=0.2)


@kind
def persistence(r, lab):
    v = r.choice([4, 6])
    play(r, lab, v, r.choice(["tcp", "tcp", "udp"]), 90, persist_chance=1.0, edits=0.2)


@kind
def hashes(r, lab):
    """sh and mh with weights that change, to 0 and back, and servers that overflow, come and go."""
    for at, scheduler in enumerate(["sh", "mh"] * 3):
        v = r.choice([4, 6])
        id = f"tcp/{socket_of(VIPS[v][at % 2], 80 + at)}"
        lab.service("service", id, scheduler, [f"{scheduler}-{x}" for x in ("port", "fallback") if r.random() < 0.5])
        held = {}
        for step in range(9):
            n = r.choice(SERVERS)
            server = socket_of(server_address(v, n), 80)
            weight, upper = r.choice([0, 0, 1, 2, 3, 6, 200]), r.choice([0, 0, 0, 2])
            if n in held and r.random() < 0.25:
                lab.unserver(id, server)
                del held[n]
            else:
                lab.server("edit" if n in held else "server", id, server, "nat", weight, upper)
                held[n] = weight
            for c in CLIENTS[v]:
                sport = r.randrange(1000, 60000)
                lab.send("client", ip_packet(v, c, VIPS[v][at % 2], 6, tcp(c, VIPS[v][at % 2], sport, 80 + at, r.choice(["S", "S", "SF"]))))
    lab.dump()


@kind
def limits(r, lab):
    """Thresholds that are edited while there are connections."""
    for port in range(1, 61):
        id, server = f"tcp/10.0.0.100:{port}", f"10.1.0.1:{port}"

        def draw():
            upper = r.choice([0, 1, 2, 3, 4, 6])
            return upper, r.choice([0, 0, *range(upper + 1)])

        def ask(sport):
            lab.send("client", ip4("10.0.0.1", "10.0.0.100", 6, tcp("10.0.0.1", "10.0.0.100", sport, port, "S")))

        lab.service("service", id, r.choice(SCHEDULERS))
        lab.server("server", id, server, "nat", 1, *draw())
        for sport in range(1000, 1000 + r.randrange(6)):
            ask(sport)
        lab.server("edit", id, server, "nat", 1, *draw())
        for sport in range(2000, 2003):
            ask(sport)


@kind
def ftp(r, lab):
    v = r.choice([4, 6])
    services = [f"tcp/{socket_of(VIPS[v][0], 21)}"] + r.choice([[], [f"tcp/{socket_of(VIPS[v][1], 0)}"]])
    play(r, lab, v, "tcp", 80, services=services, persist_chance=r.choice([0, 1, 1]))


def farm(lab, v, port=80):
    """TCP and UDP by NAT, DR and tunnel, each with a server of its own; gives the services by name."""
    made = {}
    for proto in ("tcp", "udp"):
        for n, (vip, method) in enumerate(((VIPS[v][0], "nat"), (VIPS[v][1], "dr"), (VIPS[v][2], "tun"))):
            id = f"{proto}/{socket_of(vip, port)}"
            lab.service("service", id, "rr")
            lab.server("server", id, socket_of(server_address(v, n + 1), 8080 if method == "nat" else port), method)
            made[proto, method] = (vip, server_address(v, n + 1))
    return made


def l4(proto, s, d, sport, dport, flags="S", data=b""):
    if proto == "tcp":
        return 6, tcp(s, d, sport, dport, flags, data=data)
    return 17, udp(s, d, sport, dport, data)


def icmps(r, lab, v):
    """Errors about connections, from everywhere and quoting more or less."""
    made = farm(lab, v)
    c, sport = CLIENTS[v][0], 2000
    for (proto, method), (vip, server) in made.items():
        number, body = l4(proto, c, vip, sport, 80)
        lab.send("client", ip_packet(v, c, vip, number, body))
    router = {"client": CLIENTS[v][3], "server": server_address(v, 5)}
    types = [0, 3, 3, 3, 4, 5, 8, 11, 12, 13, 18] if v == 4 else [1, 1, 2, 3, 4, 128, 129, 100, 5]
    for _ in range(60):
        (proto, method), (vip, server) = r.choice(sorted(made.items()))
        side = r.choice(["server", "client"])
        if side == "server":
            # About a packet of the client as the server got it.
            d, dport = (server, 8080) if method == "nat" else (vip, 80)
            number, body = l4(proto, c, d, sport, dport, r.choice(["S", "A"]), b"q" * r.choice([0, 5, 40, 700]))
            quoted, target = ip_packet(v, c, d, number, body, ttl=63), c
            sender = r.choice([server, router["server"], d])
        else:
            # About a packet of the server as the client got it.
            number, body = l4(proto, vip, c, 80, sport, "A", b"q" * r.choice([0, 5, 40, 700]))
            quoted, target = ip_packet(v, vip, c, number, body, ttl=63), vip
            sender = r.choice([c, router["client"]])
        header = 20 if v == 4 else 40
        quoted = quoted[:header + r.choice([8, 8, 20, 28, 48, 500, 4, 0, 2])]
        quoted = quoted[:528 if v == 4 else 1192]
        kind = r.choice(types)
        packet = bytearray(error(sender, target, kind, r.choice([0, 1, 3, 4, 13]), r.choice([0, 1300, 576, 1 << 24]), quoted))
        dice = r.random()
        if dice < 0.08:
            packet[header + 2] ^= 0x55
        elif dice < 0.14:
            packet[8 if v == 4 else 7] = 1
            if v == 4:
                packet[10:12] = b"\0\0"
                packet[10:12] = struct.pack(">H", checksum(packet[:20]))
        lab.send(side, bytes(packet))
    lab.dump()


@kind
def icmp4(r, lab):
    icmps(r, lab, 4)


@kind
def icmp6(r, lab):
    icmps(r, lab, 6)


def odds(r, lab, v):
    """Packets to and from connections, most with something odd about them."""
    made = farm(lab, v)
    c = CLIENTS[v][0]
    for _ in range(90):
        (proto, method), (vip, server) = r.choice(sorted(made.items()))
        sport = r.choice([2000, 2001, 1, 65535])
        dport = r.choice([80, 80, 80, 80, 0, 65535])
        s, d, side = c, vip, "client"
        if method == "nat" and r.random() < 0.3:
            s, d, side, sport, dport = server, c, "server", 8080, sport
        what = r.choice(["plain", "plain", "ttl", "length", "sum", "source", "l4", "options", "version", "proto", "tos", "short", "pad"])
        if what == "source" and side == "client":
            s = r.choice(["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", vip, "240.0.0.1"] if v == 4
                         else ["::1", "::", "ff02::1", vip, "fd00::254", "fe80::1", "::ffff:10.0.0.1"])
        number, body = l4(proto, s, d, sport, dport, r.choice(["S", "S", "A", "FA"]), b"d" * r.choice([0, 1, 30]))
        body = bytearray(body)
        if what == "l4":
            if proto == "tcp":
                body[12] = r.choice([4, 15, 0, 6]) << 4
            else:
                body[4:6] = struct.pack(">H", r.choice([0, 7, len(body) + 1, len(body) - 1, 65535]))
        if what == "short":
            body = body[:r.choice([0, 1, 2, 3])]
        if what == "proto":
            number = r.choice([1, 2, 4, 41, 47, 50, 58, 59, 132, 136, 255])
        if what == "options" and v == 4:
            options = r.choice([b"\1\1\1\0", b"\x94\4\0\0", b"\1" * 40, b"\x82\x0b" + b"\0" * 10, b"\x88\4\0\1"])
            packet = bytearray(ip4(s, d, number, options + bytes(body)))
            packet[0] = 0x45 + len(options) // 4
            packet[10:12] = b"\0\0"
            packet[10:12] = struct.pack(">H", checksum(packet[:20 + len(options)]))
        elif what == "options":
            chain = r.choice([[0], [60], [0, 60], [43], [0, 43, 60], [60, 60], [59], [0] + [60] * 5])
            extensions = b""
            for at, kind in enumerate(chain):
                following = chain[at + 1] if at + 1 < len(chain) else number
                extensions += bytes([following, 0]) + {43: b"\0\0\0\0\0\0", 44: b"\0\0\0\0\0\7", 51: b"\0\0\0\0\0\0"}.get(kind, b"\1\4\0\0\0\0")
            packet = bytearray(ip6(s, d, chain[0], extensions + bytes(body)))
        else:
            packet = bytearray(ip_packet(v, s, d, number, bytes(body)))
        if what == "ttl":
            packet[8 if v == 4 else 7] = r.choice([0, 1, 2, 255])
        if what == "length":
            at = 2 if v == 4 else 4
            packet[at:at + 2] = struct.pack(">H", r.choice([0, 19, 20, len(packet) - 1, len(packet) + 1, 65535]))
        if what == "version":
            packet[0] = r.choice([0x44, 0x46, 0x4f, 0x55, 0x65, 0x05, 0x40])
        if what == "tos":
            packet[1] = r.choice([0, 0xff, 3, 0x10])
        if v == 4 and what in ("ttl", "length", "tos"):
            packet[10:12] = b"\0\0"
            packet[10:12] = struct.pack(">H", checksum(packet[:20]))
        if what == "sum":
            packet[10 if v == 4 else 45] ^= 0x11
        if what == "pad":
            packet += b"\0" * r.choice([1, 6, 18])
        lab.send(side, bytes(packet))
    lab.dump()


@kind
def odd4(r, lab):
    odds(r, lab, 4)


@kind
def odd6(r, lab):
    odds(r, lab, 6)


@kind
def localities(r, lab):
    """lblc and lblcr over days: sets shrink, and addresses are forgotten."""
    lab.service("service", "mark/7", ["lblcr", "lblc"][r.seed_number % 2])
    for n in (1, 2, 3):
        lab.server("server", "mark/7", f"10.1.0.{n}:0", "nat", r.choice([1, 1, 2]))
    port = 1000
    for day in range(3):
        for _ in range(r.choice([5, 9])):
            port += 1
            vip = r.choice(VIPS[4][2:4])
            for flags in r.choice(["S", "SA"]):
                lab.send("client", ip4("10.0.0.1", vip, 6, tcp("10.0.0.1", vip, port, 80, flags)))
        lab.dump()
        lab.wait(r.choice([86300, 86500]))


WAYS = {"none": [], "SR": ["c:S"], "SA": ["c:S", "s:SA"], "ES": ["c:S", "s:SA", "s:A"], "TW": ["c:S", "c:FA"], "CL": ["c:S", "c:0"],
        "CW": ["c:S", "s:SA", "s:A", "c:FA"], "FW": ["c:S", "s:SA", "s:A", "s:FA"], "SS": ["c:S", "c:FA", "s:S"]}


@kind
def secure(r, lab):
    """Every state of secure_tcp and every packet in it, by NAT and by direct routing; the seed chooses conn_reuse_mode."""
    lab.set("secure_tcp", 3)
    lab.set("conn_reuse_mode", r.seed_number % 2)
    lab.set("sloppy_tcp", 1)
    id = "tcp/10.0.0.100:80"
    lab.service("service", id, "rr")
    lab.server("server", id, "10.1.0.1:80", "nat")
    id = "tcp/10.0.0.101:80"
    lab.service("service", id, "rr")
    lab.server("server", id, "10.1.0.2:80", "dr")
    port = 1000
    for vip, sides in (("10.0.0.100", "cs"), ("10.0.0.101", "c")):
        ways = WAYS if sides == "cs" else {"none": [], "first": ["c:S"], "ES": ["c:S", "c:A"], "FW": ["c:S", "c:A", "c:FA"],
                                           "TW": ["c:S", "c:F"], "CL": ["c:S", "c:0"], "back": ["c:S", "c:A", "c:FA", "c:S"]}
        for way in ways.values():
            for side in sides:
                for flags in "S SA A PA FA F R RA 0 SF".split():
                    if side == "s" and not way:
                        continue
                    port += 1
                    for event in way + [f"{side}:{flags}"]:
                        who, _, f = event.partition(":")
                        f = f.replace("0", "")
                        c, s = "10.0.0.1", "10.1.0.1"
                        if who == "c":
                            lab.send("client", ip4(c, vip, 6, tcp(c, vip, port, 80, f)))
                        else:
                            lab.send("server", ip4(s, c, 6, tcp(s, c, 80, port, f)))
    lab.dump()
    lab.set("secure_tcp", 0)
    for event in "S A".split():
        lab.send("client", ip4("10.0.0.3", "10.0.0.100", 6, tcp("10.0.0.3", "10.0.0.100", 999, 80, event)))
    lab.dump()


def main():
    out, names, first, count = sys.argv[1:5]
    stations()
    for name in kinds if names == "all" else names.split(","):
        for seed in range(int(first), int(first) + int(count)):
            r = random.Random(f"{name} {seed}")
            r.seed_number = seed
            with open(f"{out}/{name}-{seed}.txt", "w") as f:
                kinds[name](r, Lab(f))
            print(f"{name}-{seed}", flush=True)


if __name__ == "__main__":
    main()
