"""Bounds of the rules on headers of TCP, ICMP and ICMPv6: what each fires on, and what not."""

from __future__ import annotations

from header_bounds import Cases, ipv4, ipv6, tcp


def icmp(kind: int, code: int, rest: str = "0000 0000") -> str:
    return f"{kind:02x}{code:02x} 0000 {rest}"


def quoted(size: int, first: str = "45") -> str:
    """So many bytes of an IPv4 packet."""
    return first + "00" * (size - 1)


# Rule -> what it fires on, and what not.
TRANSPORT_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "tcp.truncated": (("00" * 19,), ("00" * 20,)),
    "tcp.bad_hlen": ((tcp("40"), tcp("60", options="010101")), (tcp("60", options="01010101"),)),
    "tcp.opt_malformed": (
        (
            tcp("60", options="0101 0102"),
            tcp("60", options="0102 0301"),
            tcp("60", options="0203 0500"),
            tcp("60", options="0304 0000"),
            tcp("60", options="0403 0000"),
            tcp("70", options="0502 0000 0000 0000"),
            tcp("80", options="050b" + "00" * 10),
            tcp("80", options="0809" + "00" * 10),
            tcp("a0", options="1311" + "00" * 18),
            tcp("70", options="1c05" + "00" * 6),
            tcp("60", options="1d03 0000"),
            tcp("60", options="2204 0000"),
            tcp("70", options="2207" + "00" * 6),
            tcp("a0", options="2214" + "00" * 18),
            tcp("60", options="0105 0a00"),
        ),
        (
            tcp("60", options="0101 0402"),
            tcp("80", options="050a" + "00" * 10),
            tcp("80", options="080a" + "00" * 10),
            tcp("a0", options="1312" + "00" * 18),
            tcp("60", options="1c04 0000"),
            tcp("60", options="1d04 0000"),
            tcp("60", options="2202 0000"),
            tcp("70", options="2206" + "00" * 6),
            tcp("a0", options="2212" + "00" * 18),
            tcp("60", options="0000 0203"),
            tcp("60", options="fe02 0101"),
            tcp("70", options="0101 01"),
        ),
    ),
    "tcp.wscale_range": (
        (tcp("60", options="0303 0f00"), tcp("60", options="0103 030f")),
        (
            tcp("60", options="0303 0e00"),
            tcp("60", "10", options="0303 0f00"),
            tcp("60", options="0304 0f00"),
            tcp("60", options="0101 0303 0f"),
        ),
    ),
    "tcp.flags_null_xmas": (
        (tcp(flags="00"), tcp(flags="01", options="00"), tcp(flags="20", options="00")),
        (
            tcp(flags="00", options="00"),
            tcp(flags="08", options="00"),
            tcp(flags="04"),
            tcp(flags="10"),
            tcp(flags="02"),
        ),
    ),
    "l4.port_zero": (
        (
            f"{ipv4(protocol=17)} | {tcp(ports='0400 0000')}",
            f"{ipv4(protocol=6)} | {tcp(ports='0000 0050')}",
            f"{ipv6(6, '')} | {tcp(ports='0000 0050')}",
        ),
        (
            f"{ipv4(protocol=17)} | {tcp(ports='0000 0050')}",
            f"{ipv6(17, '')} | {tcp(ports='0000 0050')}",
            f"{ipv4(protocol=6)} | {tcp(ports='0001 0001')}",
        ),
    ),
    "icmp4.truncated": (("00" * 7,), ("00" * 8,)),
    "icmp4.unknown_code": (
        (icmp(9, 1), icmp(9, 17), icmp(3, 16), icmp(5, 4), icmp(11, 2), icmp(12, 3), icmp(43, 5)),
        (icmp(9, 16), icmp(3, 15), icmp(5, 3), icmp(11, 1), icmp(12, 2), icmp(43, 4), icmp(6, 99)),
    ),
    "icmp4.embedded_bad": (
        (
            icmp(13, 0) + "00" * 11,
            icmp(17, 0) + "00" * 3,
            icmp(3, 1) + quoted(19),
            icmp(3, 1) + quoted(23, "46"),
            icmp(3, 1) + quoted(28, "44"),
            icmp(3, 1) + quoted(28, "55"),
        ),
        (
            icmp(13, 0) + "00" * 12,
            icmp(17, 0) + "00" * 4,
            icmp(3, 1),
            icmp(3, 1) + quoted(20),
            icmp(3, 1) + quoted(24, "46"),
            icmp(8, 0) + quoted(1),
        ),
    ),
    "icmp6.truncated": (("00" * 7,), ("00" * 8,)),
    "icmp6.bad_type_code": (
        (
            *(icmp(kind, 0) for kind in (0, 5, 127, 162)),
            *(icmp(kind, 1) for kind in (2, 128, 137, 141, 149)),
            *(icmp(1, 9), icmp(3, 2), icmp(4, 11), icmp(138, 2), icmp(138, 254)),
            *(icmp(139, 3), icmp(140, 3)),
        ),
        (
            *(icmp(kind, 0) for kind in (1, 2, 3, 4, 128, 137, 141, 149, 161)),
            *(icmp(1, 8), icmp(3, 1), icmp(4, 10), icmp(138, 1), icmp(138, 255)),
            *(icmp(139, 2), icmp(140, 2), icmp(150, 9)),
        ),
    ),
    "icmp6.embedded_bad": (
        (icmp(4, 0) + quoted(39, "60"), icmp(1, 0) + quoted(40, "50"), icmp(1, 0)),
        (icmp(4, 0) + quoted(40, "60"), icmp(0, 0), icmp(5, 0)),
    ),
    "icmp6.nd_opt_bad": (
        (
            icmp(133, 0) + "01",
            icmp(133, 0) + "0102" + "00" * 13,
            icmp(134, 0) + "00" * 7,
            icmp(134, 0) + "00" * 8 + "0303" + "00" * 22,
            icmp(134, 0) + "00" * 8 + "0502" + "00" * 14,
            icmp(136, 0) + "00" * 15,
            icmp(137, 0) + "00" * 31,
        ),
        (
            icmp(133, 0),
            icmp(133, 0) + "0102" + "00" * 14,
            icmp(134, 0) + "00" * 8,
            icmp(134, 0) + "00" * 8 + "0304" + "00" * 30,
            icmp(134, 0) + "00" * 8 + "0501" + "00" * 6,
            icmp(136, 0) + "00" * 16,
            icmp(137, 0) + "00" * 32,
            icmp(132, 0),
        ),
    ),
    "icmp6.mld_bad": (
        (
            icmp(131, 0) + "00" * 15,
            icmp(130, 0) + "00" * 17,
            icmp(130, 0) + "00" * 19,
            icmp(130, 0) + "00" * 18 + "0001" + "00" * 15,
            icmp(143, 0, "0000 0001") + "0100 0000" + "00" * 15,
            icmp(143, 0, "0000 0001") + "0101 0000" + "00" * 19,
            icmp(143, 0, "0000 0001") + "0100 0001" + "00" * 31,
        ),
        (
            icmp(131, 0) + "00" * 16,
            icmp(131, 0) + "00" * 17,
            icmp(130, 0) + "00" * 20,
            icmp(130, 0) + "00" * 18 + "0001" + "00" * 16,
            icmp(143, 0, "0000 0001") + "0100 0000" + "00" * 16,
            icmp(143, 0, "0000 0001") + "0101 0000" + "00" * 20,
            icmp(143, 0, "0000 0001") + "0100 0001" + "00" * 32,
            icmp(129, 0),
        ),
    ),
}
