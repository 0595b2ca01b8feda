"""Bounds of the rules on options of IPv4 and IPv6: what each fires on, and what not."""

from __future__ import annotations

from header_bounds import Cases, ipv4, ipv6

HOP, ROUTING, FRAGMENT, AUTHENTICATION, NOTHING, DESTINATION = 0, 43, 44, 51, 59, 60
ROUTES, LONE = (7, 131, 137), (7, 68, 130, 131, 134, 136, 137)


def optioned(options: str) -> str:
    """An IPv4 header with these options, filled to whole words."""
    size = len(bytes.fromhex(options))
    words = -(-size // 4)
    rest = f"{options} {'00' * (4 * words - size)}"
    return ipv4(f"4{5 + words:x}", 20 + 4 * words, rest=rest)


def option(kind: int, data: str = "", more: int = 0) -> str:
    """An option that says `more` bytes than it has."""
    return f"{kind:02x} {2 + len(bytes.fromhex(data)) + more:02x} {data}"


def extension(following: int, data: str = "00" * 6, said: int | None = None) -> str:
    """An extension header, which says how many units of 8 bytes follow its first."""
    size = (len(bytes.fromhex(data)) - 6) // 8 if said is None else said
    return f"{following:02x} {size:02x} {data}"


def holding(kind: int, options: str, jumbo: bool = False) -> str:
    """An IPv6 packet with options in a hop-by-hop or destination header."""
    header = extension(NOTHING, options)
    return ipv6(kind, header, 0 if jumbo else None)


PAD = "01 04 0000 0000"
HOME = f"c9 10 {'20' * 16}"
HOMED = f"{HOME} 0102 0000"

# Rule -> what it fires on, and what not.
OPTION_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "ipv4.opt_malformed": (
        (
            # RFC 791 3.1: a length of two at least, inside the header.
            *(optioned(f"07 {size:02x} 0000") for size in (0, 1, 5, 255)),
            *(optioned(f"010101 {kind:02x}") for kind in (7, 68, 131, 148)),
            *(optioned(f"01 {kind:02x} 04 00") for kind in (136, 148)),
            # A pointer behind the length, in steps of four; RFC 2113; RFC 1108; FIPS 188 4.2.
            *(
                optioned(option(kind, f"{at:02x} 0000 0000"))
                for kind in ROUTES
                for at in (0, 3, 5, 6, 7)
            ),
            *(
                optioned(option(kind, "04 0000 0000", more))
                for kind in ROUTES
                for more in (-2, -1, 1)
            ),
            *(optioned(option(kind, "04")[:5]) for kind in ROUTES),
            *(optioned(option(68, f"{at:02x} 00 0000 0000")) for at in (0, 1, 4, 6, 7, 8)),
            *(optioned(f"44 {size:02x} 05") for size in (2, 3)),
            *(optioned(option(kind, "00" * size)) for kind in (136, 148) for size in (0, 1, 3)),
            *(optioned(option(25, "00" * size)) for size in (0, 5, 7)),  # RFC 4782 3.1
            *(optioned(option(kind)) for kind in (130, 133)),
            *(optioned(option(134, "00" * size)) for size in (0, 1, 4, 5)),
            *(optioned(option(134, f"00000001 01 {tag:02x}")) for tag in (0, 1, 3, 255)),
            # At most one of some; RFC 7126 4.23: none that is not assigned.
            *(optioned(f"{one} {one}") for one in (option(kind, "05 00") for kind in (68,))),
            *(optioned(f"{one} {one}") for one in (option(kind, "0000") for kind in (130, 136))),
            *(
                optioned(f"{one} 01 {one}")
                for one in (option(kind, "04 0000 0000") for kind in ROUTES)
            ),
            optioned(f"{option(134, '00000001 01 02')} {option(134, '00000001 01 02')}"),
            *(optioned(option(kind, "0000")) for kind in (2, 3, 9, 13, 129, 132, 135, 150, 255)),
        ),
        (
            *(optioned(options) for options in ("00 ff", "01 01 01 00", "01 01 00 07")),
            *(optioned(options) for options in ("0101 0101",)),
            *(optioned(option(kind, f"{at:02x} 0000 0000")) for kind in ROUTES for at in (4, 8)),
            *(optioned(option(kind, "04")) for kind in ROUTES),
            *(optioned(option(68, f"{at:02x} 00 0000 0000")) for at in (5, 9)),
            optioned(option(68, "05 00")),
            *(optioned(option(kind, "0000")) for kind in (136, 148, 130, 133)),
            optioned(option(25, "00" * 6)),
            *(optioned(option(kind, "00")) for kind in (130, 133)),
            *(optioned(option(134, f"00000001 01 {tag:02x}" + "00" * (tag - 2))) for tag in (2, 3)),
            *(optioned(option(134, f"00000001 01 {tag:02x}" + "00" * (tag - 2))) for tag in (8,)),
            *(
                optioned(f"{one} {one}")
                for one in (option(kind, "0000") for kind in (148, 133, 10))
            ),
            *(optioned(option(kind, "0000")) for kind in (10, 15, 30, 82, 94, 142, 152, 205, 222)),
        ),
    ),
    "ipv4.source_route": (
        tuple(
            optioned(f"{before} {option(kind, '04 0000 0000')}")
            for kind in (131, 137)
            for before in ("", "01", option(148, "0000"))
        ),
        (
            *(optioned(option(kind, "04 0000 0000")) for kind in (7, 130, 132, 136, 138)),
            *(optioned(f"{before} 8307 0400 0000 00") for before in ("00", "0700", "0701")),
            ipv4(size=28, rest="8307 0400 0000 0000"),
        ),
    ),
    "ipv6.opt_bad": (
        (
            # RFC 8200 4.2: options lie in their header, and all have been assigned.
            *(
                holding(kind, options)
                for kind in (HOP, DESTINATION)
                for options in ("01 05 00000000", "05 05 00000000", "0000000000 01")
            ),
            *(
                holding(kind, f"{one:02x} 04 00000000")
                for kind in (HOP, DESTINATION)
                for one in (2, 3, 6, 9, 200, 255)
            ),
            # RFC 2711, RFC 2675, RFC 6275 6.3.
            *(holding(HOP, f"05 {size:02x} 00000000") for size in (0, 1, 3, 4)),
            *(holding(HOP, f"c2 {size:02x} 00000000", jumbo=True) for size in (0, 2, 3)),
            *(holding(kind, "c2 04 00010000", jumbo) for kind, jumbo in ((HOP, False),)),
            *(holding(kind, "c2 04 00010000", jumbo) for kind, jumbo in ((DESTINATION, True),)),
            *(holding(DESTINATION, f"c9 {size:02x} {'00' * 20}") for size in (0, 15, 17)),
            holding(DESTINATION, f"{HOME} {HOME} 0102 0000"),
            ipv6(DESTINATION, f"{extension(DESTINATION, HOMED)} {extension(NOTHING, HOMED)}"),
            *(
                ipv6(kind, f"{extension(DESTINATION)} {extension(NOTHING, '01 05 00000000')}")
                for kind in (HOP,)
            ),
            *(
                ipv6(kind, f"{extension(DESTINATION)} {extension(NOTHING, '01 05 00000000')}")
                for kind in (ROUTING,)
            ),
            *(
                ipv6(kind, f"{extension(DESTINATION)} {extension(NOTHING, '01 05 00000000')}")
                for kind in (135,)
            ),
            ipv6(AUTHENTICATION, f"3c 01 {'00' * 10} {extension(NOTHING, '01 05 00000000')}"),
            ipv6(FRAGMENT, f"3c 00 0001 00000000 {extension(NOTHING, '01 05 00000000')}"),
        ),
        (
            *(
                holding(kind, options)
                for kind in (HOP, DESTINATION)
                for options in (PAD, "00" * 6, "01 00 01 02 0000", "01 03 000000 00")
            ),
            *(
                holding(kind, f"{one:02x} 04 00000000")
                for kind in (HOP, DESTINATION)
                for one in (4, 7, 8, 15, 138, 254)
            ),
            *(holding(kind, "05 02 0000 0100") for kind in (HOP, DESTINATION)),
            holding(HOP, "c2 04 00010000", jumbo=True),
            holding(DESTINATION, f"{HOME} 0102 0000"),
            *(ipv6(kind, extension(NOTHING, "ff ff 00000000")) for kind in (ROUTING, 135, 139)),
            *(ipv6(kind, extension(NOTHING, "ff ff 00000000")) for kind in (140,)),
            ipv6(AUTHENTICATION, f"3b 01 {'ff' * 10}"),
            ipv6(FRAGMENT, f"3c 00 0008 00000000 {extension(NOTHING, '01 05 00000000')}"),
            ipv6(NOTHING, "ff ff ffff ffff ffff"),
            ipv6(17, extension(NOTHING, "01 05 00000000")),
        ),
    ),
    "ipv6.opts_only_padding": (
        (
            *(
                holding(kind, options)
                for kind in (HOP, DESTINATION)
                for options in (PAD, "00" * 6, "01 00 01 02 0000", "01 03 000000 00")
            ),
            *(holding(kind, f"01 0c {'00' * 12}") for kind in (HOP, DESTINATION)),
            ipv6(ROUTING, f"{extension(DESTINATION)} {extension(NOTHING, PAD)}"),
            ipv6(HOP, f"{extension(DESTINATION, '05 02 0000 0100')} {extension(NOTHING, PAD)}"),
        ),
        (
            *(
                holding(kind, options)
                for kind in (HOP, DESTINATION)
                for options in (
                    "05 02 0000 0100",
                    "0000 02 02 0000",
                    "01 01 00 04 01 00",
                    "0100 0100 02 00",
                )
            ),
            *(ipv6(kind, extension(NOTHING, PAD)) for kind in (ROUTING, 135, 139, 140)),
            ipv6(NOTHING, f"3b 00 {PAD}"),
            ipv6(FRAGMENT, f"3c 00 0008 00000000 {extension(NOTHING, PAD)}"),
        ),
    ),
    "ipv6.zero_len_padn": (
        (
            *(
                holding(kind, options)
                for kind in (HOP, DESTINATION)
                for options in (
                    "0100 0102 0000",
                    "0000 0000 0100",
                    "00 0100 000000",
                    "05 02 0000 0100",
                )
            ),
            holding(HOP, f"01 0a {'00' * 10} 0100"),
        ),
        (
            *(
                holding(kind, options)
                for kind in (HOP, DESTINATION)
                for options in (
                    PAD,
                    "01 01 00 01 01 00",
                    "00" * 6,
                    "0400 0401 0000",
                    "00 04 02 0100 00",
                )
            ),
            *(ipv6(kind, extension(NOTHING, "0100 0102 0000")) for kind in (ROUTING, 135)),
            ipv6(HOP, f"{extension(NOTHING)} 0100"),
        ),
    ),
}
