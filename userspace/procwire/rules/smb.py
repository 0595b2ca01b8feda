"""SMB behind NetBIOS session headers (MS-CIFS, MS-SMB2). A rule sees one message, from
the header on; in Suricata it sees a segment that begins with one, and judges those behind it, too.
"""

from procwire.rule import rule
from procwire.words import captured, find, u8, u16, u16_little, u32, u32_little

SESSION_MESSAGE = 0
SMB_1, SMB_2, SEALED, COMPRESSED = 0xFF534D42, 0xFE534D42, 0xFD534D42, 0xFC534D42
SEALED_HEADER, COMPRESSED_HEADER = 52, 16
MOST_MESSAGES, MOST_PARTS, MOST_DIALECTS = 16, 8, 32

# Behind the header of SMB 1: a count of words, the words, a count of bytes, the bytes.
HEADER_1, COMMAND_1, FLAGS_1 = 32, 4, 9
REPLY = 128  # the highest of the flags
NEGOTIATE_1, DIALECT = 0x72, 2
# Locking, Open, Read, Write, Session Setup, Logoff, Tree Connect, NT Create (MS-CIFS 2.2.3.4).
CHAINED = (0x24, 0x2D, 0x2E, 0x2F, 0x73, 0x74, 0x75, 0xA2)
NO_MORE = 0xFF
# Transactions, of which each piece says where in the whole it belongs (MS-CIFS 2.2.4.62, 2.2.4.63).
NT_TRANSACT, NT_TRANSACT_MORE, NT_WORDS = 0xA0, 0xA1, 18
# Reads and writes may carry more than 16 bits count (MS-SMB 2.2.4.2, 2.2.4.3).
UNCOUNTED = (0x2E, 0x2F)

HEADER_2, COMMAND_2, FLAGS_2, NEXT_2 = 64, 12, 16, 20
ALIGNED = 8
NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE, WRITE = 0, 1, 3, 5, 9
CHANNEL = 32  # how a write's data comes
RESPONSE = 65536
ERROR = 9


def _bodies(direction: int, sizes: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
    pairs = [(command, size) for command, known in sizes.items() for size in known]
    return tuple(command * 2 * RESPONSE + direction + size for command, size in pairs)


# StructureSize by command, from NEGOTIATE (0) to OPLOCK_BREAK (18), with LEASE_BREAK, and
# SERVER_TO_CLIENT_NOTIFICATION (19): MS-SMB2 2.2.3 to 2.2.44.
REQUESTS = (36, 25, 4, 9, 4, 57, 24, 24, 49, 49, 48, 57, 4, 4, 33, 32, 41, 33)
RESPONSES = (65, 9, 4, 16, 4, 89, 60, 4, 17, 17, 4, 49, 4, 4, 9, 9, 9, 2)
BODIES = (
    *_bodies(0, {command: (size,) for command, size in enumerate(REQUESTS)} | {18: (24, 36)}),
    *_bodies(
        RESPONSE,
        {command: (size, ERROR) for command, size in enumerate(RESPONSES)}
        | {18: (24, 36, 44, ERROR), 19: (4,)},
    ),
)


def message(text: str) -> str:
    """A message as an example, the NetBIOS session header put before it."""
    return f"{len(bytes.fromhex(text)):08x} {text}"


def smb_1(command: int, body: str, flags: int = 0x18) -> str:
    """An SMB 1 message as an example."""
    return message(f"ff534d42 {command:02x} 00000000 {flags:02x} 01c8 {'00' * 20} {body}")


def part_2(command: int, body: str, flags: int = 0, following: int = 0) -> str:
    """An SMB 2 header and its body."""
    fields = [command.to_bytes(2, "little"), bytes(2), bytes([flags, 0, 0, 0])]
    text = b"".join([*fields, following.to_bytes(4, "little")]).hex()
    return f"fe534d42 4000 0000 00000000 {text} {'00' * 40} {body}"


# The last byte of 37.
NT_PIECE = f"12 000000 00000000 25000000 {'00' * 12} 01000000 47000000 24000000 00"
NEGOTIATE_REQUEST = smb_1(NEGOTIATE_1, "00 0c00 02 4e54204c4d20302e313200")
CLOSE_REQUEST = f"1800 0000 00000000 {'ff' * 16}"
ECHO_REQUEST = part_2(13, "0400 0000")
CREATE_REQUEST = f"3900 {'00' * 42} 7800 0800 {'00' * 8} 6100620063006400"
WRITE_REQUEST = f"3100 7000 04000000 {'00' * 40} 61626364"
DIALECTS = f"2400 0200 {'00' * 32} 0202 1002"


@rule(
    id="smb.malformed",
    sid=9101501,
    title="SMB message whose sizes, counts or offsets contradict each other",
    reference="MS-CIFS 2.2.3; MS-SMB2 2.2.1 to 2.2.44; RFC 1002 4.3.1",
    severity=2,
    needs=8,
    at=(0, 68),
    suricata=(
        "app.smb.malformed_data",
        "app.smb.negotiate_malformed_dialects",
        "app.smb.internal_error",
    ),
    zeek=("smb_andx_depth_exceeded", "smb_andx_offset_not_advancing", "SMB_parsing_error"),
    fires_on=[
        "00000020 ff534d42",
        message(f"ff534d42 72 00000000 18 01c8 {'00' * 20} 00"),
        smb_1(0x75, "04 ff00 0000 0000 0100"),
        smb_1(0x25, "02 0000 0000 0900 61"),
        smb_1(NEGOTIATE_1, "00 0000"),
        smb_1(NEGOTIATE_1, "00 0c00 01 4e54204c4d20302e313200"),
        smb_1(NEGOTIATE_1, "00 0b00 02 4e54204c4d20302e3132 00"),
        smb_1(NEGOTIATE_1, "00 0b00 02 4e54204c4d20302e3132"),
        smb_1(NEGOTIATE_1, "01 0000 0c00 02 4e54204c4d20302e313200"),
        smb_1(0x74, "02 74 00 2700 0000 02 ff 00 0000 0000"),
        smb_1(0x73, "02 75 00 2000 0000"),
        smb_1(0x73, "02 75 00 9000 0000"),
        smb_1(0xA1, f"{NT_PIECE.replace('2400', '2500')} 0100 61"),
        smb_1(0xA0, f"{NT_PIECE.replace('4700', '4800')} 0100 61", flags=0x98),
        f"{message(ECHO_REQUEST)} 00000020 ff534d42",
        message(f"fe534d42 4000 {'00' * 40}"),
        message(part_2(13, "0400 0000").replace("4000", "4100", 1)),
        message(part_2(13, "0600 0000")),
        message(part_2(0x33, "0400 0000")),
        message(part_2(6, CLOSE_REQUEST, following=12)),
        message(part_2(6, CLOSE_REQUEST, following=88) + "00"),
        message(part_2(6, CLOSE_REQUEST, following=88) + ECHO_REQUEST.replace("fe", "fd", 1)),
        message(part_2(CREATE, CREATE_REQUEST.replace("7800 0800", "7800 0a00"))),
        message(part_2(WRITE, WRITE_REQUEST.replace("04000000", "05000000"))),
        message(part_2(WRITE, WRITE_REQUEST + "00" * 64)),
        message(part_2(NEGOTIATE, DIALECTS.replace("0200", "0000", 1))),
        message(part_2(NEGOTIATE, DIALECTS.replace("0200", "0300", 1))),
        message(part_2(TREE_CONNECT, "0900 0000 4800 0a00 6100")),
        message(part_2(8, "3100 0000")),
        message("fd534d42" + "11" * 40),
        message("fc534d42" + "11" * 4),
    ],
    silent_on=[
        NEGOTIATE_REQUEST,
        smb_1(0xA0, "00 0000", flags=0x98),
        smb_1(0x73, "02 75 00 2700 0000 04 ff 00 0000 0000 0000 0000"),
        smb_1(0x2E, "02 ff 00 0000 0900 61", flags=0x98),
        smb_1(0xA1, f"{NT_PIECE} 0100 61"),
        "0000ffff ff534d42",
        message(ECHO_REQUEST),
        f"{message(ECHO_REQUEST)} {NEGOTIATE_REQUEST}",
        message(part_2(6, CLOSE_REQUEST, following=88) + ECHO_REQUEST),
        message(part_2(CREATE, CREATE_REQUEST)),
        message(part_2(CREATE, "0900 0000 00000000 00", flags=1)),
        message(part_2(WRITE, WRITE_REQUEST)),
        message(part_2(WRITE, WRITE_REQUEST + "00" * 4)),
        message(part_2(NEGOTIATE, DIALECTS)),
        message(part_2(TREE_CONNECT, "0900 0000 4800 0200 6100")),
        "00000400 " + part_2(WRITE, WRITE_REQUEST.replace("04000000", "90030000")),
        message("fd534d42" + "11" * 80),
        message("41" * 64),
    ],
)
def smb_structure_wrong(p):
    """Servers trust these numbers before they know the client: offsets that point back or beyond
    are how they are attacked, data that no count covers is how it is hidden."""
    at = 0
    for _message in range(MOST_MESSAGES):
        protocol = u32(p, at + 4)
        if at + 8 > captured(p) or u8(p, at) != SESSION_MESSAGE:
            return False
        size = u8(p, at + 1) * 65536 + u16(p, at + 2)
        start = at + 4
        end = start + size
        at = end
        if protocol == SMB_1:
            if size < HEADER_1 + 3:
                return True
            part = start + HEADER_1
            command = u8(p, start + COMMAND_1)
            for i in range(MOST_PARTS):
                data = part + 3 + 2 * u8(p, part)
                count = u16_little(p, data - 2)
                if part >= captured(p):
                    break
                if data > end:
                    return True
                if data > captured(p):
                    break
                if data + count > end and command not in UNCOUNTED:
                    return True
                if command == NEGOTIATE_1 and u8(p, start + FLAGS_1) < REPLY:
                    if count < 2 or u8(p, part) != 0:
                        return True
                    dialect = data
                    for _dialect in range(MOST_DIALECTS):
                        dialect_end = find(p, dialect, 0)
                        cut = dialect_end == captured(p) and dialect_end < data + count
                        if dialect >= data + count or cut:
                            break
                        if u8(p, dialect) != DIALECT or dialect_end >= data + count:
                            return True
                        if dialect_end == dialect + 1:
                            return True
                        dialect = dialect_end + 1
                replies = command == NT_TRANSACT and u8(p, start + FLAGS_1) >= REPLY
                if (replies or command == NT_TRANSACT_MORE) and u8(p, part) >= NT_WORDS:
                    total = u32_little(p, part + 8)
                    count = u32_little(p, part + 24)
                    place = u32_little(p, part + 32)
                    if place + count > total or u32_little(p, part + 28) + count > size:
                        return True
                following = u8(p, part + 1)
                if command not in CHAINED or data < part + 7 or following == NO_MORE:
                    break
                part = start + u16_little(p, part + 3)
                if following == command or part < data or part >= end or i == MOST_PARTS - 1:
                    return True
                command = following
        elif protocol == SMB_2:
            part = start
            for _part in range(MOST_PARTS):
                body = part + HEADER_2
                if body + 2 > end:
                    return True
                if body + 2 > captured(p):
                    break
                if u32(p, part) != SMB_2 or u16_little(p, part + 4) != HEADER_2:
                    return True
                command = u16_little(p, part + COMMAND_2)
                direction = u8(p, part + FLAGS_2) % 2 * RESPONSE
                fixed = u16_little(p, body)
                if command * 2 * RESPONSE + direction + fixed not in BODIES:
                    return True
                following = u32_little(p, part + NEXT_2)
                part_end = end
                if following != 0:
                    part_end = part + following
                    if following % ALIGNED != 0 or part_end + HEADER_2 > end:
                        return True
                # An odd size stands for a variable part, which may be empty.
                if body + fixed - fixed % 2 > part_end:
                    return True
                if direction == 0 and body + fixed - fixed % 2 <= captured(p):
                    field = 0
                    if command == SESSION_SETUP:
                        field = 12
                    if command == TREE_CONNECT:
                        field = 4
                    if command == CREATE:
                        field = 44
                    count = u16_little(p, body + field + 2)
                    name_end = part + u16_little(p, body + field) + count
                    if field != 0 and count != 0 and name_end > part_end:
                        return True
                    count = u32_little(p, body + 4)
                    data = part + u16_little(p, body + 2) + count
                    sent = command == WRITE and count != 0 and u32_little(p, body + CHANNEL) == 0
                    if sent and not data <= part_end < data + ALIGNED:
                        return True
                    count = u16_little(p, body + 2)
                    if command == NEGOTIATE and not 0 < count * 2 <= part_end - body - 36:
                        return True
                if following == 0:
                    break
                part = part_end
        elif protocol == SEALED:
            if size < SEALED_HEADER:
                return True
        elif protocol == COMPRESSED:
            if size < COMPRESSED_HEADER:
                return True
        else:
            return False
    return False
