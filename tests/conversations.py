"""Writes conversations packet by packet, in event time, as they would lie in a capture."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import numpy as np
from batches import batch_of
from procwire.capture.batch import PacketBatch

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
TCP, UDP = 6, 17
NOBODY_ANSWERS, REFUSED, ACCEPTED = range(3)
ROUND_TRIP = 0.02

_ONE, _OTHER, _ALL = (bytes.fromhex(mac) for mac in ("020000000001", "020000000002", "ff" * 6))


class Conversations:
    """Packets of one capture. Times are in seconds since its start; addresses are texts."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, bytes]] = []
        self._port = 32768

    def port(self) -> int:
        """A client's next port."""
        self._port = 32768 + (self._port + 1) % 28000
        return self._port

    def frame(self, at: float, ethertype: int, body: bytes, to_all: bool = False) -> None:
        head = (_ALL if to_all else _OTHER) + _ONE + struct.pack(">H", ethertype)
        self.packets.append((at, head + body))

    def ip(self, at: float, source: str, target: str, protocol: int, body: bytes, **more) -> None:
        """more: hops, and to_all for a frame to everybody."""
        four = ip_address(source).version == 4
        self.frame(
            at,
            0x0800 if four else 0x86DD,
            header(source, target, protocol, body, more.get("hops", 64)) + body,
            more.get("to_all", False),
        )

    def segment(self, at: float, ends: tuple, flags: int, seq: int = 1, **more) -> None:
        """ends: source, its port, target, its port."""
        source, port, target, target_port = ends
        payload = more.get("payload", b"")
        numbers = (port, target_port, seq, 7 if flags & ACK else 0, 0x50, flags, 1024, 0, 0)
        body = struct.pack(">HHIIBBHHH", *numbers) + payload
        self.ip(at, source, target, TCP, body, hops=more.get("hops", 64))

    def datagram(self, at: float, ends: tuple, payload: bytes = b"x", **more) -> None:
        source, port, target, target_port = ends
        body = struct.pack(">HHHH", port, target_port, 8 + len(payload), 0) + payload
        self.ip(at, source, target, UDP, body, **more)

    def connect(self, at: float, source: str, target: str, port: int, outcome: int) -> None:
        """A SYN from a port of its own, retransmitted if nothing comes, and what became of it."""
        there = (source, self.port(), target, port)
        back = (target, port, source, there[1])
        seq = int(at * 1000) & 0xFFFF
        self.segment(at, there, SYN, seq)
        if outcome == NOBODY_ANSWERS:
            self.segment(at + 1, there, SYN, seq)
            self.segment(at + 3, there, SYN, seq)
        elif outcome == REFUSED:
            self.segment(at + ROUND_TRIP, back, RST | ACK)
        else:
            self.segment(at + ROUND_TRIP, back, SYN | ACK)
            self.segment(at + 2 * ROUND_TRIP, there, ACK, seq + 1)
            self.segment(at + 3 * ROUND_TRIP, there, PSH | ACK, seq + 1, payload=b"hello")
            self.segment(at + 4 * ROUND_TRIP, back, PSH | ACK, 2, payload=b"hello")

    def icmp(self, at: float, source: str, target: str, kind: int, code: int, **more) -> None:
        """more: rest, the bytes behind the checksum; hops."""
        protocol = 1 if ip_address(source).version == 4 else 58
        body = struct.pack(">BBH", kind, code, 0) + more.get("rest", bytes(4))
        self.ip(at, source, target, protocol, body, hops=more.get("hops", 64))

    def unreachable(self, at: float, sender: str, ends: tuple, code: int | None = None) -> None:
        """An ICMP error about a datagram between `ends`; by default its port is closed."""
        source, port, target, target_port = ends
        four = ip_address(source).version == 4
        quoted = struct.pack(">HHHH", port, target_port, 9, 0)
        rest = bytes(4) + header(source, target, UDP, quoted, 1) + quoted
        closed = 3 if four else 4
        kind = 3 if four else 1
        self.icmp(at, sender, source, kind, closed if code is None else code, rest=rest)

    def echo(self, at: float, source: str, target: str, answered: bool, hops: int = 64) -> None:
        kinds = (8, 0) if ip_address(source).version == 4 else (128, 129)
        self.icmp(at, source, target, kinds[0], 0, rest=b"\0\7\0\1", hops=hops)
        if answered:
            self.icmp(at + ROUND_TRIP, target, source, kinds[1], 0, rest=b"\0\7\0\1")

    def ask_neighbour(self, at: float, source: str, target: str, answered: bool) -> None:
        packed, wanted = ip_address(source).packed, ip_address(target).packed
        if len(packed) == 4:
            asked = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + _ONE + packed + bytes(6) + wanted
            self.frame(at, 0x0806, asked, True)
            if answered:
                reply = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + _OTHER + wanted + _ONE + packed
                self.frame(at + ROUND_TRIP, 0x0806, reply)
            return
        group = str(ip_address(bytes.fromhex("ff02" + "00" * 9 + "01ff") + wanted[-3:]))
        self.icmp(at, source, group, 135, 0, rest=bytes(4) + wanted, hops=255)
        if answered:
            rest = b"\x60\0\0\0" + wanted
            self.icmp(at + ROUND_TRIP, target, source, 136, 0, rest=rest, hops=255)

    def batch(self) -> PacketBatch:
        """All packets in order of time."""
        ordered = sorted(self.packets, key=lambda packet: packet[0])
        times = START + np.array([round(at * SECOND) for at, _ in ordered], np.int64)
        return batch_of([data for _, data in ordered], times)


def header(source: str, target: str, protocol: int, body: bytes, hops: int) -> bytes:
    ends = ip_address(source).packed + ip_address(target).packed
    if len(ends) == 32:
        return struct.pack(">IHBB", 6 << 28, len(body), protocol, hops) + ends
    made = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, hops, protocol, 0) + ends
    total = sum(struct.unpack(">10H", made))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return made[:10] + struct.pack(">H", 0xFFFF - total) + made[12:]
