"""Alerts as examples for what is made of them: a scan, findings of packets, texts that a terminal
would obey."""

from __future__ import annotations

from dataclasses import replace

from msgspec.structs import replace as changed
from procwire.alert import RAISED, Alert
from procwire.detect.detector import HOST_SWEEP, Detector
from procwire.detect.observation import Evidence
from procwire.output.eve import Source
from procwire.record import Endpoint, Process

START = 1_790_000_000_123_456_789
NASTY = "\x1b[31m\u202egnp.exe\x9b2J\n\udcff\U000e0041ok"
PROCESS = Process(
    (77, 4711, 2),
    (1, 1, 1),
    START,
    33,
    "www-data",
    "/tmp/x9",
    ("/tmp/x9", "-r", "10.20.0.0/24"),
    "x9",
    "/",
    None,
    None,
    "kernel",
)
PARENT = replace(PROCESS, key=(1, 1, 1), comm="php-fpm", exe="/usr/sbin/php-fpm", argv=("php",))


def endpoint(text, port=None):
    prefix = bytes(10) + b"\xff\xff"
    return Endpoint(prefix + bytes(int(part) for part in text.split(".")), port)


SCAN = Alert(
    episode="F-7Q2KXM",
    state=RAISED,
    check=HOST_SWEEP,
    severity=1,
    time=START,
    first=START - 38_000_000_000,
    last=START,
    count=220,
    source=endpoint("10.0.0.5"),
    destination=endpoint("10.0.0.9", 445),
    protocol=6,
    evidence=(
        Evidence("hosts", 214, 25, "fanout.hosts"),
        Evidence("window_s", 60.0),
        Evidence("unanswered", 0.97, 0.5, "sweep.unanswered"),
        Evidence("sequential_run", 200, 20, "fanout.sequential_run"),
    ),
    targets=(endpoint("10.0.0.9", 445),),
    process=PROCESS,
    ancestors=(PARENT,),
)
RULE = Detector(
    "udp.len_mismatch",
    9100301,
    "Length field shorter than the UDP header",
    "RFC 768, Length",
    ("AN1962", "AN1999"),
    3,
    suricata=("decoder.udp.hlen_too_small",),
)
HIT = changed(
    SCAN,
    check=RULE,
    severity=3,
    source=endpoint("10.0.0.5", 40000),
    destination=endpoint("10.0.0.9", 53),
    protocol=17,
    evidence=(),
    targets=(),
    process=None,
    ancestors=(),
    packet=17,
    offset=38,
    size=2,
)
ICMP_HIT = changed(
    HIT,
    check=replace(RULE, id="icmp4.short", zeek=("bad_ICMP",), suricata=()),
    source=endpoint("10.0.0.5", 8),
    destination=endpoint("10.0.0.9", 0),
    protocol=1,
)
SHARED_HIT = changed(HIT, source=None, destination=None)
V6_HIT = changed(
    HIT, source=Endpoint(bytes(15) + b"\x01", 1), destination=Endpoint(bytes(15) + b"\x02", 2)
)
TIER_B = changed(HIT, check=replace(RULE, id="tcp.odd", tier="B"))
NASTY_SCAN = changed(SCAN, process=replace(PROCESS, exe=NASTY, comm=NASTY, argv=(NASTY, "a b")))
ALERTS = {
    "scan": SCAN,
    "rule": HIT,
    "icmp": ICMP_HIT,
    "many sources": SHARED_HIT,
    "ipv6": V6_HIT,
    "anomaly": TIER_B,
    "hostile process": NASTY_SCAN,
    "without addresses": changed(SCAN, source=None, process=None),
    "hostile sender": changed(HIT, process=NASTY_SCAN.process),
    "unknown protocol": changed(HIT, protocol=253),
}
FILE = Source(pcap_filename="a.pcap")
