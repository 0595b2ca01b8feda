"""The record of a scenario alone, moved in time: hours from a run of seconds, read like any other.

What the run was given is kept, in its order and with the pauses inside a round; only what lies
between rounds grows, and what processes of other network namespaces did is left out. The kernel's
windows saw the run as it was, so they are counted anew, by the kernel's own text, from the attempts
and ends that it told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from procwire.capture.batch import ETHERNET
from procwire.capture.open import read_capture
from procwire.record import Process
from procwire.runs.recorded import Recording, networks_of
from procwire.runs.recording import Networks, Packets, Recorder, Turn, packets_file
from procwire.runs.replay import _Queue
from procwire.sensor.loader import SensorEvents
from procwire.settings import Settings
from recount import recounted

When = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Times as they were, ns since the epoch (n,) -> as they are to be, in the same order."""


def apart(rounds: Sequence[int], pause_s: float, shift_s: float = 0) -> When:
    """Every round, given by when it began, that much later behind the one before."""
    begun, pause, shift = np.array(sorted(rounds)), round(pause_s * 1e9), round(shift_s * 1e9)
    return lambda times: times + shift + pause * np.searchsorted(begun, times, side="right")


def moved(source: Path, into: Path, when: When, window: Any = None) -> Path:
    """Write the record in `source` once more, of its namespace and at other times.

    window: the kernel's arithmetic as kernel_window.compiled() builds it, where rounds were moved
    apart; None keeps the kernel's reports.
    """
    recording = Recording(source)
    captures = [SimpleNamespace(interface=name, link=ETHERNET) for name in recording.interfaces]
    files = [packets_file(source, number) for number in range(len(captures))]
    packets = [_Queue(read_capture(file)) for file in files]
    recorder = Recorder(into, Settings(), recording.namespace, captures)
    frames = list(recording.frames())
    turns_of = (recording.events(one) for one in frames if isinstance(one, Turn))
    events = [_at(when, _within(recording.namespace, one)) for one in turns_of]
    if window is not None:
        events = recounted(window, events)
    turns = iter(events)
    for frame in frames:
        if isinstance(frame, Turn):
            changes = [_begun(when, change) for change in recording.changes(frame)]
            recorder.events(next(turns), changes, _one(when, frame.now), told=True)
        elif isinstance(frame, Networks):
            recorder.networks(networks_of(frame.local))
        elif isinstance(frame, Packets):
            for batch in packets[frame.interface].take(frame.count):
                recorder.packets(frame.interface, batch._replace(time=when(batch.time)))
    recorder.close()
    return into


def _one(when: When, time: int) -> int:
    return int(when(np.array([time]))[0])


def _begun(when: When, change: Any) -> Any:
    if isinstance(change, Process) and change.started is not None:
        return replace(change, started=_one(when, change.started))
    return change


def _within(namespace: int, events: SensorEvents) -> SensorEvents:
    inside = {
        name: rows[rows["net_namespace"] == namespace]
        for name, rows in events._asdict().items()
        if name != "process"
    }
    return events._replace(**inside)


def _at(when: When, events: SensorEvents) -> SensorEvents:
    for rows in events:
        rows["time_ns"] = when(rows["time_ns"].astype(np.int64))
    for name in ("window_start_ns", "first_ns"):
        events.fanout[name] = when(events.fanout[name].astype(np.int64))
    return events
