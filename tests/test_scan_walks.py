"""Scans that few attempts tell, whatever their rate and order, and peers of which most are gone."""

from __future__ import annotations

from random import Random

import pytest
from procwire.detect.random_walk import RandomWalk
from procwire.detect.scans import Scans
from procwire.event import Origin
from procwire.record import Attempt
from test_fanout import NETWORK, SCANNER, SECOND, START, connection, table
from test_scans import FOUND, LOST, attempts, found, hosts


def test_a_walk_needs_neither_rate_nor_order():
    rows = attempts(Attempt.CONNECT, hosts(6, 445), [LOST] * 6, step=3600 * SECOND)
    assert found(rows) == ["scan.slow_trw"]


def test_a_walk_that_goes_on_keeps_its_episode():
    rows = attempts(Attempt.CONNECT, hosts(24, 445), [LOST] * 24, step=61 * SECOND)
    assert found(rows) == ["scan.slow_trw"]
    scans = RandomWalk().update(rows)
    assert [scan.final for scan in scans] == [False, True, True, True]


def dialled(count, answering, each=1 << 16):
    """So many hosts in no order, so far apart, of five of which those of these numbers answer."""
    places = Random(1).sample(range(4096), count)
    targets = [(NETWORK + place * each, 6881) for place in places]
    outcomes = [FOUND if number % 5 in answering else LOST for number in range(count)]
    return attempts(Attempt.CONNECT, targets, outcomes)


def test_peers_that_others_have_named_may_be_gone():
    """Three in five do not answer: hosts in networks of their own, then hosts of one network."""
    assert found(dialled(200, (1, 4))) == []
    assert "scan.host_sweep" in found(dialled(200, (1, 4), each=7))


def test_who_finds_next_to_nobody_scans_wherever_hosts_are():
    assert found(dialled(53, ())) == []
    assert "scan.slow_trw" in found(dialled(54, ()))
    assert "scan.host_sweep" in found(dialled(200, ()))


def told_of(answering, count=200, sources=100):
    """What share of sources is told of, each of which tries so many hosts anywhere, in networks
    drawn apart from each other, of which such a share answers."""
    chance, rows = Random(3), []
    for number in range(sources):
        for step in range(count):
            host = 0xFFFF << 32 | chance.randrange(1 << 32)
            outcome = FOUND if chance.random() < answering else LOST
            time = START + step * SECOND + number
            rows.append(connection(time, host, 6881, outcome, SCANNER + number))
    seen = Scans(origin=Origin.IMPORT).update(table(sorted(rows), Origin.IMPORT))
    return len({scan.source for scan in seen}) / sources


@pytest.mark.parametrize("gone", [0.6, 0.7, 0.8, 0.9])
def test_peers_are_no_scan_though_most_are_gone(gone):
    """At nine in ten the test may err as often as its setting says, once in a hundred."""
    assert told_of(1 - gone) <= 0.03


def test_targets_drawn_from_the_internet_are_a_scan():
    assert told_of(0.0) == 1
    assert told_of(0.01, count=400) >= 0.97


def test_a_source_silent_for_a_day_starts_anew():
    rows = attempts(Attempt.CONNECT, hosts(8, 445), [LOST] * 8, step=25 * 3600 * SECOND)
    assert found(rows) == []
