"""What the sensor would have told of processes, had they tried others at other times: its windows
and its limit of details, counted by the kernel's own text from each attempt and its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from kernel_window import KernelFanOut
from numpy.typing import NDArray
from procwire.event import FANOUT_EVENT, SAMPLE_TARGETS, Attempt, EventKind, Origin, Outcome
from procwire.sensor.loader import SensorEvents
from procwire.settings import Settings

_TCP, _UDP = 6, 17
_KINDS = (Attempt.CONNECT, Attempt.DATAGRAM)
_WITHOUT_END = (Outcome.PENDING, Outcome.SENT)
_FIGURES = (
    "window_ns",
    "window_start_ns",
    "first_ns",
    "measure",
    "threshold",
    "attempts",
    "established",
    "refused",
    "failures",
    "by_children",
    "hosts",
    "host_ports",
    "sequential_run",
    "unrouted",
)


class _Step(NamedTuple):
    """Something that a process did. what: a method of _Counting; row: of its turn's connections,
    or of its processes."""

    time: int
    turn: int
    what: str
    row: int


def recounted(window: Any, turns: Sequence[SensorEvents]) -> list[SensorEvents]:
    """The turns of a run with the reports and the details of these times. window: as
    kernel_window.compiled() builds it. In the run itself every connection has to be told."""
    counting = _Counting(window)
    detailed = [np.zeros(len(events.connection), bool) for events in turns]
    reports: list[list[NDArray[np.void]]] = [[np.zeros(0, FANOUT_EVENT)] for _ in turns]
    for step in sorted(_steps(turns), key=lambda step: step.time):
        events = turns[step.turn]
        row = (events.process if step.what == "exit" else events.connection)[step.row]
        detail, told = getattr(counting, step.what)(step.time, row)
        if step.what != "exit":
            detailed[step.turn][step.row] |= detail
        reports[step.turn] += told
    return [
        events._replace(connection=events.connection[detail], fanout=np.concatenate(told))
        for events, detail, told in zip(turns, detailed, reports, strict=True)
    ]


def _steps(turns: Sequence[SensorEvents]) -> Iterator[_Step]:
    for turn, events in enumerate(turns):
        for place, row in enumerate(events.connection):
            began, ended = int(row["time_ns"]), int(row["time_ns"] + row["duration_ns"])
            # Of a datagram that comes back the second event tells.
            came_back = row["protocol"] == _UDP and row["outcome"] == Outcome.REFUSED
            if not came_back:
                yield _Step(began, turn, "attempt", place)
            if row["outcome"] not in _WITHOUT_END:
                yield _Step(ended, turn, "end", place)
        for place in np.flatnonzero(events.process["kind"] == EventKind.EXIT).tolist():
            yield _Step(int(events.process["time_ns"][place]), turn, "exit", place)


class _Counting:
    """Every process's fan-out by kind. Each method: the time and the event's row; whether the event
    is told, and the reports that it makes, event.FANOUT_EVENT (1,) each."""

    def __init__(self, window: Any) -> None:
        self._window = window
        self._subjects: dict[tuple[int, int, Attempt], KernelFanOut] = {}

    def attempt(self, time: int, row: np.void) -> tuple[bool, list[NDArray[np.void]]]:
        subject, kind = self._subject(row["process"], _kind(row)), _kind(row)
        address = int.from_bytes(row["destination"].tobytes())
        crossed = subject.attempt(time, address, int(row["destination_port"])) is not None
        told = [_report(subject, time, row, kind)] if crossed else []
        return subject.detail(time), told

    def end(self, time: int, row: np.void) -> tuple[bool, list[NDArray[np.void]]]:
        subject, kind = self._subject(row["process"], _kind(row)), _kind(row)
        # Who was told no source of had no route, and sent nothing.
        is_unrouted = row["outcome"] == Outcome.UNREACHABLE and not row["source"].any()
        outcome = self._window.lib.OUTCOME_UNROUTED if is_unrouted else Outcome(row["outcome"])
        crossed = subject.end(time, outcome) is not None
        told = [_report(subject, time, row, kind)] if crossed else []
        return kind is Attempt.DATAGRAM, told

    def exit(self, time: int, row: np.void) -> tuple[bool, list[NDArray[np.void]]]:
        """What it tried falls to its parent, unless it was told."""
        told = []
        for kind in _KINDS:
            subject = self._subjects.pop(_key(row["process"], kind), None)
            if subject is None:
                continue
            if subject.final(time):
                told.append(_report(subject, time, row, kind))
            else:
                heir = self._subject(row["parent"], kind)
                if heir.inherit(time, subject) is not None:
                    told.append(_report(heir, time, row, kind, "parent"))
        return True, told

    def _subject(self, process: np.void, kind: Attempt) -> KernelFanOut:
        key = _key(process, kind)
        if key not in self._subjects:
            limit = Settings().fanout.detail_limit
            self._subjects[key] = KernelFanOut(self._window, detail_limit=limit)
        return self._subjects[key]


def _key(process: np.void, kind: Attempt) -> tuple[int, int, Attempt]:
    return int(process["started_ns"]), int(process["pid"]), kind


def _kind(row: np.void) -> Attempt:
    return Attempt.DATAGRAM if row["protocol"] == _UDP else Attempt.CONNECT


def _report(
    subject: KernelFanOut, time: int, row: np.void, kind: Attempt, whose: str = "process"
) -> NDArray[np.void]:
    """What crossed last, as the kernel sends it. row: of the event, of which `whose` it is."""
    report = np.zeros(1, FANOUT_EVENT)
    for name in _FIGURES:
        report[name] = getattr(subject.crossing, name)
    report["time_ns"], report["kind"], report["attempt"] = time, EventKind.FANOUT, kind
    report["process"], report["comm"] = row[whose], row["comm"]
    report["uid"], report["net_namespace"] = row["uid"], row["net_namespace"]
    report["origin"] = Origin.SENDMSG if kind is Attempt.DATAGRAM else Origin.CONNECT
    state = subject.state
    for name, target in (("first", state.first), ("last", state.last)):
        _fill(report[name], target, kind)
    report["samples"] = min(state.sampled, SAMPLE_TARGETS)
    for place in range(SAMPLE_TARGETS):
        _fill(report["sample"][:, place], state.sample[place], kind)
    return report


def _fill(row: NDArray[np.void], target: Any, kind: Attempt) -> None:
    row["address"] = list((target.hi << 64 | target.lo).to_bytes(16))
    row["port"], row["protocol"] = target.port, _UDP if kind is Attempt.DATAGRAM else _TCP
