"""Names of DNS messages (RFC 1035 3.1, 4.1.4). A rule sees the message from its identifier on."""

from procwire.protocol_words import dns_entries, dns_entry_end, dns_entry_walk
from procwire.rule import rule
from procwire.rules.dns import (
    ANSWER,
    EDNS_QUERY,
    EXAMPLE_COM,
    HEADER,
    MOST_ENTRIES,
    MULTICAST,
    OPCODES,
    QUERY,
    RECORD,
)
from procwire.words import bits, captured, length, u8

RAN_OUT, NAME_TOO_LONG, BAD_POINTER, WITHOUT_END = 1, 3, 4, 5  # see name_fault()
# Labels and pointers that the names of a message may take to read, so that cost grows with bytes.
# The longest names in use, those of IPv6 addresses (RFC 3596 2.5), have 34 labels, and a record
# that points to one has 12 bytes at least: 3 for each byte.
FREE_STEPS, STEPS_PER_BYTE = 256, 4

# Each of 80 names is a pointer to the one before; 30 records share the name of an IPv6 address.
CHAIN_OF_POINTERS = "1234 0100 0050 0000 0000 0000 01 61 00 0001 0001 c00c 0001 0001" + "".join(
    f"{0xC013 + 6 * place:04x} 0001 0001" for place in range(78)
)
SHARED_LONG_NAME = (
    f"1234 8180 0001 001e 0000 0000 {'01 61' * 32} 03 697036 04 61727061 00 000c 0001"
    + "c00c 000c 0001 00000e10 0003 01 61 00" * 30
)
LABEL_63 = "3f" + "61" * 63


@rule(
    id="dns.name_too_long",
    sid=9100802,
    title="DNS name over 255 bytes, or label over 63 bytes or longer than the message",
    reference="RFC 1035 2.3.4, 3.1",
    layers=("dns",),
    needs=13,
    at=(12, 16),
    suricata=("app.dns.name_too_long", "app.dns.too_many_labels"),
    zeek=(
        "DNS_NAME_too_long",
        "DNS_label_too_long",
        "DNS_label_len_gt_name_len",
        "DNS_label_len_gt_pkt",
    ),
    fires_on=[
        f"1234 0100 0001 0000 0000 0000 {LABEL_63 * 3} 3e {'61' * 62} 00 0001 0001",
        f"1234 0100 0001 0000 0000 0000 40 {'61' * 64} 00 0001 0001",
        "1234 0100 0001 0000 0000 0000 07 6578",
        f"{ANSWER} c00c 0005 0001 00000e10 0042 40 {'61' * 64} 00",
        f"{ANSWER} c00c 000f 0001 00000e10 0044 000a 40 {'61' * 64} 00",
        "1234 0100 0001 0000 0000 0000 01 61 01 62 c00e 0001 0001",
    ],
    silent_on=[
        QUERY,
        f"1234 0100 0001 0000 0000 0000 {LABEL_63 * 3} 3d {'61' * 61} 00 0001 0001",
        MULTICAST,
        EDNS_QUERY,
        f"1234 2800 0001 0000 0001 0000 {EXAMPLE_COM} 0006 0001 c00c 000c 00ff 00000000 0000",
        "1234 0100 0001 0000 0000 0000 c00c 0001 0001",
        "1234 0100 0001 0000 0000 0000 01 61 c010 0001 0001",
        f"1234 4100 9999 0000 0000 0000 40 {'61' * 64} 00 0001 0001",
    ],
)
def dns_name_over_limit(p):
    """Names that break the limits overflow fixed buffers, as do those that a pointer leads back
    into; a label's two upper bits are its type, so 64 to 191 is no length at all."""
    if bits(u8(p, 2), 3, 4) not in OPCODES or captured(p) < length(p):
        return False
    entries = dns_entries(p)
    steps = 0
    offset = HEADER
    for index in range(MOST_ENTRIES):
        if index >= entries or offset == 0 or offset >= length(p):
            break
        walk = dns_entry_walk(p, offset, index)
        steps += bits(walk, 3, 10)
        if RAN_OUT <= bits(walk, 0, 3) <= NAME_TOO_LONG or bits(walk, 0, 3) == WITHOUT_END:
            return True
        if steps > FREE_STEPS + STEPS_PER_BYTE * captured(p):
            break
        offset = dns_entry_end(p, offset, index)
    return False


@rule(
    id="dns.compression_abuse",
    sid=9100803,
    title="DNS name pointers that lead to no earlier name, or from one to the next without end",
    reference="RFC 1035 4.1.4; RFC 9267 section 2",
    layers=("dns",),
    needs=14,
    at=(12, 16),
    severity=2,
    suricata=("app.dns.infinite_loop",),
    zeek=("DNS_label_forward_compress_offset", "DNS_max_compression_chain_depth_exceeded"),
    fires_on=[
        "1234 0100 0001 0000 0000 0000 c00c 0001 0001",
        "1234 0100 0001 0000 0000 0000 01 61 c00c 0001 0001",
        "1234 0100 0001 0000 0000 0000 c020 0001 0001",
        "1234 0100 0001 0000 0000 0000 c002 0001 0001",
        f"{ANSWER} c00c 0005 0001 00000e10 0002 c0ff",
        f"{ANSWER} c00c 0006 0001 00000e10 0018 c00c c0ff {'00000001' * 5}",
        f"{ANSWER} c00c 0021 0001 00000e10 0008 0000 0000 0050 c0ff",
        CHAIN_OF_POINTERS,
    ],
    silent_on=[
        QUERY,
        f"{ANSWER} {RECORD}",
        f"{ANSWER} c00c 0005 0001 00000e10 0006 03 777777 c00c",
        MULTICAST,
        SHARED_LONG_NAME,
        f"1234 4100 9999 0000 0000 0000 {'c00c' * 4}",
    ],
)
def dns_pointer_not_backwards(p):
    """A pointer names a prior occurrence; one that does not loops a parser or reads elsewhere, and
    chains of them make it read the message many times over."""
    if bits(u8(p, 2), 3, 4) not in OPCODES:
        return False
    entries = dns_entries(p)
    steps = 0
    offset = HEADER
    for index in range(MOST_ENTRIES):
        if index >= entries or offset == 0 or offset >= captured(p):
            break
        walk = dns_entry_walk(p, offset, index)
        steps += bits(walk, 3, 10)
        if bits(walk, 0, 3) >= BAD_POINTER or steps > FREE_STEPS + STEPS_PER_BYTE * captured(p):
            return True
        offset = dns_entry_end(p, offset, index)
    return False
