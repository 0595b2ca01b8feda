"""Questions and answers other than TCP's and UDP's own: echo, neighbours, associations of SCTP, and
errors that quote what they answer."""

from __future__ import annotations

import numpy as np
import pytest
import scapy.all as scapy
from batches import batch_of, timed
from procwire.decode.contacts import Contacts
from procwire.decode.frame import decode
from procwire.event import Outcome

SECOND = 1_000_000_000


def attempts(*packets):
    """The rows that scapy packets on Ethernet, a millisecond apart, give rise to."""
    times = SECOND + np.arange(len(packets)) * 1_000_000
    batch = batch_of([bytes(packet) for packet in packets], times)
    (rows,) = Contacts().update(timed(batch), decode(batch))
    return rows


UNICAST = scapy.Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
ASK4 = UNICAST / scapy.IP(src="10.0.0.1", dst="10.0.0.2")
ASK6 = UNICAST / scapy.IPv6(src="2001:db8::1", dst="2001:db8::2")
BACK4 = UNICAST / scapy.IP(src="10.0.0.2", dst="10.0.0.1")
BACK6 = UNICAST / scapy.IPv6(src="2001:db8::2", dst="2001:db8::1")
CALL = scapy.TCP(sport=40000, dport=80, flags="S")
DATAGRAM = scapy.UDP(sport=40000, dport=161) / b"ask"
INIT = scapy.SCTP(sport=40000, dport=80) / scapy.SCTPChunkInit(init_tag=7)
FROM_80 = scapy.SCTP(sport=80, dport=40000)
WHO_HAS = scapy.Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01")
EXCHANGES = {
    "tcp4": (ASK4 / CALL, BACK4 / scapy.ICMP(type=3, code=13) / (ASK4 / CALL)[1]),
    "tcp6": (ASK6 / CALL, BACK6 / scapy.ICMPv6DestUnreach(code=1) / (ASK6 / CALL)[1]),
    "sctp4": (ASK4 / INIT, BACK4 / FROM_80 / scapy.SCTPChunkInitAck()),
    "sctp6": (ASK6 / INIT, BACK6 / FROM_80 / scapy.SCTPChunkAbort()),
    "sctp, no route": (ASK4 / INIT, BACK4 / scapy.ICMP(type=3, code=2) / (ASK4 / INIT)[1]),
    "udp4": (ASK4 / DATAGRAM, BACK4 / scapy.ICMP(type=3, code=3) / (ASK4 / DATAGRAM)[1]),
    "udp6": (ASK6 / DATAGRAM, BACK6 / scapy.ICMPv6DestUnreach(code=4) / (ASK6 / DATAGRAM)[1]),
    "echo4": (ASK4 / scapy.ICMP(id=7), BACK4 / scapy.ICMP(type=0, id=7)),
    "echo6": (ASK6 / scapy.ICMPv6EchoRequest(id=7), BACK6 / scapy.ICMPv6EchoReply(id=7)),
    "no route": (
        ASK4 / scapy.ICMP(id=7),
        UNICAST
        / scapy.IP(src="10.0.0.254", dst="10.0.0.1")
        / scapy.ICMP(type=3, code=1)
        / (ASK4 / scapy.ICMP(id=7))[1],
    ),
    "arp": (
        WHO_HAS / scapy.ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2"),
        UNICAST / scapy.ARP(op=2, psrc="10.0.0.2", pdst="10.0.0.1"),
    ),
    "nd": (
        scapy.Ether(dst="33:33:ff:00:00:02")
        / scapy.IPv6(src="2001:db8::1", dst="ff02::1:ff00:2")
        / scapy.ICMPv6ND_NS(tgt="2001:db8::2"),
        BACK6 / scapy.ICMPv6ND_NA(tgt="2001:db8::2"),
    ),
}
ENDS = {"tcp4": Outcome.UNREACHABLE, "tcp6": Outcome.UNREACHABLE, "no route": Outcome.UNREACHABLE}
ENDS |= {"sctp6": Outcome.REFUSED, "sctp, no route": Outcome.UNREACHABLE}
ENDS |= {"udp4": Outcome.REFUSED, "udp6": Outcome.REFUSED}


@pytest.mark.parametrize("name", EXCHANGES)
def test_each_question_finds_its_answer(name):
    ask, reply = EXCHANGES[name]
    rows = attempts(ask, ask, reply, reply)
    assert [row["outcome"] for row in rows] == [
        Outcome.PENDING,
        ENDS.get(name, Outcome.ESTABLISHED),
    ]
    assert rows["kind"][0] == rows["kind"][1]
    network = 0x20010DB8 << 96 if rows["dst_hi"][0] else 0xFFFF0A000000
    for side, host in (("src", 1), ("dst", 2)):
        address = (int(rows[f"{side}_hi"][0]) << 64) | int(rows[f"{side}_lo"][0])
        assert address == network + host
    assert len(attempts(reply, reply)) == 0


def test_an_init_with_another_tag_is_another_association():
    ask, reply = EXCHANGES["sctp4"]
    again = ASK4 / scapy.SCTP(sport=40000, dport=80) / scapy.SCTPChunkInit(init_tag=8)
    rows = attempts(ask, reply, ask, again, reply, again)
    assert rows["outcome"].tolist() == [Outcome.PENDING, Outcome.ESTABLISHED] * 2
    cookie = ASK4 / scapy.SCTP(sport=40000, dport=80) / scapy.SCTPChunkCookieEcho()
    rows = attempts(ask, cookie, reply)
    assert rows["outcome"].tolist() == [Outcome.PENDING, Outcome.ESTABLISHED]


@pytest.mark.parametrize(
    "packet",
    [
        WHO_HAS / scapy.ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.1"),
        WHO_HAS / scapy.ARP(op=1, psrc="0.0.0.0", pdst="10.0.0.2"),
        scapy.Ether(dst="33:33:ff:00:00:02")
        / scapy.IPv6(src="::", dst="ff02::1:ff00:2")
        / scapy.ICMPv6ND_NS(tgt="2001:db8::2"),
        scapy.Ether(dst="ff:ff:ff:ff:ff:ff") / (ASK4 / DATAGRAM)[1],
        ASK4 / scapy.ICMP(type=3, code=4) / (BACK4 / DATAGRAM)[1],
        UNICAST / scapy.IP(src="10.0.0.1", dst="10.0.0.2", ttl=7) / scapy.UDP(dport=33440),
    ],
    ids=["announcement", "probe", "own address", "broadcast", "fragmentation needed", "trace"],
)
def test_no_attempt_at_all(packet):
    assert len(attempts(packet)) == 0


@pytest.mark.parametrize(
    ("hops", "ports", "tried"),
    [
        (31, (33434, 33533), 0),
        (32, (33434, 33533), 2),
        (31, (33433, 33534, 33000, 65535), 1),
        (32, (33433, 33534, 33000, 65535), 4),
        (1, (32998, 32999), 2),
    ],
)
def test_of_who_traces_a_path_one_port_counts(hops, ports, tried):
    sent = [UNICAST / scapy.IP(src="10.0.0.1", dst="10.0.0.2", ttl=hops) for _port in ports]
    pairs = zip(sent, ports, strict=True)
    assert len(attempts(*(ip / scapy.UDP(sport=40000, dport=port) for ip, port in pairs))) == tried


@pytest.mark.parametrize("name", EXCHANGES)
def test_cut_messages_end_nothing_and_crash_nothing(name):
    ask, reply = (bytes(packet) for packet in EXCHANGES[name])
    for size in range(14, len(reply)):
        attempts(ask, reply[:size])
