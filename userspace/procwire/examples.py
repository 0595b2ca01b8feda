"""Whole frames around the examples of rules, as a capture to try a sensor with.

What an example does not say is valid: lower layers, lengths, checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from procwire.capture.batch import ETHERNET
from procwire.capture.rows import SNAP_LIMIT
from procwire.rule import Rule

FIRST_SECOND = 1_700_000_000
LINK = bytes.fromhex("020000000002 020000000001")
IPV4_ADDRESSES = bytes.fromhex("c0000201 c6336401")
IPV6_ADDRESSES = bytes.fromhex("20010db8" + "00" * 11 + "01" + "20010db8" + "00" * 11 + "02")
IPV4_TEMPLATE = bytes.fromhex("4500 0000 0001 0000 4000 0000") + IPV4_ADDRESSES
IPV6_TEMPLATE = bytes.fromhex("6000 0000 0000 0040") + IPV6_ADDRESSES
SOURCE_END = 15
FRAGMENT = 44

LINK_TYPES = {"vlan": 0x8100, "arp": 0x0806, "ipv4": 0x0800, "ipv6": 0x86DD}
PROTOCOLS = {"icmp4": 1, "icmp6": 58, "tcp": 6, "udp": 17, "gre": 47, "inner_ip": 4}
# The transport of each application layer, and its port.
SERVICES = {
    "dns": ("udp", 53),
    "ntp": ("udp", 123),
    "dhcp": ("udp", 67),
    "snmp": ("udp", 161),
    "modbus": ("tcp", 502),
    "dnp3": ("tcp", 20000),
    "http1": ("tcp", 80),
    "http1_chunk": ("tcp", 80),
    "http1_trailer": ("tcp", 80),
    "tls": ("tcp", 443),
    "ssh": ("tcp", 22),
    "ssh_packet": ("tcp", 22),
    "smb": ("tcp", 445),
    "smtp": ("tcp", 25),
}
# What precedes a message that is known by its place in the stream.
PRECEDING = {"ssh_packet": b"SSH-2.0-a\r\n"}
CLIENT_PORT = 49152
TCP_TEMPLATE = bytes.fromhex("c000 0000 0000 0001 0000 0001 5018 0400 0000 0000")


def capture(frames: Iterable[bytes]) -> bytes:
    """A pcap file of Ethernet frames, one a second."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP_LIMIT, ETHERNET)]
    for number, data in enumerate(frames):
        parts.append(struct.pack("<IIII", FIRST_SECOND + number, 0, len(data), len(data)) + data)
    return b"".join(parts)


def capture_ng(frames: Iterable[bytes]) -> bytes:
    """A pcapng file of Ethernet frames, one a second."""
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    interface = struct.pack("<HHI", ETHERNET, 0, SNAP_LIMIT)
    blocks = [_block(0x0A0D0D0A, section), _block(1, interface)]
    for number, data in enumerate(frames):
        high, low = divmod((FIRST_SECOND + number) * 1_000_000, 2**32)
        head = struct.pack("<IIIII", 0, high, low, len(data), len(data))
        blocks.append(_block(6, head + data))
    return b"".join(blocks)


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def frames(rules: Iterable[Rule]) -> list[bytes]:
    """For each rule a frame that breaks it. Messages of one connection would be taken for one
    that was sent again, so each comes from a host of its own."""
    return [
        frame(rule.layers[0], rule.fires_on[0], 1 + number % 254)
        for number, rule in enumerate(rules)
    ]


def frame(layer: str, text: str, host: int = 1) -> bytes:
    """An Ethernet frame that holds an example, "outer | span" in hexadecimal, of `layer`. host: the
    last byte of the address that an application's message comes from."""
    layer = layer.removesuffix("_malformed")
    outer_text, _, inner = text.rpartition("|")
    outer, span = bytes.fromhex(outer_text), bytes.fromhex(inner)
    if layer == "ethernet":
        return span
    if layer in LINK_TYPES:
        return _completed(outer, LINK + struct.pack(">H", LINK_TYPES[layer])) + span
    if layer in SERVICES:
        span = PRECEDING.get(layer, b"") + span
        layer, port = SERVICES[layer]
        span = transport(layer, outer or struct.pack(">HH", CLIENT_PORT, port), span)
        outer = IPV4_TEMPLATE[:SOURCE_END] + bytes([host])
    version = outer[0] >> 4 if outer else 6 if layer == "icmp6" else 4
    network = {4: ipv4, 6: ipv6}[version](outer, PROTOCOLS[layer], span)
    return LINK + struct.pack(">H", {4: 0x0800, 6: 0x86DD}[version]) + network


def outer_start(layer: str) -> int:
    """Where in such a frame the header begins that encloses an example of `layer`."""
    layer = layer.removesuffix("_malformed")
    if layer in LINK_TYPES:
        return 0
    network = len(LINK) + 2
    return network + len(IPV4_TEMPLATE) if layer in SERVICES else network


def _completed(given: bytes, template: bytes) -> bytes:
    return given + template[len(given) :]


def transport(layer: str, outer: bytes, payload: bytes) -> bytes:
    """A datagram or segment that begins with the bytes of `outer`, the UDP length put right."""
    if layer == "tcp":
        return _completed(outer, TCP_TEMPLATE) + payload
    return outer[:4] + struct.pack(">HH", 8 + len(payload), 0) + payload


def ipv4(outer: bytes, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet that begins with the bytes of `outer`, lengths and checksum put right."""
    header = bytearray(_completed(outer, IPV4_TEMPLATE))
    struct.pack_into(">H", header, 2, len(header) + len(payload))
    header[9] = protocol
    struct.pack_into(">H", header, 10, 0)
    struct.pack_into(">H", header, 10, _checksum(bytes(header)))
    return bytes(header) + payload


def ipv6(outer: bytes, protocol: int, payload: bytes) -> bytes:
    """An IPv6 packet that begins with the bytes of `outer`, the payload length put right."""
    packet = bytearray(_completed(outer, IPV6_TEMPLATE) + payload)
    struct.pack_into(">H", packet, 4, len(packet) - 40)
    if packet[6] != FRAGMENT:
        packet[6] = protocol
    return bytes(packet)


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    return ~(total % 0xFFFF) & 0xFFFF
