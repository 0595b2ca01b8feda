"""One run over recordings: packets and records each to the analysis that is theirs.

Analyses are made when the first input of their kind comes: who reads records alone loads no rules.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from procwire.alert import Alert
from procwire.capture.open import read_packets
from procwire.capture.pcap import PACKET_HEADER
from procwire.compiled.memory import give_back_files
from procwire.context.site import Site
from procwire.errors import InputDamaged
from procwire.runs.inputs import Input
from procwire.settings import Settings
from procwire.telemetry.event import Event
from procwire.telemetry.faults import Faults
from procwire.telemetry.formats import Format

if TYPE_CHECKING:
    from procwire.runs.analysis import Analysis
    from procwire.runs.telemetry_analysis import TelemetryAnalysis

BATCH = 10_000
"""Events of records that are analysed together."""
_COMPILER = "libllvmlite"  # a fifth of all memory


class Step(NamedTuple):
    """One batch. size: bytes of the input; units: its packets or records."""

    size: int
    units: int
    alerts: list[Alert]


class Reading:
    """The analyses of a run. site: what is known of the site, asked about each alert; skipped:
    members of archives that were no recordings."""

    def __init__(self, settings: Settings, workers: int, site: Site | None = None) -> None:
        self._settings, self._workers, self._site = settings, workers, site or Site()
        self._packets: Analysis | None = None
        self._records: TelemetryAnalysis | None = None
        self._malformed = 0
        self.skipped = 0

    def steps(self, found: Input) -> Iterator[Step]:
        """What each batch of an input raises. Raises InputDamaged after all that came
        before the damage, or could be read around it."""
        if found.format is None:
            return self._of_packets(found)
        return self._of_records(found, found.format)

    def finish(self) -> list[Alert]:
        """The end of the inputs: what is still open."""
        analyses = [one for one in (self._packets, self._records) if one is not None]
        return [alert for one in analyses for alert in one.finish()]

    @property
    def last_time(self) -> int:
        """Event time reached, ns since the epoch; 0 where nothing was read."""
        analyses = [one for one in (self._packets, self._records) if one is not None]
        return max((one.last_time for one in analyses if one.last_time is not None), default=0)

    def counters(self) -> dict[str, int]:
        """Everything seen, skipped and left out."""
        counts: Counter[str] = Counter()
        if self._packets is not None:
            counts.update(self._packets.counters())
        if self._records is not None:
            counts.update(self._records.counters())
            counts["records.malformed"] = self._malformed
        if self.skipped:
            counts["archive.other_members"] = self.skipped
        return dict(counts) | self._site.counters()

    def _of_packets(self, found: Input) -> Iterator[Step]:
        # Loads the rules and all compiled code.
        from procwire.runs.analysis import Analysis
        from procwire.runs.pipeline import alerts_of

        loads, collects = self._packets is None, gc.isenabled()
        if loads:
            # What is loaded lasts as long as the process: no collection has to visit it.
            gc.disable()
        try:
            self._packets = self._packets or Analysis(self._settings, self._site)
            batches = read_packets(found.source, index=self._packets.while_read.index)
            for batch, alerts in alerts_of(self._packets, batches, self._workers):
                if loads:
                    gc.freeze()
                    if collects:
                        gc.enable()
                    give_back_files(_COMPILER)
                    loads = False
                size = int(batch.captured.sum(dtype=np.int64)) + PACKET_HEADER * len(batch.start)
                step = Step(size, len(batch.start), alerts)
                del batch
                yield step
        finally:
            if loads and collects:
                gc.enable()

    def _of_records(self, found: Input, form: Format) -> Iterator[Step]:
        from procwire.runs.telemetry_analysis import TelemetryAnalysis

        self._records = self._records or TelemetryAnalysis(self._settings, self._site)
        source, faults = found.source, Faults(found.source.path)
        before = 0
        try:
            for batch in _batches(form.read(source, faults)):
                alerts = self._records.update(batch)
                read = source.base + source.at
                step = Step(read - before, len(batch), alerts)
                # They are large, and nobody needs them while the next are read.
                del batch
                yield step
                before = read
        finally:
            self._malformed += faults.malformed
        source.check()
        faults.check()


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Events by the ten thousand; what they raise is raised after all that came before."""
    batch: list[Event] = []
    try:
        for event in events:
            batch.append(event)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except InputDamaged:
        yield batch
        raise
    if batch:
        yield batch
