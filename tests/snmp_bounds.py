"""Bounds of the rule on SNMP: what it fires on, and what not."""

from __future__ import annotations

from header_bounds import Cases

INTEGER, OCTETS, NULL, OBJECT, SEQUENCE, ADDRESS, TICKS = 2, 4, 5, 6, 0x30, 0x40, 0x43
GET, TRAP_1 = 0xA0, 0xA4


def ber(tag: int, content: str = "", more: int = 0) -> str:
    """An element that says `more` bytes than it has (X.690 8.1.3)."""
    size = len(bytes.fromhex(content)) + more
    return f"{tag:02x} {size:02x} {content}" if size < 128 else f"{tag:02x} 82 {size:04x} {content}"


def one(tag: int = INTEGER, value: int = 0) -> str:
    return ber(tag, f"{value:02x}")


NAME, ZERO = ber(OBJECT, "2b06"), one()


def binding(tag: int = SEQUENCE, name: str = NAME, value: str = "0500", more: int = 0) -> str:
    return ber(tag, f"{name} {value}", more)


def pdu(
    kind: int = GET,
    fields: str = f"{ZERO} {ZERO} {ZERO}",
    bindings: str = ber(SEQUENCE, binding()),
    more: int = 0,
) -> str:
    return ber(kind, f"{fields} {bindings}", more)


def snmp(data: str, version: int = 0, community: str = ber(OCTETS, "61"), more: int = 0) -> str:
    """A message of version 1 (RFC 1157) or 2c (RFC 3416)."""
    return ber(SEQUENCE, f"{one(value=version)} {community} {data}", more)


def trap(
    enterprise: str = NAME, agent: str = ber(ADDRESS, "c0000201"), rest: str = f"{ZERO} {ZERO}"
) -> str:
    """One of version 1 (RFC 1157 4.1.6)."""
    return snmp(pdu(TRAP_1, f"{enterprise} {agent} {rest} {one(TICKS)}"))


def header(
    asked: str = ZERO, most: str = ZERO, flags: str = one(OCTETS, 4), model: str = one(value=3)
) -> str:
    return f"{asked} {most} {flags} {model}"


def version_3(
    head: str = ber(SEQUENCE, header()),
    security: str = ber(OCTETS, "00"),
    data: str = ber(SEQUENCE, "0400"),
    more: int = 0,
) -> str:
    """A message of version 3 (RFC 3412 section 6)."""
    return ber(SEQUENCE, f"{one(value=3)} {head} {security} {data}", more)


def headed(**fields: str) -> str:
    return version_3(ber(SEQUENCE, header(**fields)))


def tagged(tag: int, element: str) -> str:
    """The element with another tag."""
    return f"{tag:02x} {element[3:]}"


# Rule -> what it fires on, and what not.
SNMP_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "snmp.malformed": (
        (
            # RFC 1157 section 4, RFC 3584: versions 1, 2c and 3.
            *(snmp(pdu(), version) for version in (2, 4, 5, 127, 255)),
            *(snmp(pdu(), version, more=more) for version in (0, 1) for more in (1, 2, 100)),
            snmp(pdu(), more=-1),
            *(f"30 {size} {snmp(pdu())[6:]}" for size in ("80", "ff", "81 ff", "84 7fffffff")),
            # A community, a PDU, and nothing behind.
            *(snmp(pdu(), community=ber(tag, "61")) for tag in (INTEGER, 3, 5, 0x24)),
            *(snmp(pdu(), community=community) for community in (ber(OCTETS, "61", 100), "04 80")),
            *(snmp(pdu(), community=community) for community in ("",)),
            *(snmp(data) for data in ("", f"{pdu()} 00", f"{pdu()} 0500", pdu(more=1))),
            *(snmp(data) for data in (pdu(more=-1),)),
            *(snmp(pdu(kind)) for kind in (0x30, 0x9F, 0xA9, 0xB0, 0xFF)),
            # Three numbers and a list of names, each with a value.
            *(snmp(pdu(fields=fields)) for fields in ("", ZERO, f"{ZERO} {ZERO}")),
            *(snmp(pdu(fields=fields)) for fields in (f"{ZERO} {ZERO} {ZERO} {ZERO}",)),
            *(
                snmp(
                    pdu(fields=" ".join(one(OCTETS if at == wrong else INTEGER) for at in range(3)))
                )
                for wrong in range(3)
            ),
            *(snmp(pdu(fields=f"{ZERO} {ZERO} 02 {size}")) for size in ("80", "7f", "ff")),
            *(snmp(pdu(bindings=bindings)) for bindings in ("", ber(OCTETS, binding()))),
            *(snmp(pdu(bindings=bindings)) for bindings in (ber(SEQUENCE, binding(), 1),)),
            *(snmp(pdu(bindings=bindings)) for bindings in (ber(SEQUENCE, binding(), -1),)),
            *(snmp(pdu(bindings=bindings)) for bindings in (f"{ber(SEQUENCE)} 00",)),
            *(snmp(pdu(bindings=ber(SEQUENCE, binding(tag)))) for tag in (OCTETS, 0x31, OBJECT)),
            *(
                snmp(pdu(bindings=ber(SEQUENCE, f"{binding()} {binding(**wrong)}")))
                for wrong in ({"more": 1},)
            ),
            *(
                snmp(pdu(bindings=ber(SEQUENCE, f"{binding()} {binding(**wrong)}")))
                for wrong in ({"more": -1},)
            ),
            *(
                snmp(pdu(bindings=ber(SEQUENCE, f"{binding()} {binding(**wrong)}")))
                for wrong in ({"name": ""},)
            ),
            *(
                snmp(pdu(bindings=ber(SEQUENCE, binding(name=name))))
                for name in (ber(OCTETS, "2b06"),)
            ),
            *(
                snmp(pdu(bindings=ber(SEQUENCE, binding(name=name))))
                for name in (ber(OBJECT, "2b06", 1),)
            ),
            *(
                snmp(pdu(bindings=ber(SEQUENCE, binding(name=name))))
                for name in (ber(OBJECT, "2b06", -1),)
            ),
            *(
                snmp(pdu(bindings=ber(SEQUENCE, binding(name=name))))
                for name in (ber(OBJECT, "2b06", 100),)
            ),
            *(snmp(pdu(bindings=ber(SEQUENCE, binding(name=name)))) for name in ("",)),
            *(snmp(pdu(bindings=ber(SEQUENCE, binding(value=value)))) for value in ("", "05")),
            *(snmp(pdu(bindings=ber(SEQUENCE, binding(value=value)))) for value in ("0501",)),
            *(snmp(pdu(bindings=ber(SEQUENCE, binding(value=value)))) for value in ("0500 00",)),
            *(snmp(pdu(bindings=ber(SEQUENCE, binding(value=value)))) for value in ("04 80",)),
            # RFC 1157 4.1.6: enterprise, agent, two numbers and a time come before the list.
            *(trap(enterprise=name) for name in (ber(OCTETS, "2b06"), ber(OBJECT, "2b06", 100))),
            *(trap(enterprise=name) for name in ("",)),
            *(trap(agent=agent) for agent in (ber(OCTETS, "c0000201"), ber(0x41, "c0000201"), "")),
            *(trap(rest=rest) for rest in (ZERO, f"{ZERO} {one(TICKS)}", f"{one(OCTETS)} {ZERO}")),
            snmp(pdu(TRAP_1)),
            snmp(pdu(GET, f"{NAME} {ber(ADDRESS, 'c0000201')} {ZERO} {ZERO} {one(TICKS)}")),
            # RFC 3412 section 6: a header of four fields, security, and data that ends the message.
            *(version_3(more=more) for more in (1, -1, 100)),
            *(version_3(head) for head in (ber(OCTETS, header()), ber(SEQUENCE, header(), 1))),
            *(version_3(head) for head in (ber(SEQUENCE, header(), -1), "3080", "")),
            *(
                headed(**{field: tagged(tag, one())})
                for field in ("asked", "most")
                for tag in (1, 3, 4, 0x22)
            ),
            *(headed(**{field: ber(INTEGER, "00", 100)}) for field in ("asked", "most", "model")),
            *(headed(flags=flags) for flags in (ber(OCTETS), ber(OCTETS, "0400"), one(3, 4))),
            *(headed(flags=flags) for flags in (one(INTEGER, 4),)),
            *(headed(flags=one(OCTETS, flags)) for flags in (2, 6, 0xFA, 0xFE)),
            *(headed(model=model) for model in (one(OCTETS, 3), one(1, 3), f"{one(value=3)} 00")),
            *(headed(model=model) for model in ("", f"{one(value=3)} {ZERO}")),
            *(headed(model=one(value=model)) for model in (0, 1, 2, 5, 255)),
            *(version_3(security=security) for security in (ber(INTEGER, "00"),)),
            *(version_3(security=security) for security in (ber(OCTETS, "00", 100),)),
            *(version_3(security=security) for security in (ber(OCTETS, "00", -1), "")),
            *(version_3(data=data) for data in (ber(INTEGER, "00"), ber(0xA0, "00"))),
            *(version_3(data=data) for data in (ber(SEQUENCE, "00", 1), f"{ber(SEQUENCE)} 00", "")),
        ),
        (
            *(snmp(pdu(kind), version) for kind in range(0xA0, 0xA4) for version in (0, 1)),
            *(snmp(pdu(kind), 1) for kind in range(0xA5, 0xA9)),
            snmp(pdu(bindings=ber(SEQUENCE))),
            snmp(pdu(bindings=ber(SEQUENCE, binding() * 3))),
            snmp(pdu(), community=ber(OCTETS)),
            snmp(pdu(), community=ber(OCTETS, "61" * 200)),
            snmp(pdu(bindings=ber(SEQUENCE, binding(value=ber(OCTETS, "61" * 300))))),
            *(snmp(pdu(fields=f"{field} {ZERO} {ZERO}")) for field in (ber(INTEGER, "00" * 4),)),
            *(snmp(pdu(fields=f"{field} {ZERO} {ZERO}")) for field in ("02 81 01 00",)),
            f"{snmp(pdu())} 00",
            *(f"30 {size} {snmp(pdu())[3:]}" for size in ("81", "82 00", "83 0000", "84 000000")),
            trap(),
            trap(agent=ber(ADDRESS)),
            version_3(),
            *(headed(flags=one(OCTETS, flags)) for flags in (0, 1, 3, 4, 5, 7, 0xF8)),
            *(headed(model=model) for model in (one(value=3), one(value=4), ber(INTEGER, "0100"))),
            *(headed(model=model) for model in (ber(INTEGER, "000003"),)),
            *(headed(**{field: ber(INTEGER, "00ffe3")}) for field in ("asked", "most")),
            *(version_3(security=ber(OCTETS, "00" * size)) for size in (0, 16, 200)),
            *(
                version_3(data=ber(tag, "00" * size))
                for tag in (OCTETS, SEQUENCE)
                for size in (0, 2, 200)
            ),
            # What does not begin with a version is not taken for SNMP.
            *(f"30 05 {start} 00 0000" for start in ("0202", "0401", "0200")),
            *(f"{tag} 06 0201 07 040161" for tag in ("31", "04", "2f")),
        ),
    ),
}
