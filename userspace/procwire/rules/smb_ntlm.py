"""NTLM authentication in SMB's session setup (MS-NLMP). A rule sees a message from its NetBIOS
header on; in Suricata it sees a segment that begins with one.
"""

from procwire.rule import rule
from procwire.rules.smb import (
    COMMAND_1,
    COMMAND_2,
    HEADER_1,
    HEADER_2,
    SESSION_SETUP,
    SMB_1,
    SMB_2,
    WRITE,
    message,
    part_2,
    smb_1,
)
from procwire.words import captured, find, u8, u16, u16_little, u32, u32_little

SESSION_SETUP_1 = 0x73
# "NTLMSSP" and a zero, behind the wrapping of GSS-API; then the type of the message.
NTLM_START, NTLM_SIGNATURE, SSP_SIGNATURE = 0x4E, 0x4E544C4D, 0x53535000
AUTHENTICATE = 3
NTLM_FIELDS, MOST_ATTEMPTS = 6, 64


def session_setup(blob: str) -> str:
    """An SMB 2 SESSION_SETUP request as an example."""
    size = len(bytes.fromhex(blob)).to_bytes(2, "little").hex()
    fields = f"1900 00 01 00000000 00000000 5800 {size} {'00' * 8}"
    return message(part_2(SESSION_SETUP, f"{fields} {blob}"))


def ntlm_fields(*fields: tuple[int, int]) -> str:
    """An AUTHENTICATE message of 72 bytes with the given first of its six fields."""
    both = b"".join(
        size.to_bytes(2, "little") * 2 + offset.to_bytes(4, "little") for size, offset in fields
    )
    return f"4e544c4d53535000 03000000 {both.ljust(48, bytes(1)).hex()} 00000000 {'61' * 8}"


@rule(
    id="smb.ntlmssp_bad",
    sid=9101502,
    title="NTLM authentication whose fields lie outside of their message",
    reference="MS-NLMP 2.2.1.3",
    layers=("smb",),
    severity=2,
    needs=HEADER_2,
    at=(0, 68),
    suricata=("app.smb.malformed_ntlmssp_request",),
    fires_on=[
        session_setup(ntlm_fields((0, 64), (8, 65))),
        session_setup(f"a15b3059 {ntlm_fields((8, 0x10000))}"),
        smb_1(0x73, f"00 4800 {ntlm_fields((9, 64))}"),
    ],
    silent_on=[
        session_setup(ntlm_fields((8, 64), (0, 65))),
        session_setup(f"4e4e4e4e {ntlm_fields((4, 64), (4, 68))}"),
        session_setup(ntlm_fields((9, 64)).replace("03000000", "01000000", 1)),
        session_setup(ntlm_fields((9, 64))).replace("5350", "5351", 1),
        message(part_2(WRITE, f"3100 7000 48000000 {'00' * 40} {ntlm_fields((9, 64))}")),
    ],
)
def ntlm_fields_outside(p):
    """User, domain and responses are found by offsets that a client sends before it is known."""
    setup = u32(p, 4) == SMB_2 and u16_little(p, 4 + COMMAND_2) == SESSION_SETUP
    if not setup and (u32(p, 4) != SMB_1 or u8(p, 4 + COMMAND_1) != SESSION_SETUP_1):
        return False
    end = 4 + u8(p, 1) * 65536 + u16(p, 2)
    at = HEADER_1
    for _attempt in range(MOST_ATTEMPTS):
        at = find(p, at, NTLM_START)
        if u32(p, at) == NTLM_SIGNATURE and u32(p, at + 4) == SSP_SIGNATURE:
            break
        at += 1
    if u32(p, at + 4) != SSP_SIGNATURE or u32_little(p, at + 8) != AUTHENTICATE:
        return False
    for i in range(NTLM_FIELDS):
        field = at + 12 + 8 * i
        size = u16_little(p, field)
        if size != 0 and field + 8 <= captured(p) and at + u32_little(p, field + 4) + size > end:
            return True
    return False
