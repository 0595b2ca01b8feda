"""The live run: kernel events and packets of interfaces, in turn, until told to stop.

A turn first sees which packets are there, then reads all events, then takes the packets: whatever
announces a packet is known before it. Every count of something lost is part of the statistics.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from procwire.alert import Alert, scan_alert
from procwire.context.site import Site
from procwire.context.tuning import in_force
from procwire.output.eve import Source
from procwire.owners.history_writer import HistoryWriter
from procwire.runs.joined import Emit, Joined
from procwire.runs.latency import Latency
from procwire.runs.recording import Recorder
from procwire.sensor.conntrack import Conntrack
from procwire.sensor.coverage import circumstances
from procwire.sensor.loader import Sensor
from procwire.sensor.machine import boot_epoch_ns
from procwire.sensor.namespaces import Namespaces, Network
from procwire.sensor.processes import ProcessTable
from procwire.sensor.settings import SensorSettings
from procwire.sensor.snapshot import processes_before
from procwire.settings import Settings
from procwire.settings.section import NANOSECONDS

if TYPE_CHECKING:
    from procwire.capture.live import LiveCapture

# Kernel events and blocks of packets end the wait at once.
IDLE_MS = 500
SAVE_EVERY_S = 5
NETWORKS_EVERY_S = 10
TELL_EVERY_S = 60
# The kernel keeps a block that is not full for RETIRE_MS of capture/ring.py.
LAST_POLLS, LAST_IDLE, LAST_WAIT_MS = 64, 2, 50
# What follows faster is taken together: a small batch costs as much as a large. Without packets
# events may wait longer: their rings hold a second of what a busy machine does.
_APART_S, _EVENTS_APART_S = 0.02, 0.1
# Blocks of packets that are worth more threads.
_BACKLOG = 16
# What is less is the clock being slewed, or the time between two looks at it.
_SET_NS = NANOSECONDS
# Polls of one turn, each of which empties all rings.
_DRAINS = 8


def sensor_settings(settings: Settings, with_flows: bool) -> SensorSettings:
    """The kernel's part of the settings. with_flows: to be told whose each flow is."""
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
        flows=int(with_flows),
    )


class Live:
    """One live run. sensor: None where the kernel half is unavailable; captures: may be empty.

    emit: called with the alerts of a batch and where they were seen; site: what is known of the
    site, asked about each alert; history: where to write who held which flow, if anywhere; workers:
    as of pipeline.alerts_of; say: called with one line when a disk is full.
    """

    def __init__(
        self,
        settings: Settings,
        sensor: Sensor | None,
        captures: Sequence[LiveCapture],
        emit: Emit,
        site: Site,
        history: Path | None = None,
        record: Path | None = None,
        workers: int = 1,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._sensor, self._captures, self._site = sensor, captures, site
        self._emit, self._told = emit, 0
        self._latency = Latency()
        self._processes = ProcessTable()
        self._boot = boot_epoch_ns()
        interfaces = [capture.interface for capture in captures]
        namespace = Path("/proc/self/ns/net").stat().st_ino
        self._joined = Joined(settings, interfaces, namespace, self._processes, self._tell, site)
        self._history: HistoryWriter | None = None
        if history is not None:
            known = partial(self._joined.known, keep=False)
            self._history = HistoryWriter(history, known, namespace, tell=say)
        self._recorder: Recorder | None = None
        if record is not None:
            # Last of what may be refused: its folder has to be empty at the next start.
            self._recorder = Recorder(record, settings, namespace, captures, say)
            self._processes.changes = []
        self._saved = self._located = self._looked = time.monotonic()
        self._in_force = in_force(settings)
        self._apart_s = _APART_S if captures else _EVENTS_APART_S
        self._learning_ns = settings.baseline.learning_ns
        self._not_captured: list[str] = []
        self._local: list[Network] = []
        self._namespaces = Namespaces(namespace)
        self._workers = workers
        self._conntrack: Conntrack | None = None
        if captures:
            # A kernel without connection tracking translates nothing.
            with suppress(OSError):
                self._conntrack = Conntrack()
            self._joined.touch()
            self._wakes = select.poll()
            for capture in captures:
                self._wakes.register(capture.fileno(), select.POLLIN)
                if sensor is not None:
                    sensor.wake_by(capture.fileno())
        self._locate()
        if sensor is not None:
            # Hooks are attached already: a process that starts now is seen twice, never not at all.
            self._processes.insert(processes_before(sensor.snapshot()))

    def run(self, stopped: Callable[[], bool], tell: Callable[[], None]) -> None:
        """Watch until `stopped` says so, then tell what is still open. tell: called now and then,
        for whoever asks meanwhile what was seen."""
        told = time.monotonic()
        while not stopped():
            self._turn(IDLE_MS)
            if time.monotonic() - told >= TELL_EVERY_S:
                tell()
                told = time.monotonic()
        # What is under way is read, as far as it does not keep coming: a poll is bounded.
        self._apart_s = _APART_S
        least = LAST_IDLE if self._captures else 0
        for turn in range(LAST_POLLS):
            if not self._turn(LAST_WAIT_MS) and turn >= least:
                break
        self._joined.finish()
        if self._conntrack is not None:
            self._conntrack.close()
        self._save(time.monotonic())
        if self._recorder is not None:
            self._recorder.close()
        if self._history is not None:
            self._history.close()

    def counters(self) -> dict[str, int]:
        """Everything seen, skipped, lost and dropped."""
        counts = self._joined.counters()
        if self._sensor is not None:
            counts.update({f"kernel.{name}": n for name, n in self._sensor.counters().items()})
            counts.update(circumstances(self._sensor.loader, self._sensor.left_out))
            counts["processes.evicted"] = self._processes.evicted
        for capture in self._captures:
            counts[f"capture.{capture.interface}.received"] = capture.received()
            counts[f"capture.{capture.interface}.dropped"] = capture.dropped()
            counts[f"capture.{capture.interface}.stopped"] = capture.stopped()
        if self._conntrack is not None:
            counts["correlate.translations_lost"] = self._conntrack.lost
        counts.update({f"not_captured.{name}": 1 for name in self._not_captured})
        counts.update(self._site.counters(self._learning_ns))
        if self._history is not None:
            counts.update(self._history.counters())
        if self._recorder is not None:
            counts.update(self._recorder.counters())
        return counts | self._latency.counters()

    def denied_contacts(self) -> list[Alert]:
        """What denied programs have reached since this was last asked, each as the alert that it is
        part of would tell it."""
        return [
            scan_alert(seen, self._joined.known(seen.subject, keep=False), ())
            for seen in self._site.denied_contacts()
            if seen.subject is not None
        ]

    @property
    def last_time(self) -> int:
        """Event time reached, ns since the epoch."""
        return self._joined.last_time

    def _turn(self, timeout_ms: int) -> bool:
        """One turn, which waits so long for events and packets; whether there were any."""
        seen = False
        time.sleep(max(0.0, self._looked + self._apart_s - time.monotonic()))
        if self._sensor is None:
            self._wakes.poll(timeout_ms)
        else:
            seen = self._take_events(self._sensor, timeout_ms)
        ready = [capture.ready() for capture in self._captures]
        if any(ready) or (seen and not self._captures):
            self._looked = time.monotonic()
        if self._sensor is not None and any(ready):
            for _ in range(_DRAINS):
                if not self._take_events(self._sensor, 0):
                    break
            self._take_translations()
        for number, (capture, blocks) in enumerate(zip(self._captures, ready, strict=True)):
            is_much = blocks > _BACKLOG
            workers = self._workers if is_much else 1
            for batch in self._joined.packets(number, capture.batches(), workers):
                if self._recorder is not None:
                    self._recorder.packets(number, batch)
                capture.release()
                # Meanwhile rings of events would fill.
                if is_much and self._sensor is not None:
                    self._take_events(self._sensor, 0)
        self._keep_up(time.monotonic())
        return seen or any(ready)

    def _take_events(self, sensor: Sensor, timeout_ms: int) -> bool:
        """Read what the rings hold; whether there was anything."""
        events = sensor.poll(timeout_ms)
        self._processes.apply(events.process)
        if self._history is not None:
            self._history.events(events)
        asked = bool(self._captures) or self._history is not None
        if asked and self._namespaces.note(events.flow):
            self._tell_networks()
        now, told, set_by = time.time_ns(), self._told, self._clock_set()
        self._joined.events(events, now, set_by)
        if self._recorder is not None and self._processes.changes is not None:
            changes, self._processes.changes = self._processes.changes, []
            self._recorder.events(events, changes, now, told != self._told, set_by)
        return any(len(rows) for rows in events)

    def _clock_set(self) -> int:
        """By how much the wall clock was set since this was last asked, ns."""
        before, self._boot = self._boot, boot_epoch_ns()
        set_by = self._boot - before
        return set_by if abs(set_by) >= _SET_NS else 0

    def _take_translations(self) -> None:
        """Read which flows are translated."""
        if self._conntrack is None:
            return
        rows = self._conntrack.read()
        self._joined.translations(rows)
        if self._recorder is not None:
            self._recorder.translations(rows)

    def _tell(self, alerts: Iterable[Alert], source: Source) -> None:
        listed = list(alerts)
        self._emit(listed, source)
        self._told += len(listed)
        self._latency.note(listed, time.time_ns())

    def _keep_up(self, now: float) -> None:
        """What is done every few seconds."""
        if now - self._saved >= SAVE_EVERY_S:
            self._save(now)
        if now - self._located >= NETWORKS_EVERY_S:
            # Where the kernel does not answer, what was known holds until it does.
            with suppress(OSError):
                self._locate()

    def _save(self, now: float) -> None:
        self._site.observed(self._in_force, round((now - self._saved) * NANOSECONDS))
        self._site.save()
        if self._sensor is not None and not self._captures:
            # A flood of events leaves holes of megabytes.
            self._sensor.trim_memory()
        self._saved = now

    def _locate(self) -> None:
        if not self._captures and self._history is None:
            return
        # Importing it takes a third of a second.
        from procwire.sensor.networks import interfaces_up, local_networks

        self._located = time.monotonic()
        captured = {capture.interface for capture in self._captures}
        if captured:
            self._not_captured = [name for name in interfaces_up() if name not in captured]
        self._local = local_networks()
        self._namespaces.refresh()
        self._tell_networks()

    def _tell_networks(self) -> None:
        self._joined.networks(self._local, self._namespaces.networks)
        if self._recorder is not None:
            self._recorder.networks(self._local, self._namespaces.networks)
        if self._history is not None:
            self._history.networks(self._local, self._namespaces.networks, time.time_ns())
