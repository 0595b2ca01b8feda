"""What a rule says of a packet does not depend on what carries it: every example of every rule, on
each kind of link, behind tags and labels, inside each tunnel, over IPv6 and in fragments."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from procwire import examples
from procwire.capture import batch as links
from procwire.judging.examine import Examiner, examine
from procwire.judging.observe import Observer
from procwire.rule import Rule
from procwire.rules import all_rules, packet_rules
from procwire.settings.traffic import FlowSettings
from test_decode import ETHERNET_IPV4, batch_of, ipv4
from test_tunnels import ipv6, label, mirrored, service, udp, vxlan_gpe

Frames = list[bytes]
TO_IPV4, TO_IPV6 = 0x0800, 0x86DD
# The layers whose examples are whole IP packets or lie in them.
CARRIED = (*examples.PROTOCOLS, *examples.SERVICES, "ipv4", "ipv6")
BATCH = 200  # examples of different hosts; an address has one byte for them
HOST = b"\x20\1\x0d\xb8" + bytes(11)
PIECE, LONG_PIECE, LONG = 16, 256, 500


def kind(frame: bytes) -> int:
    return int.from_bytes(frame[12:14], "big")


def protocol(frame: bytes) -> int:
    return {TO_IPV4: 4, TO_IPV6: 41}[kind(frame)]


def session(frame: bytes) -> bytes:
    """What PPP calls the packet, and the packet."""
    return {TO_IPV4: b"\0\x21", TO_IPV6: b"\0\x57"}[kind(frame)] + frame[14:]


def family(frame: bytes) -> bytes:
    return struct.pack("<I", {TO_IPV4: 2, TO_IPV6: 30}[kind(frame)])


CARRIERS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "padding": (links.ETHERNET, lambda frame: frame + bytes(9)),
    "a tag": (links.ETHERNET, lambda frame: frame[:12] + b"\x81\0\0\7" + frame[12:]),
    "two tags": (
        links.ETHERNET,
        lambda frame: frame[:12] + b"\x88\xa8\0\7\x81\0\0\7" + frame[12:],
    ),
    "PPPoE": (
        links.ETHERNET,
        lambda frame: (
            frame[:12]
            + b"\x88\x64\x11\0\0\1"
            + struct.pack(">H", len(session(frame)))
            + session(frame)
            + bytes(3)
        ),
    ),
    "MPLS": (
        links.ETHERNET,
        lambda frame: frame[:12] + b"\x88\x47" + label(16, False) + label(17, True) + frame[14:],
    ),
    "SNAP": (
        links.ETHERNET,
        lambda frame: (
            frame[:12] + struct.pack(">H", len(frame) - 6) + b"\xaa\xaa\3\0\0\0" + frame[12:]
        ),
    ),
    "cooked": (links.LINUX_SLL, lambda frame: bytes(14) + frame[12:]),
    "cooked, version 2": (links.LINUX_SLL2, lambda frame: frame[12:14] + bytes(18) + frame[14:]),
    "raw": (links.RAW, lambda frame: frame[14:]),
    "a family": (links.NULL, lambda frame: family(frame) + frame[14:]),
    "PPP": (links.PPP, lambda frame: b"\xff\3" + session(frame)),
    "IP in IPv4": (
        links.ETHERNET,
        lambda frame: ETHERNET_IPV4 + ipv4(frame[14:], protocol=protocol(frame)),
    ),
    "IP in IPv6": (
        links.ETHERNET,
        lambda frame: bytes(12) + b"\x86\xdd" + ipv6(frame[14:], protocol(frame), HOST + b"\7"),
    ),
    "GRE": (
        links.ETHERNET,
        lambda frame: ETHERNET_IPV4 + ipv4(b"\0\0" + frame[12:], protocol=47),
    ),
    "Ethernet in GRE": (
        links.ETHERNET,
        lambda frame: ETHERNET_IPV4 + ipv4(b"\0\0\x65\x58" + frame, protocol=47),
    ),
    "VXLAN": (
        links.ETHERNET,
        lambda frame: ETHERNET_IPV4 + udp(4789, b"\x08" + bytes(7) + frame),
    ),
    "Geneve": (
        links.ETHERNET,
        lambda frame: ETHERNET_IPV4 + udp(6081, b"\0\0\x65\x58" + bytes(4) + frame),
    ),
    "VXLAN-GPE": (
        links.ETHERNET,
        lambda frame: vxlan_gpe({TO_IPV4: 1, TO_IPV6: 2}[kind(frame)], frame[14:]),
    ),
    "a VN-Tag": (links.ETHERNET, lambda frame: frame[:12] + b"\x89\x26\0\0\0\7" + frame[12:]),
    "an E-Tag": (
        links.ETHERNET,
        lambda frame: frame[:12] + b"\x89\x3f\0\0\0\7\0\0" + frame[12:],
    ),
    "NSH": (
        links.ETHERNET,
        lambda frame: (
            frame[:12] + b"\x89\x4f" + service({TO_IPV4: 1, TO_IPV6: 2}[kind(frame)]) + frame[14:]
        ),
    ),
    "802.1ah": (
        links.ETHERNET,
        lambda frame: frame[:12] + b"\x88\xe7\0\0\0\7" + frame,
    ),
    "ERSPAN": (
        links.ETHERNET,
        lambda frame: ETHERNET_IPV4 + ipv4(b"\0\0\x88\xbe" + frame, protocol=47),
    ),
    "ERSPAN II": (links.ETHERNET, lambda frame: mirrored(1, bytes(6), frame)),
    "ERSPAN III": (links.ETHERNET, lambda frame: mirrored(2, bytes(10), frame)),
}

# What a carrier changes of what an example says: (carrier, rule) -> why.
OTHERWISE = {
    ("padding", "ipv6.truncated"): "what was cut is there",
    ("SNAP", "smtp.line_bad"): "from 1536 on a frame's length would be a type",
    ("MPLS", "ipv4.bad_version"): "behind labels nothing but the version tells what comes",
    ("MPLS", "ipv6.bad_version"): "behind labels nothing but the version tells what comes",
    ("raw", "ipv6.bad_version"): "nothing but the version tells what comes",
    ("a family", "ipv4.land"): "what a loopback device carries may be its host's own",
    **{
        (carrier, "ipv4.land"): "the Ethernet header is gone that showed a loopback device"
        for carrier in ("cooked", "cooked, version 2", "raw", "PPP", "GRE", "VXLAN-GPE")
        + ("IP in IPv4", "IP in IPv6")
    },
    ("over IPv6", "udp6.zero_checksum"): "only IPv4 may leave the checksum out",
    ("in IPv6 fragments", "udp6.zero_checksum"): "only IPv4 may leave the checksum out",
    ("over IPv6", "l4.port_zero"): "the example's header around it, by which TCP is told, is gone",
    ("in IPv4 fragments", "ssh.packet_len"): "read from a stream, which has no fragments",
    ("in IPv4 fragments", "ssh.message_early"): "read from a stream, which has no fragments",
    ("in IPv6 fragments", "ssh.packet_len"): "read from a stream, which has no fragments",
    ("in IPv6 fragments", "ssh.message_early"): "read from a stream, which has no fragments",
}


# Of these some examples are no whole message, and are read to the end of their stream first, or are
# known by their place in it; of port 0 one is in a UDP layer's span what only TCP forbids.
GOING_ON = {
    *("http.chunk_bad", "http.field_syntax", "http.request_line_bad", "l4.port_zero"),
    *("modbus.bad_length", "modbus.bad_protocol_id", "smb.malformed"),
    *("smtp.line_bad", "tls.record_bad"),
}


class Example(NamedTuple):
    """An example of a rule. fires: what the rule says of it; frame: Ethernet, with an IP packet."""

    rule: Rule
    layer: str
    fires: bool
    frame: bytes


def carried() -> Iterator[Example]:
    """Each from a host of its own within a batch."""
    count = 0
    for checked in packet_rules():
        for text in (*checked.fires_on, *checked.silent_on):
            for layer in checked.layers:
                frame = b""
                if layer.removesuffix("_malformed") in CARRIED and not layer.startswith("http1_"):
                    frame = examples.frame(layer, text, 1 + count % 254)
                if kind(frame) in (TO_IPV4, TO_IPV6):
                    count += 1
                    yield Example(checked, layer, text in checked.fires_on, frame)


EXAMPLES = list(carried())


def told(link: int, packets: list[Frames]) -> list[set[str]]:
    """Of each list of frames, the ids of the rules that they break."""
    frames = [(frame, len(frame), link) for frames in packets for frame in frames]
    owners = [number for number, frames in enumerate(packets) for _ in frames]
    batch = batch_of(frames)
    observer = Observer(FlowSettings())
    decoded, findings = Examiner().complete(batch, examine(batch))
    found: list[set[str]] = [set() for _ in packets]
    for part in (findings, observer.update(batch, decoded)):
        for row, rule in zip(part["row"].tolist(), part["rule"].tolist(), strict=True):
            found[owners[row]].add(all_rules()[rule].id)
    return found


def verdicts(link: int, packets: list[Frames], rules: list[Rule]) -> list[bool]:
    """Whether each rule is broken by its frames."""
    found = []
    for start in range(0, len(packets), BATCH):
        parts = zip(told(link, packets[start : start + BATCH]), rules[start:], strict=False)
        found += [checked.id in ids for ids, checked in parts]
    return found


@functools.cache
def plain() -> dict[Example, bool]:
    """The same of the examples as they are: a message cut short is not judged in a stream."""
    frames, rules = [[one.frame] for one in EXAMPLES], [one.rule for one in EXAMPLES]
    return dict(zip(EXAMPLES, verdicts(links.ETHERNET, frames, rules), strict=True))


def differing(carrier: str, link: int, packets: dict[Example, Frames]) -> set[str]:
    """Ids of rules that say otherwise of an example as it is carried."""
    found = verdicts(link, list(packets.values()), [one.rule for one in packets])
    pairs = zip(packets, found, strict=True)
    ids = {one.rule.id for one, fires in pairs if fires not in (plain()[one], one.fires)}
    return {name for name in ids if (carrier, name) not in OTHERWISE}


def test_as_frames_only_messages_that_go_on_are_not_told() -> None:
    assert {one.rule.id for one, fires in plain().items() if fires != one.fires} == GOING_ON


@pytest.mark.parametrize("carrier", CARRIERS)
def test_each_rule_says_the_same_in_each_carrier(carrier: str) -> None:
    link, wrap = CARRIERS[carrier]
    packets = {one: [wrap(one.frame)] for one in EXAMPLES}
    assert differing(carrier, link, packets) == set()


def over_ipv6(frame: bytes) -> bytes:
    packet = frame[14:]
    header = (packet[0] & 15) * 4
    body = packet[header : int.from_bytes(packet[2:4], "big")]
    addresses = HOST + packet[15:16] + HOST + b"\xff"
    fixed = struct.pack(">IHBB", 0x60000000, len(body), packet[9], 64)
    return frame[:12] + b"\x86\xdd" + fixed + addresses + body


def pieces(body: bytes) -> Iterator[tuple[int, bool, bytes]]:
    """(offset, whether more follow, bytes), the last one first."""
    size = PIECE if len(body) < LONG else LONG_PIECE
    for offset in reversed(range(0, len(body), size)):
        yield offset, offset + size < len(body), body[offset : offset + size]


def in_ipv4_fragments(frame: bytes) -> Frames:
    header = (frame[14] & 15) * 4
    body = frame[14 + header :]
    made = []
    for offset, more, piece in pieces(body):
        fields = bytearray(frame[14 : 14 + header])
        struct.pack_into(">H", fields, 2, header + len(piece))
        struct.pack_into(">H", fields, 6, offset // 8 | more << 13)
        made.append(frame[:14] + bytes(fields) + piece)
    return made


def in_ipv6_fragments(frame: bytes) -> Frames:
    whole = over_ipv6(frame)
    made = []
    for offset, more, piece in pieces(whole[54:]):
        fragment = struct.pack(">BBHI", whole[20], 0, offset | more, whole[37]) + piece
        fixed = struct.pack(">IHBB", 0x60000000, len(fragment), 44, 64)
        made.append(whole[:14] + fixed + whole[22:54] + fragment)
    return made


CUTS = {
    "over IPv6": lambda frame: [over_ipv6(frame)],
    "in IPv4 fragments": in_ipv4_fragments,
    "in IPv6 fragments": in_ipv6_fragments,
}
OF_TRANSPORTS = ("tcp", "udp", *examples.SERVICES)


@pytest.mark.parametrize("how", CUTS)
def test_each_rule_says_the_same_over_ipv6_and_in_fragments(how: str) -> None:
    packets = {
        one: CUTS[how](one.frame)
        for one in EXAMPLES
        if one.layer in OF_TRANSPORTS and kind(one.frame) == TO_IPV4
    }
    assert len(packets) > 300
    assert differing(how, links.ETHERNET, packets) == set()
