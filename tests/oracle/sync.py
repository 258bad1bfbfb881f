#!/usr/bin/python3
"""Standfast and the kernel's IPVS tell each other connections, and each goes on with the other's.

    python3 tests/oracle/sync.py target/debug/standfast

Needs root, iproute2 and ipvsadm on a Linux whose kernel has IPVS (modprobe ip_vs ip_vs_rr), for instance a virtual machine;
it makes network namespaces of its own. The last output is in docs/sync.md.
"""
import os, subprocess, sys, tempfile, threading, time, socket

from lab import check, finish, inns, ip, link, namespace, run, sock, wait

OURS = sys.argv[1]
VIP, GATEWAY = "10.0.0.100", "10.1.0.254"
# client gc -- br0 -- {k, f} -- br1 -- server gs; k is the kernel's director, f is ours; they sync over br0
def director(name, number):
    namespace(name)
    link(name, "d0", "br0", f"02:00:00:00:00:0{number}", f"10.0.0.{number}/24")
    link(name, "d1", "br1", f"02:00:00:00:01:0{number}", f"10.1.0.{number}/24")
    run(name, "sysctl", "-qw", "net.ipv4.ip_forward=1")


namespace("lan")
for bridge in ("br0", "br1"):
    ip("lan", f"link add {bridge} type bridge"); ip("lan", f"link set {bridge} up")
namespace("gc"); link("gc", "g0", "br0", "02:00:00:00:00:50", "10.0.0.50/24")
namespace("gs"); link("gs", "g0", "br1", "02:00:00:00:01:50", "10.1.0.50/24")
ip("gs", f"route add default via {GATEWAY}")
director("k", 1); director("f", 2)


def serve():
    listener = sock("gs"); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("10.1.0.50", 80)); listener.listen(64)
    def talk(s):
        try:
            while True:
                data = s.recv(100)
                if not data: return
                s.sendall(data)
        except OSError:
            pass
    while True:
        s, _ = listener.accept()
        threading.Thread(target=talk, args=(s,), daemon=True).start()

threading.Thread(target=serve, daemon=True).start()


def adopt_addresses(ns):
    """ns takes the virtual address and the servers' gateway, as a VRRP master would"""
    for other in ("k", "f"):
        if other != ns:
            for dev, cidr in (("d0", VIP + "/24"), ("d1", GATEWAY + "/24")):
                ip(other, f"addr del {cidr} dev {dev}", check=False)
    ip(ns, f"addr add {VIP}/24 dev d0"); ip(ns, f"addr add {GATEWAY}/24 dev d1")
    mac = {"k": "02:00:00:00:%s:01", "f": "02:00:00:00:%s:02"}[ns]
    time.sleep(1)   # as long as a new master takes to make itself known
    ip("gc", f"neigh replace {VIP} lladdr {mac % '00'} dev g0 nud permanent")
    ip("gs", f"neigh replace {GATEWAY} lladdr {mac % '01'} dev g0 nud permanent")


def down(ns):
    for dev in ("d0", "d1"):
        ip(ns, f"link set {dev} down")


conf = f"""global_defs {{
 router_id f
}}
virtual_server {VIP} 80 {{
 lb_algo rr
 lb_kind NAT
 protocol TCP
 real_server 10.1.0.50 80 {{
 }}
}}
virtual_server {VIP} 53 {{
 lb_algo rr
 lb_kind NAT
 protocol UDP
 persistence_timeout 100
 real_server 10.1.0.50 53 {{
 }}
}}
"""
TABLE = [f"-A -t {VIP}:80 -s rr", f"-a -t {VIP}:80 -r 10.1.0.50:80 -m",
         f"-A -u {VIP}:53 -s rr -p 100", f"-a -u {VIP}:53 -r 10.1.0.50:53 -m"]
DIR = tempfile.mkdtemp()
open(DIR + "/conf", "w").write(conf)


def start_ours():
    words = [OURS, "-n", "-l", "-D", "-f", DIR + "/conf"]
    for option, name in (("-p", "p.pid"), ("-r", "v.pid"), ("-c", "c.pid")):
        words += [option, f"{DIR}/{name}"]
    with inns("f"):
        p = subprocess.Popen(words, stdout=open(DIR + "/log", "a"), stderr=subprocess.STDOUT)
    end = time.monotonic() + 30
    while time.monotonic() < end and not os.path.exists(DIR + "/p.sock"):
        time.sleep(0.2)
    time.sleep(1)
    return p


def ours(arguments):
    env = dict(os.environ, STANDFAST_SOCKET=DIR + "/p.sock")
    with inns("f"):
        r = subprocess.run([OURS, "ipvsadm"] + arguments.split(), env=env, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    return r.stdout


def theirs(arguments):
    return run("k", "ipvsadm", *arguments.split(), check=False)


def lines(text, drop=2):
    """connections without their timers"""
    return sorted(" ".join(l.split()[:1] + l.split()[2:]) for l in text.splitlines()[drop:] if l.split())


def open_connection(packets=4):
    s = sock("gc"); s.settimeout(30)
    s.bind(("10.0.0.50", 0)); s.connect((VIP, 80))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(packets):
        echo(s)
    return s


def echo(s):
    try:
        s.sendall(b"x")
        return s.recv(10) == b"x"
    except OSError as fault:
        print("    ", fault)
        return False


def udp(count=4, port=5000):
    s = sock("gc", socket.SOCK_DGRAM); s.bind(("10.0.0.50", port))
    for _ in range(count):
        s.sendto(b"q", (VIP, 53)); time.sleep(0.05)
    s.close()


process = start_ours()
run("k", "ipvsadm", "-R", given="\n".join(TABLE) + "\n")

print("\n=== from the kernel to Standfast")
adopt_addresses("k")
theirs("--start-daemon master --mcast-interface d0 --syncid 7")
print(ours("--start-daemon backup --mcast-interface d0 --syncid 7"), end="")
kept = [open_connection() for _ in range(3)]
udp()
wait("Standfast shows the kernel's connections and template",
     lambda: lines(theirs("-Lnc")) == lines(ours("-Lnc")) and len(lines(ours("-Lnc"))) == 5)
print("the kernel's\n" + theirs("-Lnc") + "Standfast's\n" + ours("-Lnc") + ours("-Ln"), flush=True)
print("--- the kernel's director goes away")
down("k")
adopt_addresses("f")
check("connections that the kernel made go on over Standfast", all(echo(s) for s in kept))

print("\n=== from Standfast to the kernel")
for s in kept: s.close()
ours("--stop-daemon backup")
director("k", 1)
run("k", "ipvsadm", "-R", given="\n".join(TABLE) + "\n")
process.terminate(); process.wait()
process = start_ours()
theirs("--start-daemon backup --mcast-interface d0 --syncid 9")
print(ours("--start-daemon master --mcast-interface d0 --syncid 9"), end="")
kept = [open_connection() for _ in range(3)]
udp(port=6000)
wait("the kernel shows Standfast's connections and template",
     lambda: lines(theirs("-Lnc")) == lines(ours("-Lnc")) and len(lines(theirs("-Lnc"))) == 5)
print("Standfast's\n" + ours("-Lnc") + "the kernel's\n" + theirs("-Lnc") + theirs("-Ln"), flush=True)
print("--- Standfast is killed")
process.kill(); process.wait()
down("f")
adopt_addresses("k")
check("connections that Standfast made go on over the kernel", all(echo(s) for s in kept))
for name in ("lan", "gc", "gs", "k", "f"):
    subprocess.run(["ip", "netns", "del", name])
print("\nStandfast's log\n" + open(DIR + "/log").read())
finish()
