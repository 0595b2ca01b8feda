"""Kernel events and packets of one host, joined into alerts: the same path live and from a record.

Process events are applied before the fan-out rows that name their processes, and events before the
packets that were captured meanwhile: an event is sent before its packet passes a capture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.context.site import Site
from procwire.output.eve import Source
from procwire.owners.correlate import Correlator
from procwire.owners.sources import Sources
from procwire.record import Process, ProcessId
from procwire.runs.process_analysis import ProcessAnalysis
from procwire.sensor.loader import SensorEvents
from procwire.sensor.namespaces import Network
from procwire.sensor.processes import ProcessTable
from procwire.settings import Settings

if TYPE_CHECKING:
    from procwire.capture.batch import PacketBatch
    from procwire.owners.flow_owners import FlowOwners
    from procwire.runs.analysis import Analysis

Emit = Callable[[Iterable[Alert], Source], None]

KERNEL = Source()


class Joined:
    """One run. interfaces: names of those whose packets are given, may be empty; namespace: inode
    number of their network namespace; processes: where processes are looked up.

    emit: called with the alerts of a batch and where they were seen; site: what is known of the
    site, asked about each alert.
    """

    def __init__(
        self,
        settings: Settings,
        interfaces: Sequence[str],
        namespace: int,
        processes: ProcessTable,
        emit: Emit,
        site: Site,
    ) -> None:
        self._emit, self._processes, self._namespace = emit, processes, namespace
        self._addresses = Sources()
        self._sources = [Source(in_iface=interface) for interface in interfaces]
        self._wires: list[Analysis] = []
        self._owners: FlowOwners | None = None
        if not interfaces:
            self._kernel = ProcessAnalysis(settings, self.known, site)
            return
        # Loads numba and all compiled code, which is more than the rest takes.
        from procwire.owners.flow_owners import FlowOwners
        from procwire.runs.analysis import Analysis

        self._owners = FlowOwners(namespace)
        self._correlator = Correlator(self._owners, self.known)
        self._kernel = ProcessAnalysis(settings, self.known, site, self._correlator.processes)
        # One each, as for files: what an alert rests on was seen in one place.
        self._wires = [
            Analysis(settings, site, partial(self._correlator.packets, place=interface))
            for interface in interfaces
        ]

    def touch(self) -> None:
        """See memory.touch: before the first packets come."""
        for wire in self._wires:
            wire.touch()

    def networks(
        self, local: Sequence[Network], elsewhere: Mapping[int, Sequence[Network]] | None = None
    ) -> None:
        """What are this host's own networks from now on; elsewhere: in other network namespaces,
        by inode number."""
        if self._owners is not None:
            self._owners.networks({**(elsewhere or {}), self._namespace: local})

    def translations(self, rows: NDArray[np.void]) -> None:
        """Take TRANSLATION (n,) of flows, before their packets."""
        if self._owners is not None:
            self._owners.translations.update(rows)

    def events(self, events: SensorEvents, now: int, set_by: int = 0) -> None:
        """Take kernel events whose process events the table has followed. now: time up to which
        everything has been seen, ns since the epoch; set_by: ns that the clock was set forward by
        before these events, or back."""
        if set_by:
            self._kernel.clock_set(set_by)
        if self._owners is not None:
            self._owners.processes(events.process)
            self._owners.update(events.flow)
        self._addresses.events(events)
        alerts = self._kernel.update(events.fanout, events.connection, now)
        self._emit([self._addresses.located(alert) for alert in alerts], KERNEL)

    def packets(
        self, interface: int, batches: Iterable[PacketBatch], workers: int = 1
    ) -> Iterator[PacketBatch]:
        """Take packets of an interface, by its place among those given: each batch once its alerts
        are told. workers: as of pipeline.alerts_of; it changes nothing in the alerts."""
        from procwire.runs.pipeline import alerts_of

        for batch, alerts in alerts_of(self._wires[interface], batches, workers):
            self._emit(alerts, self._sources[interface])
            yield batch

    def finish(self) -> None:
        """Tell what is still open."""
        self._emit([self._addresses.located(alert) for alert in self._kernel.finish()], KERNEL)
        for wire, source in zip(self._wires, self._sources, strict=True):
            self._emit(wire.finish(), source)

    def counters(self) -> dict[str, int]:
        """Everything seen and skipped."""
        counts = Counter[str]()
        for analysis in self._analyses():
            counts.update(analysis.counters())
        if self._owners is not None:
            correlated = self._correlator.counters()
            counts.update({f"correlate.{name}": n for name, n in correlated.items()})
        return dict(counts)

    @property
    def last_time(self) -> int:
        """Event time reached, ns since the epoch."""
        return max(one.last_time or 0 for one in self._analyses())

    def _analyses(self) -> list[ProcessAnalysis | Analysis]:
        return [self._kernel, *self._wires]

    def known(self, key: ProcessId, keep: bool = True) -> tuple[Process, list[Process]] | None:
        """The process of a key and its ancestors, parent first; keep: as of ProcessTable.get()."""
        process = self._processes.get(key, keep)
        return None if process is None else (process, self._processes.ancestry(key, keep))
