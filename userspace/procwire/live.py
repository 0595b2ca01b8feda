"""The live run: kernel events and packets of interfaces, in turn, until told to stop.

Process events are applied before the fan-out rows that name their processes. Every count of
something lost is part of the statistics and of the summary.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from procwire.alert import Alert
from procwire.config import Settings
from procwire.context.site import Site
from procwire.detect.detector import ProcessId
from procwire.history import HistoryWriter
from procwire.output.eve import Source
from procwire.process_analysis import ProcessAnalysis
from procwire.record import Process
from procwire.sensor.loader import Sensor, SensorSettings
from procwire.sensor.processes import ProcessTable
from procwire.sensor.snapshot import processes_before

if TYPE_CHECKING:
    from procwire.analysis import Analysis
    from procwire.capture.live import LiveCapture

# Kernel events end the wait at once; blocks of packets are looked for at each turn.
POLL_MS, IDLE_MS = 50, 500
SAVE_EVERY_S = 5
LAST_POLLS = 64
_KERNEL = Source()

Emit = Callable[[Iterable[Alert], Source], None]


def sensor_settings(settings: Settings) -> SensorSettings:
    """The kernel's part of the settings."""
    fanout = settings.fanout
    return SensorSettings(
        window_ns=fanout.windows_ns,
        hosts=fanout.hosts,
        host_ports=fanout.host_ports,
        failures=fanout.failures,
        sequential_run=fanout.sequential_run,
        probe_targets=settings.probes.targets,
        detail_limit=fanout.detail_limit,
        skip_programs=fanout.skip_programs,
        skip_children=fanout.skip_children,
    )


class Live:
    """One live run. sensor: None where the kernel half is unavailable; captures: may be empty.

    emit: called with the alerts of a batch and where they were seen; site: what is known of the
    site, asked about each alert; history: where to write who held which flow, if anywhere.
    """

    def __init__(
        self,
        settings: Settings,
        sensor: Sensor | None,
        captures: Sequence[LiveCapture],
        emit: Emit,
        site: Site,
        history: Path | None = None,
    ) -> None:
        self._sensor, self._captures, self._emit, self._site = sensor, captures, emit, site
        self._processes = ProcessTable()
        self._history = HistoryWriter(history, self._known) if history is not None else None
        self._saved = time.monotonic()
        self._kernel = ProcessAnalysis(settings, self._known, site)
        self._wires: list[Analysis] = []
        if captures:
            # Loads numba and all compiled code, which is more than the rest takes.
            from procwire.analysis import Analysis

            # One each, as for files: what an alert rests on was seen in one place.
            self._wires = [Analysis(settings, site) for _ in captures]
        if sensor is not None:
            # Hooks are attached already: a process that starts now is seen twice, never not at all.
            self._processes.insert(processes_before(sensor.snapshot()))

    def run(self, stopped: Callable[[], bool]) -> None:
        """Watch until `stopped` says so, then tell what is still open."""
        while not stopped():
            self._step()
        # A poll is bounded: what the rings still hold is read, as far as it does not keep coming.
        for _ in range(LAST_POLLS):
            if not self._step():
                break
        self._emit(self._kernel.finish(), _KERNEL)
        for capture, wire in zip(self._captures, self._wires, strict=True):
            self._emit(wire.finish(), Source(in_iface=capture.interface))
        self._site.save()
        if self._history is not None:
            self._history.close()

    def counters(self) -> dict[str, int]:
        """Everything seen, skipped, lost and dropped."""
        counts = Counter[str]()
        for analysis in self._analyses():
            counts.update(analysis.counters())
        if self._sensor is not None:
            counts.update({f"kernel.{name}": n for name, n in self._sensor.counters().items()})
            counts["processes.evicted"] = self._processes.evicted
        for capture in self._captures:
            counts[f"capture.{capture.interface}.received"] = capture.received()
            counts[f"capture.{capture.interface}.dropped"] = capture.dropped()
        counts.update(self._site.counters())
        if self._history is not None:
            counts.update(self._history.counters())
        return dict(counts)

    @property
    def last_time(self) -> int:
        """Event time reached, ns since the epoch."""
        return max(one.last_time for one in self._analyses())

    def _analyses(self) -> list[ProcessAnalysis | Analysis]:
        return [self._kernel, *self._wires]

    def _step(self) -> bool:
        """One turn; whether the kernel had events for it."""
        seen = False
        if self._sensor is not None:
            events = self._sensor.poll(POLL_MS if self._captures else IDLE_MS)
            seen = any(len(rows) for rows in events)
            self._processes.apply(events.process)
            if self._history is not None:
                self._history.connections(events.connection)
            self._emit(
                self._kernel.update(events.fanout, events.connection, time.time_ns()), _KERNEL
            )
        else:
            time.sleep(POLL_MS / 1000)
        for capture, wire in zip(self._captures, self._wires, strict=True):
            source = Source(in_iface=capture.interface)
            for batch in capture.batches():
                self._emit(wire.packets(batch), source)
        if time.monotonic() - self._saved >= SAVE_EVERY_S:
            self._site.save()
            self._saved = time.monotonic()
        return seen

    def _known(self, key: ProcessId) -> tuple[Process, list[Process]] | None:
        process = self._processes.get(key)
        return None if process is None else (process, self._processes.ancestry(key))
