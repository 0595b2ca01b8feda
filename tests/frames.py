"""Random packets: layers stacked with plausible fields, some wrong, then damaged and cut."""

from __future__ import annotations

import struct
from random import Random

LINKS = (0, 1, 9, 12, 50, 101, 104, 108, 113, 228, 229, 276)
ETHERTYPES = (0x8847, 0x8863, 0x0026, 0x0005)
TAGS = {0x8100: 0, 0x88A8: 0, 0x9100: 0, 0x8926: 2, 0x893F: 4}  # bytes beside VLAN's
NEXT_PROTOCOLS = {0x0800: 1, 0x86DD: 2, 0x6558: 3, 0x894F: 4, 0x8847: 5}
EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
OTHER_PROTOCOLS = (50, 59, 47, 132, 2)
HTTP_STARTS = (
    b"GET ",
    b"HTTP/1.1",
    b"PUT",
    b"PROPFIND",
    b"MKCOL /a HTTP/1.1\r\n",
    b"a-b c HTTP/1.x\n",
    b"M /HTTP/1.0\n",
    b"X  HTTP/1.0\r\n",
)
APPLICATION_PORTS = (53, 5353, 123, 67, 68, 161, 162, 20000, 502)


def frame(source: Random) -> tuple[bytes, int, int]:
    """(captured bytes, length on the wire, link type)"""
    ethertype, body = encapsulated(source, *network(source))
    for _ in range(source.choice((0, 0, 0, 0, 0, 1, 2, 4, 5))):
        tag = source.choice(list(TAGS))
        body = struct.pack(">HH", source.randrange(4096), ethertype) + body
        ethertype, body = tag, source.randbytes(TAGS[tag]) + body
    link = 1 if source.random() < 0.5 else source.choice(LINKS)
    whole = bytearray(link_header(source, link, ethertype) + body)
    if whole and source.random() < 0.2:
        for _ in range(source.choice((1, 1, 4))):
            whole[source.randrange(len(whole))] = source.choice((0, 1, 255, source.randrange(256)))
    kept = source.randrange(len(whole) + 1) if source.random() < 0.25 else len(whole)
    on_wire = source.choice((kept, len(whole), len(whole), len(whole) + 70000))
    return bytes(whole[:kept]), on_wire, link


def link_header(source: Random, link: int, ethertype: int) -> bytes:
    if link in (0, 108):
        families = {0x0800: 2, 0x86DD: source.choice((10, 23, 24, 28, 30))}
        return struct.pack(source.choice("<>") + "I", families.get(ethertype, 7))
    if link == 104 or (link in (9, 50) and source.random() < 0.2):
        return source.choice((b"\x0f\0", b"\x8f\0")) + struct.pack(">H", ethertype)
    if link in (9, 50):
        protocol = {0x0800: 0x0021, 0x86DD: 0x0057}.get(ethertype, 0x8021)
        packed = struct.pack(">H", protocol)
        compressed = protocol < 256 and source.random() < 0.5
        return source.choice((b"", b"\xff\x03")) + (packed[1:] if compressed else packed)
    packed = struct.pack(">H", ethertype)
    return {
        1: source.randbytes(12) + packed,
        113: source.randbytes(14) + packed,
        276: packed + source.randbytes(18),
    }.get(link, b"")


def network(source: Random) -> tuple[int, bytes]:
    """(ethertype, packet)"""
    kind = source.random()
    if kind < 0.4:
        return 0x0800, ipv4(source) + padding(source)
    if kind < 0.8:
        return 0x86DD, ipv6(source) + padding(source)
    if kind < 0.95:
        return 0x0806, arp(source)
    return source.choice(ETHERTYPES), padding(source)


def encapsulated(source: Random, ethertype: int, body: bytes) -> tuple[int, bytes]:
    """Perhaps in LLC/SNAP, PPPoE, MPLS (length or end of stack rarely wrong), NSH or Ethernet."""
    kind = source.random()
    if kind < 0.03:
        snap = rarely(source, 0xAAAA03000000, (0xAAAA03000001, 0x424203000000)).to_bytes(6, "big")
        body = snap + struct.pack(">H", ethertype) + body
        return rarely(source, min(len(body), 1535), (7, 8, 1500)), body + padding(source)
    if kind < 0.06:
        protocol = {0x0800: 0x0021, 0x86DD: 0x0057}.get(ethertype, 0xC021)
        size = rarely(source, 2 + len(body), (0, 1, 2, 65535))
        return 0x8864, struct.pack(">HHHH", 0x1100, 7, size, protocol) + body + padding(source)
    if kind < 0.1:
        control = source.choice((b"", b"\0\0\0\1" + source.randbytes(12) + b"\x08\0"))
        stack = [source.randrange(2**20) << 12 for _ in range(source.choice((1, 1, 2, 3, 16, 17)))]
        stack[-1] |= rarely(source, 0x100, (0,))
        labels = struct.pack(f">{len(stack)}I", *stack)
        return source.choice((0x8847, 0x8848)), labels + control + body
    if kind < 0.13:
        around = source.choice((0x8903, 0x88E7, 0x6558))
        size = {0x8903: 2, 0x88E7: 4, 0x6558: 0}[around] + 12
        return around, source.randbytes(size) + struct.pack(">H", ethertype) + body
    if kind < 0.17:
        return 0x894F, service_header(source, ethertype) + body
    return ethertype, body


def service_header(source: Random, ethertype: int) -> bytes:
    words = source.choice((2, 6, 6, 10))
    written = rarely(source, words, (0, 1, words + 1, 63, 0x3000 | words, 0x4000 | words))
    following = rarely(source, NEXT_PROTOCOLS.get(ethertype, 0), (1, 2, 3, 4, 5, 254))
    return struct.pack(">HBB", written, 1, following) + source.randbytes(4 * words - 4)


def padding(source: Random) -> bytes:
    return source.randbytes(source.choice((0, 0, 0, 6)))


def arp(source: Random) -> bytes:
    sizes = source.choice(((6, 4), (6, 4), (8, 4), (6, 6), (255, 255)))
    kind = source.choice((0x0800, 0x0800, 0x0800, 0x86DD))
    header = struct.pack(">HHBBH", 1, kind, *sizes, source.choice((1, 2)))
    return header + source.randbytes(source.choice((20, 20, 38, source.randrange(30))))


def rarely(source: Random, usual: int, unusual: tuple[int, ...]) -> int:
    return source.choice(unusual) if source.random() < 0.08 else usual


def ipv4(source: Random) -> bytes:
    protocol, body = transport(source, icmp=1)
    options = bytes(4 * source.choice((0, 0, 0, 1, 10)))
    usual = 20 + len(options) + len(body)
    total = rarely(source, usual, (0, 19, 20, usual - 1, usual + 1, 65535))
    words = 5 + len(options) // 4
    first = rarely(source, 0x40 + words, (0x44, 0x65, 0x00, 0x4F, 0x41 + words))
    fragment = rarely(source, source.choice((0, 0x4000)), (0x2000, 0x0001, 0x1FFF, 0x8000))
    header = struct.pack(">BBHHHBBH", first, 0, total, 7, fragment, 64, protocol, 0)
    return header + source.randbytes(8) + options + body


def ipv6(source: Random) -> bytes:
    protocol, body = transport(source, icmp=58)
    kinds = [source.choice(EXTENSIONS) for _ in range(source.choice((0, 0, 1, 1, 2, 3)))]
    if source.random() < 0.03:
        kinds = [60] * source.randint(15, 18)
    for kind in reversed(kinds):
        body = extension(source, kind, protocol) + body
        protocol = kind
    size = rarely(source, len(body), (0, 1, 8, len(body) + 1, 65535))
    if kinds[:1] == [0] and source.random() < 0.5:
        # Perhaps a jumbogram.
        size = 0
    first = rarely(source, 0x60, (0x00, 0x40, 0x70))
    header = struct.pack(">BBHHBB", first, 0, 0, size, protocol, 64)
    return header + source.randbytes(32) + body


def extension(source: Random, kind: int, following: int) -> bytes:
    if kind == 44:
        fragment = source.choice((0, 0, 6, 1, 0x0008, 0xFFF8))
        return struct.pack(">BBHI", following, source.randrange(4), fragment, 9)
    units = source.choice((0, 0, 1, 2))
    size = 8 + (4 if kind == 51 else 8) * units
    written = rarely(source, units, (0, 1, 3, 255))
    options = {
        0: source.choice((b"", b"\0\0", b"\1\0")) + source.choice((b"\xc2\4\0\1\0\0", b"\5\2\0\0")),
    }.get(kind, b"")
    return (bytes([following, written]) + options + bytes(size))[:size]


def transport(source: Random, icmp: int) -> tuple[int, bytes]:
    """(protocol, segment)"""
    payload = source.randbytes(source.randrange(20))
    if source.random() < 0.15:
        return tunnel(source)
    protocol = source.choice((6, 6, 17, 17, icmp, rarely(source, icmp, (1, 58, *OTHER_PROTOCOLS))))
    if protocol == 6:
        words = source.choice((0, 0, 3, 10))
        offset = rarely(source, 5 + words, (0, 4, 7, 15))
        payload = message(source, payload)
        fixed = ports(source) + source.randbytes(8)
        fixed += bytes([offset << 4, source.randrange(256)]) + bytes(6)
        segment = fixed + bytes(4 * words) + payload
    elif protocol == 17:
        size = rarely(source, 8 + len(payload), (0, 7, 8, 9 + len(payload)))
        segment = ports(source) + struct.pack(">HH", size, 0) + payload
    else:
        segment = source.randbytes(8) + payload
    return protocol, segment[: rarely(source, len(segment), (0, 1, 3, 7, 8, 19))]


def tunnel(source: Random) -> tuple[int, bytes]:
    """(protocol, segment): a packet inside GRE, IP, VXLAN, VXLAN-GPE, Geneve or Teredo."""
    ethertype, body = network(source)
    protocol = rarely(source, {0x0800: 4, 0x86DD: 41}.get(ethertype, 47), (4, 41))
    kind = source.randrange(6)
    if kind == 0:
        return protocol, body
    if source.random() < 0.2:
        ethertype, body = 0x894F, service_header(source, ethertype) + body
    if kind == 1:
        return 47, gre(source, ethertype, body)
    if source.random() < 0.5:
        ethertype, body = 0x6558, source.randbytes(12) + struct.pack(">H", ethertype) + body
    if kind == 5:
        flags = rarely(source, 0x0C000000, (0x08000000, 0x0E000000, 0x0C000100))
        flags |= rarely(source, NEXT_PROTOCOLS.get(ethertype, 0), (0, 1, 2, 3, 4, 5, 6))
        port, payload = 4790, struct.pack(">II", flags, 77 << 8) + body
    elif kind == 2:
        flags = rarely(source, 0x08000000, (0, 0x08000001, 0x88400007, 0x0C000003, 0x0C000001))
        port, payload = 4789, struct.pack(">II", flags, 77 << 8) + body
    elif kind == 3:
        words = source.choice((0, 0, 1, 63))
        first = rarely(source, words, (0x40 | words,))
        header = struct.pack(">BBHI", first, 0, ethertype, 77 << 8)
        port, payload = 6081, header + bytes(4 * words) + body
    else:
        port, payload = 3544, teredo(source)
    return 17, struct.pack(">HHHH", *source.sample((port, 40000), 2), 8 + len(payload), 0) + payload


def gre(source: Random, ethertype: int, body: bytes) -> bytes:
    flags = source.choice((0, 0x2000, 0x3000, 0xB000, rarely(source, 0, (0x4000, 2, 7))))
    if source.random() < 0.3:
        body = {0x0800: b"\x21", 0x86DD: b"\0\x57"}.get(ethertype, b"\xc0\x21") + body
        flags, ethertype = source.choice((0x2001, 0x3081)), rarely(source, 0x880B, (0x0800,))
    elif source.random() < 0.4:
        flags, ethertype, body = mirrored(source, flags, ethertype, body)
    words = (flags & 0xB080).bit_count()
    header = struct.pack(">HH", flags, ethertype) + source.randbytes(4 * words) + body
    return header[: rarely(source, len(header), (0, 3, 4, 7, 4 + 4 * words))]


def mirrored(source: Random, flags: int, ethertype: int, body: bytes) -> tuple[int, int, bytes]:
    """(flags of GRE, its protocol, payload): a frame in ERSPAN, perhaps cut."""
    frame = source.randbytes(12) + struct.pack(">H", ethertype) + body
    kind = source.choice((1, 2, 3))
    if kind == 1:
        return flags & ~0x1000, 0x88BE, frame
    version, cut = rarely(source, kind - 1, (0, 1, 2, 3)), source.choice((0, 0, 0x0400))
    if cut:
        frame = frame[: source.randrange(len(frame) + 1)]
    header = struct.pack(">HHI", version << 12 | 77, cut | 9, source.randrange(2**32))
    platform = source.choice((0, 0, 1))
    if kind == 3:
        third = rarely(source, platform, (platform | 2 << 10, 1 - platform))
        header += struct.pack(">HH", 0, third) + bytes(8 * platform)
    return (
        flags | 0x1000,
        rarely(source, {2: 0x88BE, 3: 0x22EB}[kind], (0x88BE, 0x22EB)),
        header + frame,
    )


def teredo(source: Random) -> bytes:
    inner = bytearray(ipv6(source))
    at = source.choice((8, 24))
    inner[at : at + 4] = source.choice((b"\x20\1\0\0", b"\xfe\x80\0\0", b"\x20\1\r\xb8"))
    names = source.choice((0, 0, 3, 255))
    authentication = bytes([0, 1, names, 0]) + bytes(names + 9)
    origin = bytes(2) + source.randbytes(6)
    return source.choice((b"", authentication)) + source.choice((b"", origin)) + bytes(inner)


def ports(source: Random) -> bytes:
    """Source and destination port, often one of a known protocol."""
    known = (source.choice(APPLICATION_PORTS), source.choice((40000, *APPLICATION_PORTS)))
    numbers = source.sample(known, 2) if source.random() < 0.5 else (40000, 445)
    return struct.pack(">HH", *numbers)


def message(source: Random, payload: bytes) -> bytes:
    """`payload`, perhaps behind the first bytes of a message of DNS, Modbus or DNP3."""
    size = rarely(source, len(payload), (0, len(payload) + 1))
    protocol = source.choice((0, 0, 1))
    return source.choice(
        (
            payload,
            struct.pack(">H", size) + payload,
            struct.pack(">HHH", 1, protocol, size) + payload,
            b"\x05\x64" + payload,
            source.choice(HTTP_STARTS) + payload,
        )
    )
