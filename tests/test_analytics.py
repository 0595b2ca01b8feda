"""What is said of each analytic: from which inputs, what was lost of them, how long alerts took."""

from __future__ import annotations

import json
import re
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from msgspec.structs import replace
from procwire.alert import CLOSED, scan_alert
from procwire.analytic_coverage import BLIND, IN_PART, SEEN, Covered, Latency, covered, supplies
from procwire.analytics import ANALYTICS, INPUTS
from procwire.context.allowlist import Wish, add
from procwire.context.site import Site
from procwire.context.store import MEMORY, Store
from procwire.detect.detector import DETECTORS
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.output.coverage_page import coverage_page
from procwire.runs.latency import Latency as Measured
from procwire.sensor.blind_spots import BCC_GAPS, BLIND_SPOTS, WIRE_SPOTS
from procwire.sensor.coverage import circumstances, meaning_of, of_run
from test_alert import SCANNER_PROCESS, row
from test_coverage import record

HOOK = "tp_btf/sock_send_length"
# A run to which nothing was missing.
WHOLE = {
    **circumstances("libbpf", ()),
    "packets": 9,
    "flows.flows": 3,
    "correlate.flows": 3,
    "context.zones": 2,
    "context.learned": 4,
    "records.events": 5,
}


def of(counters: dict[str, int], name: str) -> Covered:
    return next(one for one in covered(counters) if one.id == name)


def test_the_table_names_what_there_is() -> None:
    names = [one.name for one in INPUTS]
    assert len(set(names)) == len(names)
    used = {name for one in ANALYTICS for name in (*one.carriers, *one.helpers)}
    assert used == set(names)
    spots = {spot for one in INPUTS for spot in one.spots}
    assert spots == {spot.name for spot in (*BCC_GAPS, *BLIND_SPOTS, *WIRE_SPOTS)}
    thins = [pattern for one in INPUTS for pattern in one.thins]
    assert all(meaning_of(pattern.replace("*", "x")) for pattern in thins)
    assert {one.id for one in ANALYTICS} == {name for one in DETECTORS for name in one.analytics}


def test_a_run_that_had_everything_saw_all_analytics() -> None:
    assert {one.state for one in covered(WHOLE)} == {SEEN}
    assert all(one.never for one in covered(WHOLE))


def test_each_counter_that_thins_an_input_is_a_gap_of_its_analytics() -> None:
    for one in INPUTS:
        for pattern in one.thins:
            name = pattern.replace("*", "x")
            told = covered({**WHOLE, name: 7})
            for analytic, said in zip(ANALYTICS, told, strict=True):
                gaps = [gap for gap in said.blind if gap.what == name]
                if one.name in (*analytic.carriers, *analytic.helpers):
                    assert [(gap.count, gap.why) for gap in gaps] == [(7, meaning_of(name))]
                    assert said.state == IN_PART


@pytest.mark.parametrize(
    ("counters", "blind"),
    [
        ({}, {one.id for one in ANALYTICS}),
        (circumstances("libbpf", ()), {"AN1962", "AN1999"}),
        ({"packets": 3, "flows.flows": 1}, set()),
        ({"records.events": 3}, {"AN1962", "AN1999"}),
    ],
)
def test_without_what_carries_it_an_analytic_is_blind(
    counters: dict[str, int], blind: set[str]
) -> None:
    told = covered(counters)
    assert {one.id for one in told if one.state == BLIND} == blind
    assert {one.state for one in told if one.id not in blind} <= {IN_PART}
    assert all(gap.why for one in told for gap in one.blind)


def test_what_a_missing_hook_or_loader_hides_is_a_gap_where_it_matters() -> None:
    told = of({**WHOLE, **circumstances("libbpf", (HOOK,))}, "AN1057")
    assert [gap.what for gap in told.blind] == ["raw sockets handed to another process"]
    assert all(HOOK in gap.why for gap in told.blind)
    without_btf = {name: n for name, n in WHOLE.items() if "loaded_by" not in name}
    told = of({**without_btf, **circumstances("bcc", ())}, "AN1057")
    assert {gap.what for gap in told.blind} == {spot.name for spot in BCC_GAPS}


def test_latency_is_measured_by_analytic() -> None:
    (scan,) = FanoutDetectors().update(row())
    alert = scan_alert(scan, (SCANNER_PROCESS, ()), ())
    measured = Measured()
    for delay in (100, 200, 300):
        measured.note([alert], alert.time + delay * 1_000_000)
    measured.note([replace(alert, state=CLOSED)], alert.time + 10**12)
    counters = measured.counters()
    assert counters["latency.highest_ms"] == 300
    assert of(counters, "AN1058").latency == Latency(3, 200, 300)
    assert of(counters, "AN1962").latency is None


def test_an_entry_that_has_expired_is_told_of() -> None:
    (scan,) = FanoutDetectors().update(row())
    alert = scan_alert(scan, (SCANNER_PROCESS, ()), ())
    with Store(MEMORY) as store:
        wish = Wish(exe=SCANNER_PROCESS.exe, owner="ann", reason="x", expires="1h")
        add(store, wish, (), now=alert.time - 2 * 3600 * 10**9)
        site = Site(store)
        assert site.admit([alert]) == [alert]
        assert site.counters()["context.expired"] == 1
        other = replace(alert, process=None)
        assert site.admit([other]) == [other]
        assert site.counters()["context.expired"] == 1


def test_the_command_says_it_for_people_and_tools(run, tmp_path: Path) -> None:
    results = tmp_path / "eve.json"
    hostile = {"not_captured.\x1b[2J": 1, "capture.eth0.dropped": 5, "latency.AN1949.samples": 0}
    results.write_text(record("now", {**WHOLE, **hostile}))
    told = run("coverage", results)
    assert told.code == 0
    assert "\x1b" not in told.out
    assert "AN1949 in part: scanning of IP blocks (T1595.001)" in told.out
    assert "5 capture.eth0.dropped: packets that came faster than they were read" in told.out
    said = json.loads(run("coverage", results, "--json").out)
    assert [one["id"] for one in said["analytics"]] == [one.id for one in ANALYTICS]
    assert {fnmatchcase(gap["what"], "*eth0*") for gap in said["analytics"][0]["blind"]} == {
        True,
        False,
    }
    assert {one["name"] for one in said["inputs"]} >= set(said["analytics"][0]["inputs"])


def page(counters: dict[str, int], width: int = 80) -> list[str]:
    return list(coverage_page(covered(counters), supplies(counters), of_run(counters), width))


RUNS = {
    "whole": WHOLE,
    "no root": {"packets": 3, "flows.flows": 1},
    "no packets": circumstances("libbpf", ()),
    "bcc": {**WHOLE, **circumstances("bcc", (HOOK,))},
    "records": {"records.events": 3},
    "losses": {
        **WHOLE,
        **{pattern.replace("*", "x"): 7 for one in INPUTS for pattern in one.thins},
        "somewhere.lost": 3,
    },
}


@pytest.mark.parametrize("run_of", RUNS)
@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_page_says_each_reason_once_within_its_width(run_of: str, width: int) -> None:
    counters = RUNS[run_of]
    lines = page(counters, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    # Behind a dash a line may end, and counters share what is said of several.
    text = text.replace("- ", "-")
    supplied = supplies(counters)
    listed = {gap.what for one in supplied if one.state != BLIND for gap in one.gaps}
    for name in listed | {one.name for one in of_run(counters).lost}:
        wanted = re.escape(name.replace("- ", "-"))
        assert len(re.findall(rf"(?<![\w.]){wanted}(?![\w.])", text)) == 1
    reasons = Counter(spot.reason for spot in of_run(counters).not_seen)
    reasons.update({gap.why for one in supplied if one.state == BLIND for gap in one.gaps})
    for reason, times in reasons.items():
        assert text.count(reason.replace("- ", "-")) <= times, reason
        assert reason.replace("- ", "-") in text


def test_what_hides_most_comes_first() -> None:
    lines = page({**WHOLE, "context.pending": 7, "capture.eth0.dropped": 5})
    inputs = [line for line in lines if line[:3].strip().isdigit()]
    assert inputs[0] == "  1 packets: in part"
    assert inputs[1] == "  2 what is usual here: in part"
    assert inputs[2].endswith(": seen")
    blind = page(circumstances("libbpf", ()))
    assert [line[:6] for line in blind if line.startswith("AN")][:2] == ["AN1962", "AN1999"]
    assert "  1 packets: not seen: no packets were captured: `procwire watch -i IFACE`" in blind
    assert "  2 conversations on the wire: not seen: as 1" in blind
