"""The rules in Suricatas that stand between a client and a server: what breaks a rule of tier A is
dropped, by the rule, and everything else arrives."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import real_suricata
from agreement import RULES, expected
from inline_site import (
    CLIENT,
    ROUTED_SERVER,
    Inline,
    sent_through,
    site,
    within,
)
from procwire import examples
from procwire.rules import packet_rules
from procwire.suricata import ruleset

pytestmark = [
    pytest.mark.suricata,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
]
TCP = 6
TUNNELS, FRAGMENTS = (b"\x04", b"\x29"), (b"\x2c",)
SHORTEST_FRAME, LONGEST_FRAME = 14, 1514  # that the kernel sends
GOODBYE = bytes.fromhex("020000000002 0200ffffffff 88b5") + bytes(46)  # a local experiment's type


def numbered(frame: bytes, number: int) -> bytes:
    """The frame with its number in the source address, by which it is known again. Segments get
    sequence numbers far apart: inline, Suricata makes what is sent again equal to what it saw."""
    marked = frame[:6] + b"\x02\0" + struct.pack(">I", number) + frame[12:]
    if len(frame) >= 42 and frame[12:15] == b"\x08\0\x45" and frame[23] == TCP:
        marked = marked[:38] + struct.pack(">I", number << 20) + marked[42:]
    return marked


def example_frames() -> list[bytes]:
    """Every example of every rule, but for VLANs, whose tags the kernel takes off, and packets in
    packets, which Suricata drops for what it finds inside."""
    texts = [
        (rule.layers[0], text)
        for rule in packet_rules()
        for text in (*rule.fires_on, *rule.silent_on)
        if not {"vlan", "ethernet"} & set(rule.layers)
    ]
    frames = [examples.frame(layer, text) for layer, text in texts]
    sent = [frame for frame in frames if SHORTEST_FRAME <= len(frame) <= LONGEST_FRAME]
    plain = [frame for frame in sent if not is_packet_in_packet(frame)]
    return [numbered(frame, number) for number, frame in enumerate(plain, 1)]


def is_packet_in_packet(frame: bytes) -> bool:
    """Whether it holds a tunnel, or a fragment, which becomes part of another packet."""
    kind, ipv4, ipv6 = frame[12:14], frame[23:24], frame[20:21]
    return (kind == b"\x08\0" and ipv4 in TUNNELS) or (kind == b"\x86\xdd" and ipv6 in FRAGMENTS)


@pytest.mark.parametrize("version", real_suricata.VERSIONS)
def test_drops_what_breaks_a_rule(version: str, tmp_path: Path) -> None:
    frames = example_frames()
    capture = tmp_path / "sent.pcap"
    capture.write_bytes(examples.capture(frames))
    wanted = expected(capture, version)
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    with site(routed=False), Inline(version, tmp_path, "af-packet") as suricata:
        arrived = {frame[6:12] for frame in sent_through(frames, tmp_path, GOODBYE)}
    passed = {number for number, frame in enumerate(frames, 1) if frame[6:12] in arrived}
    broken = {number for number, sid in wanted.surely if RULES[sid].tier == "A"} - set(wanted.apart)
    touched = {number for number, sid in wanted.found if RULES[sid].tier == "A"}
    sound = set(range(1, len(frames) + 1)) - touched - set(wanted.apart)
    assert len(broken) > 50 and len(sound) > 50
    assert {number: frames[number - 1].hex() for number in broken & passed} == {}
    assert {number: frames[number - 1].hex() for number in sound - passed} == {}
    drops = suricata.records("drop")
    # A tunnel goes with the packet in it that broke a rule.
    assert {one["drop"]["reason"] for one in drops} - {"tunnel packet drop"} == {"rules"}


@pytest.mark.skipif(shutil.which("iptables") is None, reason="iptables is not installed")
@pytest.mark.parametrize("version", real_suricata.VERSIONS)
def test_drops_from_a_queue(version: str, tmp_path: Path) -> None:
    """There packets begin with their IP header."""
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    with site(routed=True), Inline(version, tmp_path, "nfq"):
        answers = subprocess.run(
            within(CLIENT, sys.executable, "-c", QUERIES, ROUTED_SERVER),
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
    assert answers.stdout.split() == ["answered", "silent", "answered"]


# A datagram to port 53 with a name that is one, with one that points to itself, and again one that
# is one. The answers are ICMP's: nobody listens there.
QUERIES = """
import socket, sys
HEAD = bytes.fromhex("1234 0100 0001 0000 0000 0000")
for name in (b"\\1a\\0", b"\\xc0\\x0c", b"\\1b\\0"):
    client = socket.socket(type=socket.SOCK_DGRAM)
    client.settimeout(3 if name[0] == 0xc0 else 60)
    client.connect((sys.argv[1], 53))
    client.send(HEAD + name + b"\\0\\1\\0\\1")
    try:
        client.recv(1)
    except ConnectionRefusedError:
        print("answered")
    except TimeoutError:
        print("silent")
"""
