"""Packets inside others: known tunnels end to end; test_decode.py holds random ones to the twin."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from procwire import layers
from procwire.capture.batch import LINUX_SLL
from procwire.decode.columns import Decoded
from procwire.decode.frame import SKIP_REASONS, decode
from procwire.judging.examine import examine
from procwire.rules import all_rules
from test_decode import ETHERNET_IPV4, TCP, batch_of, decode_one, ipv4, row

INNER = ipv4(TCP)
ETHERNET_INNER = ETHERNET_IPV4 + INNER
TEREDO_CLIENT, LINK_LOCAL = bytes.fromhex("20010000") + bytes(12), b"\xfe\x80" + bytes(14)


def udp(port: int, payload: bytes) -> bytes:
    return ipv4(struct.pack(">HHHH", 50000, port, 8 + len(payload), 0) + payload, protocol=17)


def ipv6(body: bytes, following: int, source: bytes = bytes(16)) -> bytes:
    return struct.pack(">IHBB", 0x60000000, len(body), following, 64) + source + bytes(16) + body


def label(number: int, bottom: bool) -> bytes:
    return struct.pack(">I", number << 12 | bottom << 8 | 64)


def vxlan_gpe(following: int, inner: bytes) -> bytes:
    payload = bytes([0x0C, 0, 0, following]) + bytes(4) + inner
    return ETHERNET_IPV4 + udp(4790, payload)


def service(following: int, words: int = 6) -> bytes:
    """A network service header."""
    kind = 1 if words == 6 else 2
    return bytes([0, words, kind, following]) + bytes(4 * words - 4)


def mirrored(version: int, header: bytes, frame: bytes) -> bytes:
    """A frame in ERSPAN of type II or III."""
    kind = {1: b"\x88\xbe", 2: b"\x22\xeb"}[version]
    header = bytes([version << 4, 7]) + header
    return ETHERNET_IPV4 + ipv4(b"\x10\0" + kind + b"\0\0\0\1" + header + frame, protocol=47)


TUNNELS = {
    "IP in IP": ETHERNET_IPV4 + ipv4(INNER, protocol=4),
    "IPv4 in IPv6": bytes(12) + b"\x86\xdd" + ipv6(INNER, 4),
    "GRE": ETHERNET_IPV4 + ipv4(b"\0\0\x08\0" + INNER, protocol=47),
    "GRE with key": ETHERNET_IPV4 + ipv4(b"\x20\0\x08\0\0\0\0\7" + INNER, protocol=47),
    "Ethernet in GRE": ETHERNET_IPV4 + ipv4(b"\0\0\x65\x58" + ETHERNET_INNER, protocol=47),
    "PPTP": ETHERNET_IPV4 + ipv4(b"\x20\1\x88\x0b\0\x2c\0\7\xff\3\0\x21" + INNER, protocol=47),
    "VXLAN": ETHERNET_IPV4 + udp(4789, b"\x08" + bytes(7) + ETHERNET_INNER),
    "VXLAN of a group": ETHERNET_IPV4
    + udp(4789, bytes.fromhex("88480007") + bytes(4) + ETHERNET_INNER),
    "VXLAN-GPE": ETHERNET_IPV4 + udp(4789, b"\x0c\0\0\3" + bytes(4) + ETHERNET_INNER),
    "Geneve": ETHERNET_IPV4 + udp(6081, b"\1\0\x65\x58" + bytes(8) + ETHERNET_INNER),
    "Teredo": ETHERNET_IPV4 + udp(3544, ipv6(TCP, 6, TEREDO_CLIENT)),
    "Teredo with a trailer": ETHERNET_IPV4 + udp(3544, ipv6(TCP, 6, TEREDO_CLIENT) + b"\1\2ab"),
    "PPPoE": bytes(12) + b"\x88\x64\x11\0\0\1" + struct.pack(">HH", 42, 0x21) + INNER + bytes(4),
    "MPLS": bytes(12) + b"\x88\x47" + label(16, False) + label(17, True) + INNER,
    "pseudowire": bytes(12) + b"\x88\x47" + label(16, True) + bytes(4) + ETHERNET_INNER,
    "FabricPath": bytes(12) + b"\x89\x03\x04\x20" + ETHERNET_INNER,
    "802.1ah": bytes(12) + b"\x88\xe7\0\0\0\7" + ETHERNET_INNER,
    "bridged Ethernet": bytes(12) + b"\x65\x58" + ETHERNET_INNER,
    "VN-Tag": bytes(12) + b"\x89\x26\x80\1\0\7\x08\0" + INNER,
    "E-Tag": bytes(12) + b"\x89\x3f\0\0\0\1\0\0\x08\0" + INNER,
    "NSH": bytes(12) + b"\x89\x4f" + service(1) + INNER,
    "NSH with more metadata": bytes(12) + b"\x89\x4f" + service(1, 9) + INNER,
    "Ethernet in NSH": bytes(12) + b"\x89\x4f" + service(3) + ETHERNET_INNER,
    "MPLS in NSH": bytes(12) + b"\x89\x4f" + service(5) + label(16, True) + INNER,
    "NSH in GRE": ETHERNET_IPV4 + ipv4(b"\0\0\x89\x4f" + service(1) + INNER, protocol=47),
    "MPLS in GRE": ETHERNET_IPV4 + ipv4(b"\0\0\x88\x47" + label(16, True) + INNER, protocol=47),
    "IPv4 in VXLAN-GPE": vxlan_gpe(1, INNER),
    "Ethernet in VXLAN-GPE": vxlan_gpe(3, ETHERNET_INNER),
    "NSH in VXLAN-GPE": vxlan_gpe(4, service(3) + ETHERNET_INNER),
    "MPLS in VXLAN-GPE": vxlan_gpe(5, label(16, True) + INNER),
    "ERSPAN": ETHERNET_IPV4 + ipv4(b"\0\0\x88\xbe" + ETHERNET_INNER, protocol=47),
    "ERSPAN II": mirrored(1, bytes(6), ETHERNET_INNER),
    "ERSPAN III": mirrored(2, bytes(10), ETHERNET_INNER),
    "ERSPAN III with a platform's header": mirrored(2, bytes(9) + b"\1" + bytes(8), ETHERNET_INNER),
    "SNAP": bytes(12) + struct.pack(">H", 48) + bytes.fromhex("aaaa030000000800") + INNER,
}


@pytest.mark.parametrize("name", TUNNELS)
def test_columns_and_last_span_are_those_of_the_inner_packet(name: str) -> None:
    decoded = decode_one(TUNNELS[name])
    assert not decoded.skipped.any()
    assert decoded.spans.layer[-1] == layers.TCP
    columns = row(decoded)
    assert (columns["transport"], columns["dst_port"]) == (layers.TCP, 445)
    assert columns["payload"] == 0
    inner_source = 0 if name.startswith("Teredo") else 0xFFFF_0A00_0005
    assert columns["src_lo"] == inner_source


@pytest.mark.parametrize(
    "ordinary",
    [
        udp(4789, b"\x09" + bytes(7) + ETHERNET_INNER),
        udp(4789, b"\x08\0\0\1" + bytes(4) + ETHERNET_INNER),
        udp(4789, b"\x88\1\0\0" + bytes(4) + ETHERNET_INNER),
        udp(4789, b"\x0c\0\0\1" + bytes(4) + ETHERNET_INNER),
        udp(4790, b"\x08" + bytes(7) + ETHERNET_INNER),
        udp(4790, b"\x0e\0\0\3" + bytes(4) + ETHERNET_INNER),
        udp(4790, b"\x0c\0\0\6" + bytes(4) + ETHERNET_INNER),
        udp(6081, b"\x41\0\x65\x58" + bytes(8) + ETHERNET_INNER),
        udp(3544, ipv6(TCP, 6)),
        udp(3544, ipv6(TCP, 6, LINK_LOCAL) + b"more"),
        udp(3544, b"\x40" + ipv6(TCP, 6, TEREDO_CLIENT)[1:]),
    ],
)
def test_a_port_alone_makes_no_tunnel(ordinary: bytes) -> None:
    assert row(decode_one(ETHERNET_IPV4 + ordinary))["transport"] == layers.UDP


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (bytes(12) + b"\x89\x4f\x40" + service(1)[1:] + INNER, "unknown ethertype"),
        (bytes(12) + b"\x89\x4f" + service(1, 1) + bytes(4) + INNER, "unknown ethertype"),
        (bytes(12) + b"\x89\x4f" + service(1)[:20], "unknown ethertype"),
        (bytes(12) + b"\x89\x4f" + service(4) + service(1) + INNER, "unknown ethertype"),
        (bytes(12) + b"\x89\x4f" + service(1)[:7], "truncated link header"),
        (bytes(12) + b"\x89\x26" + bytes(5), "truncated link header"),
        (bytes(12) + b"\x89\x3f" + bytes(7), "truncated link header"),
        (bytes(12) + b"\x88\xe7" + bytes(3), "truncated link header"),
        (bytes(12) + b"\x89\x26\0\0\0\0" * 4 + b"\x89\x26" + bytes(6), "too many VLAN tags"),
        (mirrored(1, bytes(5), b""), "truncated link header"),
        (mirrored(2, bytes(9), b""), "truncated link header"),
        (mirrored(2, bytes(9) + b"\1" + bytes(7), b""), "truncated link header"),
        (mirrored(2, bytes(8) + b"\x08\0", INNER), "IP protocol not decoded"),
        (ETHERNET_IPV4 + ipv4(b"\x50\0\x88\xbe" + bytes(12), 47), "IP protocol not decoded"),
        (ETHERNET_IPV4 + ipv4(b"\x10\0\x88\xbe" + bytes(12), 47), "IP protocol not decoded"),
    ],
)
def test_what_a_header_does_not_tell_is_counted(frame: bytes, reason: str) -> None:
    decoded = decode_one(frame)
    assert row(decoded)["transport"] == 0
    counted = dict(zip(SKIP_REASONS, decoded.skipped.tolist(), strict=True))
    assert counted == {name: int(name == reason) for name in SKIP_REASONS}


@pytest.mark.parametrize("kept", [len(ETHERNET_INNER) - 1, 14 + 39, 14 + 19, 20, 13, 0])
@pytest.mark.parametrize("version", [1, 2])
def test_what_a_mirror_cut_breaks_no_rule(version: int, kept: int) -> None:
    fields = b"\4\0" + bytes(8)
    frame = mirrored(version, fields[: 4 * version + 2], ETHERNET_INNER[:kept])
    decoded, findings = examine(batch_of([(frame, len(frame), 1)]))
    assert findings.size == 0
    assert row(decoded)["transport"] == 0
    assert decoded.skipped[SKIP_REASONS.index("snapped header")] == 1


def nested_frame(times: int) -> bytes:
    packet = INNER
    for _ in range(times):
        packet = ipv4(packet, protocol=4)
    return ETHERNET_IPV4 + packet


def nested(times: int) -> Decoded:
    return decode_one(nested_frame(times))


def test_a_batch_of_nothing_but_tunnels_finds_more_room_for_its_layers() -> None:
    frame, one = nested_frame(3), nested(3)
    size, count = len(one.spans.layer), 200
    decoded = decode(batch_of([(frame, len(frame), 1)] * count))
    assert decoded.spans.layer.tolist() == one.spans.layer.tolist() * count
    assert decoded.spans.packet.tolist() == [n for n in range(count) for _ in range(size)]
    assert (decoded.packets.dst_port == 445).all() and not decoded.skipped.any()


def test_tunnels_in_tunnels_are_followed_three_deep_and_deeper_ones_counted() -> None:
    assert row(nested(3))["transport"] == layers.TCP
    deeper = nested(4)
    assert row(deeper)["transport"] == 0
    assert deeper.skipped[SKIP_REASONS.index("too many layers")] == 1


def test_a_teredo_packet_longer_than_its_datagram_is_a_broken_one() -> None:
    frame = ETHERNET_IPV4 + udp(3544, ipv6(TCP + b"gone", 6, TEREDO_CLIENT)[:-4])
    _, findings = examine(batch_of([(frame, len(frame), 1)]))
    names = {all_rules()[finding["rule"]].id for finding in findings}
    assert names == {"ipv6.truncated", "tun.inner_ip_bad"}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (ETHERNET_IPV4 + ipv4(ipv6(TCP, 6), protocol=4), "ipv4.bad_version"),
        (ETHERNET_IPV4 + ipv4(ipv4(TCP + bytes(20)), protocol=41), "ipv6.bad_version"),
        (ETHERNET_IPV4 + ipv4(b"\0\0\x86\xdd" + ipv4(TCP + bytes(20)), 47), "ipv6.bad_version"),
        (bytes(12) + b"\x86\xdd" + ipv6(ipv6(TCP, 6), 4), "ipv4.bad_version"),
    ],
)
def test_what_a_tunnel_carries_is_of_the_version_that_it_says(frame: bytes, expected: str) -> None:
    _, findings = examine(batch_of([(frame, len(frame), 1)]))
    names = {all_rules()[finding["rule"]].id for finding in findings}
    assert names - {"ipv6.truncated"} == {expected, "tun.inner_ip_bad"}


def test_a_tunnel_is_not_taken_for_the_packet_before_it() -> None:
    """Around a pseudowire behind Linux' cooked header there is no span."""
    before = ETHERNET_IPV4 + ipv4(b"", protocol=50)
    frame = bytes(14) + b"\x88\x47" + label(16, True) + bytes(4) + ETHERNET_IPV4 + b"\x60"
    decoded = decode(batch_of([(before, len(before), 1), (frame, len(frame), LINUX_SLL)]))
    broken = decoded.spans.layer == layers.INNER_IP_MALFORMED
    assert decoded.spans.outer[broken].tolist() == [-1]


ARP = bytes.fromhex("000108000604000102000000000a0a000007") + bytes(6) + bytes([10, 0, 0, 9])
ETHERNET_ARP = bytes(12) + b"\x08\x06" + ARP


@pytest.mark.parametrize("message", [ETHERNET_ARP, ETHERNET_ARP[:24], ETHERNET_ARP[:17]])
@pytest.mark.parametrize("carrier", ["GRE", "GRE over IPv6", "VXLAN", "pseudowire"])
def test_arp_in_a_tunnel_has_nothing_of_the_packet_around_it(carrier: str, message: bytes) -> None:
    around = {
        "GRE": ETHERNET_IPV4 + ipv4(b"\0\0\x65\x58" + message, protocol=47),
        "GRE over IPv6": bytes(12) + b"\x86\xdd" + ipv6(b"\0\0\x65\x58" + message, 47, LINK_LOCAL),
        "VXLAN": ETHERNET_IPV4 + udp(4789, b"\x08" + bytes(7) + message),
        "pseudowire": bytes(12) + b"\x88\x47" + label(16, True) + bytes(4) + message,
    }
    assert row(decode_one(around[carrier])) == row(decode_one(message))


@pytest.mark.parametrize("size", [len(ETHERNET_INNER), 53, 14 + 19, 14 + 9])
@pytest.mark.parametrize("cut", [False, True])
def test_what_no_packet_is_around_is_judged_as_by_itself(cut: bool, size: int) -> None:
    frame = ETHERNET_INNER[:size]
    pseudowire = bytes(12) + b"\x88\x47" + label(16, True) + bytes(4)
    fabric_path = bytes(12) + b"\x89\x03\x04\x20"
    told = []
    for data in (frame, pseudowire + frame, fabric_path + frame):
        batch = batch_of([(data, len(data) + 20 * cut, 1)])._replace(cut=np.array([cut]))
        decoded, findings = examine(batch)
        names = {all_rules()[finding["rule"]].id for finding in findings}
        told.append((row(decoded), names - {"tun.inner_ip_bad"}))
    assert told[0] == told[1] == told[2]
    assert ("ipv4.truncated" in told[0][1]) == (size < len(ETHERNET_INNER))


@pytest.mark.parametrize(("number", "expected"), [(0, "ipv4.bad_version"), (2, "ipv6.bad_version")])
def test_an_explicit_null_label_says_what_follows(number: int, expected: str) -> None:
    inner = {0: ipv6(TCP, 6), 2: ipv4(TCP + bytes(20))}[number]
    frame = bytes(12) + b"\x88\x47" + label(number, True) + inner
    _, findings = examine(batch_of([(frame, len(frame), 1)]))
    assert expected in {all_rules()[finding["rule"]].id for finding in findings}


def test_a_broken_inner_header_is_found_and_leaves_the_outer_columns() -> None:
    frame = ETHERNET_IPV4 + ipv4(INNER[:19], protocol=4)
    decoded, findings = examine(batch_of([(frame, len(frame), 1)]))
    assert row(decoded)["src_lo"] == 0xFFFF_0A00_0005
    names = {all_rules()[finding["rule"]].id for finding in findings}
    assert names == {"ipv4.truncated", "tun.inner_ip_bad"}
