"""What tshark reads in the packets of a capture, cut to what procwire goes into."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from readings import Reading

# Per network and transport layer the fields of a Reading, as tshark names them.
TSHARK_NETWORKS = {
    "ip": {"src": "ip.src", "dst": "ip.dst", "ttl": "ip.ttl", "protocol": "ip.proto"},
    "ipv6": {"src": "ipv6.src", "dst": "ipv6.dst", "ttl": "ipv6.hlim", "protocol": "ipv6.nxt"},
    "arp": {"src": "arp.src.proto_ipv4", "dst": "arp.dst.proto_ipv4"},
}
TSHARK_TRANSPORTS = {
    "tcp": {
        "src_port": "tcp.srcport",
        "dst_port": "tcp.dstport",
        "flags": "tcp.flags",
        "seq": "tcp.seq_raw",
        "ack": "tcp.ack_raw",
        "payload": "tcp.len",
    },
    "udp": {"src_port": "udp.srcport", "dst_port": "udp.dstport", "payload": "udp.length"},
    "icmp": {"src_port": "icmp.type", "dst_port": "icmp.code"},
    "icmpv6": {"src_port": "icmpv6.type", "dst_port": "icmpv6.code"},
    "sctp": {"src_port": "sctp.srcport", "dst_port": "sctp.dstport"},
    "igmp": {"src_port": "igmp.type", "dst_port": "igmp.max_resp"},
}
TSHARK_TAGS = {"vlan": {"id": "vlan.id"}, "ieee8021ad": {"id": "ieee8021ad.id"}}
# Extension headers name what follows them.
TSHARK_NEXT = {
    "ipv6.hopopts": "ipv6.hopopts.nxt",
    "ipv6.routing": "ipv6.routing.nxt",
    "ipv6.fraghdr": "ipv6.fraghdr.nxt",
    "ipv6.dstopts": "ipv6.dstopts.nxt",
    "ah": "ah.next_header",
    "mipv6": "mip6.proto",
    "hip": "hip.proto",
    "shim6": "shim6.nxt",
}
# Tunnels that tshark enters and procwire does not.
NOT_ENTERED = frozenset(("capwap.data", "gtp", "gtpprime", "wlan"))
FRAGMENT_MARKS = {
    "ip": {"more": "ip.flags.mf", "offset": "ip.frag_offset"},
    "ipv6.fraghdr": {"more": "ipv6.fraghdr.more", "offset": "ipv6.fraghdr.offset"},
}
TSHARK_OTHERS = (
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "frame.protocols",
    "eth.src",
    "eth.dst",
    *(name for tag in TSHARK_TAGS.values() for name in tag.values()),
    *(name for marks in FRAGMENT_MARKS.values() for name in marks.values()),
    "_ws.malformed",
)
TSHARK_FIELDS = (
    *TSHARK_OTHERS,
    *(name for kind in TSHARK_NETWORKS.values() for name in kind.values()),
    *(name for kind in TSHARK_TRANSPORTS.values() for name in kind.values()),
    *TSHARK_NEXT.values(),
)
TSHARK_PREFERENCES = (
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
)

Row = dict[str, list[str]]


def tshark_rows(path: Path) -> Iterator[Row]:
    """Per packet, all values of each of TSHARK_FIELDS, outer layers first."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a"]
    for preference in TSHARK_PREFERENCES:
        command += ["-o", preference]
    for field in TSHARK_FIELDS:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    for line in result.stdout.splitlines():
        values = (value.split(",") if value else [] for value in line.split("\t"))
        yield dict(zip(TSHARK_FIELDS, values, strict=True))


def tshark_layers(row: Row) -> tuple[list[str], str]:
    """The layers of a packet as far as procwire goes, and why those behind are left out, or ""."""
    found = row["frame.protocols"][0].split(":") if row["frame.protocols"] else []
    for place, name in enumerate(found):
        if name in NOT_ENTERED or (name == "arp" and found[place - 1] != "ethertype"):
            return found[:place], "tunnel"
        if name in ("icmp", "icmpv6"):
            # What follows is the packet that an error message quotes.
            return found[: place + 1], ""
        number = found[: place + 1].count(name)
        marks = nth_values(row, FRAGMENT_MARKS.get(name, {}), number)
        if any(mark not in ("0", "False") for mark in marks.values()):
            return found[: place + 1], "fragment"
    return found, ""


def tshark_reading(row: Row) -> Reading:
    """What tshark says of a packet; with tunnels, of the innermost."""
    found, ended = tshark_layers(row)
    headers = found.count("eth")
    macs = tuple(zip(row["eth.src"][:headers], row["eth.dst"][:headers], strict=True))
    vlans = tuple(
        int(value)
        for place, name in enumerate(found)
        for value in nth_values(
            row, TSHARK_TAGS.get(name, {}), found[: place + 1].count(name)
        ).values()
    )
    networks = [place for place, name in enumerate(found) if name in TSHARK_NETWORKS]
    if not networks:
        return Reading(macs, vlans)
    network = found[networks[-1]]
    fields = nth_values(row, TSHARK_NETWORKS[network], found.count(network))
    inner = found[networks[-1] + 1 :]
    for name in inner:
        if name in TSHARK_NEXT:
            fields |= nth_values(row, {"protocol": TSHARK_NEXT[name]}, found.count(name))
    transport = next((name for name in inner if name in TSHARK_TRANSPORTS), "")
    if transport:
        # IGMP names itself twice.
        number = 1 if transport == "igmp" else found.count(transport)
        fields |= nth_values(row, TSHARK_TRANSPORTS[transport], number)
    texts = {name: fields.pop(name) for name in ("src", "dst") if name in fields}
    numbers: dict[str, Any] = {name: int(value, 0) for name, value in fields.items()}
    if transport == "tcp" and "flags" in numbers:
        numbers["flags"] &= 0xFF
    if transport == "udp" and "payload" in numbers:
        numbers["payload"] -= 8
    whole = ended != "fragment"
    return Reading(
        macs, vlans, network, fragment=not whole, transport=transport, **texts, **numbers
    )


def nth_values(row: Row, fields: dict[str, str], number: int) -> dict[str, str]:
    """Of each field the value in the layer of its kind that is the `number`th of the packet."""
    return {own: row[name][number - 1] for own, name in fields.items() if len(row[name]) >= number}
