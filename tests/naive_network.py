"""The plain twin of decode/network.py and decode/transport.py: ARP, IP and what it carries."""

from __future__ import annotations

from naive_application import find_application
from naive_packet import (
    ARP,
    GRE,
    ICMP4,
    ICMP6,
    IGMP,
    IPV4,
    IPV6,
    MALFORMED,
    SCTP,
    TCP,
    UDP,
    Packet,
    Skip,
)
from naive_tunnel import Inner, enter_gre, enter_udp, ip_link

EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}


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
    if layer in (ICMP4, ICMP6):
        packet.fields["seq"] = int.from_bytes(header[4:8], "big")
    if layer == UDP:
        ip_header = packet.spans[own][1]
        size = int.from_bytes(header[4:6], "big")
        if size == 0 and packet.number(ip_header + (2 if over == IPV4 else 4), 2) == 0:
            size = end - start
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
