"""Whole frames around the examples of rules: what the example does not say is valid."""

from __future__ import annotations

import random
import struct

from procwire.rule import Rule
from procwire.rules import all_rules

LINK = bytes.fromhex("020000000002 020000000001")
IPV4_ADDRESSES = bytes.fromhex("c0000201 c6336401")
IPV6_ADDRESSES = bytes.fromhex("20010db8" + "00" * 11 + "01" + "20010db8" + "00" * 11 + "02")
IPV4_TEMPLATE = bytes.fromhex("4500 0000 0001 0000 4000 0000") + IPV4_ADDRESSES
IPV6_TEMPLATE = bytes.fromhex("6000 0000 0000 0040") + IPV6_ADDRESSES
FRAGMENT, NO_NEXT_HEADER = 44, 59
DATAGRAM = bytes.fromhex("0400 0035 0008 1234")

LINK_TYPES = {"vlan": 0x8100, "arp": 0x0806, "ipv4": 0x0800, "ipv6": 0x86DD}
PROTOCOLS = {"icmp4": 1, "icmp6": 58, "tcp": 6, "udp": 17}


def frames(rule: Rule) -> list[bytes]:
    """Frames for every example of `rule`, in each of its layers."""
    return [
        packet
        for layer in rule.layers
        for text in (*rule.fires_on, *rule.silent_on)
        for packet in _frames(layer.removesuffix("_malformed"), text)
    ]


def mixed(count: int, seed: int) -> list[bytes]:
    """`count` frames of random examples, half of them with one or two bits turned."""
    chance = random.Random(seed)
    examples = [packet for rule in all_rules() for packet in frames(rule)]
    packets = []
    for _ in range(count):
        packet = bytearray(chance.choice(examples))
        for _ in range(chance.choice((0, 0, 1, 2))):
            packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
        packets.append(bytes(packet))
    return packets


def _frames(layer: str, text: str) -> list[bytes]:
    """An Ethernet frame that holds an example, "outer | span" in hexadecimal, of `layer`; where the
    example ends with a header, a second frame in which a UDP datagram follows.
    """
    outer_text, _, inner = text.rpartition("|")
    outer, span = bytes.fromhex(outer_text), bytes.fromhex(inner)
    if layer == "ethernet":
        return [span, span[:12] + b"\x08\0" + _ipv4(b"", PROTOCOLS["udp"], DATAGRAM)]
    if layer in LINK_TYPES:
        link = _completed(outer, LINK + struct.pack(">H", LINK_TYPES[layer]))
        return [link + span, *([link + _carrying(span)] if layer == "ipv6" else [])]
    version = outer[0] >> 4 if outer else 6 if layer == "icmp6" else 4
    network = {4: _ipv4, 6: _ipv6}[version](outer, PROTOCOLS[layer], span)
    return [LINK + struct.pack(">H", {4: 0x0800, 6: 0x86DD}[version]) + network]


def _carrying(packet: bytes) -> bytes:
    """An IPv6 packet with a UDP datagram in place of the end of its chain of headers."""
    changed = bytearray(packet + DATAGRAM)
    if len(packet) < 40:
        return packet
    at, following = 6, 40
    while changed[at] != NO_NEXT_HEADER and following + 8 <= len(packet):
        at, following = following, following + 8 + 8 * changed[following + 1]
    changed[at] = PROTOCOLS["udp"]
    struct.pack_into(">H", changed, 4, int.from_bytes(packet[4:6], "big") + len(DATAGRAM))
    return bytes(changed)


def _completed(given: bytes, template: bytes) -> bytes:
    return given + template[len(given) :]


def _ipv4(outer: bytes, protocol: int, payload: bytes) -> bytes:
    header = bytearray(_completed(outer, IPV4_TEMPLATE))
    struct.pack_into(">H", header, 2, len(header) + len(payload))
    header[9] = protocol
    struct.pack_into(">H", header, 10, 0)
    struct.pack_into(">H", header, 10, _checksum(header))
    return bytes(header) + payload


def _ipv6(outer: bytes, protocol: int, payload: bytes) -> bytes:
    packet = bytearray(_completed(outer, IPV6_TEMPLATE) + payload)
    struct.pack_into(">H", packet, 4, len(packet) - 40)
    if packet[6] != FRAGMENT:
        packet[6] = protocol
    return bytes(packet)


def _checksum(header: bytes) -> int:
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    return ~(total % 0xFFFF) & 0xFFFF
