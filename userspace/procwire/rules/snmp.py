"""SNMP (RFC 1157, RFC 3416, RFC 3412) in BER. A rule sees the datagram's payload."""

from procwire.protocol_words import ber_end, ber_value
from procwire.rule import rule
from procwire.words import bits, captured, length, u8, u16

INTEGER, OCTETS, OBJECT, SEQUENCE, ADDRESS, TICKS = 2, 4, 6, 0x30, 0x40, 0x43
VERSION_1, VERSION_2C, VERSION_3 = 0, 1, 3
FIRST_PDU, TRAP_1, LAST_PDU = 0xA0, 0xA4, 0xA8
INTEGER_OF_ONE_BYTE = 0x0201
PRIVACY_ALONE = 2
MODELS = (3, 4)  # by user (RFC 3414), by transport (RFC 5591)
MOST_BINDINGS = 128

GET = (
    "3029 0201 00 0406 7075626c6963 a01c 0204 12345678 0201 00 0201 00"
    " 300e 300c 0608 2b06010201010300 0500"
)
BULK = GET.replace("0201 00", "0201 01", 1).replace("a01c", "a51c")
TRAP = (
    "3035 0201 00 0406 7075626c6963 a428 0608 2b06010401bf0803 4004 c0000201 0201 06 0201 11"
    " 4301 55 300d 300b 0606 2b0601020101 0201 07"
)
VERSION_3_REPORT = (
    "303e 0201 03 3011 0204 12345678 0203 00ffe3 0401 04 0201 03 0410 300e 0400 0201 00 0201 00"
    " 0400 0400 0400 3014 0400 0400 a00e 0204 12345678 0201 00 0201 00 3000"
)


@rule(
    id="snmp.malformed",
    sid=9101101,
    title="SNMP message whose elements do not fit together, or of an unknown version or model",
    reference="RFC 1157 section 4; RFC 3416 section 3; RFC 3412 section 6; RFC 3417 section 8",
    needs=5,
    at=(0, 32),
    suricata=(
        "app.snmp.malformed_data",
        "app.snmp.version_mismatch",
        "app.snmp.unknown_security_model",
    ),
    fires_on=[
        GET.replace("3029", "302a", 1),
        GET.replace("3029", "3080", 1),
        GET.replace("3029", "3084 7fffffff", 1),
        GET.replace("0201 00", "0201 07", 1),
        GET.replace("0406", "0446", 1),
        GET.replace("0406", "0206", 1),
        GET.replace("a01c", "b01c", 1),
        GET.replace("a01c", "a01b", 1),
        GET.replace("300e 300c", "300e 300d", 1),
        GET.replace("0608", "0408", 1),
        GET.replace("0608", "0609", 1),
        TRAP.replace("4004", "0404", 1),
        VERSION_3_REPORT.replace("0401 04", "0402 04", 1),
        VERSION_3_REPORT.replace("0401 04", "0401 06", 1),
        VERSION_3_REPORT.replace("0401 04 0201 03", "0401 04 0201 63", 1),
        "3003 0201 00",
    ],
    silent_on=[
        GET,
        BULK,
        TRAP,
        VERSION_3_REPORT,
        GET.replace("3029", "3082 0029", 1),
        VERSION_3_REPORT.replace("3014 0400 0400 a00e", "0414 0400 0400 a00e", 1),
        "6431 3a61 6432 3a69 6432",
        "3010 0410 0000 0000",
    ],
)
def snmp_message_malformed(p):
    """Agents have crashed on elements longer than what encloses them. The sequence that begins with
    a version number tells that it is SNMP."""
    if u8(p, 0) != SEQUENCE:
        return False
    at = ber_value(p, 0)
    if at == 0:
        at = 2
    if u16(p, at) != INTEGER_OF_ONE_BYTE:
        return False
    version = u8(p, at + 2)
    if version != VERSION_1 and version != VERSION_2C and version != VERSION_3:
        return True
    end = ber_end(p, 0)
    if end == 0:
        return True
    if captured(p) < length(p):
        return False
    at += 3
    if version == VERSION_3:
        header = ber_value(p, at)
        after_header = ber_end(p, at)
        if u8(p, at) != SEQUENCE or after_header == 0:
            return True
        flags = ber_end(p, ber_end(p, header))
        if u8(p, header) != INTEGER or u8(p, ber_end(p, header)) != INTEGER:
            return True
        if u8(p, flags) != OCTETS or ber_end(p, flags) != ber_value(p, flags) + 1:
            return True
        model = ber_end(p, flags)
        if u8(p, model) != INTEGER or ber_end(p, model) != after_header:
            return True
        # Privacy needs authentication; of the models below 256 two are for this version.
        known = u16(p, model) != INTEGER_OF_ONE_BYTE or u8(p, model + 2) in MODELS
        if bits(u8(p, flags + 2), 0, 2) == PRIVACY_ALONE or not known:
            return True
        message = ber_end(p, after_header)
        if u8(p, after_header) != OCTETS or message == 0 or ber_end(p, message) != end:
            return True
        return u8(p, message) != OCTETS and u8(p, message) != SEQUENCE
    at_pdu = ber_end(p, at)
    if u8(p, at) != OCTETS or at_pdu == 0 or ber_end(p, at_pdu) != end:
        return True
    kind = u8(p, at_pdu)
    if kind < FIRST_PDU or kind > LAST_PDU:
        return True
    at = ber_value(p, at_pdu)
    if kind == TRAP_1:
        # Enterprise and agent address come before two integers, a time behind them.
        if u8(p, at) != OBJECT or u8(p, ber_end(p, at)) != ADDRESS:
            return True
        at = ber_end(p, ber_end(p, at))
    for field in range(3):
        wanted = INTEGER
        if kind == TRAP_1 and field == 2:
            wanted = TICKS
        if at == 0 or u8(p, at) != wanted:
            return True
        at = ber_end(p, at)
    if at == 0 or u8(p, at) != SEQUENCE or ber_end(p, at) != end:
        return True
    at = ber_value(p, at)
    for _binding in range(MOST_BINDINGS):
        if at == end:
            break
        after = ber_end(p, at)
        name = ber_value(p, at)
        if u8(p, at) != SEQUENCE or after == 0 or after > end:
            return True
        value = ber_end(p, name)
        if u8(p, name) != OBJECT or value == 0 or ber_end(p, value) != after:
            return True
        at = after
    return False
