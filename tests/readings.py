"""What procwire, tshark and dpkt read in the same packet, in one form that can be compared."""

from __future__ import annotations

import ipaddress
from typing import Any, NamedTuple

from procwire import layers
from procwire.capture.batch import PacketBatch
from procwire.decode.columns import Decoded, Packets

TRANSPORTS = {
    layers.TCP: "tcp",
    layers.UDP: "udp",
    layers.ICMP4: "icmp",
    layers.ICMP6: "icmpv6",
    layers.SCTP: "sctp",
    layers.IGMP: "igmp",
}
NETWORKS = {layers.IPV4: "ip", layers.IPV6: "ipv6", layers.ARP: "arp"}


class Reading(NamedTuple):
    """Every Ethernet header's addresses and every VLAN id, then the innermost packet; ports are
    type and code for ICMP; payload counts bytes behind a TCP or UDP header. What a packet does not
    have is "" or 0."""

    macs: tuple[tuple[str, str], ...] = ()
    vlans: tuple[int, ...] = ()
    network: str = ""
    src: str = ""
    dst: str = ""
    ttl: int = 0
    protocol: int = 0
    fragment: bool = False
    transport: str = ""
    src_port: int = 0
    dst_port: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    payload: int = 0


def differences(one: Reading, other: Reading) -> set[str]:
    """The names of the fields that differ."""
    return {name for name, a, b in zip(Reading._fields, one, other, strict=True) if a != b}


def address(high: int, low: int) -> str:
    """An address from its columns; of IPv4, the plain one."""
    whole = ipaddress.IPv6Address(high << 64 | low)
    return str(whole.ipv4_mapped or whole)


def mac(packed: bytes) -> str:
    return packed.hex(":")


def procwire_readings(batch: PacketBatch, decoded: Decoded) -> list[Reading]:
    """One reading per packet of the batch, of its columns and of its spans' first bytes."""
    frames: list[list[tuple[str, str]]] = [[] for _ in batch.start]
    tags: list[list[int]] = [[] for _ in batch.start]
    spans = decoded.spans
    for row, layer, start, captured in zip(
        spans.packet.tolist(),
        spans.layer.tolist(),
        spans.start.tolist(),
        spans.captured.tolist(),
        strict=True,
    ):
        header = batch.data[start : start + min(captured, 12)].tobytes()
        if layer == layers.ETHERNET and len(header) == 12:
            frames[row].append((mac(header[6:]), mac(header[:6])))
        if layer == layers.VLAN and len(header) >= 2:
            tags[row].append(int.from_bytes(header[:2], "big") & 0xFFF)
    columns = zip(*(column.tolist() for column in decoded.packets), strict=True)
    return [
        procwire_reading(Packets(*values), tuple(frames[row]), tuple(tags[row]))
        for row, values in enumerate(columns)
    ]


def procwire_reading(
    row: Any, macs: tuple[tuple[str, str], ...], vlans: tuple[int, ...]
) -> Reading:
    if not row.network:
        return Reading(macs, vlans)
    ends = address(row.src_hi, row.src_lo), address(row.dst_hi, row.dst_lo)
    if row.network == layers.ARP:
        # Of another protocol than IPv4 the columns hold none.
        src, dst = ("" if end == "::" else end for end in ends)
        ends = src, dst
    read = Reading(
        macs, vlans, NETWORKS[row.network], *ends, row.ttl, row.protocol, bool(row.fragment)
    )
    if not row.transport:
        return read
    name = TRANSPORTS[row.transport]
    return read._replace(
        transport=name,
        src_port=row.src_port,
        dst_port=row.dst_port,
        flags=row.tcp_flags,
        seq=row.seq if name == "tcp" else 0,
        ack=row.ack,
        payload=row.payload if name in ("tcp", "udp") else 0,
    )
