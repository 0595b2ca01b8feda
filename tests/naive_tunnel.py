"""The plain twin of procwire.decode.tunnel and encapsulation."""

from __future__ import annotations

from naive_packet import Packet, Skip

BARE = 65536
TUNNELLED = {0x6558: 1, **{kind: BARE + kind for kind in (0x0800, 0x86DD, 0x894F, 0x8847, 0x8848)}}
NEXT = {1: 0x0800, 2: 0x86DD, 3: 0x6558, 4: 0x894F, 5: 0x8847}
VXLAN = (b"\x08\0\0\0", b"\x0c\0\0\3")
TRUNCATED, PLATFORM, FRAME_TYPE = 0x0400, 0x0001, 0x7C00


class Inner(Exception):
    """What was decoded carries a packet: its link type, where it lies, and how many bytes more it
    had at most."""

    def __init__(self, link: int, start: int, end: int, lacks: int = 0) -> None:
        super().__init__()
        self.link, self.start, self.end, self.lacks = link, start, end, lacks


def ip_link(protocol: int) -> int:
    return {4: 228, 41: 229}[protocol]


def unwrap(packet: Packet, ethertype: int, start: int) -> tuple[int, int, int] | None:
    """(ethertype, start, end) of what NSH, LLC, PPPoE or MPLS carries; None where it is cut."""
    if ethertype == 0x894F:
        header, end = packet.data[start : start + 8], packet.length
        if len(header) < 8:
            return None
        size = header[1] % 64 * 4
        if header[0] >= 64 or not 8 <= size <= end - start:
            return 0xFFFF, start, end
        ethertype, start = NEXT.get(header[3], 0xFFFF), start + size
    data, end = packet.data[start:], packet.length
    if ethertype < 1536:
        snap = data[:6] == bytes.fromhex("aaaa03000000") and len(data) >= 8
        if snap and 8 <= ethertype <= end - start:
            return int.from_bytes(data[6:8], "big"), start + 8, start + ethertype
    if ethertype == 0x8864:
        if len(data) < 8:
            return None
        size = int.from_bytes(data[4:6], "big")
        if 2 <= size <= end - start - 6:
            end = start + 6 + size
        kind = {0x0021: 0x0800, 0x0057: 0x86DD}.get(int.from_bytes(data[6:8], "big"), 0xFFFF)
        return kind, start + 8, end
    if ethertype in (0x8847, 0x8848):
        return unwrap_labels(packet, start)
    tag = {0x8903: 2, 0x88E7: 4, 0x6558: 0}.get(ethertype)
    if tag is not None:
        if end - start < tag:
            return None
        raise Inner(1, start + tag, end)
    return ethertype, start, end


def unwrap_labels(packet: Packet, start: int) -> tuple[int, int, int] | None:
    for _ in range(16):
        if len(packet.data) - start <= 4:
            return None
        start += 4
        if packet.data[start - 2] & 1:
            break
    else:
        return 0xFFFF, start, packet.length
    named = {0: 0x0800, 2: 0x86DD}.get(int.from_bytes(packet.data[start - 4 : start], "big") >> 12)
    if named:
        return named, start, packet.length
    first = packet.data[start] >> 4
    if first == 0 and packet.length - start > 4:
        raise Inner(1, start + 4, packet.length)
    return {4: 0x0800, 6: 0x86DD}.get(first, 0xFFFF), start, packet.length


def enter_gre(packet: Packet, start: int, end: int, own: int) -> None:
    if end - start < 4:
        return
    flags, carried = packet.number(start, 2), packet.number(start + 2, 2)
    words = 1 + sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
    version = flags & 7
    words += version == 1 and bool(flags & 0x80)
    inner = start + 4 * words
    if version > 1 or inner > end:
        return
    if carried in (0x88BE, 0x22EB) and not flags & 0x4007:
        enter_erspan(packet, inner, end, carried == 0x88BE and not flags & 0x1000)
    link = {0x880B: 9}.get(carried) if version == 1 else TUNNELLED.get(carried)
    if version == 0 and flags & 0x4000:
        link = None
    if link is None:
        raise Skip("IP protocol not decoded")
    if inner < end or version == 0:
        raise Inner(link, inner, end)


def enter_erspan(packet: Packet, start: int, end: int, bare: bool) -> None:
    if bare:
        raise Inner(1, start, end)
    data = packet.data[start:end]
    version = data[0] >> 4 if data else 1
    size = 12 if version == 2 else 8
    if len(data) < size:
        raise Skip("snapped header" if len(data) < end - start else "truncated link header")
    flags = packet.number(start + 10, 2) if version == 2 else 0
    if version not in (1, 2) or flags & FRAME_TYPE:
        raise Skip("IP protocol not decoded")
    inner = start + size + (8 if flags & PLATFORM else 0)
    if inner > end:
        raise Skip("truncated link header")
    raise Inner(1, inner, end, 65535 if packet.number(start + 2, 2) & TRUNCATED else 0)


def enter_udp(packet: Packet, start: int, end: int) -> None:
    """start, end: the datagram's payload."""
    source, destination = packet.number(start - 8, 2), packet.number(start - 6, 2)
    data = packet.data[start:end]
    if destination == 4789 and len(data) >= 8:
        grouped = data[0] == 0x88 and not data[1] & ~0x48
        if grouped or data[:4] in VXLAN:
            raise Inner(1, start + 8, end)
    elif destination == 4790 and len(data) >= 8:
        link = TUNNELLED.get(NEXT.get(data[3], 0))
        if link and data[:3] == b"\x0c\0\0":
            raise Inner(link, start + 8, end)
    elif destination == 6081 and len(data) >= 8:
        inner = start + 8 + data[0] % 64 * 4
        link = TUNNELLED.get(int.from_bytes(data[2:4], "big"))
        if data[0] < 64 and link and inner < end:
            raise Inner(link, inner, end)
    elif 3544 in (source, destination):
        enter_teredo(packet, start, end)


def enter_teredo(packet: Packet, start: int, end: int) -> None:
    def rest() -> bytes:
        return packet.data[start:end]

    if rest()[:2] == b"\0\1" and len(rest()) >= 4:
        start = min(start + 13 + rest()[2] + rest()[3], end)
    if rest()[:2] == b"\0\0":
        start = min(start + 8, end)
    header = rest()[:40]
    if len(header) < 40 or header[0] >> 4 != 6:
        return
    fills = int.from_bytes(header[4:6], "big") == end - start - 40
    local = any(header[at : at + 2] == b"\xfe\x80" for at in (8, 24))
    if local and fills or b"\x20\x01\0\0" in (header[8:12], header[24:28]):
        raise Inner(229, start, end)
