#!/usr/bin/python3
"""Standfast over the kernel's IPVS (`--lvs-backend=kernel`) beside keepalived: the same file, the same tables at every step.

    python3 tests/oracle/kernel.py target/debug/standfast [a directory for the programs' logs]

Needs root, iproute2, keepalived and ipvsadm on a Linux whose kernel has IPVS (modprobe ip_vs), for instance a virtual machine;
it makes network namespaces of its own. The last output is in docs/kernel-backend.md.
"""
import os, signal, socket, subprocess, sys, tempfile, threading, time

from lab import check, finish, inns, ip, link, namespace, run, sock, wait

OURS = sys.argv[1]
VIP, GATEWAY = "10.0.0.100", "10.1.0.254"
SERVERS = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.9"]
DIR = tempfile.mkdtemp()
LOGS = sys.argv[2] if len(sys.argv) > 2 else DIR


# client gc -- br0 -- {k, s} -- br1 -- server gs; keepalived runs in k, Standfast in s, each with an IPVS of its own
def director(name, number):
    namespace(name)
    link(name, "d0", "br0", f"02:00:00:00:00:0{number}", f"10.0.0.{number}/24")
    link(name, "d1", "br1", f"02:00:00:00:01:0{number}", f"10.1.0.10{number}/24")
    link(name, "v0", f"br{name}", f"02:00:00:00:02:0{number}", "10.9.0.1/24")
    ip(name, f"addr add fd01::10{number}/64 dev d1 nodad")
    run(name, "sysctl", "-qw", "net.ipv4.ip_forward=1")


namespace("lan")
for bridge in ("br0", "br1", "brk", "brs"):
    ip("lan", f"link add {bridge} type bridge"); ip("lan", f"link set {bridge} up")
namespace("gc"); link("gc", "g0", "br0", "02:00:00:00:00:50", "10.0.0.50/24")
namespace("gs"); link("gs", "g0", "br1", "02:00:00:00:01:50", f"{SERVERS[0]}/24")
for address in SERVERS[1:]:
    ip("gs", f"addr add {address}/24 dev g0")
ip("gs", f"route add default via {GATEWAY}")
director("k", 1); director("s", 2)


class Web:
    """answers on port 80 of an address, or does not"""
    def __init__(self, address):
        self.address, self.listener = address, None
        self.open()

    def open(self):
        self.listener = sock("gs")
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, 80)); self.listener.listen(64)
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def serve(self, listener):
        try:
            while True:
                s, _ = listener.accept()
                threading.Thread(target=self.talk, args=(s,), daemon=True).start()
        except OSError:
            pass

    def talk(self, s):
        try:
            while data := s.recv(1000):
                s.sendall(data)
        except OSError:
            pass
        s.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR); self.listener.close()


web = {address: Web(address) for address in SERVERS}


def real(address, port, more="", check=True):
    checker = "TCP_CHECK {\n connect_port 80\n connect_timeout 2\n delay_before_retry 1\n }\n" if check else ""
    return f"real_server {address} {port} {{\n {more}\n {checker} }}\n"


def service(target, lines, *reals):
    return f"virtual_server {target} {{\n delay_loop 2\n {lines}\n {''.join(reals)}}}\n"


def conf(weights=(1, 2), scheduler="rr", dropped=False, more="", extra=""):
    first, second = (f"weight {weight}" for weight in weights)
    third = real(SERVERS[2], 80, "weight 3") if dropped else ""
    text = f"""global_defs {{
 router_id oracle
 lvs_timeouts tcp 800 tcpfin 100 udp 250
 lvs_sync_daemon d0 VI_1 id 21
 {more}
}}
vrrp_instance VI_1 {{
 state MASTER
 interface v0
 virtual_router_id 51
 priority 150
 advert_int 1
 virtual_ipaddress {{
  10.9.0.100/24
 }}
}}
"""
    text += service(f"{VIP} 80", f"lb_algo {scheduler}\n lb_kind NAT\n protocol TCP\n sorry_server {SERVERS[3]} 80",
                    real(SERVERS[0], 80, first), real(SERVERS[1], 80, second), third)
    text += service(f"{VIP} 443", "lb_algo wlc\n lb_kind DR\n protocol TCP",
                    real(SERVERS[0], 443, "weight 3\n uthreshold 100\n lthreshold 50\n inhibit_on_failure"),
                    real(SERVERS[1], 443, "inhibit_on_failure"))
    text += service(f"{VIP} 53", "lb_algo wrr\n lb_kind NAT\n protocol UDP\n persistence_timeout 100\n persistence_granularity 255.255.255.0",
                    real(SERVERS[0], 53, check=False), real(SERVERS[1], 53, "weight 4", check=False))
    if not dropped:
        text += service(f"{VIP} 8080", "lb_algo sh\n sh-port\n sh-fallback\n lb_kind TUN type gue port 6080 remcsum\n protocol TCP",
                        real(SERVERS[0], 8080, check=False),
                        real(SERVERS[1], 8080, "lvs_method TUN type gre csum", check=False),
                        real(SERVERS[2], 8080, "lvs_method TUN", check=False))
    text += service("fwmark 7", "lb_algo lc\n lb_kind NAT", real(SERVERS[0], 80, check=False))
    text += service("fwmark 8", "lb_algo sed\n lb_kind NAT", real("fd01::1", 80, check=False))
    text += service("fd00::100 80", "lb_algo nq\n lb_kind NAT\n protocol TCP\n persistence_timeout 60\n persistence_granularity 64",
                    real("fd01::1", 80, check=False), real("fd01::2", 80, "weight 0", check=False))
    text += service(f"{VIP} 5060", "lb_algo dh\n lb_kind NAT\n protocol UDP\n persistence_timeout 60\n persistence_engine sip",
                    real(SERVERS[0], 5060, check=False))
    text += service(f"10.0.0.101 53", "lb_algo fo\n ops\n lb_kind NAT\n protocol UDP", real(SERVERS[0], 53, check=False))
    text += f"virtual_server_group G1 {{\n 10.0.0.110-11{3 if dropped else 2} 80\n fwmark 9\n}}\n"
    text += service("group G1", "lb_algo mh\n mh-port\n lb_kind NAT\n protocol TCP", real(SERVERS[0], 80), real(SERVERS[1], 80, "weight 5"))
    return text + extra


def write(text):
    open(DIR + "/conf", "w").write(text)


class Daemon:
    """one of the two programs in its namespace"""
    def __init__(self, ns, words):
        self.ns, self.words, self.process = ns, words, None

    def start(self, *more):
        pids = [f"{DIR}/{self.ns}{which}.pid" for which in "prc"]
        words = self.words + ["-n", "-l", "-D", "-f", DIR + "/conf", "-p", pids[0], "-r", pids[1], "-c", pids[2], *more]
        with inns(self.ns):
            # keepalived's children outlive it if it is killed; a group of its own takes them along
            self.process = subprocess.Popen(words, stdout=open(f"{LOGS}/{self.ns}.log", "a"), stderr=subprocess.STDOUT,
                                            start_new_session=True)

    def stop(self):
        self.process.terminate(); self.process.wait()

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL); self.process.wait()


theirs = Daemon("k", ["/usr/sbin/keepalived"])
ours = Daemon("s", [OURS, "--lvs-backend=kernel"])
both = (theirs, ours)


def ipvsadm(ns, arguments):
    return run(ns, "ipvsadm", *arguments.split(), check=False)


def by_us(arguments):
    env = dict(os.environ, STANDFAST_SOCKET=f"{DIR}/sp.sock")
    with inns("s"):
        r = subprocess.run([OURS, "ipvsadm"] + arguments.split(), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return r.stdout


LINES = 36   # of conf(), whatever is dropped: then other servers and services come
VIEWS = ("-Ln", "-Sn", "-Ln --thresholds", "-Ln --tun-info", "-Ln --timeout", "-Ln --daemon")


def configured(line):
    """a line without its numbers of connections, which only one of the two has"""
    return " ".join(line.split()[:-2]) if line.startswith("  -> ") and not line.startswith("  -> Remote") else line


def tables(ns):
    return {view: "".join(configured(line) + "\n" for line in ipvsadm(ns, view).splitlines()) for view in VIEWS}


def servers(ns, of=f"-t {VIP}:80"):
    """servers of a service with their weights, as -Sn has them"""
    rows = (line.split() for line in ipvsadm(ns, "-Sn").splitlines() if line.startswith("-a " + of + " "))
    return {row[row.index("-r") + 1].rsplit(":", 1)[0]: int(row[row.index("-w") + 1]) for row in rows}


def same(what, condition=lambda ns: True, limit=60):
    """both tables fulfil the condition and are the same"""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        reached = condition("k")
        k, s = tables("k"), tables("s")
        if reached and k == s:
            return check(what, True)
        time.sleep(0.5)
    differing = [f"--- {view}\nkeepalived's\n{k[view]}Standfast's\n{s[view]}" for view in VIEWS if k[view] != s[view]]
    check(what, False, "\n".join(differing) or f"equal, but not as they should be:\n{k['-Sn']}")


print("\n=== the same file")
write(conf())
for daemon in both:
    daemon.start()
same("all services, servers, thresholds, tunnels, time-outs and the sync daemon are the same",
     lambda ns: len(ipvsadm(ns, "-Sn").splitlines()) == LINES and "master sync daemon" in ipvsadm(ns, "-Ln --daemon"))
print(ipvsadm("k", "-Ln -f 7") + ipvsadm("s", "-Ln") + ipvsadm("s", "-Ln --tun-info -t 10.0.0.100:8080") + ipvsadm("s", "-Ln --timeout") + ipvsadm("s", "-Ln --daemon"), flush=True)

print("=== servers die and return")
web[SERVERS[1]].close()
same("one server dies", lambda ns: servers(ns) == {SERVERS[0]: 1})
check("inhibit_on_failure leaves it with weight 0", servers("s", f"-t {VIP}:443") == {SERVERS[0]: 3, SERVERS[1]: 0})
web[SERVERS[0]].close()
same("all die: the sorry server serves", lambda ns: servers(ns) == {SERVERS[3]: 1})
web[SERVERS[1]].open()
same("one returns", lambda ns: servers(ns) == {SERVERS[1]: 2})
web[SERVERS[0]].open()
same("both are back", lambda ns: servers(ns) == {SERVERS[0]: 1, SERVERS[1]: 2})

print("\n=== traffic, and what Standfast shows of it")
ip("s", f"addr add {VIP}/24 dev d0"); ip("s", f"addr add {GATEWAY}/24 dev d1")
held = []
for _ in range(6):
    s = sock("gc"); s.settimeout(20); s.connect((VIP, 80)); s.sendall(b"x" * 500)
    if s.recv(1000):
        held.append(s)
check("six connections through the kernel", len(held) == 6)
datagrams = sock("gc", socket.SOCK_DGRAM)
datagrams.sendto(b"q", (VIP, 53))
time.sleep(4)   # the kernel's counters move every two seconds


def connections(text):
    return sorted(" ".join(line.split()[:1] + line.split()[2:]) for line in text.splitlines()[2:])


for view in ("-Ln", "-Ln --stats --exact", "-Ln --thresholds", "-Ln --tun-info", "-Ln --persistent-conn", "-Sn", "-Ln --timeout", "-Ln --daemon",
             f"-Ln -t {VIP}:80"):
    k, s = ipvsadm("s", view), by_us(view)
    check(f"`standfast ipvsadm {view}` is what ipvsadm prints", k == s, f"ipvsadm's\n{k}Standfast's\n{s}")
k, s = connections(ipvsadm("s", "-Lnc")), connections(by_us("-Lnc"))
check("`standfast ipvsadm -Lnc` lists the same connections", k == s and len(k) == 8, "\n".join(k + ["-"] + s))
print(by_us(f"-Ln --stats -t {VIP}:80") + by_us("-Lnc"), flush=True)
with inns("s"):
    env = dict(os.environ, STANDFAST_SOCKET=f"{DIR}/sp.sock")
    print(subprocess.run([OURS, "status"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout, flush=True)
for order, refusal in (("-A -t 10.0.0.240:80 -s rr", ""), ("-A -t 10.0.0.240:80 -s rr", "Service already exists\n"),
                       ("-a -t 10.0.0.240:80 -r 10.1.0.3:80 -m -w 3", ""), ("-e -t 10.0.0.240:80 -r 10.1.0.3:80 -m -w 7", ""),
                       ("-d -t 10.0.0.240:80 -r 10.1.0.2:80", "No such destination\n"), ("-D -t 10.0.0.241:80", "No such service\n"),
                       ("-A -t 10.0.0.241:80 -s nosuch", "Scheduler or persistence engine not found\n"),
                       ("-a -t 10.0.0.240:80 -r 224.0.0.1:80 -m", "Invalid operation.  Possibly wrong module version, address not unicast, ...\n"),
                       ("-Z", ""), ("--set 0 90 0", "")):
    said = by_us(order)
    check(f"`standfast ipvsadm {order}`" + (f" is refused: {refusal.strip()}" if refusal else ""), said == refusal, said)
check("it stands in the kernel's table", servers("s", "-t 10.0.0.240:80") == {"10.1.0.3": 7} and " 90 " in ipvsadm("s", "-Ln --timeout"))
ipvsadm("s", "-D -t 10.0.0.240:80"); ipvsadm("s", "--set 0 100 0")

print("\n=== a reload")
for daemon in both:
    ipvsadm(daemon.ns, "-A -t 10.0.0.200:80 -s wlc")   # somebody else's
write(conf((7, 2), "wlc", True))
for daemon in both:
    daemon.process.send_signal(signal.SIGHUP)
same("weights, a scheduler, servers, services and a group have changed",
     lambda ns: servers(ns) == {SERVERS[0]: 7, SERVERS[1]: 2, SERVERS[2]: 3} and ":8080" not in ipvsadm(ns, "-Sn")
     and "10.0.0.113:80" in ipvsadm(ns, "-Sn") and "10.0.0.200:80" in ipvsadm(ns, "-Sn"))
check("connections go on", all(s.send(b"y") and s.recv(10) == b"y" for s in held))

print("\n=== the state of the VRRP instance decides about the sync daemon")
for daemon in both:
    ip(daemon.ns, "link set v0 down")
same("fault: backup", lambda ns: ipvsadm(ns, "-Ln --daemon").startswith("backup sync daemon"))
for daemon in both:
    ip(daemon.ns, "link set v0 up")
same("master again", lambda ns: ipvsadm(ns, "-Ln --daemon").startswith("master sync daemon"))

print("\n=== killed with SIGKILL, and started again")
before = ipvsadm("s", "-Sn")
ours.kill()
check("the table and the connections outlive it",
      ipvsadm("s", "-Sn") == before and all(s.send(b"y") and s.recv(10) == b"y" for s in held))
ipvsadm("s", "--set 900 120 300")   # what keepalived, which was not killed, puts back at its end
ipvsadm("s", f"-a -t {VIP}:80 -r 10.1.0.77:80 -m")
web[SERVERS[2]].close()
ipvsadm("s", f"-e -t {VIP}:80 -r {SERVERS[0]}:80 -m -w 99")
ours.start()
wait("it takes its services over, and the server that has died meanwhile goes",
     lambda: servers("s") == {SERVERS[0]: 7, SERVERS[1]: 2, "10.1.0.77": 1})
check("somebody else's service is left alone", "10.0.0.200:80" in ipvsadm("s", "-Sn"))
check("connections go on", all(s.send(b"y") and s.recv(10) == b"y" for s in held))
ipvsadm("s", f"-d -t {VIP}:80 -r 10.1.0.77:80")
same("its table is keepalived's again", lambda ns: len(servers(ns)) == 2)
web[SERVERS[2]].open()
same("and the server's return is seen", lambda ns: len(servers(ns)) == 3)

print("\n=== the end")
for daemon in both:
    daemon.stop()
FOREIGN = "-A -t 10.0.0.200:80 -s wlc\n"
wait("services of the file go, somebody else's stays, the sync daemon ends",
     lambda: ipvsadm("s", "-Sn") == FOREIGN and ipvsadm("s", "-Ln --daemon") == "")
left = ipvsadm("k", "-Sn").replace(FOREIGN, "")
print("keepalived leaves these of the group that it reloaded:\n" + left if left else "keepalived does the same", flush=True)
ipvsadm("k", "-C"); ipvsadm("k", FOREIGN.strip())
for daemon in both:
    daemon.start("-I")
same("--dont-release-ipvs: they are there", lambda ns: len(ipvsadm(ns, "-Sn").splitlines()) == LINES + 1)
for daemon in both:
    daemon.stop()
same("and they stay", lambda ns: len(ipvsadm(ns, "-Sn").splitlines()) == LINES + 1)
write(conf(more="lvs_flush\n lvs_flush_on_stop"))
for daemon in both:
    daemon.start()
same("lvs_flush empties the table first", lambda ns: "10.0.0.200" not in ipvsadm(ns, "-Sn") and len(ipvsadm(ns, "-Sn").splitlines()) == LINES)
for daemon in both:
    ipvsadm(daemon.ns, "-A -t 10.0.0.200:80 -s wlc")
    daemon.stop()
same("lvs_flush_on_stop empties it at the end", lambda ns: ipvsadm(ns, "-Sn") == "")

print("\n=== net_namespace_ipvs")
namespace("apart"); link("apart", "d0", "br0", "02:00:00:00:00:03", "10.0.0.3/24")
write("net_namespace_ipvs apart\n" + conf())
found = {}
for daemon in both:
    daemon.start()
    wait(f"{os.path.basename(daemon.words[0])} has its services there, and none at home",
         lambda: len(ipvsadm("apart", "-Sn").splitlines()) == LINES and ipvsadm(daemon.ns, "-Sn") == ""
         and "sync daemon" in ipvsadm("apart", "-Ln --daemon"), limit=60)
    found[daemon.ns] = {view: rows for view, rows in tables("apart").items() if view != "-Ln --daemon"}
    daemon.stop()
    check("and takes them away", ipvsadm("apart", "-Sn") == "")
check("they are the same", found["k"] == found["s"])

for name in ("lan", "gc", "gs", "k", "s", "apart"):
    subprocess.run(["ip", "netns", "del", name])
finish()
