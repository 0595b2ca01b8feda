"""From observations and findings to alerts: one per episode, the same in every replay."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from procwire.alert import CLOSED, GROWN, RAISED, episode_id
from procwire.detect.detector import (
    BLOCK,
    DETECTORS,
    HOST_SWEEP,
    PORT_VERTICAL,
    SEQUENTIAL,
)
from procwire.detect.fanout import FanOut
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.episodes import Episodes
from procwire.event import FANOUT_EVENT, Origin, Outcome
from procwire.output.text import text
from procwire.record import Attempt, Process
from procwire.settings import Settings
from procwire.settings.scans import SweepSettings
from procwire.settings.traffic import FanOutSettings
from test_contacts import contacts_of_a_scan
from test_fanout import SCANNER, SECOND, START, sweep, table

QUIET = 600 * SECOND
KEY = (77 * SECOND, 4711, 2)
SCANNER_PROCESS = Process(
    KEY,
    (1, 1, 1),
    START,
    33,
    "www-data",
    "/tmp/x9",
    ("/tmp/x9", "-r"),
    "x9",
    "/",
    None,
    None,
    "kernel",
)
PARENT = Process(
    (1, 1, 1), (0, 0, 0), 1, 0, "root", "/sbin/init", ("init",), "init", "/", None, None, "kernel"
)


def row(**figures):
    """One FANOUT_EVENT of a silent scan of 25 hosts, changed by `figures`."""
    event = np.zeros(1, FANOUT_EVENT)
    plain = {
        "time_ns": START,
        "window_ns": 60 * SECOND,
        "window_start_ns": START - 2 * SECOND,
        "first_ns": START - SECOND,
        "attempts": 25,
        "hosts": 25,
        "host_ports": 25,
        "samples": 1,
    }
    for name, value in (plain | figures).items():
        event[name] = value
    event["source"][0] = np.frombuffer(SCANNER.to_bytes(16, "big"), np.uint8)
    for name in ("first", "last", "sample"):
        event[name]["port"], event[name]["protocol"] = 445, 6
    return event


def kinds(rows, settings=None):
    return [scan.detector for scan in FanoutDetectors(settings).update(rows)]


def brief(alerts):
    return [(alert.state, alert.count, alert.check.id) for alert in alerts]


def test_the_shape_of_the_fan_out_names_the_scan():
    assert kinds(row()) == [HOST_SWEEP]
    assert kinds(row(hosts=1, host_ports=50, attempts=50)) == [PORT_VERTICAL]
    assert kinds(row(hosts=25, host_ports=375, attempts=375)) == [BLOCK]
    assert kinds(row(), Settings(fanout=FanOutSettings(hosts=0))) == []
    assert kinds(row(hosts=24, host_ports=48, attempts=400)) == []


def test_mostly_answered_attempts_are_no_scan():
    detector = FanoutDetectors()
    assert detector.update(row(established=13)) == []
    assert detector.counters() == {"judged": 1, "scans": 0}
    assert kinds(row(established=12)) == [HOST_SWEEP]
    mixed = row(established=13, failures=12)
    assert kinds(mixed) == []
    assert kinds(mixed, Settings(sweep=SweepSettings(unanswered=0.4))) == [HOST_SWEEP]


def test_more_established_than_attempts_in_a_window_is_no_scan():
    assert kinds(row(established=30)) == []


def test_silence_and_order_raise_the_severity():
    def severity(**figures):
        return FanoutDetectors().update(row(**figures))[0].severity

    assert severity(established=10) == 3
    assert severity() == 2
    assert severity(sequential_run=20) == 1
    assert severity(hosts=25, host_ports=375, attempts=375, sequential_run=300) == 1


def test_evidence_carries_thresholds_and_the_names_of_their_settings():
    evidence = {
        one.name: one for one in FanoutDetectors().update(row(hosts=214, attempts=214))[0].evidence
    }
    assert (evidence["hosts"].value, evidence["hosts"].threshold) == (214, 25)
    assert evidence["hosts"].setting == "fanout.hosts"
    assert evidence["window_s"].value == 60
    assert evidence["host_ports"].threshold is None


@pytest.mark.parametrize(
    ("kind", "protocol", "said"),
    [
        (Attempt.CONNECT, 6, ", last on tcp/445"),
        (Attempt.DATAGRAM, 17, ", last on udp/445"),
        (Attempt.ECHO, 1, "25 hosts by echo requests in"),
        (Attempt.NEIGHBOUR, 0, "25 neighbours in"),
        (Attempt.XMAS, 6, "25 host and port pairs by FIN, PSH and URG in"),
    ],
)
def test_what_is_not_seen_of_raw_sockets_is_no_figure_and_no_attempt_a_connection(
    kind, protocol, said
):
    """The kernel does not tell who answers what a raw socket sends."""
    made = row(attempt=kind, sequential_run=25, origin=Origin.RAW)
    made["last"]["protocol"] = protocol
    (alert,) = alerts_of(made)
    assert "unanswered" not in {one.name for one in alert.evidence}
    lines = text(alert).splitlines()
    assert " tried 25 " in lines[0]
    assert said in lines[0]
    assert "by raw socket, whose answers are not seen" in lines[1]
    assert "not established" not in lines[1]
    (heard,) = alerts_of(row(attempt=kind, sequential_run=25, failures=25, refused=25))
    assert "100% not established" in text(heard)


def alerts_of(rows):
    return Episodes().update(START, FanoutDetectors().update(rows))


def test_told_severities_are_counted_by_check_as_the_site_weighs_them():
    """So that the counters of the parts of a run can be added up."""

    def critical(alerts):
        return [msgspec.structs.replace(one, severity=1) for one in alerts]

    episodes = Episodes(admit=critical)
    episodes.update(START, FanoutDetectors().update(row(established=10)))
    counted = episodes.counters()
    assert counted["severity.1.scan.host_sweep"] == 1
    assert "severity.3.scan.host_sweep" not in counted


def test_states_of_one_moment_are_told_as_they_grew():
    """All thresholds may be crossed between two packets of one time stamp."""
    run = row(hosts=20, host_ports=20, attempts=20, sequential_run=20)
    for rows in (run, row(attempts=400, hosts=400)), (row(attempts=400, hosts=400), run):
        told = Episodes().update(START, FanoutDetectors().update(np.concatenate(rows)))
        assert told[-1].count == 400
        assert [one.count for one in told] == sorted(one.count for one in told)


def test_one_episode_per_scan_with_growth_and_totals():
    episodes = Episodes()
    observe = FanoutDetectors().update
    alerts = episodes.update(START, observe(row()))
    alerts += episodes.update(START, observe(row(time_ns=START + SECOND, hosts=100, attempts=100)))
    alerts += episodes.update(
        START, observe(row(time_ns=START + 2 * SECOND, hosts=250, attempts=251))
    )
    alerts += episodes.update(
        START, observe(row(time_ns=START + 3 * SECOND, hosts=300, attempts=310))
    )
    alerts += episodes.update(START + 2 * QUIET)
    assert brief(alerts) == [
        (RAISED, 25, "scan.host_sweep"),
        (GROWN, 251, "scan.host_sweep"),
        (CLOSED, 310, "scan.host_sweep"),
    ]
    assert len({alert.episode for alert in alerts}) == 1
    assert alerts[2].time == START + 3 * SECOND + QUIET
    assert alerts[2].last == START + 3 * SECOND
    assert episodes.close() == []


def test_hosts_and_ports_together_become_one_block_scan():
    rows = np.concatenate(
        [row(), row(time_ns=START + 1, window_ns=600 * SECOND, hosts=3, host_ports=60, attempts=60)]
    )
    alerts = Episodes().update(START, FanoutDetectors().update(rows))
    assert [(alert.state, alert.check) for alert in alerts] == [
        (RAISED, HOST_SWEEP),
        (GROWN, BLOCK),
    ]
    assert alerts[0].episode == alerts[1].episode


def test_a_process_comes_with_its_ancestry():
    rows = row()
    rows["process"]["started_ns"], rows["process"]["pid"], rows["process"]["exec_count"] = KEY
    rows["source"] = 0
    asked = []

    def lookup(key):
        asked.append(key)
        return SCANNER_PROCESS, [PARENT]

    alert = Episodes(lookup=lookup).update(START, FanoutDetectors().update(rows))[0]
    assert asked == [KEY]
    assert (alert.process, alert.ancestors) == (SCANNER_PROCESS, (PARENT,))
    assert alert.source is None
    unknown = Episodes().update(START, FanoutDetectors().update(rows))[0]
    assert unknown.process is None
    assert ("pid", 4711) in [(one.name, one.value) for one in unknown.evidence]


def test_a_replayed_scan_gives_the_same_alerts_from_packets_to_episode():
    def run(size):
        rows, now = contacts_of_a_scan(size)
        fanout, judge, episodes = FanOut(FanOutSettings()), FanoutDetectors(), Episodes()
        alerts = []
        for connections in rows:
            alerts += episodes.update(now, judge.update(fanout.update(connections)))
        return alerts + episodes.close()

    alerts = run(1000)
    assert [alert.state for alert in alerts] == [RAISED, GROWN, CLOSED]
    assert [alert.check for alert in alerts] == [SEQUENTIAL, HOST_SWEEP, HOST_SWEEP]
    assert run(7) == alerts


def test_episode_names_are_readable_and_differ():
    names = {episode_id(1, "a", None, first) for first in range(2000)}
    assert len(names) == 2000
    assert all(len(name) == 8 and name.startswith("F-") for name in names)


def test_the_detectors_have_sids_and_names_of_their_own():
    sids = [one.sid for one in DETECTORS]
    assert sids == sorted(set(sids))
    assert (sids[0], sids[-1] < 9101000) == (9100901, True)
    assert len({one.id for one in DETECTORS}) == len(DETECTORS)


def test_an_imported_crawl_that_succeeds_is_silent():
    rows = table(sweep(500, outcome=Outcome.ESTABLISHED), origin=5)
    assert FanoutDetectors().update(FanOut().update(rows)) == []
