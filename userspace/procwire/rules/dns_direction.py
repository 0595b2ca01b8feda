"""Who asks and who answers in DNS (RFC 1035 4.1.1). A rule sees the message from its identifier on
and `outer`, the header of UDP or TCP with its ports.
"""

from procwire.protocol_words import CLASSES, name_end, name_fault
from procwire.rule import rule
from procwire.rules.dns import (
    ANSWER,
    HEADER,
    MULTICAST,
    MULTICAST_PORT,
    OPCODES,
    QUERY,
    QUESTION,
    RECORD,
)
from procwire.words import bits, u16

SERVER = 53
RESPONSE = 0x8000
TO_SERVER, FROM_SERVER = "c000 0035 0000 0000 |", "0035 c000 0000 0000 |"


@rule(
    id="dns.qr_wrong_direction",
    sid=9100809,
    title="DNS server asks a client, or is sent a response by one",
    reference="RFC 1035 4.1.1",
    layers=("dns",),
    needs=17,
    at=(0, 12),
    suricata=("app.dns.not_request", "app.dns.not_response"),
    fires_on=[
        f"{FROM_SERVER} {QUERY}",
        f"{TO_SERVER} {ANSWER} {RECORD}",
        f"{TO_SERVER} 1234 8182 0001 0000 0000 0000 {QUESTION}",
    ],
    silent_on=[
        f"{TO_SERVER} {QUERY}",
        f"{FROM_SERVER} {ANSWER} {RECORD}",
        f"0035 0035 0000 0000 | {QUERY}",
        f"0035 0035 0000 0000 | {ANSWER} {RECORD}",
        f"14e9 14e9 0000 0000 | {MULTICAST}",
        f"14e9 0035 0000 0000 | {ANSWER} {RECORD}",
        f"{TO_SERVER} 1234 8182 0001 0000 0000 0000 80 6578 0001 0001",
        f"{TO_SERVER} 1234 8182 0000 0000 0000 0000 {QUESTION}",
    ],
)
def dns_direction_wrong(p, outer):
    """A scan that takes a server's port to pass filters, or data that is pushed out in responses
    nobody asked for. Servers ask each other from port 53 as well."""
    flags = u16(p, 2)
    if bits(flags, 11, 4) not in OPCODES or bits(flags, 6, 1) == 1 or u16(p, 4) != 1:
        return False
    if u16(outer, 0) == MULTICAST_PORT or u16(outer, 2) == MULTICAST_PORT:
        return False
    if name_fault(p, HEADER) != 0 or u16(p, name_end(p, HEADER) + 2) not in CLASSES:
        return False
    if flags >= RESPONSE:
        return u16(outer, 2) == SERVER and u16(outer, 0) != SERVER
    return flags % 16 == 0 and u16(outer, 0) == SERVER and u16(outer, 2) != SERVER
