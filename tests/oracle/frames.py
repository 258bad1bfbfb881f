"""Packets built by hand, and raw access to an interface."""
import socket, struct, time
from lab import inns

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pseudo(source, destination, protocol, length):
    form = ">II" if ":" in source else ">HH"
    words = (length, protocol) if ":" in source else (protocol, length)
    return packed(source) + packed(destination) + struct.pack(form, *words)


def ip4(source, destination, protocol, payload, ttl=64, tos=0, ident=1, df=True):
    head = struct.pack(">BBHHHBBH", 0x45, tos, 20 + len(payload), ident, 0x4000 if df else 0, ttl, protocol, 0)
    head += packed(source) + packed(destination)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ip6(source, destination, protocol, payload, hlim=64, tc=0):
    return struct.pack(">IHBB", 0x60000000 | tc << 20, len(payload), protocol, hlim) + packed(source) + packed(destination) + payload


def tcp(source, destination, sport, dport, flags="S", seq=1000, ack=0, data=b""):
    bits = sum(FLAGS[letter] for letter in flags)
    segment = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, bits, 64240, 0, 0) + data
    total = checksum(pseudo(source, destination, 6, len(segment)) + segment)
    return segment[:16] + struct.pack(">H", total) + segment[18:]


def udp(source, destination, sport, dport, data=b"", nosum=False):
    datagram = struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data
    total = checksum(pseudo(source, destination, 17, len(datagram)) + datagram) or 0xffff
    return datagram if nosum else datagram[:6] + struct.pack(">H", total) + datagram[8:]


def crc32c(data):
    total = 0xffffffff
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xffffffff


def sctp(sport, dport, chunk, body=b""):
    packet = struct.pack(">HHII", sport, dport, 1, 0) + struct.pack(">BBH", chunk, 0, 4 + len(body)) + body
    return packet[:8] + struct.pack("<I", crc32c(packet)) + packet[12:]


def error(source, destination, kind, code, rest, quote):
    """An ICMP message; `rest` is its second word."""
    v6 = ":" in source
    message = struct.pack(">BBHI", kind, code, 0, rest) + quote
    total = checksum((pseudo(source, destination, 58, len(message)) if v6 else b"") + message)
    message = message[:2] + struct.pack(">H", total) + message[4:]
    return ip6(source, destination, 58, message) if v6 else ip4(source, destination, 1, message)


class Port:
    """Sends frames on an interface, and hears all that comes in."""

    def __init__(self, ns, device, address):
        self.address = mac(address)
        with inns(ns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self.socket.bind((device, 0))
            # PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC.
            member = struct.pack("iHH8s", socket.if_nametoindex(device), 1, 0, b"")
            self.socket.setsockopt(263, 1, member)
        self.socket.setblocking(False)

    def send(self, to, packet):
        kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
        self.socket.send(mac(to) + self.address + kind + packet)

    def heard(self):
        """IP frames to single stations that others sent."""
        frames = []
        while True:
            try:
                frame, at = self.socket.recvfrom(65600)
            except BlockingIOError:
                return frames
            if at[2] != 4 and frame[12:14] in (b"\x08\x00", b"\x86\xdd") and not frame[0] & 1:
                frames.append(frame)
