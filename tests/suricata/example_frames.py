"""Frames of the rules' examples, whole and with a datagram behind what ends in a header."""

from __future__ import annotations

import random
import struct

from procwire.compiler.sights import STREAM_LAYERS
from procwire.examples import LINK, PROTOCOLS, frame, ipv4, transport
from procwire.rule import Rule
from procwire.rules import packet_rules

NO_NEXT_HEADER = 59
DNS_PORTS = bytes.fromhex("c000 0035")
DATAGRAM = bytes.fromhex("0400 0035 0008 1234")


def frames(rule: Rule) -> list[bytes]:
    """Frames for every example of `rule`, in each of its layers that one frame can hold."""
    return [
        packet
        for layer in rule.layers
        if layer not in STREAM_LAYERS
        for text in (*rule.fires_on, *rule.silent_on)
        for packet in _variants(layer, text)
    ]


def mixed(count: int, seed: int) -> list[bytes]:
    """`count` frames of random examples, half of them with one or two bits turned."""
    chance = random.Random(seed)
    examples = [packet for rule in packet_rules() for packet in frames(rule)]
    packets = []
    for _ in range(count):
        packet = bytearray(chance.choice(examples))
        for _ in range(chance.choice((0, 0, 1, 2))):
            packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
        packets.append(bytes(packet))
    return packets


def _variants(layer: str, text: str) -> list[bytes]:
    whole = frame(layer, text)
    if layer == "dns":
        message = bytes.fromhex(text.rpartition("|")[2])
        segment = transport("tcp", DNS_PORTS, struct.pack(">H", len(message)) + message)
        return [whole, whole[:14] + ipv4(b"", PROTOCOLS["tcp"], segment)]
    if layer == "udp":
        return [whole, *_encapsulated(whole)]
    if layer == "ethernet":
        return [whole, whole[:12] + b"\x08\0" + ipv4(b"", PROTOCOLS["udp"], DATAGRAM)]
    if layer.startswith("ipv6"):
        head = len(LINK) + struct.calcsize(">H")
        return [whole, whole[:head] + _carrying(whole[head:])]
    return [whole]


def _encapsulated(whole: bytes) -> list[bytes]:
    """The frame's IP packet in a PPPoE session, with padding, and behind two MPLS labels."""
    ethernet, packet = whole[:14], whole[14:]
    protocol = {b"\x08\0": 0x0021, b"\x86\xdd": 0x0057}[ethernet[12:]]
    session = struct.pack(">HHHH", 0x1100, 1, 2 + len(packet), protocol)
    return [
        ethernet[:12] + b"\x88\x64" + session + packet + bytes(6),
        ethernet[:12] + b"\x88\x47" + bytes.fromhex("00010040 00011140") + packet,
    ]


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
