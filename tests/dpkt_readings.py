"""What dpkt reads in a packet, of the outermost one."""

from __future__ import annotations

import ipaddress
from typing import Any

import dpkt
from procwire.capture import batch as links
from readings import Reading, mac

DPKT_LINKS: dict[int, Any] = {
    links.ETHERNET: dpkt.ethernet.Ethernet,
    links.LINUX_SLL: dpkt.sll.SLL,
    links.LINUX_SLL2: dpkt.sll2.SLL2,
    links.NULL: dpkt.loopback.Loopback,
    links.RAW: lambda data: (dpkt.ip6.IP6 if data[0] >> 4 == 6 else dpkt.ip.IP)(data),
    links.IPV4: dpkt.ip.IP,
    links.IPV6: dpkt.ip6.IP6,
}


def dpkt_reading(link: int, data: bytes) -> Reading | None:
    """What dpkt says of a frame, of the outermost packet; None where it finds no header that it
    knows."""
    try:
        frame = DPKT_LINKS[link](data)
    except (dpkt.Error, KeyError):
        return None
    macs: tuple[tuple[str, str], ...] = ()
    vlans: tuple[int, ...] = ()
    if link == links.ETHERNET:
        macs = ((mac(frame.src), mac(frame.dst)),)
        vlans = tuple(tag.id for tag in getattr(frame, "vlan_tags", ()))
    packet = frame if isinstance(frame, dpkt.ip.IP | dpkt.ip6.IP6) else frame.data
    if isinstance(packet, dpkt.arp.ARP):
        ends = (str(ipaddress.IPv4Address(one)) for one in (packet.spa, packet.tpa))
        return Reading(macs, vlans, "arp", *ends)
    if isinstance(packet, dpkt.ip.IP):
        head = Reading(macs, vlans, "ip", ttl=packet.ttl, protocol=packet.p)
        fragment = bool(packet.mf or packet.offset)
    elif isinstance(packet, dpkt.ip6.IP6):
        head = Reading(macs, vlans, "ipv6", ttl=packet.hlim, protocol=packet.nxt)
        for header in packet.all_extension_headers:
            # What is encrypted names nothing behind it.
            head = head._replace(protocol=getattr(header, "nxt", head.protocol))
        place = packet.extension_hdrs.get(dpkt.ip.IP_PROTO_FRAGMENT)
        fragment = bool(place and (place.frag_off or place.m_flag))
    else:
        return Reading(macs, vlans)
    src, dst = (str(ipaddress.ip_address(one)) for one in (packet.src, packet.dst))
    head = head._replace(src=src, dst=dst, fragment=fragment)
    return head if fragment else head._replace(**dpkt_transport(packet.data))


def dpkt_transport(segment: object) -> dict[str, Any]:
    """The fields of a Reading that dpkt has of a transport layer."""
    if isinstance(segment, dpkt.tcp.TCP):
        return {
            "transport": "tcp",
            "src_port": segment.sport,
            "dst_port": segment.dport,
            "flags": segment.flags & 0xFF,
            "seq": segment.seq,
            "ack": segment.ack,
            "payload": len(segment.data),
        }
    if isinstance(segment, dpkt.udp.UDP):
        fields = {"src_port": segment.sport, "dst_port": segment.dport}
        return {"transport": "udp", "payload": segment.ulen - 8, **fields}
    if isinstance(segment, dpkt.sctp.SCTP):
        return {"transport": "sctp", "src_port": segment.sport, "dst_port": segment.dport}
    if isinstance(segment, dpkt.igmp.IGMP):
        return {"transport": "igmp", "src_port": segment.type, "dst_port": segment.maxresp}
    for name, kind in (("icmp", dpkt.icmp.ICMP), ("icmpv6", dpkt.icmp6.ICMP6)):
        if isinstance(segment, kind):
            return {"transport": name, "src_port": segment.type, "dst_port": segment.code}
    return {}
