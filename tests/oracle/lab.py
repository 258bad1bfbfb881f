"""Network namespaces, programs in them, and verdicts: what the scripts beside this one share."""
import contextlib, ctypes, os, socket, subprocess, sys, tempfile, threading, time

libc = ctypes.CDLL(None, use_errno=True)
home = os.open("/proc/self/ns/net", os.O_RDONLY)


@contextlib.contextmanager
def inns(ns):
    """the calling thread works in that network namespace"""
    there = os.open("/run/netns/" + ns, os.O_RDONLY)
    try:
        if libc.setns(there, 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(home, 0x40000000)
        os.close(there)


def run(ns, *words, given=None, check=True):
    with inns(ns):
        done = subprocess.run(words, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        raise RuntimeError(f"[{ns}] {' '.join(words)}: {done.stdout}")
    return done.stdout


def ip(ns, text, check=True):
    return run(ns, "ip", *text.split(), check=check)


def sock(ns, kind=socket.SOCK_STREAM):
    with inns(ns):
        return socket.socket(socket.AF_INET, kind)


def namespace(name):
    subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "netns", "add", name], check=True)
    ip(name, "link set lo up")


def link(ns, device, bridge, mac, address):
    ip("lan", f"link add {ns}-{device} type veth peer name {device} netns {ns}")
    ip("lan", f"link set {ns}-{device} master {bridge} up")
    ip(ns, f"link set {device} address {mac} up")
    ip(ns, f"addr add {address} dev {device}")


failures = []


def check(what, passed, detail=""):
    print(f"{'ok  ' if passed else 'FAIL'} {what}" + (f"\n{detail}" if not passed else ""), flush=True)
    if not passed:
        failures.append(what)


def wait(what, condition, limit=25):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return check(what, True)
        time.sleep(0.3)
    check(what, False)


def finish():
    """the verdict, as exit status"""
    print("failed: " + "; ".join(failures) if failures else "all passed")
    sys.exit(bool(failures))
