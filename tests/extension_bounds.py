"""Bounds of the rules on extension headers of IPv6, and on what tunnels carry: what each fires on,
and what not."""

from __future__ import annotations

from header_bounds import ADDRESSES, Cases, ipv4, ipv6
from option_bounds import (
    AUTHENTICATION,
    DESTINATION,
    FRAGMENT,
    HOP,
    NOTHING,
    PAD,
    ROUTING,
    extension,
)

LENGTHY = (0, 43, 60, 135, 139, 140)  # whose length counts 8 bytes each
INNER_4, INNER_6 = ipv4(), ipv6(NOTHING, "")


def chain(*kinds: int, last: int = NOTHING, behind: str = "") -> str:
    """An IPv6 packet with these extension headers of 8 bytes, authentication of 12."""
    text = ""
    for kind, following in zip(kinds, (*kinds[1:], last), strict=True):
        text += (
            f"{following:02x} 01 {'00' * 10}" if kind == AUTHENTICATION else extension(following)
        )
    return ipv6(kinds[0], f"{text} {behind}")


def carried(outer: int, inner: str) -> str:
    """What an IPv4 packet of this protocol carries."""
    return f"4500 003c 0001 0000 40{outer:02x} 0000 c000 0201 c633 6401 | {inner}"


def gre(flags: str, behind: int = 0, protocol: str = "0800") -> str:
    return f"{flags} {protocol} {'00' * behind}"


# Rule -> what it fires on, and what not.
EXTENSION_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "ipv6.exthdr_duplicate": (
        (
            # RFC 8200 4.1: each once, hop-by-hop options at the start, destination options twice.
            *(chain(kind, HOP) for kind in (HOP, ROUTING, DESTINATION, AUTHENTICATION, FRAGMENT)),
            *(chain(kind, HOP) for kind in (135,)),
            *(chain(kind, kind) for kind in (ROUTING, AUTHENTICATION, FRAGMENT)),
            *(chain(kind, DESTINATION, kind) for kind in (ROUTING, AUTHENTICATION, FRAGMENT)),
            chain(DESTINATION, ROUTING, DESTINATION, DESTINATION),
            chain(DESTINATION, DESTINATION, DESTINATION),
        ),
        (
            chain(HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION),
            chain(DESTINATION, DESTINATION),
            *(chain(kind, kind) for kind in (135, 139, 140)),
            *(chain(kind, last=kind) for kind in (ROUTING, AUTHENTICATION, FRAGMENT)),
            ipv6(FRAGMENT, f"2c 00 0008 00000000 {extension(NOTHING)}"),
        ),
    ),
    "ipv6.exthdr_truncated": (
        (
            # RFC 8200 section 4: headers lie in the payload, and what follows has a byte or two.
            *(ipv6(kind, extension(NOTHING, said=1)) for kind in LENGTHY),
            *(ipv6(kind, f"3b 00 {'00' * 5}") for kind in LENGTHY),
            *(ipv6(AUTHENTICATION, text) for text in ("3b 01 0000 0000 0000",)),
            *(ipv6(AUTHENTICATION, text) for text in (f"3b 02 {'00' * 10}", f"3b 01 {'00' * 9}")),
            ipv6(FRAGMENT, "3b 00 0000 0000 00"),
            *(
                chain(kind, last=last, behind=behind)
                for kind in (HOP, ROUTING)
                for last in (6, 17, 58)
                for behind in ("", "00")
            ),
            *(ipv6(50, "00" * size) for size in (0, 1, 7)),
            chain(HOP, last=50, behind="00" * 7),
            chain(HOP, last=DESTINATION, behind="3b 00 0000 0000 00"),
            ipv6(HOP, f"{extension(NOTHING, said=1)} {'00' * 8}", 8),
        ),
        (
            *(ipv6(kind, extension(NOTHING)) for kind in LENGTHY),
            *(ipv6(kind, extension(NOTHING, "00" * 14)) for kind in LENGTHY),
            ipv6(AUTHENTICATION, f"3b 01 {'00' * 10}"),
            *(
                chain(kind, last=last, behind="0000")
                for kind in (HOP, ROUTING)
                for last in (6, 17, 58)
            ),
            *(ipv6(last, behind) for last in (6, 17, 58) for behind in ("", "00")),
            chain(HOP, last=NOTHING),
            ipv6(50, "00" * 8),
            chain(HOP, last=50, behind="00" * 8),
            ipv6(FRAGMENT, "06 00 0008 0000 0000"),
            ipv6(HOP, extension(NOTHING, "00" * 14), 0),
        ),
    ),
    "ipv6.carries_icmpv4": (
        (
            ipv6(1, "0800 0000 0000 0000"),
            *(chain(kind, last=1, behind="0000") for kind in (*LENGTHY, FRAGMENT, AUTHENTICATION)),
            ipv6(FRAGMENT, "01 00 0001 0000 0000 0000"),
            ipv6(FRAGMENT, "01 ff 0006 0000 0000 0000"),
            ipv6(HOP, f"{extension(1, '00' * 14)} 0000"),
            ipv6(AUTHENTICATION, f"01 02 {'00' * 14} 0000"),
        ),
        (
            *(ipv6(kind, "0100 0000 0000 0000") for kind in (2, 6, 17, 50, 58, NOTHING)),
            *(chain(kind, last=58, behind="0100") for kind in (*LENGTHY, FRAGMENT, AUTHENTICATION)),
            *(ipv6(FRAGMENT, f"01 00 {offset} 0000 0000 0000") for offset in ("0008", "0009")),
            *(ipv6(FRAGMENT, f"01 00 {offset} 0000 0000 0000") for offset in ("fff8",)),
            ipv6(HOP, f"01 ff {'01' * 5}"),
            ipv6(HOP, f"{extension(58, '00' * 6 + '01' * 8)} 0000"),
        ),
    ),
    "tun.inner_ip_bad": (
        (
            # RFC 2003, RFC 2473, RFC 4213: of the version that carries it says, and whole.
            *(carried(4, inner) for inner in (INNER_6, "50" + "00" * 39, "00" * 20)),
            *(carried(41, inner) for inner in (INNER_4, "50" + "00" * 39, "00" * 40)),
            *(
                f"6000 0000 0028 {kind:02x}40 {ADDRESSES} | {inner}"
                for kind, inner in ((4, INNER_6),)
            ),
            *(
                f"6000 0000 0028 {kind:02x}40 {ADDRESSES} | {inner}"
                for kind, inner in ((41, INNER_4),)
            ),
            *(
                f"6000 0000 0030 3c40 {ADDRESSES} {kind:02x}00 {PAD} | {inner}"
                for kind, inner in ((4, INNER_6),)
            ),
            *(
                f"6000 0000 0030 3c40 {ADDRESSES} {kind:02x}00 {PAD} | {inner}"
                for kind, inner in ((41, INNER_4),)
            ),
            *(f"0000 {kind} | {inner}" for kind, inner in (("0800", INNER_6), ("86dd", INNER_4))),
            *(carried(4, inner) for inner in ("45" + "00" * 18, ipv4(size=21), ipv4("44"))),
            *(carried(4, inner) for inner in (ipv4(size=19), ipv4("46", 23, behind=4))),
            *(ipv4(size=0, behind=behind) for behind in (0, 556)),
            *(carried(41, inner) for inner in ("60" + "00" * 38, ipv6(NOTHING, "", 1))),
            *(carried(41, inner) for inner in (ipv6(NOTHING, "00" * 8, 9),)),
            *(f"{version}{'00' * 39}" for version in ("50", "70", "00")),
        ),
        (
            carried(4, INNER_4),
            carried(41, INNER_6),
            *(inner for inner in (INNER_4, INNER_6)),
            *(carried(47, inner) for inner in (INNER_4, INNER_6)),
            *(
                f"6000 0000 0028 {kind:02x}40 {ADDRESSES} | {inner}"
                for kind, inner in ((4, INNER_4),)
            ),
            *(
                f"6000 0000 0028 {kind:02x}40 {ADDRESSES} | {inner}"
                for kind, inner in ((41, INNER_6),)
            ),
            *(f"0000 {kind} | {inner}" for kind, inner in (("0800", INNER_4), ("86dd", INNER_6))),
            *(f"0000 {kind} | {inner}" for kind, inner in (("0801", INNER_6),)),
            *(carried(4, inner) for inner in (ipv4("46", 24, behind=4), ipv4(size=20, behind=9))),
            *(carried(4, inner) for inner in (ipv4(size=0, behind=557),)),
            *(carried(41, inner) for inner in (ipv6(NOTHING, "00" * 8),)),
            *(carried(41, inner) for inner in (ipv6(NOTHING, "00" * 9, 8),)),
        ),
    ),
    "gre.bad_header": (
        (
            # RFC 2784 section 2, RFC 2890: version 0, a checksum, a key, a number, else zeros.
            *("00" * size for size in (0, 1, 2, 3)),
            *(gre(f"000{version}") for version in range(2, 8)),
            *(gre(f"{bit:04x}", 16) for bit in (0x4000, 0x0800, 0x0400, 0x0200, 0x0100, 0x0080)),
            *(gre(f"{bit:04x}", 16) for bit in (0x0040, 0x0020, 0x0010, 0x0008)),
            *(gre(flags, size) for flags, size in (("8000", 3), ("2000", 3), ("1000", 3))),
            *(gre(flags, size) for flags, size in (("a000", 7), ("9000", 7), ("3000", 7))),
            *(gre(flags, size) for flags, size in (("b000", 11),)),
            # RFC 2637 4.1: version 1 sends PPP with a key, and an acknowledgement may follow.
            *(gre(f"{flags:04x}", 12, "880b") for flags in (0x0001, 0x1001, 0xA001, 0x6001)),
            *(gre(f"{flags:04x}", 12, "880b") for flags in (0xE001,)),
            *(gre(f"{0x2001 | bit:04x}", 16, "880b") for bit in (0x0800, 0x0400, 0x0200, 0x0100)),
            *(gre(f"{0x2001 | bit:04x}", 16, "880b") for bit in (0x0040, 0x0020, 0x0010, 0x0008)),
            *(gre("2001", 12, protocol) for protocol in ("0800", "880c", "880a")),
            *(gre(flags, size, "880b") for flags, size in (("2001", 3), ("3001", 7), ("2081", 7))),
            *(gre(flags, size, "880b") for flags, size in (("3081", 11),)),
        ),
        (
            *(gre("0000", 0, protocol) for protocol in ("0800", "86dd", "880b")),
            *(gre(flags, size) for flags, size in (("8000", 4), ("2000", 4), ("1000", 4))),
            *(gre(flags, size) for flags, size in (("a000", 8), ("9000", 8), ("3000", 8))),
            *(gre(flags, size) for flags, size in (("b000", 12),)),
            *(gre(flags, size, "880b") for flags, size in (("2001", 4), ("3001", 8), ("2081", 8))),
            *(gre(flags, size, "880b") for flags, size in (("3081", 12),)),
        ),
    ),
}
