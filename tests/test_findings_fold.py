"""Findings fold into episodes: by rule and pair, with growth, pauses and bounds, wherever batches
end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from procwire import layers
from procwire.alert import CLOSED, GROWN, RAISED
from procwire.detect.detector import (
    Detector,
)
from procwire.detect.finding_groups import Hits
from procwire.episodes import Episodes
from procwire.output.eve import Source, record
from procwire.record import FINDING
from procwire.settings import Settings
from procwire.settings.traffic import EpisodeSettings
from test_contacts import columns
from test_fanout import NETWORK, SCANNER, SECOND, START

RULES = (
    Detector("ipv4.first", 9100101, "First", "RFC 791", ("AN1962",), 2),
    Detector("ipv4.second", 9100102, "Second", "RFC 791", ("AN1962",), 3),
    Detector("tcp.counted", 9100401, "Counted", "RFC 9293", ("AN1962",), 3, tier="C"),
)
QUIET = 600 * SECOND


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
