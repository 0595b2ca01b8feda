"""One packet of every kind that decode knows, by link type, tag, extension header, transport and
tunnel: what procwire reads is what was written, and what tshark reads."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import NamedTuple

import pytest
from captures import START, enhanced, interface, section
from procwire.capture import batch as links
from procwire.capture.link import DECODED
from procwire.capture.open import read_capture
from procwire.decode.frame import decode
from procwire.detect.finding_groups import Found
from readings import Reading, procwire_readings
from test_decode import TCP, decode_one, ipv4, row
from test_tunnels import TUNNELS, ipv6
from tshark_readings import tshark_reading, tshark_rows

IPV4, IPV6 = ipv4(TCP), ipv6(TCP, 6)
MACS = bytes(range(2, 14))
TO_IPV4, TO_IPV6 = MACS + b"\x08\0", MACS + b"\x86\xdd"
UDP = struct.pack(">HHHH", 40000, 9, 12, 0) + b"data"
SCTP = struct.pack(">HHII", 40000, 9, 1, 0)
IGMP_QUERY = b"\x11\x64" + bytes(2) + bytes([224, 0, 0, 1])
ECHO_REQUEST = struct.pack(">HHHH", 0x0800, 0, 1, 1)
ECHO6_REQUEST = struct.pack(">HHHH", 0x8000, 0, 1, 1)
SOLICITATION = struct.pack(">HHI", 0x8700, 0, 0) + bytes(15) + b"\1"
ARP = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + MACS[:6] + bytes([10, 0, 0, 5])
ARP += bytes(6) + bytes([10, 0, 0, 9])


class Kind(NamedTuple):
    """A frame of a link type, and the transport and number of tags to be found in it."""

    link: int
    data: bytes
    transport: str = "tcp"
    vlans: tuple[int, ...] = ()


def family(number: int, order: str) -> bytes:
    return struct.pack(order + "I", number)


def extension(kind: int) -> bytes:
    """An extension header of that kind; its first byte, which names what follows, is 0."""
    if kind == 44:
        return bytes([0, 0, 0, 0, 0, 0, 0, 7])
    if kind == 51:
        return bytes([0, 2, 0, 0]) + bytes(12)
    if kind == 43:
        return bytes(8)
    return bytes([0, 1, 1, 12]) + bytes(12)


def chain(kinds: tuple[int, ...], body: bytes, transport: int) -> bytes:
    """An IPv6 packet with these extension headers."""
    following = transport
    for kind in reversed(kinds):
        body = bytes([following]) + extension(kind)[1:] + body
        following = kind
    return ipv6(body, following)


KINDS = {
    "Ethernet": Kind(links.ETHERNET, TO_IPV4 + IPV4),
    "cooked": Kind(links.LINUX_SLL, bytes(14) + b"\x08\0" + IPV4),
    "cooked, loopback": Kind(links.LINUX_SLL, b"\0\0\3\4" + bytes(10) + b"\x08\0" + IPV4),
    "cooked, version 2, loopback": Kind(
        links.LINUX_SLL2, b"\x86\xdd" + bytes(6) + b"\3\4" + bytes(10) + IPV6
    ),
    "cooked, version 2": Kind(links.LINUX_SLL2, b"\x86\xdd" + bytes(18) + IPV6),
    "raw": Kind(links.RAW, IPV4),
    "raw, IPv6": Kind(links.RAW, IPV6),
    "raw by BSD's number": Kind(links.RAW_BSD, IPV6),
    "IPv4": Kind(links.IPV4, IPV4),
    "IPv6": Kind(links.IPV6, IPV6),
    "loopback": Kind(links.LOOP, family(2, ">") + IPV4),
    "PPP": Kind(links.PPP, b"\xff\3\0\x21" + IPV4),
    "PPP without address": Kind(links.PPP, b"\0\x57" + IPV6),
    "PPP, compressed": Kind(links.PPP, b"\x21" + IPV4),
    "PPP in HDLC framing": Kind(links.PPP_HDLC, b"\xff\3\0\x57" + IPV6),
    "Cisco HDLC": Kind(links.CISCO_HDLC, b"\x0f\0\x08\0" + IPV4),
    "Cisco HDLC in PPP": Kind(links.PPP, b"\x0f\0\x86\xdd" + IPV6),
    "tag": Kind(links.ETHERNET, MACS + b"\x81\0\0\7\x08\0" + IPV4, vlans=(7,)),
    "QinQ": Kind(links.ETHERNET, MACS + b"\x88\xa8\x20\7\x81\0\0\x09\x86\xdd" + IPV6, vlans=(7, 9)),
    "QinQ before 802.1ad": Kind(
        links.ETHERNET, MACS + b"\x91\0\0\7\x81\0\0\x09\x08\0" + IPV4, vlans=(7, 9)
    ),
    "ARP": Kind(links.ETHERNET, MACS + b"\x08\6" + ARP, ""),
    "ARP, cooked": Kind(links.LINUX_SLL, bytes(14) + b"\x08\6" + ARP, ""),
    "UDP": Kind(links.ETHERNET, TO_IPV4 + ipv4(UDP, 17), "udp"),
    "UDP over IPv6": Kind(links.ETHERNET, TO_IPV6 + ipv6(UDP, 17), "udp"),
    "SCTP": Kind(links.ETHERNET, TO_IPV4 + ipv4(SCTP, 132), "sctp"),
    "SCTP over IPv6": Kind(links.ETHERNET, TO_IPV6 + ipv6(SCTP, 132), "sctp"),
    "IGMP": Kind(links.ETHERNET, TO_IPV4 + ipv4(IGMP_QUERY, 2), "igmp"),
    "ICMP": Kind(links.ETHERNET, TO_IPV4 + ipv4(ECHO_REQUEST, 1), "icmp"),
    "ICMP that quotes": Kind(
        links.ETHERNET, TO_IPV4 + ipv4(b"\3\1" + bytes(6) + ipv4(UDP, 17), 1), "icmp"
    ),
    "ICMPv6": Kind(links.ETHERNET, TO_IPV6 + ipv6(ECHO6_REQUEST, 58), "icmpv6"),
    "neighbour discovery": Kind(links.ETHERNET, TO_IPV6 + ipv6(SOLICITATION, 58), "icmpv6"),
    "6in4": Kind(links.ETHERNET, TO_IPV4 + ipv4(IPV6, 41)),
    "6in6": Kind(links.ETHERNET, TO_IPV6 + ipv6(IPV6, 41)),
    **{
        f"family {number} in {name} byte order": Kind(links.NULL, family(number, order) + body)
        for order, name in (("<", "Intel's"), (">", "network"))
        for number, body in ((2, IPV4), (10, IPV6), (24, IPV6), (28, IPV6), (30, IPV6))
    },
    **{
        f"extension {kind}": Kind(links.RAW, chain((kind,), TCP, 6))
        for kind in (0, 43, 44, 51, 60, 135, 139, 140)
    },
    "all extensions": Kind(links.RAW, chain((0, 60, 43, 44, 51, 60), TCP, 6)),
    **{name: Kind(links.ETHERNET, data) for name, data in TUNNELS.items()},
}

TSHARK_DIFFERS = {
    "family 10 in Intel's byte order": "tshark does not know Linux's number",
    "family 10 in network byte order": "tshark does not know Linux's number",
    "extension 135": "tshark ends at mobility (RFC 6275 6.1.1: nothing has to follow it)",
    "extension 139": "tshark ends at HIP (RFC 7401 5.1: nothing has to follow it)",
    "FabricPath": "tshark has other names for the outer addresses",
    "802.1ah": "tshark has other names for the inner addresses",
}
# By version of tshark.
TSHARK_MAY_DIFFER = {
    "pseudowire": "4.0 guesses by known addresses whether there is a control word",
    **dict.fromkeys(
        ("MPLS", "MPLS in GRE", "MPLS in NSH", "MPLS in VXLAN-GPE"),
        "4.4 leaves the IP header out of its list of protocols",
    ),
}


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    numbers = {link: number for number, link in enumerate(sorted(DECODED))}
    content = section() + b"".join(map(interface, numbers))
    for time, kind in enumerate(KINDS.values()):
        content += enhanced(kind.data, START // 1000 + time, number=numbers[kind.link])
    path = tmp_path_factory.mktemp("kinds") / "kinds.pcapng"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def read(capture: Path) -> dict[str, Reading]:
    (batch,) = read_capture(capture)
    return dict(zip(KINDS, procwire_readings(batch, decode(batch)), strict=True))


def test_every_link_type_is_among_them() -> None:
    assert {kind.link for kind in KINDS.values()} == DECODED


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_read_to_its_innermost_header(read: dict[str, Reading], name: str) -> None:
    kind, found = KINDS[name], read[name]
    assert (found.transport, found.vlans) == (kind.transport, kind.vlans)
    if found.transport in ("tcp", "udp", "sctp"):
        assert (found.src_port, found.dst_port) == (40000, 445 if found.transport == "tcp" else 9)


def test_tshark_reads_the_same(capture: Path, read: dict[str, Reading]) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    peers = dict(zip(KINDS, map(tshark_reading, tshark_rows(capture)), strict=True))
    different = {name for name in KINDS if peers[name] != read[name]}
    assert different - set(TSHARK_MAY_DIFFER) == set(TSHARK_DIFFERS)


def test_sctp_has_ports_where_findings_and_community_ids_look_for_them() -> None:
    columns = row(decode_one(KINDS["SCTP"].data))
    found = Found(**{name: columns.get(name, 0) for name in Found._fields})
    assert [end and end.port for end in found.endpoints()] == [40000, 9]
