"""ARP (RFC 826). A rule sees the ARP packet from its hardware type on; `outer` is the frame."""

from procwire.rule import rule
from procwire.words import bits, captured, filled, length, u8, u16, u32

ETHERNET_HARDWARE = (1, 6)
LAST_HARDWARE, EXPERIMENTS = 39, (256, 257)
SMALLEST_ETHERTYPE = 0x0600
FRAME = "ffff ffff ffff 0200 0000 0001 0806"
WHO_HAS = "0001 0800 0604 0001 0200 0000 0001 c000 0201 0000 0000 0000 c000 0202"


@rule(
    id="arp.truncated",
    sid=9100051,
    title="ARP packet shorter than its address sizes require",
    reference="RFC 826, Packet format",
    at=(4, 2),
    suricata=("decoder.arp.pkt_too_small", "decoder.arp.invalid_pkt"),
    zeek=("truncated_ARP",),
    fires_on=["0001 0800 0604 0001 0200 0000 0001 c000 0201", "0001 0800"],
    silent_on=[WHO_HAS],
)
def arp_cut(p):
    """Eight fixed bytes, then two hardware and two protocol addresses."""
    return length(p) < 8 + 2 * u8(p, 4) + 2 * u8(p, 5)


@rule(
    id="arp.bad_sizes",
    sid=9100052,
    title="ARP address type is none, or its size does not fit it",
    reference="RFC 826, Packet format; RFC 5494 section 3; IANA, ARP parameters, Hardware Types",
    needs=8,
    at=(0, 6),
    suricata=(
        "decoder.arp.invalid_hardware_size",
        "decoder.arp.invalid_protocol_size",
        "decoder.arp.unsupported_hardware",
        "decoder.arp.unsupported_protocol",
    ),
    zeek=("bad_arp",),
    fires_on=[
        "0001 0800 0704 0001" + " 0000" * 11,
        "0001 0800 0610 0001" + " 0000" * 22,
        "0000" + WHO_HAS[4:],
        "00c8" + WHO_HAS[4:],
        "ffff" + WHO_HAS[4:],
        WHO_HAS.replace("0800", "0004", 1),
    ],
    silent_on=[
        WHO_HAS,
        "0018 0800 0804 0001" + " 0000" * 12,
        "0006" + WHO_HAS[4:],
        "0101" + WHO_HAS[4:],
        WHO_HAS.replace("0800", "88b5", 1),
    ],
)
def arp_sizes_contradict_types(p):
    """An Ethernet address has six bytes and an IPv4 address four. Hardware types are assigned from
    1 to 39 and for two experiments, protocols are those of Ethernet."""
    hardware = u16(p, 0)
    if hardware == 0 or hardware > LAST_HARDWARE and hardware not in EXPERIMENTS:
        return True
    if u16(p, 2) < SMALLEST_ETHERTYPE:
        return True
    hardware_wrong = hardware in ETHERNET_HARDWARE and u8(p, 4) != 6
    protocol_wrong = u16(p, 2) == 0x0800 and u8(p, 5) != 4
    return hardware_wrong or protocol_wrong


@rule(
    id="arp.bad_opcode",
    sid=9100053,
    title="ARP operation that is reserved or unassigned",
    reference="RFC 5494 section 3",
    needs=8,
    at=(6, 2),
    suricata=("decoder.arp.unsupported_opcode",),
    zeek=("bad_arp",),
    fires_on=[WHO_HAS.replace("0604 0001", "0604 0000"), WHO_HAS.replace("0604 0001", "0604 0bad")],
    silent_on=[WHO_HAS, WHO_HAS.replace("0604 0001", "0604 0002")],
)
def arp_operation_unassigned(p):
    """Operations 1 to 25 are assigned, 0 and 65535 reserved."""
    operation = u16(p, 6)
    return operation == 0 or operation > 25


@rule(
    id="arp.sha_ne_eth_src",
    sid=9100054,
    title="ARP sender address is not the frame's source address",
    reference="RFC 826, Packet Generation",
    needs=28,
    at=(8, 6),
    zeek=("bad_arp",),
    fires_on=[f"{FRAME} | {WHO_HAS.replace('0200 0000 0001 c000', '0200 0000 0099 c000')}"],
    silent_on=[f"{FRAME} | {WHO_HAS}", WHO_HAS],
)
def arp_sender_differs_from_frame(p, outer):
    """A host names itself as sender; a packet that names another one poisons caches."""
    if captured(outer) < 14 or u16(p, 0) not in ETHERNET_HARDWARE or u8(p, 4) != 6:
        return False
    return u32(p, 8) != u32(outer, 6) or u16(p, 12) != u16(outer, 10)


@rule(
    id="arp.bad_sender",
    sid=9100055,
    title="ARP sender is a multicast, broadcast or loopback address",
    reference="RFC 1812 3.3.2; RFC 5227 2.1",
    needs=28,
    at=(8, 10),
    fires_on=[
        WHO_HAS.replace("c000 0201", "e000 0001"),
        WHO_HAS.replace("c000 0201", "7f00 0001"),
        WHO_HAS.replace("0200 0000 0001 c000", "ffff ffff ffff c000"),
    ],
    silent_on=[WHO_HAS, WHO_HAS.replace("c000 0201", "0000 0000")],
)
def arp_sender_is_no_host(p):
    """A router must not believe an answer that binds a group address; 0.0.0.0 is a probe."""
    if u16(p, 2) != 0x0800 or u8(p, 4) != 6 or u8(p, 5) != 4:
        return False
    network = u8(p, 14)
    return bits(u8(p, 8), 0, 1) == 1 or network == 127 or network >= 224


@rule(
    id="arp.gratuitous",
    sid=9100056,
    title="Gratuitous ARP: a host announces its own address",
    reference="RFC 5227 2.3; RFC 5944 4.6",
    needs=28,
    at=(14, 14),
    tier="B",
    severity=4,
    fires_on=[WHO_HAS.replace("c000 0202", "c000 0201")],
    silent_on=[
        WHO_HAS,
        WHO_HAS.replace("c000 0201", "0000 0000").replace("c000 0202", "0000 0000"),
    ],
)
def arp_announcement(p):
    """Legal after an address change or fail-over, and the usual form of cache poisoning."""
    if u16(p, 2) != 0x0800 or u8(p, 4) != 6 or u8(p, 5) != 4 or filled(p, 14, 4, 0):
        return False
    return u32(p, 14) == u32(p, 24)
