"""Twin of decode/requests.py: scapy reads the packets, dictionaries remember without bounds."""

from __future__ import annotations

import functools

from scapy.layers.dhcp import BOOTP
from scapy.layers.dns import DNS
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.ntp import NTPHeader

WITHIN = 60
SERVICES = (7, 13, 17, 19, 37, 111, 161, 389, 1812, 1813, 3283, 11211)


@functools.cache
def _parsed(frame):
    return Ether(frame)


def conversations(packet):
    """(check, question, whether this is the answer) of each message in a packet."""
    found = conversation(packet)
    if found is None:
        return []
    check, question, answer = found
    if check == "ntp.unsolicited" and not answer and packet[NTPHeader].orig:
        return [found, (check, (*question[:2], str(packet[NTPHeader].recv)), False)]
    return [found]


def conversation(packet):
    """(check, question, whether this is the answer) of a packet, or None."""
    if ARP in packet:
        arp = packet[ARP]
        if arp.op == 1:
            return "arp.unsolicited_reply", (arp.pdst, arp.hwsrc), False
        if arp.psrc != arp.pdst:
            return "arp.unsolicited_reply", (arp.psrc, arp.hwdst), True
    elif ICMP in packet and packet[ICMP].type in (0, 8):
        answer = packet[ICMP].type == 0
        asker = packet[IP].dst if answer else packet[IP].src
        return "icmp4.unsolicited_echo_reply", (asker, packet[ICMP].id, packet[ICMP].seq), answer
    elif ICMPv6ND_NS in packet:
        return "icmp6.unsolicited_na", packet[ICMPv6ND_NS].tgt, False
    elif ICMPv6ND_NA in packet:
        return "icmp6.unsolicited_na", packet[ICMPv6ND_NA].tgt, True
    elif UDP in packet:
        return _datagram(packet)
    return None


def _datagram(packet):
    network, udp = packet[IP] if IP in packet else packet[IPv6], packet[UDP]
    here, there = (network.src, udp.sport), (network.dst, udp.dport)
    if BOOTP in packet:
        return "dhcp.unsolicited_or_rogue", packet[BOOTP].xid, packet[BOOTP].op == 2
    if DNS in packet:
        answer = bool(packet[DNS].qr)
        ends = (there, here) if answer else (here, there)
        return "dns.unsolicited_response", (*ends, packet[DNS].id), answer
    if NTPHeader in packet:
        answer = packet[NTPHeader].mode == 4
        stamp = packet[NTPHeader].orig if answer else packet[NTPHeader].sent
        ends = (there, here) if answer else (here, there)
        return "ntp.unsolicited", (*ends, str(stamp)), answer
    if udp.dport in SERVICES:
        return "udp.unsolicited_response", (here, there), False
    if udp.sport in SERVICES and network.dst != "255.255.255.255":
        return "udp.unsolicited_response", (there, here), True
    return None


def unsolicited(packets, warm_up):
    """packets: (time in s, frame) in order. Yields the checks that each breaks."""
    asked, holders, routers, start = {}, {}, set(), None
    for time, frame in packets:
        packet = _parsed(frame)
        start = time if start is None else start
        broken = set()
        for check, question, answer in conversations(packet):
            key = check, question
            if not answer:
                asked[key] = time
                continue
            if time - asked.get(key, -WITHIN) >= WITHIN:
                broken.add(check)
        if ARP in packet and packet[ARP].psrc != "0.0.0.0":
            address, holder = packet[ARP].psrc, packet[ARP].hwsrc
            if holders.setdefault(address, holder) != holder:
                broken.add("arp.ip_mac_flip")
            holders[address] = holder
        if ICMPv6ND_RA in packet:
            router = packet[IPv6].src
            if router not in routers and time - start >= warm_up:
                broken.add("icmp6.new_ra_source")
            routers.add(router)
        yield broken
