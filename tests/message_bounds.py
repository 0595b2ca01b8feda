"""Bounds of the rules on messages of Modbus, DHCP and NTP: what each fires on, and what not."""

from __future__ import annotations

from header_bounds import Cases


def asked(counted: int, function: int, rest: str = "", behind: int = 0) -> str:
    """A request of Modbus that says how many bytes it counts, and has zeros `behind` the rest."""
    return f"c000 01f6 | {modbus(counted, function, rest, behind)}"


def answered(counted: int, function: int, rest: str = "", behind: int = 0) -> str:
    return f"01f6 c000 | {modbus(counted, function, rest, behind)}"


def modbus(
    counted: int, function: int, rest: str = "", behind: int = 0, protocol: str = "0000"
) -> str:
    return f"0001 {protocol} {counted:04x} 11 {function:02x} {rest} {'00' * behind}"


def dhcp(
    options: str = "3501 01 ff", start: str = "0101 0600", cookie: str = "63825363", cut: int = 0
) -> str:
    """A message of DHCP with these options, without the last `cut` bytes."""
    whole = bytes.fromhex(f"{start} {'00' * 232} {cookie} {options}")
    return whole[: len(whole) - cut].hex()


def ntp(begins: str, size: int = 48) -> str:
    """A message that begins so, and has zeros up to its size."""
    begun = bytes.fromhex(begins)
    return (begun + bytes(size - len(begun))).hex()


def extended(field: int, size: int, first: str = "23") -> str:
    """One with `size` bytes behind its header, of which a field says how many they are."""
    return f"{ntp(first)} 0001 {field:04x} {'00' * (size - 4)}"


# Rule -> what it fires on, and what not.
MESSAGE_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "modbus.bad_protocol_id": (
        (
            modbus(6, 1, "0000 0000", protocol="0001"),
            modbus(6, 43, "0000 0000", protocol="0001"),
            modbus(254, 3, behind=252, protocol="0001"),
            modbus(1, 90, protocol="0001"),
            modbus(255, 90, protocol="0001"),
        ),
        (
            modbus(6, 0, "0000 0000", protocol="0001"),
            modbus(6, 44, "0000 0000", protocol="0001"),
            modbus(255, 3, behind=253, protocol="0001"),
            modbus(2, 90, protocol="0001"),
            modbus(254, 90, protocol="0001"),
        ),
    ),
    "modbus.bad_length": (
        (
            asked(1, 1),
            asked(255, 43),
            asked(1023, 43),
            asked(5, 5, behind=3),
            asked(7, 6, behind=5),
            answered(2, 128),
            answered(4, 129, behind=2),
            asked(5, 8, behind=3),
            asked(8, 8, "0001 0000 0000"),
            asked(8, 8, "0014 0000 0000"),
            asked(7, 22, behind=5),
            asked(2, 21),
            asked(4, 21, "02 00"),
            asked(7, 3, behind=5),
            asked(7, 15, behind=5),
            asked(9, 16, "0000 0001 01 0000"),
            asked(3, 7, "00"),
            asked(2, 20),
            asked(4, 20, "02 00"),
            asked(11, 23, behind=9),
            asked(13, 23, "0000 0000 0000 0000 01 0000"),
            asked(5, 24, behind=3),
            asked(6, 43, "0e 000000"),
            answered(2, 3),
            answered(4, 3, "02 00"),
            answered(5, 16, behind=3),
            answered(7, 11, behind=5),
            answered(5, 24, behind=3),
            answered(7, 24, "0002 000000"),
            answered(4, 7, "0000"),
            answered(7, 43, "0e 00000000"),
        ),
        (
            asked(1, 43 + 1),
            asked(1024, 43),
            asked(254, 90, behind=252),
            asked(2, 90),
            asked(6, 5, behind=4),
            answered(3, 129, "02"),
            asked(4, 129, "0000"),
            asked(6, 8, behind=4),
            asked(8, 8, "0000 0000 0000"),
            asked(8, 8, "0015 0000 0000"),
            asked(8, 22, behind=6),
            asked(3, 21, "00"),
            asked(9, 21),
            asked(6, 4, behind=4),
            asked(8, 15, "0000 0001 01 00"),
            asked(9, 16, "0000 0001"),
            asked(2, 7),
            asked(5, 20, "02 0000"),
            asked(12, 23, "0000 0000 0000 0000 01 00"),
            asked(99, 23, "0000 0000 0000 0000"),
            asked(4, 24, "0000"),
            asked(5, 43, "0e 0000"),
            answered(5, 3, "02 0000"),
            answered(6, 16, behind=4),
            answered(6, 24, "0002 0000"),
            answered(99, 24, "00"),
            answered(3, 7, "00"),
            answered(8, 43, "0e 0000000000"),
        ),
    ),
    "modbus.bad_function": (
        (
            asked(2, 0, "00"),
            asked(4, 8, "0005"),
            asked(4, 8, "0009"),
            asked(4, 8, "0013"),
            asked(4, 8, "0016"),
            asked(2, 128, "00"),
            asked(2, 255, "00"),
            answered(2, 128, "00"),
            answered(3, 129, "09"),
            answered(3, 129, "0c"),
        ),
        (
            asked(1, 0, "00"),
            asked(4, 0, "00"),
            asked(3, 8, "0005"),
            asked(4, 8, "0004"),
            asked(4, 8, "000a"),
            asked(4, 8, "0012"),
            asked(4, 8, "0015"),
            asked(2, 127, "00"),
            answered(3, 129, "0b"),
            answered(4, 129, "0c00"),
        ),
    ),
    "dhcp.malformed": (
        (
            dhcp(cut=1),
            dhcp("", start="0001 0600"),
            dhcp(start="0301 0600"),
            dhcp(start="0101 1100"),
            dhcp("3d01 00 ff"),
            dhcp("3502 0101 ff"),
            dhcp("0103 ffffff ff"),
            dhcp("0d01 00 ff"),
            dhcp("0300 ff"),
            dhcp("0305 0000000000 ff"),
            dhcp(f"03fe {'00' * 254} ff"),
            dhcp("3501 00 ff"),
            dhcp("3501 13 ff"),
            dhcp("0c03 0000"),
            dhcp("00000c"),
            f"0101 1010 {'00' * 231}",
            f"0126 0000 {'00' * 231}",
            f"0226 0000 {'00' * 231}",
        ),
        (
            dhcp(),
            dhcp("ff"),
            dhcp("000000 ff"),
            dhcp(start="0201 1000"),
            dhcp("3d02 0000 ff"),
            dhcp("0104 ffffff00 ff"),
            dhcp("0d02 0000 ff"),
            dhcp("0304 00000000 ff"),
            dhcp(f"03ff {'00' * 255} ff"),
            dhcp("3501 12 ff"),
            dhcp("3501 01 ff 00"),
            dhcp("0c02 0000 ff"),
            dhcp("3d01 00 ff", cookie="63825364"),
            f"0101 1100 {'00' * 231}",
            f"0101 0011 {'00' * 231}",
            f"0127 0000 {'00' * 231}",
            f"0100 0000 {'00' * 231}",
            f"0301 0600 {'00' * 231}",
            f"0101 1010 {'00' * 232}",
        ),
    ),
    "ntp.malformed": (
        (
            *(ntp(begins, 47) for begins in ("23", "2310", "2300 11", "2300 00e0", "0b", "24")),
            *(ntp("23", size) for size in (49, 50, 51)),
            *(ntp(begins) for begins in ("33", "3b", "10", "20")),
            *(extended(*sizes) for sizes in ((12, 28), (15, 16), (18, 28), (20, 16))),
            extended(16, 16, "1b"),
            *(ntp(f"16{does} 0000 0000 0000 0000 0001", 12) for does in ("01", "0a", "0c", "1f")),
            ntp("1601", 11),
            *(ntp(f"1700 0{which}00 0001 0001", 8) for which in (2, 3)),
            ntp("1700 0200 0fff 0001", 8 + 0xFFE),
        ),
        (
            *(ntp(begins, 47) for begins in ("2311", "2300 12", "2300 0001", "2300 00df", "03")),
            *(ntp("23", size) for size in (48, 52)),
            *(ntp("33", size) for size in (47, 49)),
            *(ntp(begins) for begins in ("2b", "30", "08", "00")),
            *(extended(*sizes) for sizes in ((16, 16), (28, 28), (12, 12))),
            *(ntp(f"16{does} 0000 0000 0000 0000 0001", 12) for does in ("00", "0b", "0d", "1e")),
            ntp("1601 0000 0000 0000 0000 0001", 13),
            ntp("1601 0000 0000 0000 0001 0001", 12),
            ntp("5601 0000 0000 0000 0000 0001", 12),
            *(ntp(f"1700 0{which}00 0001 0001", 8) for which in (1, 4)),
            ntp("1700 0200 0001 0001", 9),
            ntp("1700 0200 0001 1001", 8),
            ntp("1700 0200 1000 0001", 8),
            ntp("1700 0200 0fff 0001", 8 + 0xFFF),
        ),
    ),
}
