"""Which attempts are scans: examples of each detector, and what only looks like one."""

from __future__ import annotations

import numpy as np
import pytest
from procwire.detect.coverage import Coverage
from procwire.detect.detector import DETECTORS
from procwire.detect.random_walk import RandomWalk
from procwire.detect.scans import Scans
from procwire.detect.service_sweep import ServiceSweep
from procwire.episodes import Episodes
from procwire.event import Origin, Outcome
from procwire.record import Attempt
from procwire.settings import Settings
from procwire.settings.traffic import FanOutSettings
from test_fanout import NETWORK, SCANNER, SECOND, START, connection, table

LOST = Outcome.TIMED_OUT
FOUND = Outcome.ESTABLISHED
REFUSED = Outcome.REFUSED
PROTOCOLS = {Attempt.DATAGRAM: 17, Attempt.ECHO: 1, Attempt.NEIGHBOUR: 0}


def attempts(kind, targets, outcomes, step=SECOND // 100):
    """Rows of one attempt and, a tenth of a second later, its end for each (address, port)."""
    rows = []
    for i, ((address, port), outcome) in enumerate(zip(targets, outcomes, strict=True)):
        rows.append(connection(START + i * step, address, port))
        rows.append(connection(START + i * step + SECOND // 10, address, port, outcome))
    rows.sort(key=lambda row: row[0])
    made = table(rows)
    made["kind"], made["protocol"] = kind, PROTOCOLS.get(kind, 6)
    return made


def found(rows, chosen=None):
    """Ids of what is raised, in order."""
    scans, episodes = Scans(chosen), Episodes(chosen)
    now = int(rows["time"].max())
    alerts = episodes.update(now, scans.update(rows)) + episodes.update(now, scans.totals(now))
    return [alert.check.id for alert in alerts + episodes.close() if alert.state != "closed"]


def test_failures_that_come_a_window_later_are_not_judged_again():
    """Nobody answers datagrams that nobody asks for; that shows when their window is over."""
    sent = [connection(START + i, NETWORK, 514) for i in range(60)]
    lost = [connection(START + 15 * SECOND + i, NETWORK, 514, LOST) for i in range(60)]
    rows = table(sent + lost)
    rows["kind"], rows["protocol"] = Attempt.DATAGRAM, 17
    scans = Scans(Settings(fanout=FanOutSettings(windows_s=(10, 11, 12))))
    assert scans.update(rows) == []
    assert scans.counters()["fanout"]["reports"] > 0
    assert scans.counters()["sweep"]["judged"] == 0


def hosts(count, port=80, stride=None):
    """A stride apart, or in no order: no two steps alike."""
    return [(NETWORK + i * (stride or i + 977), port) for i in range(count)]


def ports(count, stride=None):
    return [(NETWORK, 1 + i * (stride or 7) + (not stride) * (i * i % 5)) for i in range(count)]


SCANS = {
    "refused datagrams": (Attempt.DATAGRAM, ports(30), [REFUSED] * 12 + [LOST] * 18),
    "silent datagrams": (Attempt.DATAGRAM, ports(60), [LOST] * 60),
    "datagrams in order": (Attempt.DATAGRAM, hosts(26, 161, 1), [LOST] * 25 + [FOUND]),
    "echo": (Attempt.ECHO, hosts(40), [FOUND] * 5 + [LOST] * 35),
    "neighbours in order": (Attempt.NEIGHBOUR, hosts(40, 0, 1), [LOST] * 40),
    "neighbours, some there": (Attempt.NEIGHBOUR, hosts(40), [FOUND] * 4 + [LOST] * 36),
    "null": (Attempt.NULL, ports(12), [REFUSED] * 12),
    "fin": (Attempt.FIN, ports(12), [LOST] * 12),
    "xmas": (Attempt.XMAS, ports(12), [REFUSED] * 6 + [LOST] * 6),
    "maimon": (Attempt.MAIMON, ports(12), [REFUSED] * 12),
    "ack": (Attempt.ACK, ports(12), [REFUSED] * 12),
    "few hosts, all silent": (Attempt.CONNECT, hosts(9, 445), [LOST] * 9),
    "a network in disorder": (
        Attempt.CONNECT,
        [(NETWORK + i * 37 % 256, 22) for i in range(18)],
        [LOST] * 18,
    ),
    "a host in order every half minute": (
        Attempt.CONNECT,
        hosts(24, 443, 1),
        [REFUSED] * 24,
        30 * SECOND,
    ),
    "ports in order": (Attempt.CONNECT, ports(25, 1), [REFUSED] * 25),
    "again and again": (Attempt.CONNECT, [(NETWORK, 22)] * 120, [REFUSED] * 120),
    "a port an hour": (Attempt.CONNECT, ports(20), [LOST] * 20, 3600 * SECOND),
}
# Told whether or not they are answered.
SWEPT = (Attempt.CONNECT, hosts(3, 445) + hosts(3, 22))

NAMES = {
    "refused datagrams": ["scan.udp_icmp_unreach"],
    "silent datagrams": ["scan.port_vertical"],
    "datagrams in order": ["scan.sequential"],
    "echo": ["scan.icmp_sweep"],
    "neighbours in order": ["scan.arp_nd_sweep"],
    "neighbours, some there": ["scan.arp_nd_sweep"],
    "null": ["scan.null"],
    "fin": ["scan.fin"],
    "xmas": ["scan.xmas"],
    "maimon": ["scan.maimon"],
    "ack": ["scan.ack"],
    "few hosts, all silent": ["scan.slow_trw"],
    "a network in disorder": ["scan.slow_trw", "scan.sequential"],
    "a host in order every half minute": ["scan.slow_trw", "scan.sequential", "scan.sequential"],
    "ports in order": ["scan.sequential"],
    "again and again": ["scan.repeated_attempts"],
    "a port an hour": ["scan.slow_ports"],
}


@pytest.mark.parametrize("name", SCANS)
def test_a_scan_is_named(name):
    assert found(attempts(*SCANS[name])) == NAMES[name]


@pytest.mark.parametrize("name", SCANS)
def test_the_same_attempts_answered_are_none(name):
    kind, targets, outcomes, *step = SCANS[name]
    assert found(attempts(kind, targets, [FOUND] * len(outcomes), *step)) == []


@pytest.mark.parametrize(
    ("kind", "targets", "outcomes"),
    [
        (Attempt.DATAGRAM, hosts(200), ([FOUND] * 3 + [LOST] * 2) * 40),
        (Attempt.DATAGRAM, [(NETWORK, 53)] * 300, [REFUSED] * 300),
        (Attempt.ECHO, hosts(24), [LOST] * 24),
        (Attempt.NEIGHBOUR, hosts(200), [LOST] * 200),
        (Attempt.ACK, ports(100), ([FOUND] * 2 + [LOST] * 8) * 10),
        (Attempt.NULL, ports(9), [REFUSED] * 9),
        (Attempt.CONNECT, hosts(4), [LOST] * 4),
        (Attempt.CONNECT, hosts(60), ([FOUND] * 2 + [LOST]) * 20),
        (Attempt.CONNECT, [(NETWORK + i % 6, 502) for i in range(600)], [FOUND] * 600),
        (Attempt.CONNECT, [(NETWORK, 22)] * 90, [REFUSED] * 90),
    ],
    ids=[
        "peer to peer",
        "a resolver is down",
        "few echoes",
        "a gateway, replies unseen",
        "connections older than the capture",
        "few lone segments",
        "four dead hosts",
        "a browser",
        "a poller",
        "a retry loop",
    ],
)
def test_what_only_looks_like_a_scan_is_silent(kind, targets, outcomes):
    assert found(attempts(kind, targets, outcomes)) == []


@pytest.mark.parametrize("outcome", [FOUND, LOST, Outcome.PENDING])
def test_two_services_on_each_of_three_hosts_are_a_sweep_whatever_becomes_of_them(outcome):
    assert found(attempts(*SWEPT, [outcome] * 6)) == ["scan.service_sweep"]


@pytest.mark.parametrize(
    ("targets", "step"),
    [
        (hosts(3, 445) + hosts(3, 139), SECOND),
        (hosts(3, 445) + hosts(3, 135), SECOND),
        (hosts(9, 22), SECOND),
        (hosts(2, 445) + hosts(2, 22), SECOND),
        (hosts(3, 445) + hosts(3, 22), 20 * SECOND),
    ],
    ids=["SMB twice", "SMB and its mapper", "one service", "two hosts", "in minutes"],
)
def test_ordinary_administration_is_no_sweep(targets, step):
    assert found(attempts(Attempt.CONNECT, targets, [FOUND] * len(targets), step)) == []


def swept(targets, service_hosts, step=SECOND):
    rows = attempts(Attempt.CONNECT, targets, [FOUND] * len(targets), step)
    rows = rows[rows["outcome"] == FOUND]
    rows["origin"] = Origin.IMPORT
    sizes = np.full(len(rows), service_hosts)
    return [scan.figure for scan in ServiceSweep().update(rows, sizes)]


def test_one_service_is_a_sweep_on_as_many_hosts_as_the_caller_says():
    assert swept(hosts(5, 445), 3) == [3]
    assert swept(hosts(40, 445), 25) == [25]
    assert swept(hosts(24, 445), 25) == []
    assert swept(hosts(40, 443), 3) == []
    assert swept(hosts(40, 445), 3, 40 * SECOND) == []
    assert swept(hosts(40, 445), 0) == []


def test_answers_that_are_still_on_their_way_are_awaited():
    rows = attempts(Attempt.ECHO, hosts(100), [FOUND] * 100, step=SECOND // 2000)
    assert found(rows) == []


def test_a_scan_that_ends_late_is_not_taken_for_repetition():
    rows = attempts(Attempt.CONNECT, ports(400), [LOST] * 400)
    ends = rows["outcome"] == LOST
    rows["time"][ends] += 900 * SECOND
    rows = rows[np.argsort(rows["time"], kind="stable")]
    names = [scan.detector.id for scan in Scans().update(rows)]
    assert "scan.port_vertical" in names
    assert "scan.repeated_attempts" not in names


def test_kinds_neither_hide_nor_fold_into_one_another():
    queries = attempts(Attempt.DATAGRAM, hosts(300, 53), [FOUND] * 300)
    knocks = attempts(Attempt.ECHO, hosts(40), [LOST] * 40)
    lone = attempts(Attempt.NULL, ports(12), [REFUSED] * 12)
    rows = np.concatenate([queries, knocks, lone])
    rows = rows[np.argsort(rows["time"], kind="stable")]
    assert sorted(found(rows)) == ["scan.icmp_sweep", "scan.null"]


def test_thresholds_of_zero_are_off():
    off = Settings.model_validate(
        {
            "fanout": {"hosts": 0, "host_ports": 0, "failures": 0, "sequential_run": 0},
            "random_walk": {"hosts": 0},
            "coverage": {"hosts": 0},
            "port_coverage": {"ports": 0},
            "service_sweep": {"hosts": 0},
            "probes": {"targets": 0},
        }
    )
    for name in (
        "echo",
        "null",
        "few hosts, all silent",
        "a network in disorder",
        "ports in order",
        "a port an hour",
    ):
        assert found(attempts(*SCANS[name]), off) == []
    assert found(attempts(*SWEPT, [FOUND] * 6), off) == []


def test_a_shape_that_shows_late_is_seen_when_the_window_turns():
    targets = [(NETWORK + i % 10 * 977, 3 + 5 * (i // 10)) for i in range(200)]
    rows = attempts(Attempt.CONNECT, targets, [REFUSED, FOUND] * 100, step=SECOND // 2)
    later = attempts(Attempt.CONNECT, [(NETWORK, 3)], [FOUND])
    later["time"] += 700 * SECOND
    observed = Scans().update(np.concatenate([rows, later]))
    assert {scan.detector.id for scan in observed} - {"scan.slow_ports"} == {"scan.port_vertical"}
    assert observed[-1].evidence[0].value > 150


def test_however_many_rows_come_together_is_told_what_a_few_at_a_time_show(monkeypatch):
    """Of several kinds, whose attempts all end at one moment, as at the end of an input."""
    every = [attempts(*SCANS[name][:1], hosts(60), [LOST] * 60) for name in ("null", "echo")]
    rows = np.concatenate([*every, attempts(Attempt.CONNECT, hosts(60, 445), [LOST] * 60)])
    rows["time"] = np.maximum(rows["time"], START + SECOND)
    rows.sort(order="time", kind="stable")
    together = Scans().update(rows)
    monkeypatch.setattr("procwire.detect.scans._AT_A_TIME", 7)
    assert together and Scans().update(rows) == together


def test_totals_of_what_has_ended_raise_nothing():
    scan = attempts(Attempt.CONNECT, hosts(40), [LOST] * 40)
    later = attempts(Attempt.CONNECT, [(NETWORK, 443)], [FOUND])
    later["time"] += 2 * Settings().episodes.quiet_ns
    later["src_lo"] += 1
    assert found(scan) == found(np.concatenate((scan, later)))


def test_totals_are_told_at_the_end():
    scans, episodes = Scans(), Episodes()
    rows = attempts(Attempt.CONNECT, hosts(9, 445), [LOST] * 9)
    now = int(rows["time"].max())
    alerts = episodes.update(now, scans.update(rows)) + episodes.update(now, scans.totals(now))
    alerts += episodes.close()
    assert [(alert.state, alert.count) for alert in alerts] == [("raised", 5), ("closed", 9)]
    assert len(alerts[1].targets) == 8


def test_a_crowd_of_sources_evicts_and_says_so():
    chosen = Settings.model_validate({"random_walk": {"sources": 8}, "coverage": {"networks": 8}})
    rows = [
        connection(START + i, NETWORK + 256 * i, outcome=LOST, source=SCANNER + i)
        for i in range(100)
    ]
    walk, covered = RandomWalk(chosen), Coverage(chosen)
    walk.update(table(rows))
    covered.update(table(rows))
    assert walk.counters() == {"first_contacts": 100, "evicted": 92}
    assert covered.counters() == {"evicted": 92}


def test_every_detector_has_an_example():
    named = {name for names in NAMES.values() for name in names} | {"scan.service_sweep"}
    elsewhere = {"scan.host_sweep", "scan.block", "scan.backscatter", "scan.ip_protocols"}
    # Those that know the site, or a process alone, have theirs elsewhere.
    scans = {detector.id for detector in DETECTORS if detector.id.startswith("scan.")}
    assert named | elsewhere == scans


def test_settings_of_the_windows_reach_every_kind():
    wide = Settings(fanout=FanOutSettings(hosts=50))
    assert found(attempts(*SCANS["echo"]), wide) == []
