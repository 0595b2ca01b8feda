"""The rules in Suricatas that stand between a client and a server: what breaks a rule of tier A is
dropped, by the rule, and everything else arrives."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest
import real_suricata
from agreement import RULES, expected
from inline_site import Inline, arriving, send, site
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
MODES = "af-packet", "nfq"


def numbered(frame: bytes, number: int) -> bytes:
    """The frame with its number in the source address, by which it is known again. Segments get
    sequence numbers far apart: inline, Suricata makes what is sent again equal to what it saw.
    Fragments get an identification each: what does not fit others of its datagram is dropped."""
    marked = frame[:6] + b"\x02\0" + struct.pack(">I", number) + frame[12:]
    if frame[12:14] == b"\x08\0" and len(frame) >= 22 and frame[20] & 0x3F | frame[21]:
        marked = marked[:18] + struct.pack(">H", number) + marked[20:]
    elif len(frame) >= 42 and frame[12:15] == b"\x08\0\x45" and frame[23] == TCP:
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


def forwarded(frame: bytes) -> bytes:
    """What a router leaves of an IPv4 packet as it is: all but the time to live and its checksum,
    and of the frame nothing."""
    return frame[14:22] + frame[23:24] + frame[26:]


@pytest.mark.parametrize("version", real_suricata.VERSIONS)
@pytest.mark.parametrize("mode", MODES)
def test_drops_what_breaks_a_rule(mode: str, version: str, tmp_path: Path) -> None:
    """From a queue packets begin with their IP header; there only those count that the kernel
    forwards, as without Suricata."""
    routed = mode == "nfq"
    if routed and shutil.which("iptables") is None:
        pytest.skip("iptables is not installed")
    frames = example_frames()
    ruleset.write(tmp_path, ruleset.ruleset(drop=True))
    with site(routed):
        if routed:
            with arriving(tmp_path) as arrived:
                send(frames, tmp_path)
            kept = {forwarded(one.frame) for one in arrived}
            frames = [frame for frame in frames if forwarded(frame) in kept]
        with Inline(version, tmp_path, mode) as suricata, arriving(tmp_path) as arrived:
            send(frames, tmp_path)
    capture = tmp_path / "sent.pcap"
    capture.write_bytes(examples.capture(frames))
    wanted = expected(capture, version)
    seen = {known(one.frame, routed) for one in arrived}
    passed = {number for number, frame in enumerate(frames, 1) if known(frame, routed) in seen}
    broken = {number for number, sid in wanted.surely if RULES[sid].tier == "A"} - set(wanted.apart)
    touched = {number for number, sid in wanted.found if RULES[sid].tier == "A"}
    sound = set(range(1, len(frames) + 1)) - touched - set(wanted.apart)
    assert len(broken) > 50 and len(sound) > 50
    assert {number: frames[number - 1].hex() for number in broken & passed} == {}
    assert {number: frames[number - 1].hex() for number in sound - passed} == {}
    drops = suricata.records("drop")
    # A tunnel goes with the packet in it that broke a rule.
    assert {one["drop"]["reason"] for one in drops} - {"tunnel packet drop"} == {"rules"}


def known(frame: bytes, routed: bool) -> bytes:
    """By what a frame that arrives is known again."""
    return forwarded(frame) if routed else frame[6:12]
