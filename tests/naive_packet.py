"""A packet as the plain twins of procwire.decode read it, and the layers that they find in it."""

from __future__ import annotations

from procwire.decode.columns import Packets

ETHERNET, VLAN, ARP, IPV4, ICMP4, IPV6, ICMP6, TCP, UDP = range(1, 10)
MALFORMED = 16
GRE, SCTP, IGMP, INNER_IP_MALFORMED, LOOPBACK = 32, 33, 34, 35, 36


class Skip(Exception):
    """Ends decoding; the reason is one of SKIP_REASONS."""


class Packet:
    def __init__(self, data: bytes, length: int, cut: bool) -> None:
        self.data, self.length, self.cut = data, length, cut
        self.fields = dict.fromkeys(Packets._fields, 0)
        self.spans: list[list[int]] = []

    def span(self, layer: int, start: int, end: int, outer: int) -> int:
        captured = max(0, min(end, len(self.data)) - start)
        self.spans.append([layer, start, captured, end - start, outer])
        return len(self.spans) - 1

    def read(self, start: int, size: int) -> bytes:
        if start + size > len(self.data):
            raise Skip("snapped header")
        return self.data[start : start + size]

    def number(self, start: int, size: int) -> int:
        return int.from_bytes(self.read(start, size), "big")

    def fill(self, name: str, start: int, size: int, limit: int) -> None:
        """Fill a field from bytes that may be absent; limit: where its layer ends."""
        if start + size <= min(len(self.data), limit):
            self.fields[name] = int.from_bytes(self.data[start : start + size], "big")
