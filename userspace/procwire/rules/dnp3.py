"""DNP3's link layer (IEEE 1815-2012 clause 9). A rule sees a frame from its start octets on,
as its stream carries it; of UDP and in Suricata the datagram or segment that begins with one."""

from procwire.protocol_words import crc_dnp
from procwire.rule import rule
from procwire.words import bits, captured, u8, u16

START = 0x0564
HEADER, WITH_CHECK = 8, 10
LEAST_LENGTH = 5
BLOCK = 16
MOST_BLOCKS = 16  # of the 250 bytes that a frame carries at most
MOST_FRAMES = 32
FROM_PRIMARY = (0, 1, 2, 3, 4, 9)
FROM_SECONDARY = (0, 1, 11, 15)

REQUEST = "0564 05c9 0100 0200 3b95"
USER_DATA = "0564 0ac4 0100 0200 8e2b c0c0 0114 0a ecc6"
TWO_BLOCKS = "0564 19c4 0100 0200 1fc0 c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 98c1 d0d1d2d3 412d"


@rule(
    id="dnp3.bad_crc",
    sid=9101201,
    title="DNP3 frame whose checksum is wrong",
    reference="IEEE 1815-2012 9.2.4.3",
    needs=10,
    at=(8, 2),
    suricata=("app.dnp3.bad_link_crc", "app.dnp3.bad_transport_crc"),
    fires_on=[
        REQUEST.replace("95", "94"),
        USER_DATA.replace("ecc6", "c6ec"),
        TWO_BLOCKS.replace("c0c1", "c0c0", 1),
        TWO_BLOCKS.replace("d2", "d3", 1),
        f"{REQUEST} {REQUEST.replace('3b', '3c')}",
    ],
    silent_on=[
        REQUEST,
        USER_DATA,
        TWO_BLOCKS,
        f"{USER_DATA} {TWO_BLOCKS}",
        f"{REQUEST} 1603 0100 0000 0000 0000",
        TWO_BLOCKS[:-2],
        "0565 05c9 0100 0200 0000",
    ],
)
def dnp3_checksum_wrong(p):
    """No noise of the line survives TCP: a frame was forged or changed on its way. One check
    follows the header and one each block of up to 16 bytes."""
    at = 0
    for _frame in range(MOST_FRAMES):
        if u16(p, at) != START or at + WITH_CHECK > captured(p):
            break
        check = u8(p, at + 9) * 256 + u8(p, at + 8)
        if crc_dnp(p, at, HEADER) != check:
            return True
        rest = u8(p, at + 2) - LEAST_LENGTH
        at += WITH_CHECK
        for _block in range(MOST_BLOCKS):
            if rest <= 0:
                break
            size = BLOCK
            if rest < BLOCK:
                size = rest
            if at + size + 2 > captured(p):
                break
            check = u8(p, at + size + 1) * 256 + u8(p, at + size)
            if crc_dnp(p, at, size) != check:
                return True
            at += size + 2
            rest -= size
        if rest > 0:
            break
    return False


@rule(
    id="dnp3.bad_header",
    sid=9101202,
    title="DNP3 frame with a length or link function that does not exist",
    reference="IEEE 1815-2012 9.2.4.1.2, 9.2.4.1.3",
    needs=10,
    at=(0, 8),
    suricata=("app.dnp3.len_too_small",),
    zeek=("dnp3_negative_or_zero_length_link_layer",),
    fires_on=["0564 04c9 0100 0200 0000", "0564 05c6 0100 0200 0000", "0564 0504 0200 0100 0000"],
    silent_on=[REQUEST, USER_DATA, "0564 058b 0200 0100 0000", "0565 0000 0000 0000 0000"],
)
def dnp3_header_wrong(p):
    """The length counts five bytes of this header; frames of a primary and of a secondary station
    have their own functions."""
    if u16(p, 0) != START:
        return False
    if u8(p, 2) < LEAST_LENGTH:
        return True
    function = bits(u8(p, 3), 0, 4)
    if bits(u8(p, 3), 6, 1) == 1:
        return function not in FROM_PRIMARY
    return function not in FROM_SECONDARY
