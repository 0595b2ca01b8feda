"""The data of DNS records (RFC 1035 3.2.1). A rule sees the message from its identifier on."""

from procwire.protocol_words import dns_entries, dns_entry_end, name_end
from procwire.rule import rule
from procwire.rules.dns import ANSWER, EDNS_QUERY, MULTICAST, OPCODES, QUERY, QUESTION, RECORD
from procwire.words import bits, captured, length, u8, u16

HEADER = 12
# Few messages have more, and every entry may hold as many strings.
MOST_RECORDS = 128
MOST_PARTS = 32
OPCODE_UPDATE = 5
CLASS_INTERNET = 1
TYPE_A, TYPE_SOA, TYPE_WKS, TYPE_AAAA = 1, 6, 11, 28
TYPE_SRV, TYPE_OPT, TYPE_CAA = 33, 41, 257
TYPE_HINFO, TYPE_LOC, TYPE_NAPTR, TYPE_SSHFP, TYPE_RRSIG = 13, 29, 35, 44, 46
TYPE_NSEC3, TYPE_NSEC3PARAM = 50, 51
NAMES = (2, 5, 12, 39)
TEXTS = (16, 99)  # TXT, SPF
PREFERRED = (15, 18, 21, 36)  # a number, then a name: MX, AFSDB, RT, KX
DIGESTS = (43, 59)  # DS, CDS
AT_LEAST_FIVE = (43, 48, 59, 60, 256)  # DS, DNSKEY, CDS, CDNSKEY, URI: four bytes, then data
ASSOCIATIONS = (52, 53)  # TLSA, SMIMEA
BINDINGS = (64, 65)  # SVCB, HTTPS
WITH_TYPES = (47, 50)  # NSEC, NSEC3: which types there are
WITH_NAMES = (46, 47, 64, 65)  # and more behind the name
# IANA: digest types of DS, and fingerprint types of SSHFP: what the data of each have in all.
SHA1_DS, SHA256_DS, SHA384_DS, SHA1_SSHFP, SHA256_SSHFP = 24, 36, 52, 22, 34
OPTION_SUBNET = 8
FAMILIES = (1, 2)  # IANA address families: IPv4, IPv6
OPT = "00 0029 04d0 00008000"
OPT_QUERY = EDNS_QUERY.removesuffix(f" {OPT} 0000")


@rule(
    id="dns.rr_length",
    sid=9100807,
    title="DNS record whose length does not fit its type",
    reference="RFC 1035 3.2.1-3.4.2; RFC 2782; RFC 3403 4.1; RFC 3596 2.2; RFC 4034; RFC 8659 4.1",
    layers=("dns",),
    needs=23,
    at=(12, 32),
    zeek=(
        "DNS_RR_bad_length",
        "DNS_RR_length_mismatch",
        "DNS_AAAA_neg_length",
        "DNS_TXT_char_str_past_rdlen",
        "DNS_CAA_char_str_past_rdlen",
        "DNS_zero_rdlength",
    ),
    fires_on=[
        f"{ANSWER} c00c 0001 0001 00000e10 0003 c00002",
        f"{ANSWER} c00c 0001 8001 00000e10 0000",
        f"{ANSWER} c00c 001c 0001 00000e10 0004 c0000201",
        f"{ANSWER} c00c 0005 0001 00000e10 0003 c00c00",
        f"{ANSWER} c00c 000f 0001 00000e10 0002 000a",
        f"{ANSWER} c00c 0010 0001 00000e10 0003 05 6162",
        f"{ANSWER} c00c 0010 0001 00000e10 0000",
        f"{ANSWER} c00c 0021 0001 00000e10 0006 0000 0000 0050",
        f"{ANSWER} c00c 0101 0001 00000e10 0004 00 05 6162",
        f"{ANSWER} c00c 0101 0001 00000e10 0004 00 00 6162",
        f"{ANSWER} c00c 0063 0001 00000e10 0003 05 6162",
        f"{ANSWER} c00c 000b 0001 00000e10 0004 c0000201",
        f"{ANSWER} c00c 002c 0001 00000e10 0002 01 01",
        f"{ANSWER} c00c 0006 0001 00000e10 0008 c00c c00c 00000001",
        f"{ANSWER} c00c 000d 0001 00000e10 0004 02 6162 05",
        f"{ANSWER} c00c 001d 0001 00000e10 000f {'00' * 15}",
        f"{ANSWER} c00c 0023 0001 00000e10 0009 0064 000a 01 75 02 61 62",
        f"{ANSWER} c00c 0023 0001 00000e10 000a 0064 000a 01 75 00 05 61 00",
        f"{ANSWER} c00c 002b 0001 00000e10 0018 ec45 05 02 {'ab' * 20}",
        f"{ANSWER} c00c 002b 0001 00000e10 0004 ec45 05 01",
        f"{ANSWER} c00c 002c 0001 00000e10 0015 01 01 {'ab' * 19}",
        f"{ANSWER} c00c 002e 0001 00000e10 0014 0001 05 02 {'00' * 14} 05 61",
        f"{ANSWER} c00c 002f 0001 00000e10 0006 00 00 06 40 00 00",
        f"{ANSWER} c00c 0030 0001 00000e10 0004 0101 03 05",
        f"{ANSWER} c00c 0032 0001 00000e10 0009 01 00 000a 02 aabb 14 cc",
        f"{ANSWER} c00c 0033 0001 00000e10 0006 01 00 000a 02 aa",
        f"{ANSWER} c00c 0034 0001 00000e10 0003 03 01 01",
        f"{ANSWER} c00c 0041 0001 00000e10 0008 0001 00 0001 0003 02",
    ],
    silent_on=[
        QUERY,
        MULTICAST,
        EDNS_QUERY,
        f"{ANSWER} {RECORD}",
        f"{ANSWER} c00c 001c 0001 00000e10 0010 {'20' * 16}",
        f"{ANSWER} c00c 0005 0001 00000e10 0006 03 777777 c00c",
        f"{ANSWER} c00c 000f 0001 00000e10 0004 000a c00c",
        f"{ANSWER} c00c 0010 0001 00000e10 0003 02 6162",
        f"{ANSWER} c00c 0021 0001 00000e10 0008 0000 0000 0050 c00c",
        f"{ANSWER} c00c 0101 0001 00000e10 0009 00 05 6973737565 3b3b",
        f"{ANSWER} c00c 0006 0001 00000e10 0018 c00c c00c {'00000001' * 5}",
        f"{ANSWER} c00c 000d 0001 00000e10 0009 07 52464338343832 00",
        f"{ANSWER} c00c 001d 0001 00000e10 0010 {'00' * 16}",
        f"{ANSWER} c00c 0023 0001 00000e10 000a 0064 000a 01 75 01 61 00 00",
        f"{ANSWER} c00c 002b 0001 00000e10 0018 ec45 05 01 {'ab' * 20}",
        f"{ANSWER} c00c 003b 0001 00000e10 0005 0000 00 00 00",
        f"{ANSWER} c00c 002c 0001 00000e10 0022 04 02 {'ab' * 32}",
        f"{ANSWER} c00c 002e 0001 00000e10 0014 0001 05 02 {'00' * 14} 00 61",
        f"{ANSWER} c00c 002f 0001 00000e10 0006 c00c 00 02 40 01",
        f"{ANSWER} c00c 0030 0001 00000e10 0005 0101 03 05 61",
        f"{ANSWER} c00c 0032 0001 00000e10 000d 01 00 000a 02 aabb 01 cc 00 02 40 01",
        f"{ANSWER} c00c 0033 0001 00000e10 0005 01 00 000a 00",
        f"{ANSWER} c00c 0034 0001 00000e10 0004 03 01 00 aa",
        f"{ANSWER} c00c 0041 0001 00000e10 000a 0001 00 0001 0003 02 6832",
        f"1234 2800 0001 0001 0000 0000 {QUESTION} c00c 0001 00ff 00000000 0000",
        f"1234 8180 0001 0001 0000 0000 {QUESTION} c00c 0001 00ff 00000000 0000",
    ],
)
def dns_record_length_wrong(p):
    """Parsers that trust the type read behind the record. Updates (RFC 2136 2.4) delete with empty
    records, and only of class Internet are the types known."""
    opcode = bits(u8(p, 2), 3, 4)
    if opcode not in OPCODES or opcode == OPCODE_UPDATE or captured(p) < length(p):
        return False
    entries = dns_entries(p)
    offset = HEADER
    for index in range(MOST_RECORDS):
        if index >= entries:
            break
        owner_end = name_end(p, offset)
        offset = dns_entry_end(p, offset, index)
        if offset == 0:
            break
        if index < u16(p, 4) or u16(p, owner_end + 2) % 0x8000 != CLASS_INTERNET:
            kind = 0
        else:
            kind = u16(p, owner_end)
        start = owner_end + 10
        size = offset - start
        if kind == TYPE_A and size != 4 or kind == TYPE_AAAA and size != 16:
            return True
        if kind in NAMES and name_end(p, start) != offset:
            return True
        if kind in PREFERRED and (size < 3 or name_end(p, start + 2) != offset):
            return True
        if kind == TYPE_SRV and (size < 7 or name_end(p, start + 6) != offset):
            return True
        if kind == TYPE_SOA and name_end(p, name_end(p, start)) + 20 != offset:
            return True
        if kind == TYPE_CAA and (size < 2 or not 0 < u8(p, start + 1) <= size - 2):
            return True
        if kind == TYPE_WKS and size < 5 or kind == TYPE_SSHFP and size < 3:
            return True
        if kind in TEXTS:
            if size == 0:
                return True
            for _part in range(MOST_PARTS):
                if start >= offset:
                    break
                start += 1 + u8(p, start)
            if start > offset:
                return True
        if kind >= TYPE_HINFO and kind != TYPE_AAAA:
            # What follows its strings, and where that has to end; so what has none is in order.
            strings = 0
            if kind == TYPE_HINFO:
                strings = 2
            if kind == TYPE_NAPTR:
                strings = 3
                start += 4
            if kind == TYPE_NSEC3:
                strings = 2
                start += 4
            for part in range(3):
                if part < strings:
                    start += 1 + u8(p, start)
            if kind == TYPE_HINFO and start != offset:
                return True
            if kind == TYPE_NAPTR and name_end(p, start) != offset:
                return True
            if kind == TYPE_LOC and size != 16:
                return True
            if kind == TYPE_NSEC3PARAM and size != 5 + u8(p, start + 4):
                return True
            if kind in AT_LEAST_FIVE and size < 5 or kind in ASSOCIATIONS and size < 4:
                return True
            if kind in DIGESTS:
                digest = u8(p, start + 3)
                if digest == 1 and size != SHA1_DS or digest == 2 and size != SHA256_DS:
                    return True
                if digest == 4 and size != SHA384_DS:
                    return True
            if kind == TYPE_SSHFP:
                digest = u8(p, start + 1)
                if digest == 1 and size != SHA1_SSHFP or digest == 2 and size != SHA256_SSHFP:
                    return True
            if kind in WITH_NAMES:
                if kind == TYPE_RRSIG:
                    start += 18
                if kind in BINDINGS:
                    start += 2
                start = name_end(p, start)
                if start == 0 or start > offset or kind == TYPE_RRSIG and start == offset:
                    return True
            for _part in range(MOST_PARTS):
                if start >= offset:
                    break
                if kind in WITH_TYPES:
                    block = u8(p, start + 1)
                    if block == 0 or block > 32:
                        return True
                    start += 2 + block
                elif kind in BINDINGS:
                    start += 4 + u16(p, start + 2)
                else:
                    break
            if start > offset:
                return True
    return False


@rule(
    id="dns.edns_bad",
    sid=9100808,
    title="DNS extension (EDNS) record or option that is malformed",
    reference="RFC 6891 6.1.1, 6.1.2; RFC 7871 section 6",
    layers=("dns",),
    needs=23,
    at=(12, 32),
    zeek=(
        "EDNS_truncated_option",
        "EDNS_ECS_invalid_addr_v4",
        "EDNS_ECS_invalid_addr_v4_prefix",
        "EDNS_ECS_invalid_addr_v6",
        "EDNS_ECS_invalid_addr_v6_prefix",
        "EDNS_ECS_invalid_option_len",
    ),
    fires_on=[
        f"{OPT_QUERY} {OPT} 0003 0008 00",
        f"{OPT_QUERY} {OPT} 0006 000a 0008 0102",
        f"{OPT_QUERY} {OPT} 000b 0008 0007 0001 2100 c00002",
        f"{OPT_QUERY} {OPT} 000a 0008 0006 0001 1800 c000",
        f"{OPT_QUERY} {OPT} 0007 0008 0003 0001 00",
        f"{OPT_QUERY} c00c {OPT[3:]} 0000",
        f"{EDNS_QUERY.replace('0000 0001', '0000 0002', 1)} {OPT} 0000",
    ],
    silent_on=[
        QUERY,
        EDNS_QUERY,
        MULTICAST,
        f"{OPT_QUERY} {OPT} 000c 000a 0008 0102030405060708",
        f"{OPT_QUERY} {OPT} 000b 0008 0007 0001 1800 c00002",
        f"{OPT_QUERY} {OPT} 0008 0008 0004 0001 0000",
        f"{OPT_QUERY} {OPT} 0004 000b 0000",
    ],
)
def dns_extension_malformed(p):
    """At most one such record, owned by the root, and its options fill it."""
    if bits(u8(p, 2), 3, 4) not in OPCODES or captured(p) < length(p):
        return False
    entries = dns_entries(p)
    offset = HEADER
    found = 0
    for index in range(MOST_RECORDS):
        if index >= entries:
            break
        owner = offset
        offset = dns_entry_end(p, owner, index)
        if offset == 0:
            break
        at = name_end(p, owner)
        if index >= u16(p, 4) and u16(p, at) == TYPE_OPT:
            found += 1
            if u8(p, owner) != 0 or found > 1:
                return True
            at += 10
            for _part in range(MOST_PARTS):
                if at >= offset:
                    break
                option = u16(p, at)
                size = u16(p, at + 2)
                if at + 4 + size > offset:
                    return True
                if option == OPTION_SUBNET:
                    family = u16(p, at + 4)
                    prefix = u8(p, at + 6)
                    whole = family == 1 and prefix > 32 or family == 2 and prefix > 128
                    if size < 4 or whole:
                        return True
                    # The address has the bytes that hold the prefix and no more.
                    if family in FAMILIES and bits(prefix + 7, 3, 8) != size - 4:
                        return True
                at += 4 + size
    return False
