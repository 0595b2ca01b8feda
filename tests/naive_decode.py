"""The plain twin of procwire.decode: one packet at a time, bytes and dictionaries, no arrays.

Headers are read through `Packet.read`, which gives up when the bytes were on the wire but not
captured; whatever cannot be judged is left as it is at that moment.
"""

from __future__ import annotations

from naive_network import decode_arp, decode_ipv4, decode_ipv6
from naive_packet import (
    ETHERNET,
    GRE,
    INNER_IP_MALFORMED,
    IPV4,
    IPV6,
    LOOPBACK,
    MALFORMED,
    VLAN,
    Packet,
    Skip,
)
from naive_tunnel import BARE, TUNNELLED, Inner, unwrap

FIXED_LINKS = {228: 0x0800, 229: 0x86DD, **{BARE + kind: kind for kind in TUNNELLED}}
TAGS = {0x8100: 4, 0x88A8: 4, 0x9100: 4, 0x8926: 6, 0x893F: 8}
PPP_ETHERTYPES = {0x0021: 0x0800, 0x0057: 0x86DD}
FAMILY_ETHERTYPES = {2: 0x0800} | dict.fromkeys((10, 23, 24, 28, 30), 0x86DD)


def decode_naive(
    data: bytes, length: int, link: int, cut: bool = False
) -> tuple[dict[str, int], list[list[int]], str | None]:
    """(columns by name, spans as [layer, start, captured, length, outer], reason skipped or None)
    of one packet; starts and outer rows count within the packet."""
    packet = Packet(data, length, cut)
    try:
        decode_nested(packet, link)
    except Skip as skip:
        return packet.fields, packet.spans, str(skip)
    return packet.fields, packet.spans, None


def decode_nested(packet: Packet, link: int, depth: int = 0) -> None:
    """What lies inside a tunnel is a packet of its own, whose bytes begin further on."""
    try:
        carrier = len(packet.spans) - 1
        if depth == 0 or carrier < 0 or packet.spans[carrier][0] not in (IPV4, IPV6, GRE):
            carrier = -1
        decode_link(packet, link, depth > 0, carrier)
    except Inner as inner:
        if depth == 3:
            raise Skip("too many layers") from None
        cut = packet.cut and packet.fields["network"] == 0
        length = inner.end - inner.start + inner.lacks
        within = Packet(packet.data[inner.start : inner.end], length, cut)
        within.fields, within.spans = packet.fields, packet.spans
        known = len(packet.spans)
        try:
            decode_nested(within, inner.link, depth + 1)
        finally:
            for span in packet.spans[known:]:
                span[1] += inner.start


def decode_link(packet: Packet, link: int, inside: bool, carrier: int) -> None:
    outer = -1
    if link == 1:
        outer = packet.span(ETHERNET, 0, packet.length, -1)
        if packet.length < 14:
            return
        packet.read(0, 14)
        ethertype, start = packet.number(12, 2), 14
    else:
        ethertype, start = read_other_link(packet, link)
        if loops(packet, link):
            outer = packet.span(LOOPBACK, 0, start, -1)
    tags = 0
    while size := TAGS.get(ethertype):
        if tags == 4:
            raise Skip("too many VLAN tags")
        tags += 1
        if size == 4:
            packet.span(VLAN, start, packet.length, outer)
        if packet.length - start < size:
            if size == 4:
                return
            raise Skip("truncated link header")
        packet.read(start, size)
        ethertype, start = packet.number(start + size - 2, 2), start + size
    unwrapped = unwrap(packet, ethertype, start)
    if unwrapped is None:
        cut = packet.length > len(packet.data)
        raise Skip("snapped header" if cut else "truncated link header")
    ethertype, start, packet.length = unwrapped
    packet.data = packet.data[: packet.length]
    if packet.cut and ethertype in (0x0800, 0x86DD):
        layer = IPV4 if ethertype == 0x0800 else IPV6
        packet.span(layer + MALFORMED, start, packet.length, outer)
    if inside and ethertype in (0x0800, 0x86DD):
        decode_inner_ip(packet, ethertype, start, outer, carrier)
    elif ethertype == 0x0800:
        decode_ipv4(packet, start, outer)
    elif ethertype == 0x86DD:
        decode_ipv6(packet, start, outer)
    elif ethertype == 0x0806:
        packet.fields.update(dict.fromkeys(packet.fields, 0))
        decode_arp(packet, start, outer)
    else:
        raise Skip("802.3 length frame" if ethertype < 1536 else "unknown ethertype")


def decode_inner_ip(packet: Packet, ethertype: int, start: int, outer: int, carrier: int) -> None:
    layer, version, fixed = (IPV4, 4, 20) if ethertype == 0x0800 else (IPV6, 6, 40)
    first = packet.data[start] >> 4 if start < len(packet.data) else version
    around = packet.fields["network"]
    if around and (packet.length - start < fixed or first != version):
        packet.span(layer + MALFORMED, start, packet.length, -1)
        packet.span(INNER_IP_MALFORMED, start, packet.length, carrier)
        return
    packet.fields.update(dict.fromkeys(packet.fields, 0))
    own = len(packet.spans)
    (decode_ipv4 if version == 4 else decode_ipv6)(packet, start, outer)
    if packet.spans[own][0] > MALFORMED:
        packet.span(INNER_IP_MALFORMED, start, packet.length, carrier)


def loops(packet: Packet, link: int) -> bool:
    """Whether the link header is that of a loopback device: ARPHRD_LOOPBACK is 772."""
    device = {113: 2, 276: 8}.get(link)
    return link in (0, 108) or device is not None and packet.number(device, 2) == 772


def read_other_link(packet: Packet, link: int) -> tuple[int, int]:
    """(ethertype, offset of the network layer)"""
    if link in FIXED_LINKS or link in (12, 101):
        if packet.length > 0:
            packet.read(0, 1)
        first = packet.data[0] >> 4 if packet.data else 4
        return FIXED_LINKS.get(link, 0x86DD if first == 6 else 0x0800), 0
    if link in (9, 50):
        return read_ppp(packet)
    size = {113: 16, 276: 20, 0: 4, 108: 4, 104: 4}[link]
    if packet.length < size:
        raise Skip("truncated link header")
    header = packet.read(0, size)
    if link == 113:
        return int.from_bytes(header[14:], "big"), size
    if link == 276:
        return int.from_bytes(header[:2], "big"), size
    if link == 104:
        return int.from_bytes(header[2:], "big"), size
    family = int.from_bytes(header, "little")
    if family > 0xFFFF:
        family = int.from_bytes(header, "big")
    return FAMILY_ETHERTYPES.get(family, 0xFFFF), size


def read_ppp(packet: Packet) -> tuple[int, int]:
    data = packet.data
    at = 2 if data[:2] == b"\xff\x03" else 0
    cisco = data[:1] in (b"\x0f", b"\x8f")
    compressed = data[at : at + 1] != b"" and data[at] % 2 == 1
    size = 4 if cisco else at + (1 if compressed else 2)
    if packet.length < size:
        raise Skip("truncated link header")
    header = packet.read(0, size)
    if cisco:
        return int.from_bytes(header[2:], "big"), size
    return PPP_ETHERTYPES.get(int.from_bytes(header[at:], "big"), 0xFFFF), size
