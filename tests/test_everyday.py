"""What networks carry all day: routing, redundancy, autoconfiguration, names, security, voice,
things, and frames that offload leaves odd. None of it breaks a rule that always alerts."""

from __future__ import annotations

import pytest
from procwire.capture.batch import ETHERNET
from procwire.judging.examine import Examiner, examine
from procwire.judging.observe import Observer
from procwire.rules import all_rules
from procwire.settings.traffic import FlowSettings
from scapy.asn1.asn1 import ASN1_OID
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3gr, IGMPv3mr
from scapy.contrib.ospf import OSPF_Hdr, OSPF_Hello, OSPFv3_Hdr, OSPFv3_Hello
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Solicit, DHCP6OptElapsedTime, DHCP6OptOptReq
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRNSEC, DNSRROPT, DNSRRSRV
from scapy.layers.hsrp import HSRP
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    HAO,
    ICMPv6EchoRequest,
    ICMPv6MLDMultAddrRec,
    ICMPv6MLQuery2,
    ICMPv6MLReport,
    ICMPv6MLReport2,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrSegmentRouting,
    RouterAlert,
)
from scapy.layers.isakmp import ISAKMP, ISAKMP_payload_SA
from scapy.layers.l2 import ARP, LLC, SNAP, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.llmnr import LLMNRQuery
from scapy.layers.ntp import NTP
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.layers.snmp import SNMP, SNMPget, SNMPvarbind
from scapy.layers.vrrp import VRRP
from scapy.packet import Packet, Raw
from test_decode import batch_of

STATION, HERE, THERE = "02:00:00:00:00:01", "10.0.0.5", "10.0.0.9"
HELLO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ALERTED = IPv6ExtHdrHopByHop(options=[RouterAlert()])


def ethernet(to: str = "02:00:00:00:00:02", **fields: int) -> Packet:
    return Ether(src=STATION, dst=to, **fields)


def ipv4(to: str = THERE, **fields: object) -> Packet:
    group = to.startswith(("22", "23"))
    low = [int(part) for part in to.split(".")]
    mac = f"01:00:5e:{low[1] & 127:02x}:{low[2]:02x}:{low[3]:02x}"
    return ethernet(mac if group else "02:00:00:00:00:02") / IP(src=HERE, dst=to, **fields)


def ipv6(to: str = "fe80::2", source: str = "fe80::1", **fields: object) -> Packet:
    mac = "33:33:00:00:00:01" if to.startswith("ff") else "02:00:00:00:00:02"
    return ethernet(mac) / IPv6(src=source, dst=to, **fields)


def datagram(port: int, payload: bytes, **fields: object) -> Packet:
    return ipv4(**fields) / UDP(sport=50000, dport=port) / Raw(payload)


def segment(port: int, payload: bytes = b"") -> Packet:
    return ipv4() / TCP(sport=50000, dport=port, seq=1, ack=1, flags="PA") / Raw(payload)


def opening(port: int, *options: tuple[object, object], flags: str = "S") -> Packet:
    return ipv4() / TCP(sport=50000, dport=port, flags=flags, options=list(options))


def offloaded(total: bytes = b"") -> bytes:
    """60,000 bytes that a card will cut or has joined; total: its length, if not filled in."""
    frame = bytes(segment(9000, bytes(60_000)))
    return frame[:16] + (total or frame[16:18]) + frame[18:]


def quoted() -> Packet:
    return IP(src=THERE, dst=HERE) / UDP(sport=1, dport=33434) / Raw(bytes(100))


FRAMES: dict[str, Packet | bytes] = {
    "STP": Dot3(src=STATION, dst="01:80:c2:00:00:00") / LLC() / STP(),
    "CDP": Dot3(src=STATION, dst="01:00:0c:cc:cc:cc")
    / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
    / SNAP(OUI=0xC, code=0x2000)
    / Raw(b"\2\xb4" + bytes(20)),
    "LLDP": ethernet("01:80:c2:00:00:0e", type=0x88CC)
    / Raw(bytes.fromhex("0207 04020000000001 0402 0731 0602 0078 0000")),
    "LACP": ethernet("01:80:c2:00:00:02", type=0x8809) / Raw(bytes(110)),
    "EAPOL": ethernet("01:80:c2:00:00:03", type=0x888E) / Raw(b"\1\1\0\0"),
    "Profinet": ethernet(type=0x8892) / Raw(bytes(46)),
    "PTP": ethernet("01:1b:19:00:00:00", type=0x88F7) / Raw(b"\0\2\0\x2c" + bytes(40)),
    "PTP over UDP": ipv4("224.0.1.129", ttl=1)
    / UDP(sport=319, dport=319)
    / Raw(b"\0\2\0\x2c" + bytes(40)),
    "priority tag": ethernet(type=0x8100)
    / Dot1Q(vlan=0, prio=5)
    / IP(src=HERE, dst=THERE)
    / UDP(sport=50000, dport=9999),
    "802.1ad": ethernet(type=0x88A8)
    / Dot1AD(vlan=5)
    / Dot1Q(vlan=6)
    / IP(src=HERE, dst=THERE)
    / UDP(sport=50000, dport=9999),
    "ARP probe": ethernet("ff:ff:ff:ff:ff:ff") / ARP(hwsrc=STATION, psrc="0.0.0.0", pdst=THERE),
    "ARP, padded": ethernet("ff:ff:ff:ff:ff:ff")
    / ARP(hwsrc=STATION, psrc=HERE, pdst=THERE)
    / Raw(bytes(18)),
    "OSPF": ipv4("224.0.0.5", ttl=1) / OSPF_Hdr(src=HERE) / OSPF_Hello(),
    "OSPF for IPv6": ipv6("ff02::5", hlim=1) / OSPFv3_Hdr() / OSPFv3_Hello(),
    "VRRP": ipv4("224.0.0.18", ttl=255) / VRRP(addrlist=[HERE]),
    "HSRP": ipv4("224.0.0.2", ttl=1) / UDP(sport=1985, dport=1985) / HSRP(),
    "BGP": segment(179, b"\xff" * 16 + bytes.fromhex("001d 01 04 fde8 00b4 0a000005 00")),
    "BFD echo": ethernet()
    / IP(src=HERE, dst=HERE, ttl=255)
    / UDP(sport=50000, dport=3785)
    / Raw(bytes(12)),
    "IGMP 3": ipv4("224.0.0.22", ttl=1, options=[IPOption_Router_Alert()])
    / IGMPv3(type=0x22)
    / IGMPv3mr(records=[IGMPv3gr(maddr="224.0.0.251", rtype=4)]),
    "MLD": ipv6("ff02::1:ff00:1", hlim=1) / ALERTED / ICMPv6MLReport(mladdr="ff02::1:ff00:1"),
    "MLD 2": ipv6("ff02::16", hlim=1)
    / ALERTED
    / ICMPv6MLReport2(records=[ICMPv6MLDMultAddrRec(rtype=4, dst="ff02::fb")]),
    "MLD 2 query": ipv6("ff02::1", hlim=1) / ALERTED / ICMPv6MLQuery2(),
    "duplicate address detection": ipv6("ff02::1:ff00:2", "::", hlim=255)
    / ICMPv6ND_NS(tgt="fe80::2"),
    "router advertisement": ipv6("ff02::1", hlim=255)
    / ICMPv6ND_RA()
    / ICMPv6NDOptPrefixInfo(prefix="2001:db8::")
    / ICMPv6NDOptMTU()
    / ICMPv6NDOptRDNSS(dns=["2001:db8::1"]),
    "DHCP": ethernet("ff:ff:ff:ff:ff:ff")
    / IP(src="0.0.0.0", dst="255.255.255.255")
    / UDP(sport=68, dport=67)
    / BOOTP(chaddr=b"\2\0\0\0\0\1", xid=7)
    / DHCP(options=[("message-type", "discover"), ("param_req_list", [1, 3, 6]), "end"]),
    "DHCP for IPv6": ipv6("ff02::1:2")
    / UDP(sport=546, dport=547)
    / DHCP6_Solicit(trid=5)
    / DHCP6OptElapsedTime()
    / DHCP6OptOptReq(),
    "mDNS": ipv4("224.0.0.251", ttl=255)
    / UDP(sport=5353, dport=5353)
    / DNS(
        qd=[DNSQR(qname="_ipp._tcp.local", qtype="PTR"), DNSQR(qname="a.local", qtype="ALL")],
        ns=DNSRR(rrname="a.local", type="A", rdata=HERE),
    ),
    "mDNS announcement": ipv6("ff02::fb", hlim=255)
    / UDP(sport=5353, dport=5353)
    / DNS(
        qr=1,
        qd=[],
        an=[
            DNSRR(rrname="a.local", type="AAAA", rclass=0x8001, rdata="fe80::1"),
            DNSRR(rrname="x._ipp._tcp.local", type="TXT", rdata=[b"a=b"]),
            DNSRRSRV(rrname="x._ipp._tcp.local", port=631, target="a.local"),
        ],
        ar=[DNSRRNSEC(rrname="a.local", nextname="a.local", typebitmaps=[1, 28])],
    ),
    "DNS with extensions": ipv4()
    / UDP(sport=50000, dport=53)
    / DNS(rd=1, qd=DNSQR(qname="example.com"), ar=DNSRROPT(rclass=1232)),
    "DNS of a service": ethernet()
    / IP(src=THERE, dst=HERE)
    / UDP(sport=53, dport=50000)
    / DNS(
        qr=1,
        qd=DNSQR(qname="example.com", qtype=65),
        an=DNSRR(rrname="example.com", type=65, rdata=b"\0\1\0\0\1\0\3\2h2"),
    ),
    "LLMNR": ipv4("224.0.0.252", ttl=1)
    / UDP(sport=50000, dport=5355)
    / LLMNRQuery(qd=DNSQR(qname="wpad")),
    "SSDP": ipv4("239.255.255.250", ttl=4)
    / UDP(sport=50000, dport=1900)
    / Raw(b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: ssdp:all\r\n\r\n"),
    "NTP": ipv4() / UDP(sport=123, dport=123) / NTP(version=4),
    "SNMP": ipv4()
    / UDP(sport=50000, dport=161)
    / SNMP(PDU=SNMPget(varbindlist=[SNMPvarbind(oid=ASN1_OID("1.3.6.1.2.1.1.1.0"))])),
    "IKE": ipv4()
    / UDP(sport=500, dport=500)
    / ISAKMP(init_cookie=b"12345678", exch_type=2)
    / ISAKMP_payload_SA(),
    "ESP": ipv4(proto=50) / Raw(b"\0\0\1\2\0\0\0\1" + bytes(range(64))),
    "ESP behind NAT": datagram(4500, b"\0\0\1\2\0\0\0\1" + bytes(range(64))),
    "keepalive of NAT": datagram(4500, b"\xff"),
    "AH": ipv4(proto=51)
    / Raw(bytes.fromhex("0604 0000 00000101 00000001") + bytes(12) + bytes(TCP(sport=1, dport=2))),
    "GRE keepalive": ipv4(proto=47)
    / Raw(b"\0\0\x08\0" + bytes(IP(src=THERE, dst=HERE, proto=47) / Raw(bytes(4)))),
    "QUIC": datagram(443, b"\xc3\0\0\0\1\x08" + bytes(range(8)) + b"\0\0\x44\x9e" + bytes(1170)),
    "DTLS": datagram(4433, bytes.fromhex("16feff0000000000000000 0020") + bytes(32)),
    "WireGuard": datagram(51820, b"\1\0\0\0" + bytes(144)),
    "SIP": datagram(5060, b"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n"),
    "SIP over TCP": segment(5060, b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n\r\n"),
    "RTSP": segment(554, b"OPTIONS rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    "RTP": datagram(40002, bytes.fromhex("8000 0001 00000001 00000002") + bytes(160)),
    "STUN": datagram(3478, bytes.fromhex("0001 0000 2112a442") + bytes(range(12))),
    "CoAP": datagram(5683, b"\x40\1\0\1"),
    "MQTT": segment(1883, b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1a"),
    "SCTP": ipv4() / SCTP(sport=5000, dport=36412) / SCTPChunkInit(),
    "fragment of an echo": ipv6()
    / IPv6ExtHdrFragment(m=1, id=9)
    / ICMPv6EchoRequest(data=b"x" * 1000),
    "segment routing": ipv6("2001:db8::2", "2001:db8::1")
    / IPv6ExtHdrSegmentRouting(addresses=["2001:db8::2"])
    / UDP(sport=1111, dport=2222),
    "home address": ipv6("2001:db8::2", "2001:db8::1")
    / IPv6ExtHdrDestOpt(options=[HAO(hoa="2001:db8::9")])
    / UDP(sport=1111, dport=2222),
    "unreachable": ipv4() / ICMP(type=3, code=3) / quoted(),
    "labels of who was too far": ipv4()
    / ICMP(type=11, code=0, length=32)
    / Raw(bytes(quoted()) + bytes.fromhex("2000 0000 0008 0101 00010140")),
    "time stamp": ipv4() / ICMP(type=13),
    "multipath TCP": opening(443, ("MSS", 1460), ("SAckOK", b""), (30, b"\0\x81" + bytes(8))),
    "fast open": opening(443, ("MSS", 1460), (34, b"12345678")) / Raw(HELLO),
    "TCP-AO": opening(179, (29, b"\1\2" + bytes(12))),
    "TCP MD5": opening(179, (19, bytes(16))),
    "ECN": opening(443, ("MSS", 1460), flags="SEC"),
    "accurate ECN": opening(443, ("MSS", 1460), flags="SECN"),
    "jumbo": segment(9000, bytes(8900)),
    "joined by offload": offloaded(),
    "to be cut by offload": offloaded(b"\0\0"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_nothing_that_always_alerts_is_found(name: str) -> None:
    frame = bytes(FRAMES[name])
    batch = batch_of([(frame, len(frame), ETHERNET)])
    decoded, findings = Examiner().complete(batch, examine(batch))
    observed = Observer(FlowSettings()).update(batch, decoded)
    broken = (all_rules()[rule] for part in (findings, observed) for rule in part["rule"])
    assert [rule.id for rule in broken if rule.tier == "A"] == []
