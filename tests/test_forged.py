"""Packets whose sources no host can have are one episode of whom they are sent to."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from procwire import layers
from procwire.alert import CLOSED, GROWN, RAISED
from procwire.detect.detector import Detector
from procwire.detect.finding_groups import Hits
from procwire.episodes import Episodes
from procwire.output.text import text
from procwire.record import FINDING
from procwire.settings import Settings
from procwire.settings.traffic import EpisodeSettings
from test_contacts import columns
from test_fanout import NETWORK, SECOND, START

QUIET = 600 * SECOND
FORGED, OTHER = range(2)
RULES = (
    Detector("ipv4.martian_src", 9100110, "No host can have it", "RFC 6890", ("AN1962",), 2),
    Detector("ipv4.other", 9100101, "Other", "RFC 791", ("AN1962",), 3),
)
NOBODY = 0xFFFF << 32 | 0xE0000000


def hits(found, first):
    """Hits of (time, source, target, rule)."""
    made, times = columns([(time, src, 1, dst, 2, 0, 0) for time, src, dst, _ in found])
    made.network[:], made.transport[:] = layers.IPV4, layers.TCP
    findings = np.zeros(len(found), FINDING)
    findings["row"] = np.arange(len(found))
    findings["packet"] = findings["row"] + first
    findings["rule"], findings["size"] = [rule for *_, rule in found], 4
    return Hits(findings, made, times, np.maximum.accumulate(times), np.zeros(2, np.int64))


def told(found, size=None, settings=None):
    """The alerts of findings in batches of `size`."""
    episodes, alerts, size = Episodes(settings, RULES), [], size or max(len(found), 1)
    for begin in range(0, len(found), size):
        part = found[begin : begin + size]
        alerts += episodes.update(part[-1][0], hits=hits(part, begin + 1))
    return sorted(alerts + episodes.close(), key=lambda one: (one.time, repr(one)))


def sources(alert):
    return {one.name: one.value for one in alert.evidence}.get("forged_sources")


def flood(count, each=1):
    return [(START + i, NOBODY + i // each, NETWORK + 1, FORGED) for i in range(count)]


def test_a_flood_from_forged_sources_is_one_episode_that_counts_them():
    alerts = told(flood(60))
    assert [(one.state, one.count, sources(one)) for one in alerts] == [
        (RAISED, 1, None),
        (GROWN, 10, 10),
        (CLOSED, 60, 60),
    ]
    assert len({one.episode for one in alerts}) == 1
    assert "60 forged sources -> 10.1.0.1" in text(alerts[-1])
    # Each shows a packet of its own.
    assert [one.packet for one in alerts] == [1, 10, 10]


def test_of_many_sources_a_hundred_are_counted():
    alerts = told(flood(5000))
    assert sources(alerts[-1]) == 100
    assert "100 or more forged sources" in text(alerts[-1])


def test_a_single_source_is_named():
    alerts = told(flood(20, each=20))
    assert sources(alerts[-1]) == 1
    assert "224.0.0.0:1 -> 10.1.0.1" in text(alerts[-1])


def test_each_target_and_what_else_its_packets_break_stay_apart():
    found = [(START + i, NOBODY + i, NETWORK + i % 2, FORGED) for i in range(8)]
    found += [(START + 9 + i, NOBODY + i, NETWORK, OTHER) for i in range(3)]
    raised = [one.check.id for one in told(found) if one.state == RAISED]
    assert raised == ["ipv4.martian_src"] * 2 + ["ipv4.other"] * 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 90 * SECOND, QUIET - 1, QUIET]),
        st.integers(0, 30),
        st.integers(0, 1),
        st.sampled_from([FORGED, FORGED, OTHER]),
    ),
    max_size=90,
)


@given(STEPS, st.integers(1, 90), st.sampled_from([1, 2, 1000]))
def test_nothing_depends_on_where_batches_end(steps, size, per_rule):
    time, found = START, []
    for gap, source, target, rule in steps:
        time += gap
        found.append((time, NOBODY + source, NETWORK + target, rule))
    settings = Settings(episodes=EpisodeSettings(per_rule=per_rule))
    assert told(found, size, settings) == told(found, None, settings)
