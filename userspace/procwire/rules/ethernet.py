"""Ethernet (IEEE 802.3) and its tags (802.1Q, 802.1ad). A rule sees the frame from its destination
address on; rules of the vlan layer see a tag from its control information on."""

from procwire.rule import observed, rule
from procwire.words import bits, length, u8, u16

TAG_PROTOCOLS = (0x8100, 0x88A8, 0x9100)
ADDRESSES = "0200 0000 0002 0200 0000 0001"


@rule(
    id="eth.truncated",
    sid=9100001,
    title="Frame shorter than an Ethernet header",
    reference="IEEE 802.3 3.1.1",
    suricata=("decoder.ethernet.pkt_too_small",),
    zeek=("truncated_ethernet_frame",),
    fires_on=["0200 0000 0002 0200 0000"],
    silent_on=[f"{ADDRESSES} 88b5"],
)
def ethernet_header_cut(p):
    """Two addresses and a type take 14 bytes; less cannot have crossed a link."""
    return length(p) < 14


@rule(
    id="eth.src_group_bit",
    sid=9100002,
    title="Source address is a group address",
    reference="IEEE 802.3 3.2.3",
    needs=14,
    at=(6, 6),
    tier="B",
    fires_on=["0200 0000 0002 0300 0000 0001 88b5"],
    silent_on=[f"{ADDRESSES} 88b5", "ffff ffff ffff 0200 0000 0001 88b5"],
)
def source_is_group_address(p):
    """Only a station sends, so the individual/group bit of a source address is 0. A station keeps
    its address: it is told as an alert once the same address sends again. Addresses that come once
    each were drawn at random, to make a capture anonymous or to flood a switch."""
    return bits(u8(p, 6), 0, 1) == 1


@rule(
    id="vlan.truncated",
    sid=9100021,
    title="Frame ends inside a VLAN tag",
    reference="IEEE 802.1Q 9.5",
    layers=("vlan",),
    suricata=("decoder.vlan.header_too_small",),
    zeek=("truncated_VLAN_header",),
    fires_on=["0064 08"],
    silent_on=["0064 0800"],
)
def vlan_tag_cut(p):
    """After the tag protocol come two bytes of control information and the next type."""
    return length(p) < 4


@rule(
    id="vlan.too_many_tags",
    sid=9100022,
    title="More than three VLAN tags",
    reference="IEEE 802.1ad",
    needs=26,
    at=(12, 16),
    suricata=("decoder.vlan.too_many_layers",),
    zeek=("triple_tagged_vlan_unsupported",),
    fires_on=[f"{ADDRESSES} 8100 0001 8100 0002 8100 0003 8100 0004 0800"],
    silent_on=[
        f"{ADDRESSES} 88a8 0001 8100 0002 0800 0000 0000 0000",
        f"{ADDRESSES} 8100 0001 8100 0002 8100 0003 0800",
    ],
)
def more_than_three_tags(p):
    """A service and a customer tag are the standard, some providers add one; a fourth hides the
    payload from inspection."""
    for offset in range(12, 28, 4):
        if u16(p, offset) not in TAG_PROTOCOLS:
            return False
    return True


observed(
    id="eth.unknown_ethertype",
    sid=9100003,
    title="Ethertype that is not decoded",
    reference="IEEE 802.3 3.2.6; IANA, IEEE 802 Numbers",
    tier="C",
    severity=4,
    suricata=("decoder.ethernet.unknown_ethertype",),
    zeek=("undefined_ether_type",),
    rationale="Switches and appliances speak protocols of their own all the time.",
)
