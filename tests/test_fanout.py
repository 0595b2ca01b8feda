"""Fan-out windows: equal to the twin that counts from scratch, and close to the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_fanout import NaiveFanOut, estimate, host_hash, pair_hash
from naive_slots import NaiveSlots
from procwire.detect.fanout import FanOut
from procwire.detect.fanout_state import FEW
from procwire.detect.row_hashes import row_hashes
from procwire.event import FANOUT_EVENT, EventKind, Measure, Origin, Outcome
from procwire.record import CONNECTION
from procwire.settings.traffic import FanOutSettings

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
SCANNER = 0xFFFF0A000001
NETWORK = 0xFFFF0A010000
V6_EDGE = (0x20010DB8 << 96) | (2**64 - 2)


def connection(time, destination, port=80, outcome=Outcome.PENDING, source=SCANNER):
    return time, source, destination, port, outcome


def table(rows, origin=Origin.WIRE):
    """record.CONNECTION rows of tuples made by connection()."""
    out = np.zeros(len(rows), CONNECTION)
    for i, (time, source, destination, port, outcome) in enumerate(rows):
        out[i]["time"] = time
        out[i]["src_hi"], out[i]["src_lo"] = divmod(source, 2**64)
        out[i]["dst_hi"], out[i]["dst_lo"] = divmod(destination, 2**64)
        out[i]["dst_port"], out[i]["outcome"] = port, outcome
        out[i]["origin"], out[i]["protocol"] = origin, 6
    return out


def sweep(count, step=SECOND // 1000, outcome=Outcome.PENDING):
    return [connection(START + i * step, NETWORK + i, outcome=outcome) for i in range(count)]


def target(row):
    return int.from_bytes(row["address"].tobytes(), "big"), int(row["port"])


def as_twin(event):
    """A report in the twin's form, without the exact numbers."""
    names = set(FANOUT_EVENT.names) - {"process", "kind", "uid", "source", "comm"}
    names -= {"attempt", "origin", "by_children", "unrouted", "net_namespace"}
    names -= {"job", "job_kind", "padding", "subject", "program"}
    plain = {name: int(event[name]) for name in names - {"first", "last", "sample"}}
    sample = [target(row) for row in event["sample"]]
    return plain | {
        "first": target(event["first"]),
        "last": target(event["last"]),
        "sample": tuple(
            here if index < event["samples"] else None for index, here in enumerate(sample)
        ),
    }


def test_a_sweep_reports_with_all_its_figures():
    events = FanOut(FanOutSettings(sequential_run=0)).update(table(sweep(25)))
    assert len(events) == 1
    event = events[0]
    assert event["kind"] == EventKind.FANOUT
    assert event["measure"] == Measure.HOSTS
    assert (event["threshold"], event["hosts"], event["attempts"]) == (25, 25, 25)
    assert event["sequential_run"] == 25
    assert event["process"]["pid"] == 0
    assert int.from_bytes(event["source"].tobytes(), "big") == SCANNER
    assert target(event["first"]) == (NETWORK, 80)
    assert target(event["last"]) == (NETWORK + 24, 80)


@pytest.mark.parametrize(("end", "told"), [(Outcome.ESTABLISHED, 0), (Outcome.REFUSED, 1)])
def test_what_was_answered_is_counted_and_not_told(end, told):
    ended = sorted(sweep(25) + sweep(25, outcome=end), key=lambda row: (row[0], row[4]))
    settings = FanOutSettings(sequential_run=0, failures=0)
    crossed = len(FanOut(settings).update(table(ended)))
    fanout = FanOut(settings, unanswered=0.5)
    assert len(fanout.update(table(ended))) == told * crossed
    assert fanout.counters()["reports"] == crossed > 0


def test_a_million_targets_cost_a_handful_of_reports():
    count = 200_000
    rows = np.tile(table(sweep(1)), count)
    rows["time"] += np.arange(count) * 10_000
    rows["dst_lo"] += np.arange(count, dtype=np.uint64)
    events = FanOut().update(rows)
    assert 3 * 4 * 3 <= len(events) <= 3 * 4 * 6
    crossed = events[events["measure"] == Measure.HOSTS]
    assert set(crossed["threshold"].tolist()) == {25, 250, 2500, 25_000}
    error = np.abs(crossed["hosts"] / crossed["attempts"] - 1)
    assert error.max() < 4 * 1.04 / np.sqrt(512)


def test_totals_are_those_of_the_longest_window():
    fanout = FanOut()
    fanout.update(table(sweep(19)))
    assert len(fanout.totals()) == 0
    fanout.update(table(sweep(300)))
    (row,) = fanout.totals()
    assert (row["measure"], row["threshold"], row["window_ns"]) == (0, 0, 600 * SECOND)
    assert row["attempts"] == 19 + 300
    assert row["first_ns"] == START
    assert abs(int(row["hosts"]) - 300) < 30


def test_one_server_many_times_is_no_fan_out():
    rows = [connection(START + i, NETWORK, outcome=Outcome.PENDING) for i in range(5000)]
    assert len(FanOut().update(table(rows))) == 0


def test_failures_are_counted_and_successes_are_not():
    ends = [Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.UNREACHABLE, Outcome.DENIED] * 25
    rows = [connection(START + i, NETWORK, outcome=end) for i, end in enumerate(ends)]
    quiet = [connection(START, NETWORK, outcome=Outcome.ESTABLISHED)] * 500
    events = FanOut().update(table(quiet + rows))
    assert (events[0]["measure"], events[0]["failures"]) == (Measure.FAILURES, 100)
    assert (events[0]["refused"], events[0]["established"]) == (25, 500)


def test_an_imported_row_is_attempt_and_end_at_once():
    rows = table(sweep(30, outcome=Outcome.REFUSED), origin=Origin.IMPORT)
    event = FanOut(FanOutSettings(sequential_run=0)).update(rows)[0]
    assert (event["attempts"], event["refused"]) == (25, 24)


def test_a_level_falls_back_when_the_window_has_passed():
    rows = sweep(30) + [
        connection(time + 3600 * SECOND, host, port) for time, _, host, port, _ in sweep(30)
    ]
    settings = FanOutSettings(sequential_run=0, host_ports=0)
    events = FanOut(settings).update(table(rows))
    assert events["measure"].tolist() == [Measure.HOSTS] * 3 + [0] * 3 + [Measure.HOSTS] * 3
    assert events["hosts"].tolist() == [25, 26, 27, 30, 30, 30, 25, 26, 27]


def test_a_threshold_of_zero_is_off():
    off = FanOutSettings(hosts=0, host_ports=0, failures=0, sequential_run=0)
    assert len(FanOut(off).update(table(sweep(500)))) == 0


def test_rows_are_hashed_as_their_twins_are():
    near, far = NETWORK - NETWORK % 256, NETWORK - NETWORK % 256 + 256
    targets = [(near, 80), (near + 255, 80), (near, 81), (far, 80), (V6_EDGE, 443)]
    rows = [connection(START, *target, source=source) for source in (near, 7) for target in targets]
    hashes = row_hashes(table(rows))
    assert hashes["source"].tolist() == [host_hash(row[1]) for row in rows]
    assert hashes["host"].tolist() == [host_hash(row[2]) for row in rows]
    assert hashes["target"].tolist() == [pair_hash(row[2], row[3]) for row in rows]
    pairs, networks = [(row[1], row[2]) for row in rows], [(row[1], row[2] >> 8) for row in rows]
    for name, twins in (("pair", pairs), ("network", networks)):
        found = dict(zip(twins, hashes[name].tolist(), strict=True))
        assert hashes[name].tolist() == [found[twin] for twin in twins]
        assert len(set(found.values())) == len(found)


def test_a_crowd_of_sources_evicts_and_says_so():
    rows = [connection(START + i, NETWORK, source=SCANNER + i) for i in range(100)]
    detector = FanOut(FanOutSettings(subjects=16))
    assert len(detector.update(table(rows))) == 0
    assert detector.counters() == {"attempts": 100, "ends": 0, "reports": 0, "evicted": 84}


def test_who_takes_anothers_place_has_nothing_of_what_was_told_of_it():
    """Neither the figures at which it is told again nor its targets."""
    crowd = [
        connection(START + number, NETWORK + number % 30, source=SCANNER + number // 30)
        for number in range(100 * 30)
    ]
    detector = FanOut(FanOutSettings(subjects=8, sequential_run=0))
    assert len(detector.update(table(crowd))) == 3 * 100
    late = [connection(START + SECOND + i, NETWORK + i * i, source=1) for i in range(25)]
    refused = [
        connection(START + 2 * SECOND, NETWORK, outcome=Outcome.REFUSED, source=2)
        for _ in range(100)
    ]
    swept, failed = detector.update(table(late + refused))
    assert (swept["measure"], swept["threshold"]) == (Measure.HOSTS, 25)
    assert (failed["measure"], failed["attempts"]) == (Measure.FAILURES, 0)
    told_of = [target(failed["first"]), target(failed["last"]), *map(target, failed["sample"])]
    assert told_of == [(0, 0)] * 10


def test_ipv6_runs_carry_across_the_lower_half():
    rows = [connection(START + i, V6_EDGE + i) for i in range(25)]
    event = FanOut(FanOutSettings(hosts=0)).update(table(rows))[0]
    assert (event["measure"], event["sequential_run"]) == (Measure.SEQUENTIAL_RUN, 20)


@pytest.mark.parametrize("count", range(22, 27))
def test_figures_of_few_attempts_are_those_of_a_sketch(count):
    """Some are remembered one by one; linear counting says 24 of 23 registers."""
    rows = sweep(count)
    rows.append(connection(START + 600 * SECOND, NETWORK))
    detector = FanOut(FanOutSettings(windows_s=(600.0, 1200.0, 2400.0), hosts=4, sequential_run=0))
    (*_, turned) = [row for row in detector.update(table(rows)) if row["measure"] == 0]
    hashes = {host_hash(NETWORK + i) for i in range(count)}
    assert (turned["attempts"], turned["hosts"]) == (count, estimate(hashes))


def test_estimates_reach_a_threshold_no_sooner_than_attempts():
    """Of 24 hosts a sketch may say 25, and their failures have the window looked at."""
    starts = range(NETWORK, NETWORK + 256)
    start = next(one for one in starts if estimate([host_hash(one + i) for i in range(24)]) == 25)
    swept = [connection(START + i * SECOND // 1000, start + i) for i in range(25)]
    rows = [row for one in swept for row in (one, (*one[:4], Outcome.REFUSED))]
    settings = FanOutSettings(hosts=25, host_ports=0, failures=24, sequential_run=0)
    events = FanOut(settings).update(table(rows))
    attempts = {measure: events["attempts"][events["measure"] == measure] for measure in Measure}
    assert attempts[Measure.FAILURES].min() == 24
    assert attempts[Measure.HOSTS].min() == 25


@pytest.mark.parametrize("count", [1, 10, 100, 1000, 1300, 5000])
def test_the_estimate_is_close_to_the_truth(count):
    hashes = {host_hash(NETWORK + 7 * i) for i in range(count)}
    assert abs(estimate(hashes) - count) <= max(1, 4 * 0.046 * count)


DAY = 86_400 * SECOND
STEP = st.tuples(
    # Clocks that are set jump, by less than a window or by more.
    st.sampled_from([*[0, 1, SECOND // 2, SECOND] * 3, 7 * SECOND, -1, -4 * SECOND, DAY, -DAY]),
    st.sampled_from([SCANNER, SCANNER, SCANNER + 1, *range(SCANNER + 2, SCANNER + 14)]),
    st.sampled_from(["next", "back", "port", "again", "far", "edge", "ends"]),
    st.sampled_from([Outcome.PENDING] * 6 + list(Outcome)),
)


@settings(max_examples=60)
@given(
    st.lists(STEP, min_size=30, max_size=120),
    st.integers(1, 120),
    st.sampled_from([9, 14, 6144]),
    st.sampled_from([(4, 6, 3, 4), (24, 25, 3, 0)]),
)
def test_equals_its_twin_wherever_batches_end(steps, batch, subjects, thresholds):
    hosts, host_ports, failures, sequential_run = thresholds
    limits = FanOutSettings(
        windows_s=(2.0, 9.0, 31.0),
        hosts=hosts,
        host_ports=host_ports,
        failures=failures,
        sequential_run=sequential_run,
        subjects=subjects,
    )
    move = {"next": (1, 0), "back": (-1, 0), "port": (0, 1), "again": (0, 0), "far": (977, 13)}
    time, here, rows = START, (NETWORK, 80), []
    for gap, source, kind, outcome in steps:
        time += gap
        if kind == "edge":
            here = (V6_EDGE, 443)
        elif kind == "ends":
            here = (here[0], 65_535 if here[1] == 0 else 0)
        else:
            here = (here[0] + move[kind][0], (here[1] + move[kind][1]) % 65_536)
        rows.append(connection(time, here[0], here[1], outcome, source))
    twin, slots = NaiveFanOut(limits.windows_ns, thresholds, FEW), NaiveSlots(subjects)
    expected = []
    for time, source, host, port, outcome in rows:
        twin.subjects.pop(slots.touch(host_hash(source), source, time), None)
        if outcome in (Outcome.PENDING, Outcome.SENT):
            report = twin.attempt(time, source, host, port)
        else:
            report = twin.end(time, source, outcome)
        expected += [*twin.turned, report]
        twin.turned.clear()
    expected = [report for report in expected if report is not None]
    detector = FanOut(limits)
    events = [
        event
        for start in range(0, len(rows), batch)
        for event in detector.update(table(rows[start : start + batch]))
    ]
    for report in expected:
        hosts, pairs = report.pop("exact")
        assert abs(report["hosts"] - hosts) <= 3 + hosts // 5
        assert abs(report["host_ports"] - pairs) <= 3 + pairs // 5
    assert [as_twin(event) for event in events] == expected
    assert detector.counters()["evicted"] == slots.given_way
