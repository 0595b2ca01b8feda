"""Modbus over TCP (Modbus messaging on TCP/IP implementation guide V1.0b). A rule sees one
message, as its stream carries it, and `outer`, the TCP header; in Suricata it sees the segment that
begins with one.

The decoder lets pass what has the protocol's number or its exact length; rules ask for more.
"""

from procwire.layers import (
    MODBUS_COUNTED_FROM,
    MODBUS_FEWEST,
    MODBUS_HEADER,
    MODBUS_LENGTHS,
    MODBUS_MOST,
)
from procwire.rule import rule
from procwire.words import captured, length, u8, u16

PORT = 502
EXCEPTION = 128
# Modbus V1.1b3 section 7, and 5 and 7 of older editions.
EXCEPTION_CODES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 11)
READS = (1, 2, 3, 4)
SINGLE_WRITES = (5, 6)
MULTIPLE_WRITES = (15, 16)
DATA_ACCESS = (*READS, *SINGLE_WRITES, *MULTIPLE_WRITES)
# Requests without data, and answers that begin with a count of their bytes.
BARE = (7, 11, 12, 17)
COUNTED_ANSWERS = (1, 2, 3, 4, 12, 17, 20, 23)
STATUS, DIAGNOSTICS, EVENT_COUNTER, READ_FILE, WRITE_FILE = 7, 8, 11, 20, 21
MASK_WRITE, READ_WRITE, FIFO, ENCAPSULATED = 22, 23, 24, 43
READ_IDENTIFICATION = 14
# Modbus V1.1b3 6.8, and the statistics of Modbus Plus, which older products have.
SUB_FUNCTIONS = (0, 1, 2, 3, 4, *range(10, 19), 20, 21)

REQUEST = "c000 01f6 | "
RESPONSE = "01f6 c000 | "
READ = "0001 0000 0006 11 03 006b 0003"
READ_ANSWER = "0001 0000 0009 11 03 06 022b 0000 0064"


@rule(
    id="modbus.bad_protocol_id",
    sid=9101151,
    title="Modbus header with a protocol identifier other than 0",
    reference="Modbus messaging on TCP/IP V1.0b 3.1.3",
    needs=8,
    at=(2, 2),
    suricata=("app.modbus.invalid_protocol_id",),
    fires_on=[
        "0001 0001 0006 11 03 006b 0003",
        "0001 0100 0009 11 03 06 022b 0000 0064",
        "0001 0001 ffff 11 03",
    ],
    silent_on=[
        READ,
        "1603 0101 0006 0100 00fc 0303",
        "0001 0001 0006 11 00 006b 0003",
        "0001 0001 ffff 11 03 00",
        "0001 0000 ffff 11 03",
        "0001 0001 0002 11 5a",
    ],
)
def modbus_protocol_unknown(p):
    """Its length fits to the byte and its function is a public one, so the message is Modbus. So is
    what follows one in its stream; where its length is impossible, only its header is seen."""
    function = u8(p, 7)
    counted = u16(p, 4)
    plausible = 0 < function < 44 and length(p) == MODBUS_COUNTED_FROM + counted
    if length(p) == MODBUS_HEADER and not MODBUS_FEWEST <= counted <= MODBUS_MOST:
        plausible = True
    return u16(p, 2) != 0 and plausible and length(p) <= MODBUS_COUNTED_FROM + MODBUS_MOST


@rule(
    id="modbus.bad_length",
    sid=9101152,
    title="Modbus message whose length fits neither the protocol nor its function",
    reference="Modbus application protocol V1.1b3 4.1, section 6; Modbus messaging V1.0b 3.1.3",
    needs=8,
    at=(4, 2),
    suricata=("app.modbus.invalid_length",),
    fires_on=[
        f"{REQUEST} 0001 0000 0001 11 03 006b 0003",
        f"{REQUEST} 0001 0000 00ff 11 03 006b 0003",
        f"{REQUEST} 0001 0000 ffff 11 03 006b 0003",
        f"{REQUEST} 0001 0000 0005 11 03 006b 0003",
        f"{RESPONSE} 0001 0000 0008 11 03 06 022b 0000 0064",
        f"{REQUEST} 0001 0000 0006 11 10 0001 0002 04 000a 0102",
        f"{REQUEST} 0001 0000 0006 11 10 0001 0002",
        f"{REQUEST} 0001 0000 0002 11 14",
        f"{RESPONSE} 0001 0000 0002 11 03",
        f"{REQUEST} 0001 0000 0007 11 06 0001 0003 00",
        f"{RESPONSE} 0001 0000 0004 11 83 02 00",
        f"{REQUEST} 0001 0000 0003 11 07 00",
        f"{RESPONSE} 0001 0000 0002 11 07",
        f"{RESPONSE} 0001 0000 0005 11 0b ffff 01",
        f"{REQUEST} 0001 0000 0004 11 08 0000",
        f"{RESPONSE} 0001 0000 0008 11 08 000a 0000 0000",
        f"{RESPONSE} 0001 0000 0005 11 11 03 01ff",
        f"{REQUEST} 0001 0000 000a 11 14 08 06 0004 0001 0002",
        f"{REQUEST} 0001 0000 000a 11 15 06 06 0004 0007 0001",
        f"{RESPONSE} 0001 0000 0007 11 16 0004 00f2 00",
        f"{REQUEST} 0001 0000 000e 11 17 0003 0006 000e 0001 04 00ff 00",
        f"{RESPONSE} 0001 0000 0006 11 17 04 00fe 00",
        f"{REQUEST} 0001 0000 0005 11 18 04de 00",
        f"{RESPONSE} 0001 0000 0007 11 18 0006 0001 01",
        f"{REQUEST} 0001 0000 0004 11 2b 0e 01",
        f"{RESPONSE} 0001 0000 0006 11 2b 0e 01 01 00",
        f"{REQUEST} 0a00 0b00 0000 0601",
        f"{REQUEST} 0a00 0b00 00ff 0601",
    ],
    silent_on=[
        f"{REQUEST} {READ}",
        f"{RESPONSE} {READ_ANSWER}",
        f"{REQUEST} 0a00 0b00 00fe 0601",
        f"{REQUEST} 0a00 0b00 0000 0601 03",
        f"{REQUEST} 0001 0000 000b 11 10 0001 0002 04 000a 0102",
        f"{RESPONSE} 0001 0000 0006 11 10 0001 0002",
        f"{RESPONSE} 0001 0000 0003 11 83 02",
        f"{REQUEST} 0001 0000 0002 11 07",
        f"{RESPONSE} 0001 0000 0003 11 07 6d",
        f"{REQUEST} 0001 0000 0008 11 08 0000 a537 a537",
        f"{RESPONSE} 0001 0000 0006 11 08 000a 0000",
        f"{RESPONSE} 0001 0000 0006 11 0b ffff 0108",
        f"{RESPONSE} 0001 0000 0005 11 11 02 01ff",
        f"{REQUEST} 0001 0000 000a 11 14 07 06 0004 0001 0002",
        f"{REQUEST} 0001 0000 000c 11 15 09 06 0004 0007 0001 06af",
        f"{REQUEST} 0001 0000 0008 11 16 0004 00f2 0025",
        f"{REQUEST} 0001 0000 000d 11 17 0003 0006 000e 0001 02 00ff",
        f"{RESPONSE} 0001 0000 0007 11 17 04 00fe 0acd",
        f"{REQUEST} 0001 0000 0004 11 18 04de",
        f"{RESPONSE} 0001 0000 0008 11 18 0004 0001 01b8",
        f"{REQUEST} 0001 0000 0005 11 2b 0e 01 00",
        f"{RESPONSE} 0001 0000 000d 11 2b 0e 01 01 00 00 01 00 03 616263",
        f"{REQUEST} 0001 0000 0005 11 2b 0d 01 00",
        f"{REQUEST} 0001 0000 00fe 11 5a 0002",
        f"{REQUEST} 4745 0000 6020 2f20 4854 5450",
        f"{REQUEST} 0000 0000 0000 0000 0000",
    ],
)
def modbus_length_wrong(p, outer):
    """It counts the unit and at most 253 bytes of function and data; most functions fix it. Of what
    follows a message in its stream only the header is seen where its length is impossible; it is
    Modbus whatever its number."""
    size = u16(p, 4)
    function = u8(p, 7)
    impossible = size < MODBUS_FEWEST or size > MODBUS_MOST
    if u16(p, 2) != 0:
        return length(p) == MODBUS_HEADER and impossible
    if impossible:
        return function in DATA_ACCESS or 0 < function < 44 and size < MODBUS_LENGTHS
    if function in SINGLE_WRITES:
        return size != 6
    if function >= EXCEPTION and u16(outer, 0) == PORT:
        return size != 3
    # The answer repeats the request, in one word unless it is only sent back (6.8).
    if function == DIAGNOSTICS:
        return size < 6 or 0 < u16(p, 8) <= 20 and size != 6
    if function == MASK_WRITE:
        return size != 8
    if function == WRITE_FILE:
        return size < 3 or captured(p) > 8 and size != 3 + u8(p, 8)
    identification = function == ENCAPSULATED and u8(p, 8) == READ_IDENTIFICATION
    if u16(outer, 2) == PORT:
        if function in READS:
            return size != 6
        if function in MULTIPLE_WRITES:
            return size < 8 or captured(p) > 12 and size != 7 + u8(p, 12)
        if function in BARE:
            return size != 2
        if function == READ_FILE:
            return size < 3 or captured(p) > 8 and size != 3 + u8(p, 8)
        if function == READ_WRITE:
            return size < 12 or captured(p) > 16 and size != 11 + u8(p, 16)
        return function == FIFO and size != 4 or identification and size != 5
    if function in COUNTED_ANSWERS:
        return size < 3 or captured(p) > 8 and size != 3 + u8(p, 8)
    if function in MULTIPLE_WRITES or function == EVENT_COUNTER:
        return size != 6
    if function == FIFO:
        return size < 6 or captured(p) > 9 and size != 4 + u16(p, 8)
    return function == STATUS and size != 3 or identification and size < 8


@rule(
    id="modbus.bad_function",
    sid=9101153,
    title="Modbus function, diagnosis or exception code that does not exist",
    reference="Modbus application protocol V1.1b3 4.1, 6.8, sections 5 and 7",
    needs=9,
    at=(7, 2),
    suricata=("app.modbus.invalid_function_code", "app.modbus.invalid_exception_code"),
    zeek=("modbus_diag_unknown_request_subfunction",),
    fires_on=[
        f"{REQUEST} 0001 0000 0006 11 00 006b 0003",
        f"{REQUEST} 0001 0000 0006 11 83 006b 0003",
        f"{RESPONSE} 0001 0000 0003 11 83 00",
        f"{RESPONSE} 0001 0000 0003 11 80 01",
        f"{RESPONSE} 0001 0000 0003 11 83 20",
        f"{REQUEST} 0001 0000 0006 11 08 0005 0000",
        f"{REQUEST} 0001 0000 0006 11 08 0063 0000",
    ],
    silent_on=[
        f"{REQUEST} {READ}",
        f"{RESPONSE} {READ_ANSWER}",
        f"{RESPONSE} 0001 0000 0003 11 83 02",
        f"{RESPONSE} 0001 0000 0003 11 83 0b",
        f"{REQUEST} 0001 0000 0004 00 5a 0002",
        f"{REQUEST} 0000 0000 0000 0000 0000",
        f"{REQUEST} 0001 0000 0006 11 00",
        f"{REQUEST} 0001 0000 0006 11 08 0012 0000",
        f"{REQUEST} 0001 0000 0003 11 08 00 6300",
    ],
)
def modbus_function_unknown(p, outer):
    """0 is not valid and 128 to 255 are for exceptions, which only a server raises. All others are
    public, reserved for old products or free for anyone's own use; of what is diagnosed most
    numbers are reserved for nobody."""
    size = u16(p, 4)
    if u16(p, 2) != 0 or size < MODBUS_FEWEST or MODBUS_COUNTED_FROM + size > length(p):
        return False
    function = u8(p, 7)
    if function == 0:
        return True
    if function == DIAGNOSTICS:
        return size >= 4 and u16(p, 8) not in SUB_FUNCTIONS
    if function < EXCEPTION:
        return False
    if u16(outer, 2) == PORT or function == EXCEPTION:
        return True
    return size == 3 and u8(p, 8) not in EXCEPTION_CODES
