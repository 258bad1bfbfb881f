#!/usr/bin/python3
"""Connections of every kind, told by the kernel's IPVS to Standfast and by Standfast to the kernel, in both versions of the protocol.

    python3 tests/oracle/sync_kinds.py target/debug/standfast

Needs root, iproute2, nft and ipvsadm on a Linux whose kernel has IPVS, for instance a virtual machine; it makes network namespaces of its own.
The last output is in docs/sync.md.
"""
import os, socket, struct, subprocess, sys, tempfile, time

from lab import check, finish, inns, ip, link, namespace, run, wait

OURS = sys.argv[1]
VIP, SERVER, VIP6, SERVER6 = "10.0.0.100", "10.1.0.50", "fd00::100", "fd01::50"
DIR = tempfile.mkdtemp()
# port, ipvsadm's option, more of the service, way; the file's words for the service; for the way
SERVICES = [
    (80, "t", "", "m", "", "NAT"), (81, "t", "", "g", "", "DR"), (82, "t", "", "i", "", "TUN"), (53, "u", "", "m", "", "NAT"),
    (90, "t", "-p 100 -M 255.255.255.0", "m", "persistence_timeout 100\n persistence_granularity 255.255.255.0", "NAT"),
    (99, "-sctp-service", "", "m", "", "NAT"),
    (5060, "u", "-p 50 --pe sip", "m", "persistence_timeout 50\n persistence_engine sip", "NAT"),
]
PROTOCOL = {"t": "TCP", "u": "UDP", "-sctp-service": "SCTP"}


def table():
    lines = []
    for port, kind, more, way, _, _ in SERVICES:
        lines += [f"-A -{kind} {VIP}:{port} -s rr {more}", f"-a -{kind} {VIP}:{port} -r {SERVER}:{port} -{way}"]
    for kind, port in (("t", 80), ("u", 53)):
        lines += [f"-A -{kind} [{VIP6}]:{port} -s rr", f"-a -{kind} [{VIP6}]:{port} -r [{SERVER6}]:{port} -m"]
    return lines + ["-A -f 7 -s rr -p 60", f"-a -f 7 -r {SERVER}:7001 -m"]


def configuration(version):
    block = "virtual_server {} {{\n lb_algo rr\n lb_kind {}\n protocol {}\n {}\n real_server {} {} {{\n }}\n}}\n"
    text = f"global_defs {{\n router_id f\n lvs_sync_version {version}\n}}\n"
    for port, kind, _, _, words, way in SERVICES:
        text += block.format(f"{VIP} {port}", way, PROTOCOL[kind], words, SERVER, port)
    for kind, port in (("t", 80), ("u", 53)):
        text += block.format(f"{VIP6} {port}", "NAT", PROTOCOL[kind], "", SERVER6, port)
    return text + block.format("fwmark 7", "NAT", "UDP", "persistence_timeout 60", SERVER, 7001)


def director(name, number):
    namespace(name)
    link(name, "d0", "br0", f"02:00:00:00:00:0{number}", f"10.0.0.{number}/24")
    link(name, "d1", "br1", f"02:00:00:00:01:0{number}", f"10.1.0.{number}/24")
    for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
        run(name, "sysctl", "-qw", f"net.{key}=1")
    ip(name, f"addr add {VIP}/32 dev lo")
    ip(name, f"addr add {VIP6}/128 dev lo")
    for device, address in (("d0", f"fd00::{number}/64"), ("d1", f"fd01::{number}/64")):
        ip(name, f"addr add {address} dev {device} nodad")
    for address, device, mac in (("10.0.0.50", "d0", "00:50"), ("fd00::50", "d0", "00:50"), (SERVER, "d1", "01:50"), (SERVER6, "d1", "01:50")):
        ip(name, f"neigh replace {address} lladdr 02:00:00:00:{mac} dev {device} nud permanent")
    run(name, "nft", "add table ip m; add chain ip m c { type filter hook prerouting priority -150; }; "
                     "add rule ip m c udp dport 7001 meta mark set 7")


def words(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return struct.pack("<I", crc ^ 0xffffffff)


def packet(source, destination, protocol, segment, at):
    """an IP packet; the checksum of its segment goes to `at`, or is there already"""
    v6 = ":" in source
    ends = b"".join(socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, end) for end in (source, destination))
    if at is not None:
        pseudo = ends + (struct.pack("!II", len(segment), protocol) if v6 else struct.pack("!HH", protocol, len(segment)))
        segment = segment[:at] + struct.pack("!H", words(pseudo + segment) or 0xffff) + segment[at + 2:]
    if v6:
        return struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + ends + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, protocol, 0) + ends
    return head[:10] + struct.pack("!H", words(head)) + head[12:] + segment


def send(host, number, data):
    """from the client (gc) or the server (gs) to the director of that number"""
    side = {"gc": 0, "gs": 1}[host]
    with inns(host):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("g0", 0))
    kind = 0x86dd if data[0] >> 4 == 6 else 0x800
    mac = bytes([2, 0, 0, 0, side, number]) + bytes([2, 0, 0, 0, side, 0x50])
    s.send(mac + struct.pack("!H", kind) + data)
    s.close()
    time.sleep(0.05)


def tcp(number, port, source, flags=(2, 16, 24, 24), ends=("10.0.0.50", VIP)):
    for flag in flags:
        segment = struct.pack("!HHIIBBHHH", source, port, 1000, 1000, 0x50, flag, 1000, 0, 0)
        send("gc", number, packet(*ends, 6, segment, 16))


def udp(number, port, source, data=b"q", ends=("10.0.0.50", VIP), count=4):
    for _ in range(count):
        send("gc", number, packet(*ends, 17, struct.pack("!HHHH", source, port, 8 + len(data), 0) + data, 6))


def sctp(number, port, source):
    def chunk(kind, body):
        return struct.pack("!BBH", kind, 0, 4 + len(body)) + body

    init = struct.pack("!IIHHI", 7, 65536, 1, 1, 1)
    steps = [("gc", 0, chunk(1, init)), ("gs", 7, chunk(2, init + struct.pack("!HH4s", 7, 8, b"cook"))), ("gc", 7, chunk(10, b"cook")),
             ("gs", 7, chunk(11, b""))] + 4 * [("gc", 7, chunk(4, struct.pack("!HH4s", 1, 8, b"beat")))]
    for host, tag, body in steps:
        ends = (source, port) if host == "gc" else (port, source)
        bare = struct.pack("!HHI", *ends, tag)
        segment = bare + crc32c(bare + b"\0\0\0\0" + body) + body
        send(host, number, packet(*(("10.0.0.50", VIP) if host == "gc" else (SERVER, "10.0.0.50")), 132, segment, None))


def traffic(number):
    tcp(number, 80, 1080); tcp(number, 81, 1081); tcp(number, 82, 1082); tcp(number, 90, 1090)
    tcp(number, 80, 1180, flags=(2, 16, 24, 17))            # the client ends it
    tcp(number, 80, 1280, flags=(2, 16, 24, 4))             # or resets it
    udp(number, 53, 1053); udp(number, 7001, 1701)
    tcp(number, 80, 1680, ends=("fd00::50", VIP6)); udp(number, 53, 1653, ends=("fd00::50", VIP6))
    sctp(number, 99, 1099)
    udp(number, 5060, 1506, b"INVITE sip:a@b SIP/2.0\r\nCall-ID: 3848276298220188511@fine\r\n\r\n")


def start_ours(version):
    open(DIR + "/conf", "w").write(configuration(version))
    command = [OURS, "-n", "-l", "-D", "-f", DIR + "/conf"]
    for option, name in (("-p", "p.pid"), ("-r", "v.pid"), ("-c", "c.pid")):
        command += [option, f"{DIR}/{name}"]
    with inns("f"):
        p = subprocess.Popen(command, stdout=open(DIR + "/log", "a"), stderr=subprocess.STDOUT)
    end = time.monotonic() + 30
    while time.monotonic() < end and ours("-Ln").count("10.1.0.50:") < 8:
        time.sleep(0.3)
    return p


def ours(arguments):
    env = dict(os.environ, STANDFAST_SOCKET=DIR + "/p.sock")
    with inns("f"):
        r = subprocess.run([OURS, "ipvsadm"] + arguments.split(), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return r.stdout


def theirs(arguments):
    return run("k", "ipvsadm", *arguments.split(), check=False)


def entries(text):
    """each connection with its seconds"""
    found = {}
    for line in text.splitlines()[2:]:
        parts = line.split()
        if len(parts) > 3:
            minutes, seconds = parts[1].split(":")
            # the template of a call is shown by what stands for the call here, and by the client in the kernel
            if parts[2] == "NONE" and parts[4] == f"{VIP}:5060":
                parts[3] = "call"
            found[" ".join(parts[:1] + parts[2:])] = int(minutes) * 60 + int(seconds)
    return found


def same(master, backup, told):
    """what is told of the master's connections is on the backup, with the same time left"""
    master = {line: left for line, left in entries(master).items() if told(line)}
    backup = entries(backup)
    return bool(master) and master.keys() == backup.keys() and all(abs(master[line] - backup[line]) < 30 for line in master)


def show(kernel, standfast):
    print("the kernel's\n" + kernel + "Standfast's\n" + standfast, flush=True)


namespace("lan")
for bridge in ("br0", "br1"):
    ip("lan", f"link add {bridge} type bridge mcast_snooping 0"); ip("lan", f"link set {bridge} up")
namespace("gc"); link("gc", "g0", "br0", "02:00:00:00:00:50", "10.0.0.50/24")
namespace("gs"); link("gs", "g0", "br1", "02:00:00:00:01:50", "10.1.0.50/24")

for version in (1, 0):
    # version 0 has no words for IPv6, marks and persistence engines
    told = (lambda line: True) if version else (lambda line: "[" not in line and ":7001" not in line and "sip" not in line and "0.0.0.7" not in line)
    print(f"\n=== version {version}, from the kernel to Standfast")
    director("k", 1); director("f", 2)
    process = start_ours(version)
    run("k", "ipvsadm", "-R", given="\n".join(table()) + "\n")
    run("k", "sysctl", "-qw", f"net.ipv4.vs.sync_version={version}")
    theirs("--start-daemon master --mcast-interface d0 --syncid 7")
    print(ours("--start-daemon backup --mcast-interface d0 --syncid 7"), end="")
    traffic(1)
    wait("Standfast shows what the kernel has told", lambda: same(theirs("-Lnc"), ours("-Lnc"), told))
    show(theirs("-Lnc"), ours("-Lnc"))
    process.terminate(); process.wait()

    print(f"\n=== version {version}, from Standfast to the kernel")
    director("k", 1); director("f", 2)
    process = start_ours(version)
    run("k", "ipvsadm", "-R", given="\n".join(table()) + "\n")
    run("k", "sysctl", "-qw", f"net.ipv4.vs.sync_version={version}")
    theirs("--start-daemon backup --mcast-interface d0 --syncid 9")
    print(ours("--start-daemon master --mcast-interface d0 --syncid 9"), end="")
    traffic(2)
    wait("the kernel shows what Standfast has told", lambda: same(ours("-Lnc"), theirs("-Lnc"), told))
    show(theirs("-Lnc"), ours("-Lnc"))
    process.terminate(); process.wait()

for name in ("lan", "gc", "gs", "k", "f"):
    subprocess.run(["ip", "netns", "del", name])
print("\nStandfast's log\n" + open(DIR + "/log").read())
finish()
