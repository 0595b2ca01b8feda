"""Recordings of real traffic, one at a time, in real Suricatas: the same sids for the same packets.

`--recordings all` takes every one (minutes), else two of each link type are taken. What Suricata
judges otherwise, for one of the reasons in agreement.py, is counted as a property of the test.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import real_suricata
from agreement import RULES, differences, excused, expected

pytestmark = pytest.mark.suricata
OF_EACH_LINK = 2
# What Suricata says of a file whose end is missing or whose lengths cannot be.
DAMAGED = "invalid packet capture length", "truncated dump file", "pcap_next_ex"


def labelled(wire: Path, every: bool) -> list[Path]:
    """The recordings, or the smallest of each link type."""
    labels = [json.loads(line) for line in (wire / "labels.jsonl").read_text().splitlines()]
    if every:
        return [wire / label["pcap"] for label in labels]
    by_link: dict[int, list[Path]] = defaultdict(list)
    for label in labels:
        if label["checks"]:
            by_link[label["link_type"]].append(wire / label["pcap"])
    return [
        path
        for paths in by_link.values()
        for path in sorted(paths, key=lambda path: path.stat().st_size)[:OF_EACH_LINK]
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wire = real_suricata.ROOT.parent / "shared" / "corpus" / "wire"
    every = metafunc.config.getoption("--recordings") == "all"
    found = labelled(wire, every) if wire.is_dir() else []
    names = [str(path.relative_to(wire / "pcaps")) for path in found]
    metafunc.parametrize("recording", found, ids=names)


@pytest.mark.parametrize("version", real_suricata.VERSIONS)
def test_recording(
    version: str, recording: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    program = real_suricata.program(version)
    real_suricata.build_rules(tmp_path)
    wanted = expected(recording, version)
    outcome = real_suricata.run(program, tmp_path, recording, "--runmode", "single")
    said = [line for line in outcome.log.splitlines() if not any(map(line.count, DAMAGED))]
    assert said == []
    assert real_suricata.troubles(outcome.stats) == {}
    alerts = {verdict for verdict in outcome.alerts if verdict[1] in RULES}
    for reason, count in excused(wanted, alerts).items():
        record_property(reason, count)
    assert differences(wanted, alerts) == {"missed": [], "made up": []}
