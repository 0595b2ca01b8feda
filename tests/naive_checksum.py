"""The plain twin of procwire.decode.checksum: RFC 1071 over bytes, one packet at a time."""

from __future__ import annotations

from collections import Counter

IPV4, ICMP4, IPV6, ICMP6, TCP, UDP = 4, 5, 6, 7, 8, 9
PROTOCOLS = {TCP: 6, UDP: 17, ICMP6: 58}
UNCHECKED, RIGHT, WRONG, ALONE = range(4)


def holds(data: bytes) -> bool:
    """Whether the one's complement sum of the 16-bit numbers in `data` is -0."""
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return total == 0xFFFF


def readdressed(packet: bytes, transport: int) -> bool:
    kind, at = packet[6], 40
    while at < transport:
        if kind in (43, 60):
            return True
        size = 8 if kind == 44 else (packet[at + 1] + 2) * 4 if kind == 51 else None
        kind, at = packet[at], at + (size or (packet[at + 1] + 1) * 8)
    return False


def verdict(layer: int, span: bytes, cut: bool, network: int, packet: bytes) -> bool | None:
    """Whether the checksum of a span holds; None where that cannot be told. packet: from the IP
    header of layer `network` on; cut: whether bytes of the span are missing."""
    if layer == IPV4:
        size = (span[0] & 15) * 4 if span else 20
        return holds(span[:size]) if len(span) >= max(size, 20) else None
    if cut:
        return None
    if layer == ICMP4:
        return holds(span)
    if layer == UDP:
        if span[6:8] == bytes(2):
            return None
        span = span[: int.from_bytes(span[4:6], "big") or len(span)]
    if network == IPV6:
        if readdressed(packet, len(packet) - len(span)):
            return None
        addresses = packet[8:40]
    else:
        addresses = packet[12:20]
    ending = len(span).to_bytes(4, "big") + PROTOCOLS[layer].to_bytes(4, "big")
    return holds(addresses + ending + span)


class Sources:
    """What became of each source's checksums, of each layer."""

    def __init__(self) -> None:
        self._right: Counter[tuple[int, bytes]] = Counter()
        self._wrong: Counter[tuple[int, bytes]] = Counter()

    def state(self, source: tuple[int, bytes], right: bool | None) -> int:
        if right is None:
            return UNCHECKED
        if right:
            self._right[source] += 1
            return RIGHT
        self._wrong[source] += 1
        needed = max(1024, 1024 * self._wrong[source])
        return ALONE if self._right[source] >= needed else WRONG
