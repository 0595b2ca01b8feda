"""Checksums against their plain twin, tshark and frames whose every byte is damaged in turn."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random

import numpy as np
import pytest
from frames import frame
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_checksum import RIGHT, UNCHECKED, WRONG, Sources, verdict
from procwire import examples, layers
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.checksum import Checksums
from procwire.decode.columns import Decoded
from procwire.decode.frame import decode
from procwire.judging.checksums import Verifier
from procwire.output.eve import Source, record
from procwire.rules import all_rules
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from test_decode import batch_of
from test_tunnels import TUNNELS

SUMMED = (layers.IPV4, layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6)
LINKS = {layers.IPV4: b"\x08\0", layers.IPV6: b"\x86\xdd"}


def naive(batch: PacketBatch, decoded: Decoded, sources: Sources) -> list[int]:
    spans, states = decoded.spans, []
    for row, layer in enumerate(spans.layer.tolist()):
        if layer not in SUMMED:
            states.append(UNCHECKED)
            continue
        network = row if layer == layers.IPV4 else int(spans.outer[row])
        start, captured = int(spans.start[row]), int(spans.captured[row])
        packet = batch.data[int(spans.start[network]) : start + captured].tobytes()
        span, cut = batch.data[start : start + captured].tobytes(), captured < spans.length[row]
        right = verdict(layer, span, cut, int(spans.layer[network]), packet)
        over_ipv4 = spans.layer[network] == layers.IPV4
        source = packet[12:16] if over_ipv4 else packet[8:24]
        states.append(sources.state((layer, source), right))
    return states


def whole(layer: int, protocol: int, body: bytes) -> bytes:
    """A frame around a transport header and its payload, with right checksums."""
    at = {6: 16, 17: 6, 1: 2, 58: 2}[protocol]
    packed = (examples.ipv4 if layer == layers.IPV4 else examples.ipv6)(b"", protocol, body)
    addresses = packed[12:20] if layer == layers.IPV4 else packed[8:40]
    pseudo = b"" if protocol == 1 else addresses + len(body).to_bytes(4, "big")
    pseudo += b"" if protocol == 1 else protocol.to_bytes(4, "big")
    data = pseudo + body[:at] + bytes(2) + body[at + 2 :]
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    checksum = (~(total % 0xFFFF) & 0xFFFF).to_bytes(2, "big")
    start = len(packed) - len(body) + at
    return bytes(12) + LINKS[layer] + packed[:start] + checksum + packed[start + 2 :]


TCP_BODY = bytes.fromhex("9c40 01bd 00000007 00000009 5018 0400 0000 0000") + b"odd number"
UDP_BODY = bytes.fromhex("9c40 01bd 0011 0000") + b"odd bytes"
ECHO = bytes.fromhex("0800 0000 0001 0001") + b"payload"
WHOLE = {
    "TCP": whole(layers.IPV4, 6, TCP_BODY),
    "UDP": whole(layers.IPV4, 17, UDP_BODY),
    "ICMP": whole(layers.IPV4, 1, ECHO),
    "TCP over IPv6": whole(layers.IPV6, 6, TCP_BODY),
    "UDP over IPv6": whole(layers.IPV6, 17, UDP_BODY),
    "ICMPv6": whole(layers.IPV6, 58, ECHO),
}


def states_in(decoded: Decoded) -> np.ndarray:
    Checksums().update(decoded, np.zeros(layers.MALFORMED, np.int64))
    return decoded.verified.states


def states_of(*packets: bytes) -> np.ndarray:
    batch = batch_of([(data, len(data), 1) for data in packets])
    return states_in(decode(batch))


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_states_equal_the_plain_twins(seed: int) -> None:
    source = Random(seed)
    chosen = list(WHOLE.values())
    packets = [frame(source) for _ in range(150)]
    packets += [(data, len(data), 1) for data in source.choices(chosen, k=50)]
    batch = batch_of(packets)
    decoded = decode(batch)
    assert states_in(decoded).tolist() == naive(batch, decoded, Sources())


@pytest.mark.parametrize("behind", [0, 1, 6, 31, 32, 65])
@pytest.mark.parametrize("name", WHOLE)
def test_what_lies_behind_a_packet_is_no_part_of_its_sum(name: str, behind: int) -> None:
    """A frame is filled up to 60 bytes, and some cards append more."""
    whole = WHOLE[name]
    states = states_of(whole + bytes(range(7, 7 + behind)))
    assert WRONG not in states and states.tolist() == states_of(whole).tolist()


@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_byte_is_noticed(name: str) -> None:
    data = WHOLE[name]
    assert set(states_of(data)) == {UNCHECKED, RIGHT}
    source = 14 + (8 if "v6" in name else 12)
    for at in (source, len(data) - 5, len(data) - 1):
        found = states_of(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        assert WRONG in found, at


def test_inside_tunnels_both_headers_are_summed() -> None:
    states = states_of(TUNNELS["IP in IP"])
    batch = batch_of([(TUNNELS["IP in IP"], len(TUNNELS["IP in IP"]), 1)])
    summed = [layer in SUMMED for layer in decode(batch).spans.layer]
    assert (states[summed] != UNCHECKED).all() and sum(summed) == 3


@pytest.mark.parametrize(("name", "checksum"), [("TCP", 14 + 20 + 16), ("UDP", 14 + 20 + 6)])
def test_what_is_shown_of_a_wrong_one_is_the_checksum(name: str, checksum: int) -> None:
    good, bad = WHOLE[name], WHOLE[name][:-1] + b"!"
    batch = batch_of([(data, len(data), 1) for data in [*[good] * 1024, bad]])
    found = Verifier().update(batch, decode(batch), np.zeros(len(all_rules()), np.int64))
    assert [(one["packet"], one["start"], one["size"]) for one in found] == [(1025, checksum, 2)]


def test_a_wrong_one_among_many_right_ones_stands_alone() -> None:
    good, bad = WHOLE["TCP"], WHOLE["TCP"][:-1] + b"!"
    batch = batch_of([(data, len(data), 1) for data in [bad, *[good] * 1024, bad, bad]])
    decoded = decode(batch)
    tcp = decoded.spans.layer == layers.TCP
    # The first was wrong before anything was known, and now there are two and three in 1024.
    expected = [WRONG, *[RIGHT] * 1024, WRONG, WRONG]
    assert states_in(decoded)[tcp].tolist() == expected
    batch = batch_of([(data, len(data), 1) for data in [*[good] * 1024, bad, bad]])
    decoded = decode(batch)
    verifier, counted = Verifier(), np.zeros(len(all_rules()), np.int64)
    (finding,) = verifier.update(batch, decoded, counted)
    assert all_rules()[finding["rule"]].id == "ip.checksum_alone"
    assert finding["packet"] == 1025 and finding["in_context"]
    assert [(all_rules()[rule].id, counted[rule]) for rule in np.flatnonzero(counted)] == [
        ("tcp.bad_checksum", 2)
    ]
    assert verifier.counters()["tcp_checked"] == 1026


def test_wrong_checksums_are_counted_and_raise_nothing_unless_they_stand_alone() -> None:
    good, bad = WHOLE["UDP"], WHOLE["UDP"][:-1] + b"!"

    def run(packets: list[bytes]) -> tuple[set[tuple[str, str]], dict[str, int]]:
        analysis = Analysis(Settings())
        alerts = analysis.packets(batch_of([(data, len(data), 1) for data in packets]))
        alerts += analysis.finish()
        raised = {(alert.check.id, record(alert, Source())["event_type"]) for alert in alerts}
        return raised, analysis.counters()

    raised, counters = run([bad] * 50)
    assert raised == set() and counters["episodes.rule.udp.bad_checksum"] == 50
    assert counters["checksums.udp_checked"] == 50
    raised, _ = run([*[good] * 1024, bad])
    assert raised == {("ip.checksum_alone", "alert")}


CORPUS = (
    "ndpi/anydesk.pcapng",
    "ndpi/can.pcap",
    "suricata-verify/dns__dns-forward-pointer.pcap",
    "zeek/chksums__ip4-tcp-good-chksum.pcap",
    "zeek/chksums__ip4-icmp-good-chksum.pcap",
)
VALIDATE = [f"-o{name}.check_checksum:TRUE" for name in ("ip", "tcp", "udp")]


@pytest.mark.parametrize("name", CORPUS)
def test_tshark_finds_the_same_wrong(corpus: Path, name: str) -> None:
    path = corpus / "wire" / "pcaps" / name
    if not path.exists():
        pytest.skip(f"{path} is not among the recordings")
    # Later ones (4.4) find what a network card completes, a sum of the pseudo-header alone, good.
    shown = " || ".join(f"{name}.checksum.status==0" for name in ("ip", "tcp", "udp"))
    shown += ' || _ws.expert.message contains "Partial (pseudo header)"'
    command = ["tshark", "-r", str(path), *VALIDATE, "-Y", shown, "-Tfields", "-eframe.number"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = set()
    for batch in read_capture(path):
        decoded = decode(batch)
        wrong = states_in(decoded) >= WRONG
        found |= set((decoded.spans.packet[wrong] + batch.first).tolist())
    assert found == set(map(int, told))
