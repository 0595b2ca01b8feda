"""Questions and their answers as frames, of every kind that is followed, for test_requests.py."""

from __future__ import annotations

from scapy.layers.dhcp import BOOTP
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.ntp import NTPHeader

CLIENT, SERVER, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
CLIENT_MAC, SERVER_MAC, OTHER_MAC = (f"02:00:00:00:00:0{i}" for i in (1, 2, 3))

GROUP_MAC = "ff:ff:ff:ff:ff:ff"
# With both addresses given, scapy looks nothing up on the network.
FRAME = Ether(src=CLIENT_MAC, dst=SERVER_MAC)


def arp(op, psrc, hwsrc, pdst, hwdst="00:00:00:00:00:00"):
    message = ARP(op=op, psrc=psrc, hwsrc=hwsrc, pdst=pdst, hwdst=hwdst)
    return bytes(Ether(src=hwsrc, dst=GROUP_MAC) / message)


def asks(below, sport, dport):
    return bytes(FRAME / IP(src=CLIENT, dst=SERVER) / UDP(sport=sport, dport=dport) / below)


def answers(below, sport, dport):
    return bytes(FRAME / IP(src=SERVER, dst=CLIENT) / UDP(sport=sport, dport=dport) / below)


def echo(kind, src, dst, number=7):
    return bytes(FRAME / IP(src=src, dst=dst) / ICMP(type=kind, id=9, seq=number))


def discovery(message, src="fe80::1", dst="ff02::1"):
    return bytes(FRAME / IPv6(src=src, dst=dst) / message)


def dns(number, answer):
    return DNS(id=number, qr=int(answer), qd=DNSQR(qname="example.org"))


# Check -> a question, and its answer.
PAIRS = {
    "arp.unsolicited_reply": (
        arp(1, CLIENT, CLIENT_MAC, SERVER),
        arp(2, SERVER, SERVER_MAC, CLIENT, CLIENT_MAC),
    ),
    "icmp4.unsolicited_echo_reply": (echo(8, CLIENT, SERVER), echo(0, SERVER, CLIENT)),
    "icmp6.unsolicited_na": (
        discovery(ICMPv6ND_NS(tgt="fe80::2")),
        discovery(ICMPv6ND_NA(tgt="fe80::2", S=1), "fe80::2"),
    ),
    "udp.unsolicited_response": (asks(b"a", 5000, 161), answers(b"b", 161, 5000)),
    "dns.unsolicited_response": (asks(dns(5, False), 5000, 53), answers(dns(5, True), 53, 5000)),
    "ntp.unsolicited": (
        asks(NTPHeader(mode=3, sent=77), 5000, 123),
        answers(NTPHeader(mode=4, orig=77, sent=99), 123, 5000),
    ),
    "dhcp.unsolicited_or_rogue": (
        asks(BOOTP(op=1, xid=4), 68, 67),
        answers(BOOTP(op=2, xid=4), 67, 68),
    ),
}
# What belongs to others of them, or to none.
MORE = [
    arp(2, SERVER, OTHER_MAC, CLIENT, CLIENT_MAC),
    arp(2, SERVER, OTHER_MAC, SERVER, GROUP_MAC),
    arp(1, "0.0.0.0", CLIENT_MAC, SERVER),
    echo(0, OTHER, CLIENT),
    echo(0, SERVER, CLIENT, 8),
    discovery(ICMPv6ND_NA(tgt="fe80::3"), "fe80::3"),
    discovery(ICMPv6ND_RA(), "fe80::a"),
    discovery(ICMPv6ND_RA(), "fe80::b"),
    answers(dns(6, True), 53, 5000),
    answers(dns(5, True), 53, 5001),
    answers(NTPHeader(mode=4, orig=78), 123, 5000),
    asks(NTPHeader(mode=3, orig=50, recv=79, sent=80), 5000, 123),
    asks(NTPHeader(mode=3, orig=0, recv=81, sent=82), 5000, 123),
    *(answers(NTPHeader(mode=4, orig=stamp), 123, 5000) for stamp in (79, 80, 81, 82)),
    answers(BOOTP(op=2, xid=5), 67, 68),
    bytes(FRAME / IP(src=SERVER, dst="255.255.255.255") / UDP(sport=161, dport=9) / b"c"),
]
