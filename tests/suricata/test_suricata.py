"""The rules in real Suricatas: for each packet exactly the sids that numba finds."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import real_suricata
from agreement import RULES, differences, expected
from example_frames import frames, mixed
from procwire import examples
from procwire.capture.batch import ETHERNET
from procwire.capture.open import read_capture
from procwire.compiler.sights import expression
from procwire.errors import InputDamaged
from procwire.rule import Rule
from procwire.rules import packet_rules

pytestmark = pytest.mark.suricata
LARGEST_RECORDING, FIRST_PACKETS = 1_000_000, 200


class Suricata(NamedTuple):
    version: str
    program: Path


@pytest.fixture(scope="module", params=real_suricata.VERSIONS)
def suricata(request: pytest.FixtureRequest) -> Suricata:
    return Suricata(request.param, real_suricata.program(request.param))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("suricata")
    real_suricata.build_rules(made)
    return made


def write_capture(path: Path, packets: Iterable[bytes]) -> Path:
    path.write_bytes(examples.capture(packets))
    return path


def assert_same(suricata: Suricata, directory: Path, capture: Path, *options: str) -> set[str]:
    """Returns the ids of the rules that were seen to fire in both."""
    wanted = expected(capture, suricata.version)
    outcome = real_suricata.run(suricata.program, directory, capture, *options)
    assert outcome.log == ""
    assert real_suricata.troubles(outcome.stats) == {}
    # Suricata reassembles with limits of its own, so checks of several packets are not compared.
    alerts = {(number, sid) for number, sid in outcome.alerts if sid in RULES}
    assert differences(wanted, alerts) == {"missed": [], "made up": []}
    return {RULES[sid].id for number, sid in wanted.surely if number not in wanted.apart}


def shown(version: str) -> list[Rule]:
    return [rule for rule in packet_rules() if expression(rule, int(version)).way != "host"]


def test_every_example(suricata: Suricata, directory: Path, tmp_path: Path) -> None:
    packets = [packet for rule in packet_rules() for packet in frames(rule)]
    fired = assert_same(suricata, directory, write_capture(tmp_path / "examples.pcap", packets))
    assert [rule.id for rule in shown(suricata.version) if rule.id not in fired] == []


@pytest.mark.parametrize("runmode", ["single", "autofp"])
def test_mixed_flows(suricata: Suricata, directory: Path, tmp_path: Path, runmode: str) -> None:
    """Violations, several at once and none, alternate in a few flows and outside of any."""
    capture = write_capture(tmp_path / "mixed.pcap", mixed(6000, seed=7))
    # Some of the examples, one after the other, make it take the rest of their flow for encrypted.
    full = ("--set", "app-layer.protocols.tls.encryption-handling=full")
    assert_same(suricata, directory, capture, "--runmode", runmode, *full)


def test_real_traffic(suricata: Suricata, directory: Path, tmp_path: Path, corpus: Path) -> None:
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
