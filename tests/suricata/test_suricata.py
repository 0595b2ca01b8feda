"""The rules in real Suricatas: for each packet exactly the sids that numba finds."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import real_suricata
from example_frames import frames, mixed
from numpy.typing import NDArray
from outermost import without_inner
from procwire import examples, layers
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.open import read_capture
from procwire.compiler.to_suricata import HIDING, NATIVE, expression
from procwire.decode.columns import Decoded
from procwire.decode.frame import decode
from procwire.errors import InputDamaged
from procwire.evaluate import evaluate
from procwire.rule import Rule
from procwire.rules import all_rules, packet_rules
from procwire.words import EXTENSIONS

pytestmark = pytest.mark.suricata
Verdicts = set[tuple[int, int]]  # (number of the packet, sid)
FRAGMENT, AUTHENTICATION, NO_NEXT_HEADER = 44, 51, 59
RULES = {rule.sid: rule for rule in packet_rules()}
WAYS = {sid: expression(rule).way for sid, rule in RULES.items()}
SIZED_OPTIONS = {25, 130, 134, 136}  # quick start, security, commercial security, stream id
LARGEST_RECORDING, FIRST_PACKETS = 1_000_000, 200
DECODING_ORDER = [*HIDING, *NATIVE]  # what ends decoding early comes first


@pytest.fixture(scope="module", params=real_suricata.VERSIONS)
def suricata(request: pytest.FixtureRequest) -> Path:
    return real_suricata.program(request.param)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("suricata")
    real_suricata.build_rules(made)
    return made


def write_capture(path: Path, packets: Iterable[bytes]) -> Path:
    path.write_bytes(examples.capture(packets))
    return path


class Expected(NamedTuple):
    """What numba finds. found: all that Suricata may show; surely: the part that it must show;
    apart: packets of which it has another opinion, which nothing is expected of.
    """

    found: Verdicts
    surely: Verdicts
    apart: set[int]


def expected(capture: Path) -> Expected:
    """By the tables of to_suricata."""
    found: Verdicts = set()
    intact: set[int] = set()
    apart: set[int] = set()
    for batch in read_capture(capture):
        decoded = without_inner(decode(batch))
        rows = evaluate(batch, decoded)
        sids = [all_rules()[rule].sid for rule in rows["rule"]]
        found |= set(zip(rows["packet"].tolist(), sids, strict=True))
        for number, layer, data in network_spans(batch, decoded):
            if layer < layers.MALFORMED:
                intact.add(number)
            if judged_otherwise(layer, data):
                apart.add(number)
        for refused in (with_old_gre, in_short_session, under_reserved_label):
            rows = refused(batch, decoded)
            apart |= {int(row) + batch.first for row in rows}
    found = {(number, sid) for number, sid in found if WAYS[sid] != "host"}
    hidden = {number for number, sid in found if RULES[sid].id in HIDING}
    surely = {(n, sid) for n, sid in found if WAYS[sid] == "lua" and n in intact - hidden}
    return Expected(found, surely | first_faults(found), apart)


def network_spans(batch: PacketBatch, decoded: Decoded) -> Iterator[tuple[int, int, bytes]]:
    """(number of the packet, layer, bytes) of each IP header with what follows it."""
    spans = decoded.spans
    for packet, layer, start, size, *_ in zip(*spans, strict=True):
        if layer % layers.MALFORMED in (layers.IPV4, layers.IPV6):
            yield int(packet) + batch.first, int(layer), batch.data[start:][:size].tobytes()


def with_old_gre(batch: PacketBatch, decoded: Decoded) -> NDArray[np.int32]:
    """Rows of packets with a routing, recursion or reserved bit of GRE version 0 (RFC 1701), which
    Suricata refuses before it looks at anything else."""
    spans = decoded.spans
    gre = np.flatnonzero((spans.layer == layers.GRE) & (spans.captured >= 2))
    high, low = batch.data[spans.start[gre]], batch.data[spans.start[gre] + 1]
    old = (low & 7 == 0) & ((high & 0x4F != 0) | (low & 0xF8 != 0))
    return spans.packet[gre[old]]


def in_short_session(batch: PacketBatch, decoded: Decoded) -> NDArray[np.int32]:
    """Rows of packets that do not fit their PPPoE session header, whose length Suricata ignores."""
    spans = decoded.spans
    rows = spans.packet[np.isin(spans.layer, (layers.IPV4_MALFORMED, layers.IPV6_MALFORMED))]
    high, low = batch.data[batch.start[rows] + 12], batch.data[batch.start[rows] + 13]
    return rows[(high == 0x88) & (low == 0x64)]


def under_reserved_label(batch: PacketBatch, decoded: Decoded) -> NDArray[np.int32]:
    """Rows of IP packets below an MPLS label that no stack ends with (RFC 3032 2.1), behind which
    Suricata does not look."""
    spans = decoded.spans
    known = np.isin(spans.layer % layers.MALFORMED, (layers.IPV4, layers.IPV6))
    carried = np.flatnonzero(known & (spans.start - batch.start[spans.packet] >= 18))
    rows, start = spans.packet[carried], spans.start[carried]
    kind = batch.data[batch.start[rows] + 12].astype(int) << 8 | batch.data[batch.start[rows] + 13]
    label = batch.data[start - 4].astype(int) << 12
    label |= batch.data[start - 3].astype(int) << 4 | batch.data[start - 2] >> 4
    reserved = (label < 16) & (label != 0) & (label != 2)
    return rows[np.isin(kind, (0x8847, 0x8848)) & reserved]


def first_faults(found: Verdicts) -> Verdicts:
    """Of each packet's faults that end Suricata's decoding, the one that it meets first."""
    faults = [(number, sid) for number, sid in found if RULES[sid].id in DECODING_ORDER]
    faults.sort(key=lambda verdict: DECODING_ORDER.index(RULES[verdict[1]].id), reverse=True)
    return set(dict(faults).items())  # of equal keys, a dict keeps the last


def judged_otherwise(layer: int, data: bytes) -> bool:
    """Whether Suricata sees a fault in an IP header where the decoder sees none, or none where it
    sees one: lengths of 0, options whose length it fixes, IPv6 headers cut short, extension headers
    with less than two bytes behind.
    """
    if layer % layers.MALFORMED == layers.IPV4:
        options = data[20 : 4 * (data[0] & 15)] if data else b""
        return data[2:4] == b"\0\0" or not SIZED_OPTIONS.isdisjoint(options)
    if len(data) < 40:
        return True
    end = 40 + int.from_bytes(data[4:6], "big")
    protocol, at = data[6], 40
    while protocol in EXTENSIONS and at + 8 <= min(end, len(data)):
        unit = 4 if protocol == AUTHENTICATION else 8
        size = 8 if protocol == FRAGMENT else 8 + unit * data[at + 1]
        protocol, at = data[at], at + size
    return at + 2 > end and data[6] != NO_NEXT_HEADER


def differences(wanted: Expected, alerts: Verdicts) -> dict[str, list[tuple[int, str]]]:
    """Verdicts, as (number of the packet, id), that Suricata missed and that it made up."""
    kinds = {"missed": wanted.surely - alerts, "made up": alerts - wanted.found}
    return {
        kind: [(number, RULES[sid].id) for number, sid in sorted(verdicts)]
        for kind, verdicts in (
            (kind, {verdict for verdict in verdicts if verdict[0] not in wanted.apart})
            for kind, verdicts in kinds.items()
        )
    }


def assert_same(suricata: Path, directory: Path, capture: Path, *options: str) -> set[str]:
    """Returns the ids of the rules that were seen to fire in both."""
    wanted = expected(capture)
    outcome = real_suricata.run(suricata, directory, capture, *options)
    assert outcome.log == ""
    assert outcome.stats["detect"]["engines"][0]["rules_failed"] == 0
    assert outcome.stats["detect"]["alert_queue_overflow"] == 0
    # Suricata reassembles with limits of its own, so checks of several packets are not compared.
    alerts = {(number, sid) for number, sid in outcome.alerts if sid in RULES}
    assert differences(wanted, alerts) == {"missed": [], "made up": []}
    return {RULES[sid].id for number, sid in wanted.surely if number not in wanted.apart}


def shown() -> list[Rule]:
    return [rule for rule in packet_rules() if WAYS[rule.sid] != "host"]


def test_every_example(suricata: Path, directory: Path, tmp_path: Path) -> None:
    packets = [packet for rule in packet_rules() for packet in frames(rule)]
    fired = assert_same(suricata, directory, write_capture(tmp_path / "examples.pcap", packets))
    assert [rule.id for rule in shown() if rule.id not in fired] == []


@pytest.mark.parametrize("runmode", ["single", "autofp"])
def test_mixed_flows(suricata: Path, directory: Path, tmp_path: Path, runmode: str) -> None:
    """Violations, several at once and none, alternate in a few flows and outside of any."""
    capture = write_capture(tmp_path / "mixed.pcap", mixed(6000, seed=7))
    assert_same(suricata, directory, capture, "--runmode", runmode)


def test_real_traffic(suricata: Path, directory: Path, tmp_path: Path, corpus: Path) -> None:
    """The first packets of many recordings, as one capture."""
    packets = [
        packet
        for path in sorted((corpus / "wire").rglob("*.pcap"))
        if path.stat().st_size < LARGEST_RECORDING
        for packet in itertools.islice(whole_ethernet_frames(path), FIRST_PACKETS)
    ]
    assert_same(suricata, directory, write_capture(tmp_path / "real.pcap", packets))


def whole_ethernet_frames(path: Path) -> Iterator[bytes]:
    """Up to where the file is damaged. Suricata takes what a snap length cut for truncated."""
    with contextlib.suppress(InputDamaged):
        for batch in read_capture(path):
            for start, captured, length, _, link in zip(*batch[1:6], strict=True):
                if link == ETHERNET and captured == length:
                    yield batch.data[start:][:captured].tobytes()
