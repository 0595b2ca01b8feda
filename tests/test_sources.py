"""From which address a process connects: the latest that is certain, by process, else by target."""

from __future__ import annotations

import numpy as np
import pytest
from procwire.alert import RAISED, Alert
from procwire.detect.detector import NEW_PROCESS
from procwire.event import CONNECTION_EVENT, FLOW_EVENT, FlowRole
from procwire.owners import sources
from procwire.owners.sources import Sources
from procwire.record import Endpoint, Process
from procwire.sensor.loader import no_events

OURS, OTHER, FORGED = (bytes(10) + b"\xff\xff" + bytes((10, 0, 0, last)) for last in (1, 2, 3))
TARGETS = [bytes(10) + b"\xff\xff" + bytes((192, 0, 2, last)) for last in range(6)]


def key(number: int) -> tuple[int, int, int]:
    return number * 10_000_000, 5_000_000 + number, 1


def rows(dtype, *told):
    made = np.zeros(len(told), dtype)
    for row, (number, source, target) in zip(made, told, strict=True):
        row["process"] = key(number)
        row["source"] = np.frombuffer(source, np.uint8)
        row["destination"] = np.frombuffer(target, np.uint8)
    return made


def written(*told):
    made = rows(FLOW_EVENT, *told)
    made["role"] = FlowRole.WRITES
    return made


def alert_of(number: int, *targets: bytes) -> Alert:
    process = Process(
        key=key(number),
        parent=key(0),
        started=0,
        uid=0,
        user="root",
        exe="/bin/tool",
        argv=(),
        comm="tool",
        cwd=None,
        cgroup=None,
        container=None,
        attribution="kernel",
    )
    ends = tuple(Endpoint(target) for target in targets)
    return Alert("e", RAISED, NEW_PROCESS, 2, 0, 0, 0, 1, None, None, 6, (), ends, process)


def source_of(known: Sources, number: int, *targets: bytes) -> bytes | None:
    source = known.located(alert_of(number, *targets)).source
    return None if source is None else source.address


@pytest.fixture
def known() -> Sources:
    return Sources()


def test_a_process_is_where_it_connected_from_last(known):
    connected = rows(CONNECTION_EVENT, (1, OTHER, TARGETS[0]), (1, OURS, TARGETS[1]))
    known.events(no_events()._replace(connection=connected))
    assert source_of(known, 1) == OURS
    # One that never connected itself is told for what its children did.
    assert source_of(known, 2, TARGETS[5], TARGETS[0]) == OTHER
    assert source_of(known, 2, TARGETS[5]) is None


def test_a_source_that_was_written_counts_where_there_is_no_other(known):
    known.events(no_events()._replace(connection=rows(CONNECTION_EVENT, (1, OURS, TARGETS[0]))))
    forged = written((1, FORGED, TARGETS[1]), (2, FORGED, TARGETS[2]))
    known.events(no_events()._replace(flow=forged))
    assert source_of(known, 1) == OURS
    assert source_of(known, 2) == FORGED


def test_an_unknown_source_is_none(known):
    unknown = rows(CONNECTION_EVENT, (1, bytes(16), TARGETS[0]))
    known.events(no_events()._replace(connection=unknown))
    assert source_of(known, 1, TARGETS[0]) is None


def test_what_was_not_used_for_longest_is_forgotten(known, monkeypatch):
    monkeypatch.setattr(sources, "REMEMBERED", 2)
    for number in (1, 2, 1, 3):
        told = rows(CONNECTION_EVENT, (number, OURS, TARGETS[number]))
        known.events(no_events()._replace(connection=told))
    assert [source_of(known, number) for number in (1, 2, 3)] == [OURS, None, OURS]
