"""Bounds of the rules on SMB: what each fires on, and what not."""

from __future__ import annotations

from header_bounds import Cases

CHAINED = (0x24, 0x2D, 0x2E, 0x2F, 0x73, 0x74, 0x75, 0xA2)  # MS-CIFS 2.2.3.4
NEGOTIATE, NT_TRANSACT, NT_MORE = 0x72, 0xA0, 0xA1
# MS-SMB2 2.2.3 to 2.2.44: StructureSize of requests and of responses, by command.
ASKED = (36, 25, 4, 9, 4, 57, 24, 24, 49, 49, 48, 57, 4, 4, 33, 32, 41, 33)
ANSWERED = (65, 9, 4, 16, 4, 89, 60, 4, 17, 17, 4, 49, 4, 4, 9, 9, 9, 2)


def netbios(message: str, size: int | None = None, kind: int = 0) -> str:
    """The message behind a session header that says its size (RFC 1002 4.3.1)."""
    said = len(bytes.fromhex(message)) if size is None else size
    return f"{kind:02x} {said:06x} {message}"


def little(value: int, size: int) -> str:
    return value.to_bytes(size, "little").hex()


def smb_1(command: int, body: str, flags: int = 0) -> str:
    return netbios(f"ff534d42 {command:02x} 00000000 {flags:02x} 0000 {'00' * 20} {body}")


def words(counted: str, data: str, said: int | None = None) -> str:
    """Words and bytes with their counts."""
    size = len(bytes.fromhex(data)) if said is None else said
    return f"{len(bytes.fromhex(counted)) // 2:02x} {counted} {little(size, 2)} {data}"


def dialects(data: str, said: int | None = None, flags: int = 0) -> str:
    return smb_1(NEGOTIATE, words("", data, said), flags)


def piece(
    command: int, flags: int = 0, at: int = 0, count: int = 1, data: int = 71, many: int = 18
) -> str:
    """A piece of a transaction of 16 bytes, whose message has 72."""
    place = f"{little(count, 4)} {little(data, 4)} {little(at, 4)}"
    fields = f"000000 00000000 {little(16, 4)} {'00' * 12} {place}"
    counted = bytes.fromhex(fields).ljust(36, b"\0")[:36].hex()
    return smb_1(command, f"{many:02x} {counted} 0000 00", flags)


def part(command: int, body: str, flags: int = 0, next_part: int = 0) -> str:
    fields = f"{little(command, 2)} 0000 {flags:02x} 000000 {little(next_part, 4)}"
    return f"fe534d42 4000 0000 00000000 {fields} {'00' * 40} {body}"


def smb_2(command: int, size: int, flags: int = 0, behind: int = 100) -> str:
    """A message whose structure says this size."""
    return netbios(part(command, f"{little(size, 2)} 0000 {'00' * behind}", flags))


def named(command: int, size: int, field: int, offset: int, count: int) -> str:
    """A request with 8 bytes behind its structure, of which a field says where a name lies."""
    body = bytearray(size - size % 2 + 8)
    body[:2] = size.to_bytes(2, "little")
    body[field : field + 4] = offset.to_bytes(2, "little") + count.to_bytes(2, "little")
    return netbios(part(command, body.hex()))


def write(count: int, behind: int, offset: int = 112, channel: int = 0, flags: int = 0) -> str:
    body = (
        f"3100 {little(offset, 2)} {little(count, 4)} {'00' * 24} {little(channel, 4)} {'00' * 12}"
    )
    return netbios(part(9, f"{body} {'00' * behind}", flags))


def negotiated(count: int, behind: int) -> str:
    return netbios(part(0, f"2400 {little(count, 2)} {'00' * (32 + behind)}"))


def ntlm(*fields: tuple[int, int], kind: int = 3, name: str = "4e544c4d53535000") -> str:
    """An NTLM message of 72 bytes with these sizes and offsets (MS-NLMP 2.2.1.3)."""
    both = b"".join(
        size.to_bytes(2, "little") * 2 + at.to_bytes(4, "little") for size, at in fields
    )
    return f"{name} {little(kind, 4)} {both.ljust(48, bytes(1)).hex()} {'00' * 12}"


def setup(blob: str) -> str:
    """A SESSION_SETUP of SMB 2."""
    return netbios(part(1, f"1900 {'00' * 22} {blob}"))


ECHO = part(13, "0400 0000")
NO_FIELD = (0, 99)
LANMAN = "02 61 00"

# Rule -> what it fires on, and what not.
SMB_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "smb.malformed": (
        (
            # MS-CIFS 2.2.3: a header of 32 bytes, words and bytes, each behind its count.
            *(netbios(f"ff534d42 {'00' * size}") for size in (4, 28, 29, 30)),
            *(smb_1(0x25, words("0000", "61", said)) for said in (2, 3, 0xFFFF)),
            *(smb_1(0x25, f"{count:02x} 0000 0000") for count in (2, 3, 255)),
            # 2.2.3.4: what follows comes later, inside the message, and is another command.
            *(smb_1(command, words("7600 0000", "")) for command in CHAINED),
            *(
                smb_1(command, words(f"7600 {little(at, 2)}", "0000 00"))
                for command in CHAINED
                for at in (0, 32, 38, 42, 0xFFFF)
            ),
            *(smb_1(command, words(f"{command:02x}00 2700", "000000")) for command in CHAINED),
            # 2.2.4.52.1: dialects, each behind 2 and before 0, and no words.
            *(dialects(data) for data in ("", "02", "02 61", "01 61 00", "03 61 00", "02 00")),
            *(dialects(data) for data in ("61 00",)),
            *(dialects(f"{LANMAN} {data}") for data in ("02 61", "02 00", "00", "01 61 00")),
            *(dialects(f"{LANMAN} 00", said) for said in (0, 1, 2)),
            smb_1(NEGOTIATE, words("0000", LANMAN)),
            # 2.2.4.62.2, 2.2.4.63: pieces that lie in the whole, and in their message.
            *(piece(NT_MORE, at=at, count=count, data=50) for at, count in ((16, 1), (0, 17))),
            *(piece(NT_MORE, at=at, count=count, data=50) for at, count in ((15, 2),)),
            *(piece(NT_MORE, data=data) for data in (72, 73, 0xFFFF)),
            *(piece(NT_TRANSACT, 128, at=at) for at in (16, 17)),
            # MS-SMB2 2.2.1: a header that says its 64 bytes, and a structure of a known size.
            *(netbios(f"fe534d42 {'00' * size}") for size in (4, 60, 61)),
            *(netbios(ECHO.replace("4000", size, 1)) for size in ("3f00", "4100", "0000", "4001")),
            *(
                smb_2(command, size + more)
                for command, size in enumerate(ASKED)
                for more in (-1, 1)
            ),
            *(
                smb_2(command, size + more, 1)
                for command, size in enumerate(ANSWERED)
                for more in (-1, 1)
                if size + more != 9
            ),
            *(smb_2(command, 9) for command in (0, 1, 2, 13)),
            *(smb_2(18, size) for size in (23, 25, 35, 37, 44, 9)),
            *(smb_2(18, size, 1) for size in (23, 25, 35, 37, 43, 45)),
            *(smb_2(19, size, 1) for size in (3, 5)),
            smb_2(19, 4),
            smb_2(20, 4),
            # 2.2.1: the next part lies behind this one, on a border of 8 bytes, with its header.
            *(netbios(f"{part(13, '0400 0000', next_part=at)} {'00' * 4} {ECHO}") for at in (71,)),
            *(netbios(f"{part(13, '0400 0000', next_part=at)} {'00' * 4} {ECHO}") for at in (73,)),
            *(netbios(f"{part(13, '0400 0000', next_part=at)} {'00' * 4} {ECHO}") for at in (76,)),
            *(netbios(f"{part(13, '0400 0000', next_part=72)} {'00' * size}") for size in (4, 60)),
            *(netbios(f"{part(13, '0400 0000', next_part=72)} {'00' * size}") for size in (67,)),
            netbios(f"{part(13, '0400 0000', next_part=64)} {'00' * 64}"),
            *(
                netbios(f"{part(13, '0400 0000', next_part=72)} 00000000 {start}534d42 {'00' * 64}")
                for start in ("ff",)
            ),
            *(
                netbios(f"{part(13, '0400 0000', next_part=72)} 00000000 {start}534d42 {'00' * 64}")
                for start in ("fd",)
            ),
            *(
                netbios(part(command, f"{little(size, 2)} {'00' * (size - size % 2 - 3)}"))
                for command, size in enumerate(ASKED)
            ),
            # 2.2.5, 2.2.9, 2.2.13: a buffer inside of the request.
            *(named(1, 25, 12, at, count) for at, count in ((96, 1), (88, 9), (95, 2))),
            *(named(1, 25, 12, at, count) for at, count in ((0xFFFF, 1),)),
            *(named(3, 9, 4, at, count) for at, count in ((80, 1), (72, 9), (79, 2))),
            *(named(5, 57, 44, at, count) for at, count in ((128, 1), (120, 9), (127, 2))),
            # 2.2.21: data that a write counts, and no more than aligns it; 2.2.3: dialects.
            *(write(count, behind) for count, behind in ((1, 0), (8, 7), (1, 9), (8, 16))),
            *(write(1, 1, offset) for offset in (113, 0xFFFF, 100)),
            *(negotiated(count, behind) for count, behind in ((0, 0), (0, 8), (1, 0), (1, 1))),
            *(negotiated(count, behind) for count, behind in ((2, 3),)),
            # 2.2.41, 2.2.42.
            *(netbios(f"fd534d42 {'00' * size}") for size in (4, 47)),
            *(netbios(f"fc534d42 {'00' * size}") for size in (4, 11)),
            f"{netbios(ECHO)} {netbios('fd534d42' + '00' * 47)}",
            netbios(f"ff534d42 {'00' * 4}", 31),
        ),
        (
            smb_1(0x25, words("0000", "61")),
            smb_1(0x25, words("", "")),
            *(smb_1(command, words("0000", "61", 2)) for command in (0x2E, 0x2F)),
            *(smb_1(command, words("ff00 0000", "")) for command in CHAINED),
            *(smb_1(command, words("7600", "")) for command in CHAINED),
            *(smb_1(command, words("7600 0000", "")) for command in (0x23, 0x25, 0x30, 0x71, 0x76)),
            *(smb_1(command, words("7600 2700", "000000")) for command in CHAINED),
            *(dialects(data) for data in (LANMAN, f"{LANMAN} {LANMAN}", "02 616263 00")),
            dialects("", flags=128),
            smb_1(NEGOTIATE, words("0000", ""), 128),
            *(piece(NT_MORE, at=at, count=count, data=56) for at, count in ((15, 1), (0, 16))),
            *(piece(NT_MORE, at=at, count=count, data=56) for at, count in ((16, 0),)),
            *(piece(NT_MORE, flags, 15, data=71) for flags in (0, 128)),
            piece(NT_TRANSACT, 128, 15),
            piece(NT_TRANSACT, 0, 99),
            piece(NT_TRANSACT, 127, 99),
            piece(0x25, 128, 99),
            *(smb_1(NT_MORE, words("00" * 2 * many, "")) for many in (0, 16, 17)),
            *(smb_2(command, size) for command, size in enumerate(ASKED) if command not in (0,)),
            *(smb_2(command, size, 1) for command, size in enumerate(ANSWERED)),
            *(smb_2(command, 9, 1) for command in (*range(19),)),
            *(smb_2(18, size) for size in (24, 36)),
            *(smb_2(18, size, 1) for size in (24, 36, 44)),
            *(smb_2(13, 4, flags) for flags in (0, 1, 2, 3, 8)),
            smb_2(19, 4, 1),
            netbios(f"{part(13, '0400 0000', next_part=72)} 00000000 {ECHO}"),
            *(
                netbios(part(command, f"{little(size, 2)} {'00' * (size - size % 2 - 2)}"))
                for command, size in enumerate(ASKED)
                if command not in (0,)
            ),
            *(named(1, 25, 12, at, count) for at, count in ((95, 1), (88, 8), (0xFFFF, 0))),
            *(named(3, 9, 4, at, count) for at, count in ((79, 1), (72, 8), (0xFFFF, 0))),
            *(named(5, 57, 44, at, count) for at, count in ((127, 1), (120, 8), (0xFFFF, 0))),
            *(named(command, size, 44, 0xFFFF, 1) for command, size in ((9, 49), (8, 49))),
            *(named(command, size, 44, 0xFFFF, 1) for command, size in ((11, 57),)),
            *(write(count, behind) for count, behind in ((0, 0), (0, 99), (1, 1), (1, 8), (8, 8))),
            *(write(count, behind) for count, behind in ((8, 15),)),
            *(write(9, 0, channel=channel) for channel in (1, 2)),
            *(negotiated(count, behind) for count, behind in ((1, 2), (1, 9), (2, 4))),
            netbios(f"fd534d42 {'00' * 48}"),
            netbios(f"fc534d42 {'00' * 12}"),
            *(netbios(f"ff534d42 {'00' * 4}", kind=kind) for kind in (1, 0x81, 0x85)),
            *(netbios(f"{start} {'00' * 60}") for start in ("fe534d43", "fb534d42", "ff544d42")),
        ),
    ),
    "smb.ntlmssp_bad": (
        (
            # MS-NLMP 2.2.1.3: fields of any size lie inside of the message.
            *(
                setup(ntlm(*(NO_FIELD,) * before, field))
                for before in range(6)
                for field in ((1, 72), (73, 0), (8, 65))
            ),
            *(setup(f"{'4e' * before} {ntlm((1, 72))}") for before in (0, 1, 3, 63)),
            setup(f"4e544c4d 53535100 {ntlm((1, 72))}"),
            setup(ntlm((1, 0xFFFFFF))),
            smb_1(0x73, words("", ntlm((1, 72)))),
        ),
        (
            *(
                setup(ntlm(*(NO_FIELD,) * before, field))
                for before in range(6)
                for field in ((1, 71), (72, 0), (0, 0xFFFF))
            ),
            setup(ntlm(*(NO_FIELD,) * 6, (1, 72))),
            *(setup(ntlm((1, 72), kind=kind)) for kind in (1, 2, 4, 0x103)),
            *(setup(ntlm((1, 72), name=name)) for name in ("4e544c4e53535000", "4e544c4d53535001")),
            *(setup(ntlm((1, 72), name=name)) for name in ("4e544c4d53545000",)),
            setup(f"{'4e' * 65} {ntlm((1, 72))}"),
            netbios(part(3, f"0900 {'00' * 22} {ntlm((1, 72))}")),
            *(smb_1(command, words("", ntlm((1, 72)))) for command in (0x72, 0x74)),
            setup(ntlm((1, 72))).replace("fe534d42", "fe534d43"),
            smb_1(0x73, words("", ntlm((1, 72)))).replace("ff534d42", "ff534d43"),
        ),
    ),
}
