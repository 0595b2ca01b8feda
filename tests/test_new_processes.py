"""Processes that have just begun and try hosts that do not answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from procwire.config import load
from procwire.context.inventory import Inventory
from procwire.detect import new_process
from procwire.detect.detector import NEW_PROCESS
from procwire.detect.distinct import LIMIT
from procwire.detect.surroundings import Known, Surroundings
from procwire.event import Origin, Outcome
from test_alert import SCANNER_PROCESS
from test_surroundings import NOW, SECOND, SITE, connections, observed, tried


def test_a_new_process_that_fails_to_reach_hosts() -> None:
    failed = tried(8, Outcome.REFUSED)
    (seen,) = observed(failed, begun=NOW - 59 * SECOND)
    assert (seen.detector, seen.figure, seen.subject) == (NEW_PROCESS, 8, (5, 7, 1))
    assert observed(failed, begun=NOW - 61 * SECOND) == []
    assert observed(failed, begun=NOW + SECOND) == [], "begun in the future"
    assert observed(failed, begun=None) == []
    assert observed(tried(4, Outcome.REFUSED) * 2, begun=NOW) == []
    assert observed(tried(30, Outcome.ESTABLISHED), begun=NOW) == []
    assert observed(tried(8, Outcome.REFUSED, process=(0, 0, 0)), begun=NOW) == []


def test_more_new_processes_at_once_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_process, "_MOST_PROCESSES", 2)
    many = [row for pid in range(1, 8) for row in tried(8, Outcome.REFUSED, pid)]
    found = observed(many, begun=NOW)
    assert [seen.subject for seen in found] == [(5, pid, 1) for pid in range(1, 8)]


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.ESTABLISHED])
def test_what_is_forgotten_of_new_processes_is_counted(outcome: Outcome) -> None:
    """Whether it failed or was answered, which both decide."""
    process = replace(SCANNER_PROCESS, started=NOW)
    watched = Surroundings(load(), Known(SITE.zones, None, SITE.role_of), lambda key: (process, ()))
    # One more than there is room for in each half.
    made = connections(*tried(1, outcome)).repeat(LIMIT + 1)
    made["process"]["pid"] = np.arange(1, LIMIT + 2)
    watched.update(made)
    assert watched.counters()["new_process"] == {"evicted": LIMIT // 2}


def test_rows_of_no_processes_are_looked_at_for_no_new_one() -> None:
    watched = Surroundings(load(), Known(Inventory().zones, None, SITE.role_of))
    assert watched.update(connections(*tried(8, Outcome.REFUSED))) == []
    assert watched.counters() == {}


def test_a_new_process_without_a_route_looks_for_nobody() -> None:
    assert observed(tried(30, Outcome.UNREACHABLE, src="0.0.0.0"), begun=NOW) == []
    assert len(observed(tried(8, Outcome.UNREACHABLE), begun=NOW)) == 1
    imported = tried(8, Outcome.UNREACHABLE, src="0.0.0.0", origin=Origin.IMPORT)
    assert len(observed(imported, begun=NOW)) == 1, "of whose source nothing is known"


def test_a_new_process_that_is_mostly_answered_is_none() -> None:
    def answers(count: int) -> list[dict[str, object]]:
        return tried(count, Outcome.ESTABLISHED, dst_port=80)

    failed = tried(8, Outcome.TIMED_OUT)
    for batch in (1, 5, 1000):

        def seen(rows):
            return observed(rows, batch=batch, begun=NOW)  # noqa: B023

        assert seen(answers(1) + failed) == []
        assert len(seen(failed)) == 1
        assert len(seen(failed + answers(9))) == 1, "what is answered later changes nothing"


def test_a_new_process_that_dials_peers_of_which_most_are_gone() -> None:
    def dials(count: int, outcome: Outcome, network: int) -> list[dict[str, object]]:
        rows = tried(count, outcome, dst_port=6881)
        return [row | {"dst": f"{network}.{at}.7.7"} for at, row in enumerate(rows)]

    failed = dials(80, Outcome.TIMED_OUT, 11)
    assert observed(dials(5, Outcome.ESTABLISHED, 9) + failed, begun=NOW) == []
    (seen,) = observed(failed, begun=NOW)
    assert (seen.detector, seen.figure) == (NEW_PROCESS, 80)
    assert seen.evidence[-1].setting == "random_walk.scattered_benign_success"
