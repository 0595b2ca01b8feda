"""Bounds of the rules on DNS messages, names and extensions: what each fires on, and what not."""

from __future__ import annotations

from header_bounds import Cases

A = "01 61 00"
LABEL = "3f" + "61" * 63
NAME_255 = f"{LABEL * 3} 3d {'61' * 61} 00"
NAME_256 = f"{LABEL * 3} 3e {'61' * 62} 00"
ADDRESS = "c00c 0001 0001 00000000 0004 c0000201"
TO_SERVER, FROM_SERVER = "c000 0035", "0035 c000"
MULTICAST = "14e9"
CLASSES = (1, 3, 4, 254, 255)  # RFC 6895 3.2: IN, CH, HS, NONE, ANY
OPCODES = (0, 2, 4, 5, 6)  # IANA, DNS OpCodes; RFC 3425 took 1 back


def dns(
    flags: int = 0x0100,
    counts: str = "0001 0000 0000 0000",
    name: str = A,
    group: int = 1,
    rest: str = "",
) -> str:
    """A message that asks for an address of `name` in a class, and what stands behind that."""
    return f"0007 {flags:04x} {counts} {name} 0001 {group:04x} {rest}"


def answered(record: str, counts: str = "0001 0001 0000 0000", flags: int = 0x8180) -> str:
    return dns(flags, counts, rest=record)


def record(kind: int, data: str, owner: str = "c00c", size: int | None = None) -> str:
    """An answer of one record, which says `size` of its data."""
    said = len(bytes.fromhex(data)) if size is None else size
    return answered(f"{owner} {kind:04x} 0001 00000000 {said:04x} {data}")


def at(ports: str, message: str) -> str:
    return f"{ports} | {message}"


def cut(message: str, size: int) -> str:
    whole = bytes.fromhex(message)
    return whole[: len(whole) - size].hex()


def edns(
    options: str, owner: str = "00", counts: str = "0001 0000 0000 0001", size: int = -1
) -> str:
    """A question with an extension record, which says `size` of its options."""
    said = len(bytes.fromhex(options)) if size < 0 else size
    return dns(counts=counts, rest=f"{owner} 0029 04d0 00000000 {said:04x} {options}")


def subnet(family: int, source: int, address: str, size: int | None = None) -> str:
    said = 4 + len(bytes.fromhex(address)) if size is None else size
    return edns(f"0008 {said:04x} {family:04x} {source:02x} 00 {address}")


# Rule -> what it fires on, and what not.
DNS_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "dns.malformed": (
        (
            # RFC 1035 section 4: a header of 12 bytes, and all that it counts.
            *(cut("0007 0100 0001 0000 0000 0000", size) for size in (1, 2, 5, 6)),
            *(cut(dns(), size) for size in (1, 2, 4, 5, 6, 7)),
            *(cut(answered(ADDRESS), size) for size in (1, 4, 5, 16)),
            *(dns(counts=counts) for counts in ("0002 0000 0000 0000", "0001 0001 0000 0000")),
            *(dns(counts=counts) for counts in ("0001 0000 0001 0000", "0001 0000 0000 0001")),
            *(dns(opcode << 11, "0001 0001 0000 0000") for opcode in OPCODES),
            dns(0x8180, "0001 00ff 0000 0000"),
            record(1, "c0000201", size=5),
            record(16, "01 61", size=0xFFFF),
            *(dns(name=name) for name in ("40", "bf", "80 00")),
        ),
        (
            dns(),
            answered(ADDRESS),
            f"{dns()} 00",
            "0007 8180 0000 0000 0000 0000",
            *(cut("0007 0101 0001 0000 0000 0000", size) for size in (1, 2, 6)),
            *(cut(f"0007 0100 {count} 0000 0000 0000", 1) for count in ("0000", "0002", "0101")),
            # Of what is truncated some may lack; other operations, or Z, are another rule's.
            *(dns(flags, "0001 0001 0000 0000") for flags in (0x0200, 0x8380, 0x0140, 0x81C0)),
            *(dns(opcode << 11, "0001 0001 0000 0000") for opcode in (1, 3, 7, 8, 12, 15)),
            *(cut(f"0007 {flags} 0001 0000 0000 0000", 1) for flags in ("0140", "0800", "0300")),
            dns(counts="0001 0100 0000 0000"),
            dns(0x0101, "0001 0001 0000 0000"),
        ),
    ),
    "dns.name_too_long": (
        (
            # 2.3.4: 63 bytes for a label, 255 for a name; 3.1, 4.1.4: no lengths from 64 to 191.
            dns(name=NAME_256),
            *(dns(name=f"{size:02x} {'61' * 191} 00") for size in (64, 127, 128, 191)),
            *(dns(name=name, counts="0001 0001 0000 0000") for name in (NAME_256, "40 61")),
            dns(rest=f"{NAME_256} 0001 0001", counts="0002 0000 0000 0000"),
            *(record(kind, NAME_256) for kind in (2, 5, 12, 39, 6)),
            *(record(kind, f"0000 {NAME_256}") for kind in (15, 18, 21, 36)),
            record(33, f"0000 0000 0000 {NAME_256}"),
            *(record(kind, f"00 {NAME_256}") for kind in (6, 14, 17)),
            record(1, "c0000201", owner=NAME_256),
            record(5, f"{LABEL * 3} 3d {'61' * 61} c00c"),
            *(dns(opcode << 11, name=NAME_256) for opcode in OPCODES),
            f"0007 0100 0001 0000 0000 0000 {LABEL}",
            "0007 0100 0001 0000 0000 0000 c0",
            f"0007 0100 0002 0000 0000 0000 {A} 0001 0001 01 61",
        ),
        (
            dns(name=NAME_255),
            dns(name=f"{LABEL} 00"),
            *(dns(opcode << 11, name=NAME_256) for opcode in (1, 3, 7, 8, 12, 15)),
            *(record(kind, NAME_255) for kind in (2, 5, 12, 39)),
            record(33, f"0000 0000 0000 {NAME_255}"),
            record(5, f"{LABEL * 3} 3b {'61' * 59} c00c"),
            *(record(kind, f"40 {'61' * 64} 00") for kind in (1, 3, 13, 16, 28)),
            record(5, f"40 {'61' * 64} 00", size=0),
            dns(counts="0000 0000 0000 0000", name=NAME_256),
            f"{dns()} {NAME_256}",
            dns(counts="0001 0000 0000 0001"),
            dns(name="c00c"),
        ),
    ),
    "dns.compression_abuse": (
        (
            # 4.1.4: a pointer leads to where a name stood before, behind the header of 12 bytes.
            *(dns(name=name) for name in ("c00c", "c00d", "c00b", "c000", "ffff", "01 61 c00c")),
            *(dns(opcode << 11, name="c00c") for opcode in OPCODES),
            *(record(kind, "c01f") for kind in (2, 5, 12, 39)),
            *(record(kind, "c00b") for kind in (2, 5, 12, 39)),
            *(record(kind, "0000 c021") for kind in (15, 18, 21, 36)),
            *(record(kind, "00 c020") for kind in (6, 14, 17)),
            *(record(1, "c0000201", owner=owner) for owner in ("c013", "c014", "c00b", "c100")),
            record(5, "01 61 c01f"),
            record(33, "0000 0000 0000 c025"),
        ),
        (
            *(dns(opcode << 11, name="c00c") for opcode in (1, 3, 7, 8, 12, 15)),
            *(record(kind, "c00c") for kind in (2, 5, 12, 39)),
            *(record(kind, "0000 c00c") for kind in (15, 18, 21, 36)),
            *(record(kind, "00 c00e") for kind in (6, 14, 17)),
            *(record(1, "c0000201", owner=owner) for owner in ("c00c", "c00e", "01 61 c00c")),
            *(record(kind, "ffff") for kind in (1, 3, 13, 16, 28)),
            record(5, "01 61 c00c"),
            record(33, "0000 0000 0000 c00c"),
            dns(counts="0000 0000 0000 0000", name="c00c"),
            f"{dns()} c0ff",
        ),
    ),
    "dns.bad_opcode": (
        (
            *(dns(opcode << 11) for opcode in (1, 3, 7, 8, 14, 15)),
            *(dns(3 << 11, group=group, rest="00") for group in CLASSES),
            *(dns(3 << 11, group=group) for group in (0, 2, 5, 253, 256)),
            *(dns(3 << 11 | flags) for flags in (0x8000, 0x0780, 0x000F)),
        ),
        (
            *(dns(opcode << 11) for opcode in OPCODES),
            *(dns(opcode << 11 | 0x87FF) for opcode in OPCODES),
            *(dns(3 << 11, group=group, rest="00") for group in (0, 2, 5, 253, 256)),
            *(dns(3 << 11, f"{count} 0000 0000 0000") for count in ("0000", "0002", "0101")),
            *(dns(3 << 11, name=name) for name in (NAME_256, "40", "c00c")),
            *(dns(3 << 11, f"0001 {counts}", group=5) for counts in ("0001 0000 0000",)),
            *(dns(3 << 11, f"0001 {counts}", group=5) for counts in ("0000 0001 0000",)),
            *(dns(3 << 11, f"0001 {counts}", group=5) for counts in ("0000 0000 0001",)),
        ),
    ),
    "dns.z_flag": (
        (
            *(dns(0x0040 | opcode << 11) for opcode in OPCODES),
            *(dns(flags | 0x0040) for flags in (0x0000, 0x8000, 0x87BF)),
            *(dns(0x0040, group=group, rest="00") for group in CLASSES),
        ),
        (
            *(dns(opcode << 11 | 0x87BF) for opcode in OPCODES),
            *(dns(0x0040 | opcode << 11) for opcode in (1, 3, 7, 8, 12, 15)),
            *(dns(0x0040, group=group, rest="00") for group in (0, 2, 5, 253, 256)),
            *(dns(0x0040, f"{count} 0000 0000 0000") for count in ("0000", "0002", "0101")),
        ),
    ),
    "dns.counts": (
        (
            # RFC 9619: one question; RFC 1035 4.1.3: 11 bytes at least in a record.
            *(at(f"c000 {port}", dns(counts="0002 0000 0000 0000")) for port in ("0035", "14e8")),
            *(at(f"c000 {port}", dns(counts="0002 0000 0000 0000")) for port in ("14ea",)),
            at("14e8 c000", dns(counts="ffff 0000 0000 0000")),
            *(dns(counts=f"0002 {counts}") for counts in ("0000 0000 0000", "0001 0000 0000")),
            *(dns(counts=f"0001 {counts}", rest="00" * 10) for counts in ("0001 0000 0000",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 10) for counts in ("0000 0001 0000",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 10) for counts in ("0000 0000 0001",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 32) for counts in ("0001 0001 0001",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 32) for counts in ("0003 0000 0000",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 32) for counts in ("0000 0000 0003",)),
            *(dns(counts="0002 0000 0000 0000", group=group) for group in CLASSES),
            *(dns(flags, "0002 0000 0000 0000") for flags in (0x07B0, 0x8000, 0x800F)),
            dns(0x8000, "0001 ffff ffff ffff"),
        ),
        (
            *(at(ports, dns(counts="0002 0000 0000 0000")) for ports in ("c000 14e9", "14e9 c000")),
            *(at(ports, dns(counts="0002 0000 0000 0000")) for ports in ("14e9 14e9",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 11) for counts in ("0001 0000 0000",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 11) for counts in ("0000 0001 0000",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 11) for counts in ("0000 0000 0001",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 33) for counts in ("0001 0001 0001",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 33) for counts in ("0003 0000 0000",)),
            *(dns(counts=f"0001 {counts}", rest="00" * 33) for counts in ("0000 0000 0003",)),
            *(dns(counts="0002 0000 0000 0000", group=group) for group in (0, 2, 5, 253, 256)),
            *(dns(opcode << 11, "0002 0000 0000 0000") for opcode in (1, 2, 4, 8, 15)),
            *(dns(flags, "0002 0000 0000 0000") for flags in (0x0040, 0x0001, 0x0008, 0x8040)),
            *(dns(flags, "0001 0001 0000 0000") for flags in (0x0200, 0x8200, 0x0040)),
            *(dns(counts="0002 0000 0000 0000", name=name) for name in ("40", "c00c", NAME_256)),
            dns(counts="0000 ffff 0000 0000"),
        ),
    ),
    "dns.qr_wrong_direction": (
        (
            # RFC 1035 4.1.1: who asks sends to port 53, who answers from there.
            *(at(TO_SERVER, dns(flags)) for flags in (0x8000, 0x8180, 0x800F, 0xA000, 0x87B0)),
            *(at(FROM_SERVER, dns(flags)) for flags in (0x0000, 0x0100, 0x2000, 0x07B0)),
            *(at(TO_SERVER, dns(0x8000, group=group)) for group in CLASSES),
            *(at(f"{port} 0035", dns(0x8000)) for port in ("0034", "0036", "14e8", "14ea")),
        ),
        (
            *(at(TO_SERVER, dns(flags)) for flags in (0x0000, 0x0100, 0x7FFF, 0x8040, 0x8800)),
            *(at(FROM_SERVER, dns(flags)) for flags in (0x8000, 0x8180, 0x0001, 0x0008, 0x07C0)),
            *(at(TO_SERVER, dns(0x8000, group=group)) for group in (0, 2, 5, 253, 256)),
            *(at(TO_SERVER, dns(0x8000, name=name)) for name in ("40", "c00c", NAME_256)),
            *(at(TO_SERVER, dns(0x8000, f"{count} 0000 0000 0000")) for count in ("0000", "0002")),
            *(
                at(ports, dns(flags))
                for ports in ("0035 0035", "c000 0034", "0036 c000")
                for flags in (0x0100, 0x8180)
            ),
            *(at(ports, dns(0x8000)) for ports in ("14e9 0035", "0034 0036")),
            at("0035 14e9", dns(0x0100)),
            *(at(TO_SERVER, dns(0x8000 | opcode << 11)) for opcode in (1, 3, 7, 8, 12, 15)),
        ),
    ),
    "dns.edns_bad": (
        (
            # RFC 6891 6.1.1: one at most, of the root; 6.1.2: options fill it.
            *(edns("", owner) for owner in (A, "c00c", "01 00 00")),
            edns("00 0029 04d0 00000000 0000", counts="0001 0000 0000 0002", size=0),
            *(edns("", A, counts) for counts in ("0001 0001 0000 0000", "0001 0000 0001 0000")),
            *(edns(options) for options in ("00", "000a", "000a 00", "000a 0001", "000a 0002 00")),
            *(edns(f"000a 0001 00 {options}") for options in ("00", "000a 00", "000a 0001")),
            *(edns(f"000a 0001 00 {options}") for options in ("0000 ffff",)),
            # RFC 7871 section 6: family, two lengths, and as much of the address as they tell.
            *(edns(f"0008 {size:04x} {'00' * size}") for size in (0, 1, 2, 3)),
            *(edns(f"0008 {size:04x} 0003 {'00' * (size - 2)}") for size in (2, 3)),
            *(subnet(1, source, "00" * size) for source, size in ((33, 5), (33, 4), (0, 1))),
            *(subnet(1, source, "00" * size) for source, size in ((1, 0), (8, 0))),
            *(subnet(1, source, "00" * size) for source, size in ((8, 2), (9, 1), (25, 3))),
            *(subnet(1, source, "00" * size) for source, size in ((32, 3), (32, 5))),
            *(subnet(2, source, "00" * size) for source, size in ((129, 17), (129, 16), (0, 1))),
            *(subnet(2, source, "00" * size) for source, size in ((1, 0), (57, 7))),
            *(subnet(2, source, "00" * size) for source, size in ((56, 8), (128, 15), (128, 17))),
            *(subnet(2, source, "00" * size) for source, size in ((255, 32),)),
            *(
                subnet(1, 33, "00" * 5).replace("0007 0100", f"0007 {opcode << 11:04x}")
                for opcode in OPCODES
            ),
        ),
        (
            edns(""),
            *(edns(options) for options in ("000a 0000", "000a 0001 00", "000a 0001 00 000b 0000")),
            *(subnet(1, source, "00" * size) for source, size in ((0, 0), (1, 1), (8, 1), (9, 2))),
            *(subnet(1, source, "00" * size) for source, size in ((24, 3), (32, 4))),
            *(subnet(2, source, "00" * size) for source, size in ((0, 0), (1, 1), (33, 5))),
            *(subnet(2, source, "00" * size) for source, size in ((56, 7), (57, 8), (128, 16))),
            *(subnet(family, 255, "00" * size) for family in (0, 3, 16) for size in (0, 1, 16)),
            *(edns(f"{code:04x} 0003 000000") for code in (7, 9)),
            *(
                subnet(1, 33, "00" * 5).replace("0007 0100", f"0007 {opcode << 11:04x}")
                for opcode in (1,)
            ),
            *(
                subnet(1, 33, "00" * 5).replace("0007 0100", f"0007 {opcode << 11:04x}")
                for opcode in (3,)
            ),
            *(
                subnet(1, 33, "00" * 5).replace("0007 0100", f"0007 {opcode << 11:04x}")
                for opcode in (7,)
            ),
            *(
                subnet(1, 33, "00" * 5).replace("0007 0100", f"0007 {opcode << 11:04x}")
                for opcode in (15,)
            ),
            dns(rest="00 0029 04d0 00000000 0001 00"),
            dns(name="00", rest="0029 0001", counts="0002 0000 0000 0000"),
            "0007 0100 0001 0000 0000 0000 01 61 00 0029 0001",
            answered(
                "c00c 0028 0001 00000000 0000 00 0029 04d0 00000000 0000", "0001 0001 0000 0001"
            ),
            edns("000a 0001", size=8),
        ),
    ),
}
