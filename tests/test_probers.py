"""What one prober does is one episode: its findings and its scan, whatever comes first."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from conversations import ACK, FIN, PSH, RST, SYN, URG, Conversations
from hypothesis import example, given
from hypothesis import strategies as st
from procwire import layers
from procwire.alert import CLOSED, GROWN, RAISED
from procwire.detect.detector import XMAS_PROBES, Detector
from procwire.detect.finding_groups import Hits
from procwire.detect.observation import Observation
from procwire.episodes import Episodes
from procwire.output.text import text
from procwire.record import FINDING, Attempt, Endpoint
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from procwire.settings.traffic import EpisodeSettings
from scan_traffic import HOUR, IPV4, IPV6, ME, host
from test_contacts import columns
from test_fanout import NETWORK, SCANNER, SECOND, START

QUIET = 600 * SECOND
XMAS, STRAY, OTHER = range(3)
RULES = (
    Detector("tcp.flags_null_xmas", 9100406, "Probe", "RFC 9293", ("AN1962",), 2),
    Detector("stream.rst_no_session", 9100452, "Stray", "RFC 9293", ("AN1962",), 4, tier="B"),
    Detector("ipv4.other", 9100101, "Other", "RFC 791", ("AN1962",), 3),
)


def hits(found, first=1):
    """Hits of (time, prober, target, rule): probes, their answers by resets, and others."""
    rows = [
        (time, target, 1, prober, 2, 6, layers.TCP)
        if rule == STRAY
        else (time, prober, 2, target, 1, 6, layers.TCP)
        for time, prober, target, rule in found
    ]
    made, times = columns([(*row[:5], 0, 0) for row in rows])
    made.network[:], made.transport[:] = layers.IPV4, layers.TCP
    made.tcp_flags[:] = [RST if rule == STRAY else FIN for *_, rule in found]
    findings = np.zeros(len(found), FINDING)
    findings["row"] = np.arange(len(found))
    findings["packet"] = findings["row"] + first
    findings["rule"] = [rule for *_, rule in found]
    return Hits(findings, made, times, np.maximum.accumulate(times), np.zeros(3, np.int64))


def scan(time, prober, figure):
    """What the detector of Xmas probes says of a prober."""
    source = Endpoint(prober.to_bytes(16, "big"))
    said = (time, time, None, source, 6, Attempt.XMAS, figure, figure, 2, (), source, ())
    return Observation(XMAS_PROBES, *said)


def told(alerts):
    return [(one.state, one.check.id, one.count) for one in alerts]


def probes(count, prober=SCANNER):
    return [(START + i, prober, NETWORK + i, XMAS) for i in range(count)]


def test_what_a_scan_takes_to_begin_does_not_grow_with_those_that_are_open():
    """As many sources may scan as there are addresses to forge."""
    episodes = Episodes(rules=RULES)
    scans = [scan(START, SCANNER + number, 13) for number in range(4001)]
    episodes.update(START, scans[:-1])
    tracemalloc.start()
    episodes.update(START, scans[-1:])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4000 * 8


def test_the_scan_goes_on_with_the_episode_that_its_first_probe_began():
    episodes = Episodes(rules=RULES)
    alerts = episodes.update(START + 40, [scan(START + 12, SCANNER, 13)], hits(probes(40)))
    assert told(alerts) == [
        (RAISED, "tcp.flags_null_xmas", 1),
        (GROWN, "tcp.flags_null_xmas", 10),
        (GROWN, "scan.xmas", 13),
    ]
    (end,) = episodes.close()
    assert (end.state, end.check.id) == (CLOSED, "scan.xmas")
    assert dict(end.findings) == {"tcp.flags_null_xmas": 40}
    assert len({one.episode for one in (*alerts, end)}) == 1


def test_a_check_that_a_known_scanner_breaks_later_is_told_once():
    episodes = Episodes(rules=RULES)
    alerts = episodes.update(START, [scan(START, SCANNER, 10)])
    alerts += episodes.update(START + 50, hits=hits([(t + 1, *more) for t, *more in probes(50)]))
    assert told(alerts) == [(RAISED, "scan.xmas", 10), (GROWN, "tcp.flags_null_xmas", 1)]
    assert {one.episode for one in alerts} == {alerts[0].episode}
    assert told(episodes.close()) == [(CLOSED, "scan.xmas", 10)]


def test_answers_belong_to_who_was_answered():
    probe = (START, SCANNER, NETWORK, XMAS)
    answers = [(START + 1 + i, SCANNER, NETWORK + i, STRAY) for i in range(5)]
    alerts = Episodes(rules=RULES).update(START + 9, hits=hits([probe, *answers]))
    assert told(alerts) == [(RAISED, "tcp.flags_null_xmas", 1), (GROWN, "stream.rst_no_session", 1)]
    assert len({one.episode for one in alerts}) == 1


def test_what_is_no_probe_stays_an_episode_of_each_pair():
    found = [(START + i, SCANNER, NETWORK + i, OTHER) for i in range(3)]
    episodes = Episodes(rules=RULES)
    alerts = episodes.update(START + 9, [scan(START, SCANNER, 10)], hits(found))
    assert [one.check.id for one in alerts] == ["scan.xmas"] + 3 * ["ipv4.other"]
    assert len({one.episode for one in alerts}) == 4


def test_without_a_scan_probes_grow_tenfold_and_end_with_totals():
    episodes = Episodes(rules=RULES)
    alerts = episodes.update(START + 99, hits=hits(probes(60))) + episodes.close()
    assert [(one.state, one.count) for one in alerts] == [(RAISED, 1), (GROWN, 10), (CLOSED, 60)]


def test_growth_and_totals_list_whom_probes_go_to_and_the_first_alert_names_one():
    answers = [(START + 100 + i, SCANNER, NETWORK + 70 + i, STRAY) for i in range(30)]
    several = [(START + i, SCANNER, NETWORK + i % 3, XMAS) for i in range(30)]
    for found, number in ((several, 3), (probes(60), 8), (answers, 8)):
        episodes = Episodes(rules=RULES)
        first, grown, end = episodes.update(START + 200, hits=hits(found)) + episodes.close()
        assert (first.targets, first.destination is not None) == ((), True)
        expected = list(dict.fromkeys(target for _, _, target, _ in found))[:number]
        for one in (grown, end):
            assert [int.from_bytes(end.address) for end in one.targets] == expected
        assert f"{number}{' or more' * (number == 8)} hosts" in text(end)


def test_of_one_host_nothing_is_listed():
    again = [(START + i, SCANNER, NETWORK, XMAS) for i in range(30)]
    episodes = Episodes(rules=RULES)
    alerts = episodes.update(START + 99, hits=hits(again)) + episodes.close()
    assert {one.targets for one in alerts} == {()}


def test_probes_keep_their_scan_open():
    """What goes on for an hour is one episode, though the detector has nothing to add."""
    episodes = Episodes(rules=RULES)
    alerts = episodes.update(START, [scan(START, SCANNER, 10)])
    for minute in range(60):
        at = START + 1 + minute * 60 * SECOND
        alerts += episodes.update(at, hits=hits([(at, SCANNER, NETWORK, XMAS)], minute + 1))
    alerts += episodes.update(at + QUIET)
    assert [one.state for one in alerts] == [RAISED, GROWN, CLOSED]
    assert dict(alerts[-1].findings) == {"tcp.flags_null_xmas": 60}


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 90 * SECOND, QUIET - 1, QUIET]),
        st.integers(0, 1),
        st.sampled_from([XMAS, XMAS, STRAY, OTHER, "scan", "scan"]),
    ),
    max_size=70,
)


def run(steps, size, settings):
    """The alerts of steps in batches of `size`."""
    episodes, alerts, time, figure, packet = Episodes(settings, RULES), [], START, 10, 1
    for begin in range(0, len(steps), size):
        found, scans = [], []
        for number, (gap, prober, what) in enumerate(steps[begin : begin + size], begin):
            time += gap
            if what == "scan":
                figure += 7
                scans.append(scan(time, SCANNER + prober, figure))
            else:
                found.append((time, SCANNER + prober, NETWORK + number % 3, what))
        made = hits(found, packet) if found else None
        packet += len(found)
        alerts += episodes.update(time, scans, made)
    # What is told of one moment comes in the order of its batches.
    return sorted(alerts + episodes.close(), key=lambda one: (one.time, repr(one)))


@given(STEPS, st.integers(1, 70), st.sampled_from([1, 2, 1000]))
@example([(0, 0, XMAS), (0, 0, "scan"), (0, 0, XMAS), (1, 0, XMAS)], 1, 1000)
@example([(0, 0, "scan"), (0, 0, XMAS), (0, 0, STRAY), (1, 0, XMAS)], 1, 1000)
@example([(0, 0, XMAS)] * 9 + [(1, 0, "scan"), (0, 0, XMAS), (1, 0, STRAY)], 10, 1000)
@example([(0, 0, XMAS), (QUIET - 1, 0, "scan"), (1, 0, STRAY), (QUIET - 1, 0, XMAS)], 2, 1000)
def test_nothing_depends_on_where_batches_end(steps, size, per_rule):
    settings = Settings(episodes=EpisodeSettings(per_rule=per_rule))
    assert run(steps, size, settings) == run(steps, len(steps) or 1, settings)


@given(STEPS.map(lambda steps: [(gap + 1, *more) for gap, *more in steps]), st.integers(1, 70))
def test_every_finding_is_told_or_counted_once(steps, size):
    alerts = run(steps, size, Settings())
    last = {(one.episode, one.check.id): one for one in alerts}
    of_scans = {one.episode: dict(one.findings) for one in alerts if one.findings}
    counted = Counter()
    for (episode, check), one in last.items():
        if check not in of_scans.get(episode, {}) and one.packet is not None:
            counted[check] += one.count
    for findings in of_scans.values():
        counted.update(findings)
    found = Counter(RULES[what].id for *_, what in steps if what != "scan")
    assert counted == found


@pytest.mark.parametrize("version", [IPV4, IPV6])
@pytest.mark.parametrize("flags", [0, FIN, FIN | PSH | URG, FIN | ACK], ids=str)
@pytest.mark.parametrize("at", [0.0, HOUR], ids=["as the capture begins", "an hour later"])
def test_lone_segments_to_many_hosts_are_one_alert(version, flags, at):
    t = Conversations()
    for second in range(0, int(at), 20):
        t.connect(float(second), ME[version], host(version, 200), 443, SYN)
    for i in range(60):
        there = (ME[version], t.port(), host(version, i), 100 + i % 5)
        t.segment(at + i * 0.1, there, flags)
        back = (there[2], there[3], there[0], there[1])
        t.segment(at + i * 0.1 + 0.01, back, RST | ACK)
    analysis = Analysis(Settings())
    alerts = analysis.packets(t.batch()) + analysis.finish()
    during = [one for one in alerts if one.first >= t.batch().time[-120]]
    assert len({one.episode for one in during}) == 1
    assert during[-1].check.id.startswith("scan.")


def test_one_client_that_offers_ssl_2_to_many_hosts_is_one_alert():
    t = Conversations()
    hello = bytes.fromhex("801c 01 0002 0003 0000 0010 0700c0") + bytes(16)
    for i in range(20):
        there = (ME[IPV4], t.port(), host(IPV4, i), 443)
        back = (there[2], 443, there[0], there[1])
        t.segment(i, there, SYN, 9)
        t.segment(i + 0.02, back, SYN | ACK, 6)
        t.segment(i + 0.04, there, ACK, 10)
        t.segment(i + 0.06, there, PSH | ACK, 10, payload=hello)
    analysis = Analysis(Settings())
    alerts = analysis.packets(t.batch()) + analysis.finish()
    alerts = [one for one in alerts if not one.is_anomaly]
    told = [(one.check.id, one.state, one.count) for one in alerts]
    assert told == [
        ("tls.sslv2", state, n) for state, n in ((RAISED, 1), (GROWN, 10), (CLOSED, 20))
    ]
    assert len({one.episode for one in alerts}) == 1
