"""Bounds of the rules on headers from Ethernet to IPv6: what each fires on, and what not."""

from __future__ import annotations

ONE, OTHER = "c000 0201", "c633 6401"
SENDER = "ffff ffff ffff 0200 0000 000"
ADDRESSES = "2001 0db8 0000 0000 0000 0000 0000 0001 2001 0db8 0000 0000 0000 0000 0000 0002"


def arp(
    hardware: str = "0001",
    protocol: str = "0800",
    sizes: str = "0604",
    does: str = "0001",
    sender: str = ONE,
    target: str = OTHER,
) -> str:
    mac = "0200 0000 0001"
    return f"{hardware} {protocol} {sizes} {does} {mac} {sender} 0000 0000 0000 {target}"


def ipv4(
    first: str = "45",
    size: int = 20,
    fragment: str = "0000",
    protocol: int = 253,
    rest: str = "",
    behind: int = 0,
) -> str:
    """An IPv4 header that says `size`, and `behind` zeros behind it and `rest`."""
    header = f"{first}00 {size:04x} 0001 {fragment} 40{protocol:02x} 0000 {ONE} {OTHER}"
    return f"{header} {rest} {'00' * behind}"


def sent(source: str, to: str = OTHER, protocol: int = 253, rest: str = "", ttl: int = 64) -> str:
    """An IPv4 packet whose checksum is right."""
    size = 20 + len(bytes.fromhex(rest))
    header = bytes.fromhex(f"4500 {size:04x} 0001 0000 {ttl:02x}{protocol:02x} 0000 {source} {to}")
    sums = sum(int.from_bytes(header[at : at + 2]) for at in range(0, 20, 2))
    checksum = 0xFFFF - ((sums & 0xFFFF) + (sums >> 16))
    return f"{header[:10].hex()} {checksum:04x} {header[12:].hex()} {rest}"


def ipv6(kind: int, payload: str, size: int | None = None) -> str:
    said = len(bytes.fromhex(payload)) if size is None else size
    return f"6000 0000 {said:04x} {kind:02x}40 {ADDRESSES} {payload}"


def tcp(first: str = "50", flags: str = "02", options: str = "", ports: str = "0400 0050") -> str:
    return f"{ports} 0000 0001 0000 0000 {first}{flags} 2000 0000 0000 {options}"


Cases = tuple[str, ...]

# Rule -> what it fires on, and what not.
HEADER_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "eth.truncated": (("00" * 13,), ("00" * 14,)),
    "arp.truncated": (("0001 0800 0604" + "00" * 21,), ("0001 0800 0604" + "00" * 22,)),
    "arp.bad_sizes": (
        (arp("0028"), arp("0102"), arp(protocol="05ff"), arp(sizes="0605")),
        (arp("0027"), arp("0100"), arp("0101"), arp(protocol="0600")),
    ),
    "arp.bad_opcode": ((arp(does="001a"),), (arp(does="0019"),)),
    "arp.sha_ne_eth_src": (
        (f"{SENDER}2 0806 | {arp()}", f"{SENDER}2 0806 | {arp('0006')}"),
        (f"{SENDER}1 0806 | {arp()}", f"{SENDER}2 08 | {arp()}", f"{SENDER}2 0806 | {arp('0007')}"),
    ),
    "arp.bad_sender": (
        (arp(sender="e000 0000"), arp(sender="7fff ffff")),
        (
            arp(sender="dfff ffff"),
            arp(sender="8000 0000"),
            arp(sender="e000 0001", protocol="0801"),
            arp(sender="e000 0001", sizes="0504"),
            arp(sender="e000 0001", sizes="0605"),
        ),
    ),
    "arp.gratuitous": ((arp(target=ONE),), (arp(target="c000 0200"), arp(sizes="0605"))),
    "ipv4.truncated": (
        ("45" + "00" * 18, ipv4(size=21), ipv4("46", 20)),
        (ipv4(size=20), ipv4("35", 99), ipv4("44", 99), ipv4("46", 24, behind=4)),
    ),
    "ipv4.len_lt_hlen": (
        (ipv4(size=19), ipv4("46", 23, behind=4), ipv4(size=0, behind=556)),
        (ipv4("46", 24, behind=4), ipv4(size=0, behind=557), ipv4("55", 0), ipv4("44", 0)),
    ),
    "ipv4.frag_too_large": (
        (ipv4(size=32, fragment="1ffc"), ipv4(size=65535, fragment="0001")),
        (ipv4(size=31, fragment="1ffc"), ipv4(size=65535)),
    ),
    "ipv4.frag_tiny": (
        (
            ipv4(size=39, fragment="2000", protocol=6),
            ipv4("46", 43, "2000", 6),
            ipv4(size=27, fragment="2000", protocol=17),
            ipv4(fragment="0001", protocol=6),
        ),
        (
            ipv4(size=40, fragment="2000", protocol=6),
            ipv4("46", 44, "2000", 6),
            ipv4(size=28, fragment="2000", protocol=17),
            ipv4(size=20, fragment="2000", protocol=16),
            ipv4(fragment="0001", protocol=17),
            ipv4(fragment="2002", protocol=6),
            ipv4(fragment="4000", protocol=6),
            ipv4(size=0, fragment="2000", protocol=6),
        ),
    ),
    "ipv4.frag_df": (
        (ipv4(fragment="4001"), ipv4(fragment="5000"), ipv4(fragment="6000")),
        (ipv4(fragment="2001"), ipv4(fragment="8001")),
    ),
    "ipv4.frag_bad_len": (
        (ipv4(size=21, fragment="2000"), ipv4("46", 28, "2000"), ipv4(size=24, fragment="2000")),
        (ipv4(size=28, fragment="2000"), ipv4("46", 32, "2000"), ipv4(size=21, fragment="1fff")),
    ),
    "ipv4.martian_src": (
        (
            sent("e000 0000"),
            sent("0000 0001"),
            sent("7fff ffff", "80ff ffff"),
            sent("f000 0000", protocol=17),
            sent("f000 0000", protocol=6, rest=tcp(flags="02")),
            sent("feff ffff", protocol=6, rest=tcp(flags="02")),
            sent("ff00 0000", protocol=6, rest=tcp(flags="10")),
            sent("efff ffff", protocol=6, rest=tcp(flags="10")),
        ),
        (
            sent("dfff ffff"),
            sent("0000 0000"),
            sent("7f00 0001", "7f00 0002"),
            sent("f000 0000", protocol=6, rest=tcp(flags="10")),
            sent("feff ffff", protocol=6, rest=tcp(flags="10")),
            sent("f000 0000", protocol=6, rest=tcp()[:32]),
            ipv4().replace(ONE, "e000 0000"),
        ),
    ),
    "ipv4.ttl_zero": ((sent(ONE, ttl=0),), (sent(ONE, ttl=1), ipv4().replace("40fd", "00fd"))),
    "ipv4.land": (
        (
            sent(ONE, ONE),
            f"0200 0000 0002 0200 0000 0001 0800 | {sent(ONE, ONE)}",
            f"{'00' * 11} | {sent(ONE, ONE)}",
            f"{'00' * 11}01 | {sent(ONE, ONE)}",
            sent(ONE, ONE, 17, "0ec9 0ec8 0008 0000", ttl=254),
            sent(ONE, ONE, 17, "0ec9 0ec9 0008 0000", ttl=253),
            sent(ONE, ONE, 6, "0ec9 0ec9 0008 0000", ttl=254),
        ),
        (
            f"{'00' * 12} | {sent(ONE, ONE)}",
            *(f"{'ff' * size} | {sent(ONE, ONE)}" for size in (4, 16, 20)),
            sent(ONE, ONE, 17, "0ec9 0ec9 0008 0000", ttl=254),
            sent(ONE, ONE, 17, "0ec9 0e", ttl=255),
            sent("7f00 0001", "7f00 0001"),
            sent("0000 0000", "0000 0000"),
            sent(ONE, "c000 0200"),
        ),
    ),
    "ipv4.unknown_proto": ((ipv4(protocol=148), ipv4(protocol=252)), (ipv4(protocol=147),)),
    "ipv6.truncated": (
        ("60" + "00" * 38, ipv6(59, "00" * 8, 9)),
        (ipv6(59, "00" * 8), "50" + "00" * 3 + "00ff" + "00" * 34),
    ),
    "ipv6.frag_too_large": (
        (ipv6(44, "1100 fff8 0000 0001" + "00" * 8), ipv6(44, "1100 ffe8 0000 0001" + "00" * 24)),
        (ipv6(44, "1100 fff0 0000 0001" + "00" * 7), ipv6(44, "1100 ffe0 0000 0001" + "00" * 24)),
    ),
    "ipv6.frag_hdr_chain_split": (
        (
            ipv6(44, "0600 0001 0000 0001" + "00" * 19),
            ipv6(44, "1100 0001 0000 0001" + "00" * 7),
            ipv6(44, "3a00 0001 0000 0001" + "00" * 7),
        ),
        (
            ipv6(44, "0600 0001 0000 0001" + "00" * 20),
            ipv6(44, "1100 0001 0000 0001" + "00" * 8),
            ipv6(44, "0600 0000 0000 0001" + "00" * 19),
        ),
    ),
}
