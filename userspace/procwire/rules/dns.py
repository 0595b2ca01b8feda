"""DNS messages (RFC 1035) and multicast DNS (RFC 6762): header and counts. A rule sees the message
from its identifier on, without the length that precedes it over TCP; `outer` is the header of UDP
or TCP.

Other protocols use port 53, too: before a rule judges, the header must be one that DNS could have.
"""

from procwire.protocol_words import (
    CLASSES,
    dns_entries,
    dns_entry_end,
    name_end,
    name_fault,
    one_question,
)
from procwire.rule import rule
from procwire.words import bits, captured, length, u8, u16

HEADER = 12
MOST_ENTRIES = 1020
# IANA, DNS OpCodes: QUERY, STATUS, NOTIFY, UPDATE, stateful operations. 1 is obsolete (RFC 3425).
OPCODES = (0, 2, 4, 5, 6)
MULTICAST_PORT = 5353

EXAMPLE_COM = "07 6578616d706c65 03 636f6d 00"
QUESTION = f"{EXAMPLE_COM} 0001 0001"
QUERY = f"1234 0100 0001 0000 0000 0000 {QUESTION}"
ANSWER = f"1234 8180 0001 0001 0000 0000 {QUESTION}"
RECORD = "c00c 0001 0001 00000e10 0004 c0000201"
EDNS_QUERY = f"1234 0120 0001 0000 0000 0001 {QUESTION} 00 0029 04d0 00008000 0000"
MULTICAST = (
    "0000 0000 0002 0000 0000 0000 05 5f68747470 04 5f746370 05 6c6f63616c 00 000c 0001"
    " c00c 0010 8001"
)


@rule(
    id="dns.malformed",
    sid=9100801,
    title="DNS message that ends before what its header announces",
    reference="RFC 1035 section 4",
    needs=6,
    at=(0, 12),
    suricata=(
        "app.dns.malformed_data",
        "app.dns.invalid_additionals",
        "app.dns.invalid_authorities",
    ),
    zeek=(
        "DNS_truncated_len_lt_hdr_len",
        "DNS_truncated_quest_too_short",
        "DNS_truncated_ans_too_short",
        "DNS_truncated_RR_rdlength_lt_len",
    ),
    fires_on=[
        "1234 0100 0001 0000",
        QUERY[:-5],
        ANSWER,
        f"{ANSWER} {RECORD[:-2]}",
        f"{ANSWER} c00c 0001 0001 00000e10 0005 c0000201",
        "1234 0100 0001 0000 0000 0000 80 6578 0001 0001",
    ],
    silent_on=[
        QUERY,
        f"{ANSWER} {RECORD}",
        EDNS_QUERY,
        MULTICAST,
        "1234 8181 0000 0000 0000 0000",
        "1234 1000 0000 0000 0000 0000",
        ANSWER.replace("8180", "8380"),
        "0001 0000 2112 a442 63c7 117e 0714 278f 5ded 3221",
        "6431 3a61 6432 3a69 6432 303a 6162 6364",
        "00" * 40,
        "1234 0100",
    ],
)
def dns_message_cut(p):
    """A parser that trusts the counts reads on behind the end. Only a message marked as truncated
    may lack some of its records."""
    flags = u16(p, 2)
    if bits(flags, 11, 4) not in OPCODES or bits(flags, 6, 1) == 1 or bits(flags, 9, 1) == 1:
        return False
    if length(p) < HEADER:
        return flags % 16 == 0 and u16(p, 4) == 1
    if captured(p) < length(p):
        return False
    entries = dns_entries(p)
    offset = HEADER
    for index in range(MOST_ENTRIES):
        if index >= entries:
            break
        offset = dns_entry_end(p, offset, index)
        if offset == 0:
            return True
    return False


@rule(
    id="dns.bad_opcode",
    sid=9100804,
    title="DNS operation code that is not assigned",
    reference="RFC 1035 4.1.1; RFC 6895 2.2; RFC 3425",
    needs=17,
    at=(2, 1),
    suricata=("app.dns.invalid_opcode",),
    zeek=("DNS_unknown_opcode",),
    fires_on=[
        QUERY.replace("0100", "7900", 1),
        QUERY.replace("0100", "0900", 1),
        f"1234 7900 0001 0000 0000 0000 {EXAMPLE_COM} 0001 0005",
    ],
    silent_on=[
        QUERY,
        QUERY.replace("0100", "2100", 1),
        QUERY.replace("0100", "2800", 1),
        "1234 7900 0001 0000 0000 0000 c00c 0001 0001",
        "1234 7900 4242 0000 0000 0000 00 0001 0001",
        f"1234 7900 0001 0000 0000 0000 {EXAMPLE_COM} 0001 0005 00",
    ],
)
def dns_opcode_unassigned(p):
    """Everything else is a question in order, so the operation is the fault: of a known class, or
    all that the message holds."""
    return bits(u8(p, 2), 3, 4) not in OPCODES and one_question(p)


@rule(
    id="dns.z_flag",
    sid=9100805,
    title="DNS message with the reserved header bit set",
    reference="RFC 1035 4.1.1 (Z); RFC 6895 2.1",
    needs=17,
    at=(3, 1),
    suricata=("app.dns.z_flag_set",),
    fires_on=[
        QUERY.replace("0100", "0140", 1),
        f"{ANSWER.replace('8180', '81c0', 1)} {RECORD}",
        f"1234 0140 0001 0000 0000 0000 {EXAMPLE_COM} 0001 0005",
    ],
    silent_on=[
        QUERY,
        QUERY.replace("0100", "0130", 1),
        "1234 0140 0001 0000 0000 0000 c00c 0001 0001",
        "1234 0140 4242 0000 0000 0000 00 0001 0001",
        f"1234 0140 0001 0000 0000 0000 {EXAMPLE_COM} 0001 0005 00",
    ],
)
def dns_reserved_bit(p):
    """Z must be zero in all queries and responses; a covert channel, or a peer that is no DNS."""
    flags = u16(p, 2)
    return bits(flags, 6, 1) == 1 and bits(flags, 11, 4) in OPCODES and one_question(p)


@rule(
    id="dns.counts",
    sid=9100806,
    title="DNS message with several questions, or more records than it has room for",
    reference="RFC 9619 section 4; RFC 1035 4.1.1",
    needs=17,
    at=(4, 8),
    zeek=("DNS_Conn_count_too_large",),
    fires_on=[
        f"1234 0100 0002 0000 0000 0000 {QUESTION} {QUESTION}",
        f"1234 0100 ffff 0000 0000 0000 {QUESTION}",
        f"1234 8180 0001 ffff 0000 0000 {QUESTION} {RECORD}",
    ],
    silent_on=[
        QUERY,
        f"{ANSWER} {RECORD}",
        EDNS_QUERY,
        f"14e9 14e9 0000 0000 | {MULTICAST}",
        f"1234 8380 0001 00ff 0000 0000 {QUESTION}",
        "1234 0100 ffff 0000 0000 0000 c00c 0001 0001",
    ],
)
def dns_counts_impossible(p, outer):
    """A query has exactly one question, outside of multicast; a record has 11 bytes at least, and
    only what is marked as truncated may lack some."""
    flags = u16(p, 2)
    if bits(flags, 11, 4) != 0 or u16(p, 4) == 0 or bits(flags, 6, 1) == 1:
        return False
    if flags < 0x8000 and flags % 16 != 0:
        return False
    if name_fault(p, HEADER) != 0 or u16(p, name_end(p, HEADER) + 2) not in CLASSES:
        return False
    if u16(p, 4) > 1:
        return u16(outer, 0) != MULTICAST_PORT and u16(outer, 2) != MULTICAST_PORT
    records = u16(p, 6) + u16(p, 8) + u16(p, 10)
    return bits(flags, 9, 1) == 0 and name_end(p, HEADER) + 4 + 11 * records > length(p)
