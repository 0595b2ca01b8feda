"""The plain twin of procwire.decode: one packet at a time, bytes and dictionaries, no arrays.

Headers are read through `Packet.read`, which gives up when the bytes were on the wire but not
captured; whatever cannot be judged is left as it is at that moment.
"""

from __future__ import annotations

from naive_application import find_application
from naive_tunnel import Inner, enter_gre, enter_udp, ip_link, unwrap
from procwire.decode.columns import Packets

ETHERNET, VLAN, ARP, IPV4, ICMP4, IPV6, ICMP6, TCP, UDP = range(1, 10)
MALFORMED = 16
GRE, SCTP, IGMP, INNER_IP_MALFORMED, LOOPBACK = 32, 33, 34, 35, 36
EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}
FIXED_LINKS = {228: 0x0800, 229: 0x86DD}
PPP_ETHERTYPES = {0x0021: 0x0800, 0x0057: 0x86DD}
FAMILY_ETHERTYPES = {2: 0x0800} | dict.fromkeys((10, 23, 24, 28, 30), 0x86DD)


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
        decode_link(packet, link, depth > 0)
    except Inner as inner:
        if depth == 3:
            raise Skip("too many layers") from None
        within = Packet(packet.data[inner.start : inner.end], inner.end - inner.start, False)
        within.fields, within.spans = packet.fields, packet.spans
        known = len(packet.spans)
        try:
            decode_nested(within, inner.link, depth + 1)
        finally:
            for span in packet.spans[known:]:
                span[1] += inner.start


def decode_link(packet: Packet, link: int, inside: bool) -> None:
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
    while ethertype in (0x8100, 0x88A8, 0x9100):
        if tags == 4:
            raise Skip("too many VLAN tags")
        tags += 1
        packet.span(VLAN, start, packet.length, outer)
        if packet.length - start < 4:
            return
        packet.read(start, 4)
        ethertype, start = packet.number(start + 2, 2), start + 4
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
        decode_inner_ip(packet, ethertype, start, outer)
    elif ethertype == 0x0800:
        decode_ipv4(packet, start, outer)
    elif ethertype == 0x86DD:
        decode_ipv6(packet, start, outer)
    elif ethertype == 0x0806:
        decode_arp(packet, start, outer)
    else:
        raise Skip("802.3 length frame" if ethertype < 1536 else "unknown ethertype")


def decode_inner_ip(packet: Packet, ethertype: int, start: int, outer: int) -> None:
    layer, version, fixed = (IPV4, 4, 20) if ethertype == 0x0800 else (IPV6, 6, 40)
    first = packet.data[start] >> 4 if start < len(packet.data) else version
    if packet.length - start < fixed or first != version:
        packet.span(layer + MALFORMED, start, packet.length, -1)
        packet.span(INNER_IP_MALFORMED, start, packet.length, -1)
        return
    packet.fields.update(dict.fromkeys(Packets._fields, 0))
    own = len(packet.spans)
    (decode_ipv4 if version == 4 else decode_ipv6)(packet, start, outer)
    if packet.spans[own][0] > MALFORMED:
        packet.span(INNER_IP_MALFORMED, start, packet.length, -1)


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


def decode_arp(packet: Packet, start: int, outer: int) -> None:
    packet.span(ARP, start, packet.length, outer)
    packet.fields["network"] = ARP
    if packet.length - start < 8:
        return
    header = packet.read(start, 8)
    hardware, protocol = header[4], header[5]
    if header[2:4] == b"\x08\x00" and protocol == 4:
        for name, offset in (("src", 8 + hardware), ("dst", 12 + 2 * hardware)):
            fill_ipv4_address(packet, name, start + offset)
    whole = 8 + 2 * hardware + 2 * protocol
    packet.read(start, min(whole, packet.length - start))


def fill_ipv4_address(packet: Packet, name: str, start: int) -> None:
    if start + 4 <= len(packet.data):
        packet.fill(f"{name}_lo", start, 4, packet.length)
        packet.fields[f"{name}_lo"] |= 0xFFFF << 32


def decode_ipv4(packet: Packet, start: int, outer: int) -> None:
    own = packet.span(IPV4, start, packet.length, outer)
    packet.fields["network"] = IPV4
    packet.fill("ttl", start + 8, 1, packet.length)
    packet.fill("protocol", start + 9, 1, packet.length)
    fill_ipv4_address(packet, "src", start + 12)
    fill_ipv4_address(packet, "dst", start + 16)
    left = packet.length - start
    if left < 20:
        packet.spans[own][0] += MALFORMED
        return
    header = packet.read(start, 20)
    version, size = header[0] >> 4, header[0] % 16 * 4
    total = int.from_bytes(header[2:4], "big") or (left if left > 576 else 0)
    if version != 4 or size < 20 or not size <= total <= left:
        packet.spans[own][0] += MALFORMED
        return
    if int.from_bytes(header[6:8], "big") & 0x3FFF:
        packet.fields["fragment"] = 1
        raise Skip("IP fragment")
    decode_transport(packet, start + size, start + total, own)


def decode_ipv6(packet: Packet, start: int, outer: int) -> None:
    own = packet.span(IPV6, start, packet.length, outer)
    packet.fields["network"] = IPV6
    packet.fill("protocol", start + 6, 1, packet.length)
    packet.fill("ttl", start + 7, 1, packet.length)
    for name, offset in (("src", 8), ("dst", 24)):
        if start + offset + 16 <= len(packet.data):
            packet.fill(f"{name}_hi", start + offset, 8, packet.length)
            packet.fill(f"{name}_lo", start + offset + 8, 8, packet.length)
    left = packet.length - start - 40
    if left < 0:
        packet.spans[own][0] += MALFORMED
        return
    header = packet.read(start, 40)
    size = int.from_bytes(header[4:6], "big")
    if size == 0 and has_whole_frame(packet, start + 40):
        size = left
    if header[0] >> 4 != 6 or size > left:
        packet.spans[own][0] += MALFORMED
        return
    walk_extensions(packet, start + 40, start + 40 + size, own)


def has_whole_frame(packet: Packet, start: int) -> bool:
    if packet.length - start > 65535:
        return True
    if packet.fields["protocol"] != 0 or packet.length - start < 8:
        return False
    if len(packet.data) < start + 4:
        return True
    end = min(start + 8 + packet.data[start + 1] * 8, packet.length)
    at = start + 2
    while at + 2 <= end:
        if at + 2 > len(packet.data) or packet.data[at] == 0xC2:
            return True
        at += 1 if packet.data[at] == 0 else 2 + packet.data[at + 1]
    return False


def walk_extensions(packet: Packet, start: int, end: int, own: int) -> None:
    walked = 0
    while (kind := packet.fields["protocol"]) in EXTENSIONS:
        if walked == 16:
            raise Skip("too many extension headers")
        walked += 1
        if end - start < 8:
            return
        header = packet.read(start, 8)
        size = {44: 8, 51: header[1] * 4 + 8}.get(kind, header[1] * 8 + 8)
        offset, more = int.from_bytes(header[2:4], "big") >> 3, header[3] & 1
        if kind == 44 and (offset or more):
            packet.fields["protocol"] = header[0]
            packet.fields["fragment"] = 1
            raise Skip("IP fragment")
        if size > end - start:
            return
        packet.fields["protocol"] = header[0]
        start += size
    decode_transport(packet, start, end, own)


def decode_transport(packet: Packet, start: int, end: int, own: int) -> None:
    over = packet.spans[own][0]
    kinds = {
        (IPV4, 1): (ICMP4, 8),
        (IPV4, 6): (TCP, 20),
        (IPV4, 17): (UDP, 8),
        (IPV6, 6): (TCP, 20),
        (IPV6, 17): (UDP, 8),
        (IPV6, 58): (ICMP6, 8),
        (IPV4, 132): (SCTP, 12),
        (IPV6, 132): (SCTP, 12),
        (IPV4, 2): (IGMP, 8),
    }
    protocol = packet.fields["protocol"]
    if protocol in (4, 41):
        raise Inner(ip_link(protocol), start, end)
    if protocol == 47:
        enter_gre(packet, start, end, packet.span(GRE, start, end, own))
        return
    kind = kinds.get((over, protocol))
    if kind is None:
        raise Skip("IP protocol not decoded")
    layer, fixed = kind
    span = packet.span(layer, start, end, own)
    port_size = 2 if layer in (TCP, UDP, SCTP) else 1
    packet.fill("src_port", start, port_size, end)
    packet.fill("dst_port", start + port_size, port_size, end)
    if end - start < fixed:
        packet.spans[span][0] += 0 if layer in (SCTP, IGMP) else MALFORMED
        return
    header = packet.read(start, fixed)
    payload = end - start - fixed
    if layer == TCP:
        payload = end - start - (header[12] >> 4) * 4
        if header[12] >> 4 < 5 or payload < 0:
            packet.spans[span][0] += MALFORMED
            return
        packet.fields["seq"] = int.from_bytes(header[4:8], "big")
        packet.fields["ack"] = int.from_bytes(header[8:12], "big")
        packet.fields["tcp_flags"] = header[13]
    if layer == UDP and (size := int.from_bytes(header[4:6], "big")):
        if not 8 <= size <= end - start:
            packet.spans[span][0] += MALFORMED
            return
        payload = size - 8
    packet.fields["transport"] = layer
    packet.fields["payload"] = payload
    if layer == TCP:
        packet.read(start, (header[12] >> 4) * 4)
    if layer in (TCP, UDP):
        message = start + fixed if layer == UDP else end - payload
        find_application(packet, span, message, message + payload)
    if layer == UDP:
        enter_udp(packet, message, message + payload)
