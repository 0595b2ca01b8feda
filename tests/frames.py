"""Hypothesis strategies for packets: layers stacked with plausible fields, then damaged."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

LINKS = (0, 1, 9, 12, 101, 108, 113, 228, 229, 276)
ETHERTYPES = (0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8, 0x9100, 0x8847, 0x0026)
PROTOCOLS = (1, 6, 17, 58, 0, 43, 44, 51, 60, 135, 139, 140, 50, 59, 47)

payloads = st.binary(max_size=24)
# Not 0, which hypothesis prefers.
rarely = st.integers(0, 9).map(lambda value: value == 7)


@st.composite
def tcp(draw: st.DrawFn) -> bytes:
    words = draw(st.integers(0, 3))
    offset = draw(st.integers(0, 15)) if draw(rarely) else 5 + words
    ports = draw(st.binary(min_size=12, max_size=12))
    flags = draw(st.integers(0, 255))
    return ports + bytes([offset << 4, flags]) + bytes(6 + 4 * words) + draw(payloads)


@st.composite
def udp(draw: st.DrawFn) -> bytes:
    payload = draw(payloads)
    size = draw(st.integers(0, 40)) if draw(rarely) else 8 + len(payload)
    return struct.pack(">HHHH", draw(st.integers(0, 65535)), 53, size, 0) + payload


transports = st.one_of(
    st.tuples(st.just(6), tcp()),
    st.tuples(st.just(17), udp()),
    st.tuples(st.sampled_from((1, 58)), st.binary(max_size=30)),
    st.tuples(st.sampled_from(PROTOCOLS), st.binary(max_size=30)),
)


@st.composite
def ipv4(draw: st.DrawFn) -> bytes:
    protocol, body = draw(transports)
    words = draw(st.integers(0, 2))
    first = draw(st.integers(0, 255)) if draw(rarely) else 0x45 + words
    total = draw(st.integers(0, 90)) if draw(rarely) else 20 + 4 * words + len(body)
    fragment = draw(st.sampled_from((0x2000, 0x1FFF, 0x8000))) if draw(rarely) else 0
    header = struct.pack(">BBHHHBBH", first, 0, total, 7, fragment, 64, protocol, 0)
    addresses = draw(st.binary(min_size=8, max_size=8))
    return header + addresses + bytes(4 * words) + body + bytes(draw(st.integers(0, 6)))


@st.composite
def extension(draw: st.DrawFn, kind: int, following: int) -> bytes:
    if kind == 44:
        fragment = draw(st.sampled_from((0, 0, 0, 6, 1, 0xFFF8)))
        return struct.pack(">BBHI", following, draw(st.integers(0, 3)), fragment, 9)
    units = draw(st.integers(0, 2))
    size = 8 + 8 * units
    written = draw(st.integers(0, 255)) if draw(rarely) else units
    if kind == 51:
        written = (size - 8) // 4
    body = bytearray(size - 2)
    if kind == 0 and draw(st.booleans()):
        body[:6] = b"\xc2\x04\x00\x01\x00\x00"
    return bytes([following, written]) + bytes(body)


@st.composite
def ipv6(draw: st.DrawFn) -> bytes:
    protocol, body = draw(transports)
    kinds = draw(st.lists(st.sampled_from((0, 43, 44, 51, 60, 135)), max_size=3))
    if draw(rarely):
        kinds = [60] * draw(st.integers(15, 18))
    for kind in reversed(kinds):
        body = draw(extension(kind, protocol)) + body
        protocol = kind
    size = draw(st.sampled_from((0, 8, 40, 65535))) if draw(rarely) else len(body)
    version = draw(st.integers(0, 255)) if draw(rarely) else 0x60
    header = struct.pack(">BBHHBB", version, 0, 0, size, protocol, 64)
    addresses = draw(st.binary(min_size=32, max_size=32))
    return header + addresses + body + bytes(draw(st.integers(0, 6)))


@st.composite
def arp(draw: st.DrawFn) -> bytes:
    sizes = draw(st.sampled_from(((6, 4), (8, 4), (6, 6), (255, 255))))
    kind = draw(st.sampled_from((0x0800, 0x0800, 0x86DD)))
    return struct.pack(">HHBBH", 1, kind, *sizes, 1) + draw(st.binary(max_size=40))


networks = st.one_of(
    st.tuples(st.just(0x0800), ipv4()),
    st.tuples(st.just(0x0800), ipv4()),
    st.tuples(st.just(0x86DD), ipv6()),
    st.tuples(st.just(0x86DD), ipv6()),
    st.tuples(st.just(0x0806), arp()),
    st.tuples(st.sampled_from(ETHERTYPES), st.binary(max_size=40)),
)


@st.composite
def ppp_header(draw: st.DrawFn, ethertype: int) -> bytes:
    if draw(rarely):
        return draw(st.sampled_from((b"\x0f\0", b"\x8f\0"))) + struct.pack(">H", ethertype)
    protocol = {0x0800: 0x0021, 0x86DD: 0x0057}.get(ethertype, 0x8021)
    packed = struct.pack(">H", protocol)
    compressed = protocol < 256 and draw(st.booleans())
    return draw(st.sampled_from((b"", b"\xff\x03"))) + (packed[1:] if compressed else packed)


@st.composite
def frame(draw: st.DrawFn) -> tuple[bytes, int, int]:
    """(captured bytes, length on the wire, link type)"""
    ethertype, body = draw(networks)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2, 4, 5)))):
        tag = draw(st.sampled_from((0x8100, 0x88A8, 0x9100)))
        body = struct.pack(">HH", 1, ethertype) + body
        ethertype = tag
    link = draw(st.sampled_from((1, 1, 1, *LINKS)))
    family_ipv6 = draw(st.sampled_from((10, 23, 24, 28, 30)))
    family = {0x0800: 2, 0x86DD: family_ipv6}.get(ethertype, 7)
    order = draw(st.sampled_from("<>"))
    header = {
        1: bytes(12) + struct.pack(">H", ethertype),
        113: bytes(14) + struct.pack(">H", ethertype),
        276: struct.pack(">H", ethertype) + bytes(18),
        9: draw(ppp_header(ethertype)),
        0: struct.pack(f"{order}I", family),
        108: struct.pack(f"{order}I", family),
    }.get(link, b"")
    whole = bytearray(header + body)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 3)))):
        if whole:
            whole[draw(st.integers(0, len(whole) - 1))] = draw(st.integers(0, 255))
    kept = draw(st.integers(0, len(whole))) if draw(st.integers(0, 3)) == 3 else len(whole)
    on_wire = draw(st.sampled_from((kept, len(whole), len(whole) + 70000)))
    return bytes(whole[:kept]), on_wire, link
