"""From observations and findings to alerts: one per episode, the same in every replay."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from procwire import layers
from procwire.alert import CLOSED, GROWN, RAISED, episode_id
from procwire.detect.detector import (
    BLOCK,
    DETECTORS,
    HOST_SWEEP,
    PORT_VERTICAL,
    SEQUENTIAL,
    Detector,
)
from procwire.detect.fanout import FanOut
from procwire.detect.hits import Hits, gather, groups
from procwire.detect.judges import Judges
from procwire.episodes import Episodes
from procwire.event import FANOUT_EVENT, Origin, Outcome
from procwire.output.eve import Source, record
from procwire.output.text import text
from procwire.record import FINDING, Attempt, Process
from procwire.settings import Settings
from procwire.settings.scans import SweepSettings
from procwire.settings.traffic import EpisodeSettings, FanOutSettings
from test_contacts import columns, contacts_of_a_scan
from test_fanout import NETWORK, SCANNER, SECOND, START, sweep, table

RULES = (
    Detector("ipv4.first", 9100101, "First", "RFC 791", ("AN1962",), 2),
    Detector("ipv4.second", 9100102, "Second", "RFC 791", ("AN1962",), 3),
    Detector("tcp.counted", 9100401, "Counted", "RFC 9293", ("AN1962",), 3, tier="C"),
)
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
    return [scan.detector for scan in Judges(settings).update(rows)]


def hits(packets, rules):
    """Hits of (time, source, destination) packets, packet i breaking rules[i]."""
    made, times = columns([(time, src, 1, dst, 2, 0, 0) for time, src, dst in packets])
    made.network[:] = layers.IPV4
    findings = np.zeros(len(packets), FINDING)
    findings["row"] = np.arange(len(packets))
    findings["packet"] = findings["row"] + 1
    findings["rule"] = rules
    return Hits(findings, made, times, np.maximum.accumulate(times), np.zeros(1, np.int64))


def brief(alerts):
    return [(alert.state, alert.count, alert.check.id) for alert in alerts]


def test_the_shape_of_the_fan_out_names_the_scan():
    assert kinds(row()) == [HOST_SWEEP]
    assert kinds(row(hosts=1, host_ports=50, attempts=50)) == [PORT_VERTICAL]
    assert kinds(row(hosts=25, host_ports=375, attempts=375)) == [BLOCK]
    assert kinds(row(), Settings(fanout=FanOutSettings(hosts=0))) == []
    assert kinds(row(hosts=24, host_ports=48, attempts=400)) == []


def test_mostly_answered_attempts_are_no_scan():
    detector = Judges()
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
        return Judges().update(row(**figures))[0].severity

    assert severity(established=10) == 3
    assert severity() == 2
    assert severity(sequential_run=20) == 1
    assert severity(hosts=25, host_ports=375, attempts=375, sequential_run=300) == 1


def test_evidence_carries_thresholds_and_the_names_of_their_settings():
    evidence = {one.name: one for one in Judges().update(row(hosts=214, attempts=214))[0].evidence}
    assert (evidence["hosts"].value, evidence["hosts"].threshold) == (214, 25)
    assert evidence["hosts"].setting == "fanout.hosts"
    assert evidence["window_s"].value == 60
    assert evidence["host_ports"].threshold is None


@pytest.mark.parametrize(
    ("kind", "protocol", "said"),
    [
        (Attempt.CONNECT, 6, "25 hosts, last on tcp/445"),
        (Attempt.DATAGRAM, 17, "25 hosts, last on udp/445"),
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
    assert f" tried {said}" in lines[0]
    assert "by raw socket, whose answers are not seen" in lines[1]
    assert "not established" not in lines[1]
    (heard,) = alerts_of(row(attempt=kind, sequential_run=25, failures=25, refused=25))
    assert "100% not established" in text(heard)


def alerts_of(rows):
    return Episodes().update(START, Judges().update(rows))


def test_told_severities_are_counted_by_check_as_the_site_weighs_them():
    """So that the counters of the parts of a run can be added up."""

    def critical(alerts):
        return [msgspec.structs.replace(one, severity=1) for one in alerts]

    episodes = Episodes(admit=critical)
    episodes.update(START, Judges().update(row(established=10)))
    counted = episodes.counters()
    assert counted["severity.1.scan.host_sweep"] == 1
    assert "severity.3.scan.host_sweep" not in counted


def test_states_of_one_moment_are_told_as_they_grew():
    """All thresholds may be crossed between two packets of one time stamp."""
    run = row(hosts=20, host_ports=20, attempts=20, sequential_run=20)
    for rows in (run, row(attempts=400, hosts=400)), (row(attempts=400, hosts=400), run):
        told = Episodes().update(START, Judges().update(np.concatenate(rows)))
        assert told[-1].count == 400
        assert [one.count for one in told] == sorted(one.count for one in told)


def test_one_episode_per_scan_with_growth_and_totals():
    episodes = Episodes()
    observe = Judges().update
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
    alerts = Episodes().update(START, Judges().update(rows))
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

    alert = Episodes(lookup=lookup).update(START, Judges().update(rows))[0]
    assert asked == [KEY]
    assert (alert.process, alert.ancestors) == (SCANNER_PROCESS, (PARENT,))
    assert alert.source is None
    unknown = Episodes().update(START, Judges().update(rows))[0]
    assert unknown.process is None
    assert ("pid", 4711) in [(one.name, one.value) for one in unknown.evidence]


def test_findings_fold_by_rule_and_pair_and_grow_tenfold():
    packets = [(START + i, SCANNER, NETWORK) for i in range(120)] + [
        (START + 200, NETWORK, SCANNER)
    ]
    episodes = Episodes(rules=RULES)
    alerts = episodes.update(START + 200, hits=hits(packets, [0] * 121)) + episodes.close()
    assert [(alert.state, alert.count, alert.packet) for alert in alerts] == [
        (RAISED, 1, 1),
        (GROWN, 10, 10),
        (GROWN, 100, 100),
        (RAISED, 1, 121),
        (CLOSED, 120, 100),
    ]
    assert (alerts[4].first, alerts[4].last) == (START, START + 119)


def test_a_pause_ends_an_episode_within_a_batch_as_between_batches():
    packets = [(START, SCANNER, NETWORK), (START + 1, SCANNER, NETWORK)]
    later = [(time + QUIET + 5, src, dst) for time, src, dst in packets]
    together = Episodes(rules=RULES)
    apart = Episodes(rules=RULES)
    end = START + QUIET + 9
    first = together.update(end, hits=hits(packets + later, [0] * 4))
    second = apart.update(START + 1, hits=hits(packets, [0, 0]))
    second += apart.update(end, hits=hits(later, [0, 0]))
    assert brief(first) == brief(second)
    assert [alert.state for alert in first] == [RAISED, CLOSED, RAISED]
    assert [alert.episode for alert in first] == [alert.episode for alert in second]


def test_counted_rules_raise_nothing_and_are_counted():
    episodes = Episodes(rules=RULES)
    packets = [(START, SCANNER, NETWORK)] * 3
    assert episodes.update(START, hits=hits(packets, [2, 2, 2])) == []
    assert episodes.counters()["rule.tcp.counted"] == 3


def test_a_flood_of_sources_folds_into_one_more_episode():
    settings = Settings(episodes=EpisodeSettings(per_rule=10))
    episodes = Episodes(settings, RULES)
    packets = [(START + i, SCANNER + i, NETWORK) for i in range(5000)]
    alerts = episodes.update(START + 5000, hits=hits(packets, [0] * 5000)) + episodes.close()
    shared = [alert for alert in alerts if alert.source is None]
    assert len(alerts) == 10 + len(shared)
    assert [alert.count for alert in shared] == [1, 10, 100, 1000, 4990]
    assert episodes.counters()["folded_sources"] == 4990


def test_too_many_open_episodes_close_the_oldest():
    settings = Settings(episodes=EpisodeSettings(open=10))
    episodes = Episodes(settings, RULES)
    packets = [(START + i, SCANNER + i // 2, NETWORK) for i in range(40)]
    alerts = episodes.update(START + 40, hits=hits(packets, [0] * 40)) + episodes.close()
    assert episodes.counters()["evicted"] == 10
    assert [alert.count for alert in alerts if alert.state == CLOSED] == [2] * 20


def test_what_has_context_is_an_episode_of_its_own_and_alone_becomes_an_alert():
    rules = [replace(RULES[0], tier="B")]
    made = hits([(START + i, SCANNER, NETWORK) for i in range(3)], [0, 0, 0])
    made.findings["in_context"] = 0, 1, 0
    alerts = Episodes(Settings(), rules).update(START + 3, hits=made)
    assert [alert.in_context for alert in alerts] == [False, True]
    assert [record(alert, Source())["event_type"] for alert in alerts] == ["anomaly", "alert"]


def test_groups_equal_a_dictionary():
    random = np.random.default_rng(7)
    packets = [
        (START, SCANNER + int(a), NETWORK + int(b)) for a, b in random.integers(0, 4, (300, 2))
    ]
    rules = random.integers(0, 2, 300)
    made = hits(packets, rules)
    contexts = made.findings["in_context"] = random.integers(0, 2, 300)
    expected = {}
    for place, ((_, src, dst), *of_rule) in enumerate(zip(packets, rules, contexts, strict=True)):
        rule, context = map(int, of_rule)
        expected.setdefault((rule, context, 0, src, 0, dst, False), []).append(place)
    kept = gather(made, np.zeros(2, bool), np.zeros(2, bool), np.zeros(2, np.int64))
    found = [(group.key, group.places) for group in groups(kept, range(300), QUIET)]
    assert found == list(expected.items())


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 90 * SECOND, QUIET]), st.integers(0, 3), st.integers(0, 2)
        ),
        max_size=60,
    ),
    st.integers(1, 60),
    st.sampled_from([1, 2, 1000]),
)
@example([(0, 0, 1), (QUIET, 0, 0), (0, 1, 1)], 1, 1)
@example([(0, 0, 1), (0, 1, 1), (90 * SECOND, 1, 1), (QUIET - 90 * SECOND, 1, 1)], 1, 1)
def test_alerts_do_not_depend_on_where_batches_end(steps, batch, per_rule):
    settings = Settings(episodes=EpisodeSettings(per_rule=per_rule))
    time, packets, rules = START, [], []
    for gap, source, rule in steps:
        time += gap
        packets.append((time, SCANNER + source, NETWORK))
        rules.append(rule)

    def run(size):
        episodes, alerts = Episodes(settings, RULES), []
        for start in range(0, len(packets), size):
            part = packets[start : start + size]
            made = hits(part, rules[start : start + size])
            made.findings["packet"] += start
            alerts += episodes.update(part[-1][0], hits=made)
        return alerts + episodes.close()

    assert run(batch) == run(len(packets) or 1)


def test_a_replayed_scan_gives_the_same_alerts_from_packets_to_episode():
    def run(size):
        rows, now = contacts_of_a_scan(size)
        fanout, judge, episodes = FanOut(FanOutSettings()), Judges(), Episodes()
        alerts = []
        for connections in rows:
            alerts += episodes.update(now, judge.update(fanout.update(connections)))
        return alerts + episodes.close()

    alerts = run(1000)
    assert [alert.state for alert in alerts] == [RAISED, GROWN, CLOSED]
    assert [alert.check for alert in alerts] == [SEQUENTIAL, HOST_SWEEP, HOST_SWEEP]
    assert run(7) == alerts


def test_episode_names_are_readable_and_differ():
    names = {episode_id(1, ("a",), first) for first in range(2000)}
    assert len(names) == 2000
    assert all(len(name) == 8 and name.startswith("F-") for name in names)


def test_the_detectors_have_sids_and_names_of_their_own():
    sids = [one.sid for one in DETECTORS]
    assert sids == sorted(set(sids))
    assert (sids[0], sids[-1] < 9101000) == (9100901, True)
    assert len({one.id for one in DETECTORS}) == len(DETECTORS)


def test_an_imported_crawl_that_succeeds_is_silent():
    rows = table(sweep(500, outcome=Outcome.ESTABLISHED), origin=5)
    assert Judges().update(FanOut().update(rows)) == []
