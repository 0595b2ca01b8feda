"""Bounds of the rules on the data of DNS records: what each fires on, and what not."""

from __future__ import annotations

from dns_bounds import OPCODES, A, answered, dns, record
from header_bounds import Cases


def kinds(*sizes: tuple[int, int]) -> Cases:
    """Records of a type with so many zeros."""
    return tuple(record(kind, "00" * size) for kind, size in sizes)


def each(kind: int, *data: str) -> Cases:
    """Records of one type with data of several kinds."""
    return tuple(record(kind, one) for one in data)


TEN = "0001 0002 01 61"  # order and preference of NAPTR, and its first string
SIGNED = "00" * 18
NSEC3_START = "01 00 0001"
HINFO, NAPTR, RRSIG, NSEC, NSEC3, NSEC3PARAM, SVCB, HTTPS = 13, 35, 46, 47, 50, 51, 64, 65

# Rule -> what it fires on, and what not.
DNS_RECORD_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "dns.rr_length": (
        (
            # RFC 1035 3.4.1, RFC 3596 2.2, RFC 1876, RFC 1035 3.4.2.
            *kinds(
                (1, 0), (1, 3), (1, 5), (28, 0), (28, 15), (28, 17), (29, 15), (29, 17), (11, 4)
            ),
            # RFC 4034, RFC 7344, RFC 7553, RFC 6698, RFC 4255: what comes before data, and a byte.
            *kinds(
                (43, 4), (48, 4), (59, 4), (60, 4), (256, 4), (52, 3), (53, 3), (44, 2), (44, 0)
            ),
            # RFC 1035 3.3, RFC 6672: a name and no more; with a number or three before it.
            *(
                record(kind, data)
                for kind in (2, 5, 12, 39)
                for data in ("", "00 00", "01 61", "c00c 00")
            ),
            *(
                record(kind, data)
                for kind in (15, 18, 21, 36)
                for data in ("", "0000", "0000 c00c 00", "0000 01 61", "00 c00c")
            ),
            *each(
                33,
                "",
                "0000 0000 0000",
                "0000 0000 c00c",
                "0000 0000 0000 c00c 00",
                "0000 0000 0000 01",
            ),
            *(
                record(6, f"{names} {'00' * size}")
                for names in ("c00c c00c", "00 00", f"{A} {A}")
                for size in (0, 19, 21)
            ),
            record(6, f"c00c {'00' * 20}"),
            # RFC 1035 3.3.14: strings, one at least, that fill it.
            *(
                record(kind, data)
                for kind in (16, 99)
                for data in ("", "01", "02 61", "01 61 01", "ff", "00 01")
            ),
            *each(HINFO, "", "00", "01 61", "00 01", "01 61 01 61 00", "01 61 02 61", "ff 00"),
            # RFC 8659 4.1: a tag of one byte at least, inside of it.
            *each(257, "", "00", "00 00", "00 01", "00 00 61", "00 02 61", "80 ff 61"),
            # RFC 3403 4.1: order, preference, three strings and a name.
            *each(
                NAPTR,
                "",
                "0001 0002",
                f"{TEN} 00",
                f"{TEN} 00 00",
                f"{TEN} 00 00 00 00",
                f"{TEN} 00 00 c00c 00",
            ),
            *each(NAPTR, "0001 0002 02 00 00 00", "0001 0002 00 02 00 00", "0001 0002 00 00 02 00"),
            # IANA: digests of 20, 32 and 48 bytes.
            *(
                record(kind, f"0001 05 {digest} {'ab' * size}")
                for kind in (43, 59)
                for digest, length in (("01", 20), ("02", 32), ("04", 48))
                for size in (length - 1, length + 1)
            ),
            *(
                record(44, f"01 {digest} {'ab' * size}")
                for digest, length in (("01", 20), ("02", 32))
                for size in (length - 1, length + 1)
            ),
            # RFC 4034 3.1: a name and a signature behind 18 bytes; 4.1.2: blocks of 1 to 32 bytes.
            *each(
                RRSIG,
                SIGNED,
                f"{SIGNED} 00",
                f"{SIGNED} c00c",
                f"{SIGNED} 02 61",
                f"{SIGNED[2:]} 00",
                f"{SIGNED} {A}",
            ),
            *each(
                NSEC,
                "",
                "01 61",
                "00 00",
                "00 00 00",
                "00 00 01",
                "00 00 02 40",
                f"00 00 21 {'00' * 33}",
                "00 00 01 40 01",
                "c00c 00 00",
            ),
            # RFC 5155 3.2, 4.2: salt and hash, whose lengths stand before them.
            *each(
                NSEC3,
                NSEC3_START,
                f"{NSEC3_START} 00",
                f"{NSEC3_START} 01",
                f"{NSEC3_START} 00 02 aa",
                f"{NSEC3_START} 01 aa 01",
            ),
            *each(
                NSEC3,
                f"{NSEC3_START} 00 01 aa 00 00",
                f"{NSEC3_START} 00 01 aa 00 02 40",
                f"{NSEC3_START} 00 00 00 21 {'00' * 33}",
            ),
            *each(
                NSEC3PARAM,
                "",
                NSEC3_START,
                f"{NSEC3_START} 01",
                f"{NSEC3_START} 00 00",
                f"{NSEC3_START} 02 aa",
            ),
            # RFC 9460 2.2: priority, name, and keys with values that fill it.
            *(
                record(kind, data)
                for kind in (SVCB, HTTPS)
                for data in ("", "0001", "0001 01 61", "0001 00 00", "0001 00 0001 0000 00")
            ),
            *(
                record(kind, data)
                for kind in (SVCB, HTTPS)
                for data in (
                    "0001 00 0001",
                    "0001 00 0001 0001",
                    "0001 00 0001 0002 02",
                    "0001 c00c 0001 0000 0002 0001",
                )
            ),
            *(answered(f"c00c 0001 {group} 00000000 0003 000000") for group in ("0001", "8001")),
            *(
                answered("c00c 0001 0001 00000000 0003 000000", flags=opcode << 11)
                for opcode in OPCODES
                if opcode != 5
            ),
            answered(
                "c00c 0001 0001 00000000 0004 00000000 c00c 0001 0001 00000000 0000",
                "0001 0002 0000 0000",
            ),
            *(
                answered("c00c 0001 0001 00000000 0000", counts)
                for counts in ("0001 0000 0001 0000",)
            ),
            *(
                answered("c00c 0001 0001 00000000 0000", counts)
                for counts in ("0001 0000 0000 0001",)
            ),
        ),
        (
            *kinds((1, 4), (28, 16), (29, 16), (11, 5), (11, 6)),
            *kinds((43, 5), (48, 5), (59, 5), (60, 5), (256, 5), (52, 4), (53, 4), (44, 3)),
            *(
                record(kind, data)
                for kind in (2, 5, 12, 39)
                for data in ("00", A, "c00c", "01 61 c00c")
            ),
            *(
                record(kind, data)
                for kind in (15, 18, 21, 36)
                for data in ("0000 00", f"0000 {A}", "0000 c00c")
            ),
            *each(33, "0000 0000 0000 00", "0000 0000 0000 c00c", f"0000 0000 0000 {A}"),
            *(record(6, f"{names} {'00' * 20}") for names in ("c00c c00c", "00 00", f"{A} {A}")),
            *(record(6, f"{names} {'00' * 20}") for names in (f"{A} c00c",)),
            *(
                record(kind, data)
                for kind in (16, 99)
                for data in ("00", "01 61", "00 00", "01 61 02 6162", f"ff {'61' * 255}")
            ),
            *each(HINFO, "00 00", "01 61 00", "00 01 61", f"ff {'61' * 255} 00"),
            *each(257, "00 01 61", "00 01 61 62", "80 02 6162", f"00 ff {'61' * 255}"),
            *each(NAPTR, "0001 0002 00 00 00 00", f"{TEN} 01 62 01 63 {A}", f"{TEN} 00 00 c00c"),
            *(
                record(kind, f"0001 05 {digest} {'ab' * size}")
                for kind in (43, 59)
                for digest, size in (("01", 20), ("02", 32), ("04", 48))
            ),
            *(
                record(kind, f"0001 05 {digest} {'ab' * size}")
                for kind in (43, 59)
                for digest in ("00", "03", "05")
                for size in (1, 19, 33)
            ),
            *(record(44, f"01 {digest} {'ab' * size}") for digest, size in (("01", 20),)),
            *(record(44, f"01 {digest} {'ab' * size}") for digest, size in (("02", 32), ("00", 1))),
            *(record(44, f"01 {digest} {'ab' * size}") for digest, size in (("03", 33),)),
            *each(RRSIG, f"{SIGNED} 00 00", f"{SIGNED} {A} 00", f"{SIGNED} 00 {'00' * 256}"),
            *each(
                NSEC,
                "00",
                A,
                "00 00 01 40",
                f"00 00 20 {'00' * 32}",
                "00 00 01 40 01 01 40",
                "c00c",
            ),
            *each(
                NSEC3,
                f"{NSEC3_START} 00 00",
                f"{NSEC3_START} 01 aa 01 bb",
                f"{NSEC3_START} 00 00 00 01 40",
                f"{NSEC3_START} 00 00 00 20 {'00' * 32}",
            ),
            *each(NSEC3PARAM, f"{NSEC3_START} 00", f"{NSEC3_START} 01 aa"),
            *(
                record(kind, data)
                for kind in (SVCB, HTTPS)
                for data in (
                    "0001 00",
                    "0000 c00c",
                    f"0001 {A}",
                    "0001 00 0001 0000",
                    "0001 00 0001 0001 02 0003 0000",
                )
            ),
            *(answered(f"c00c 0001 {group} 00000000 0003 000000") for group in ("0002", "0003")),
            *(answered(f"c00c 0001 {group} 00000000 0003 000000") for group in ("00ff", "8003")),
            *(
                answered("c00c 0001 0001 00000000 0003 000000", flags=opcode << 11)
                for opcode in (1,)
            ),
            *(
                answered("c00c 0001 0001 00000000 0003 000000", flags=opcode << 11)
                for opcode in (3,)
            ),
            *(
                answered("c00c 0001 0001 00000000 0003 000000", flags=opcode << 11)
                for opcode in (5,)
            ),
            *(
                answered("c00c 0001 0001 00000000 0003 000000", flags=opcode << 11)
                for opcode in (7,)
            ),
            *(
                answered("c00c 0001 0001 00000000 0003 000000", flags=opcode << 11)
                for opcode in (15,)
            ),
            answered("0001 0001", "0002 0000 0000 0000"),
            answered("c00c 0001 0001 00000000 0003 0000"),
            dns(rest="c00c 0001 0001 00000000 0003 000000"),
        ),
    ),
}
