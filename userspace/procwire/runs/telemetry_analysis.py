"""The path from other tools' records to alerts: the detectors of the wire, with processes for
sources.

Detectors only compare sources, so each row's source is replaced by its process where that is known:
an address that no source can have (multicast, RFC 4291 2.7) with the execution's number. What comes
out has its process and its address back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from procwire.alert import Alert
from procwire.context.site import Site
from procwire.detect.compiled_site import COMPILED
from procwire.detect.detector import KNOWN_SCANNER
from procwire.detect.observation import Evidence, Observation
from procwire.detect.scans import Scans
from procwire.detect.surroundings import Surroundings
from procwire.episodes import Episodes
from procwire.event import Origin
from procwire.record import Attempt, Endpoint, program_name
from procwire.settings import Settings
from procwire.telemetry.event import Event
from procwire.telemetry.join import Join, Joined
from procwire.telemetry.processes import Execution

_PROCESS = np.uint64(0xFF << 56)
_PROCESS_BYTES = int(_PROCESS).to_bytes(8, "big")


class TelemetryAnalysis:
    """Join, detectors and episodes of one run. last_time: event time reached, ns since 1970; site:
    what is known of the site, asked about each alert."""

    def __init__(self, settings: Settings, site: Site | None = None) -> None:
        self._settings, site = settings, site or Site()
        self._join = Join(settings)
        self._scans = Scans(settings, Origin.IMPORT)
        admit = partial(site.admit, scanners=settings.sweep.scanner_names)
        self._episodes = Episodes(settings, (), self._join.processes.lookup, admit)
        lookup = self._join.processes.lookup
        self._surroundings = Surroundings(settings, site.known, lookup, COMPILED)
        self.last_time = 0

    def update(self, events: Iterable[Event]) -> list[Alert]:
        """The alerts that a batch of events raises."""
        joined = self._join.update(events)
        return self._episodes.update(joined.now, self._found(joined))

    def finish(self) -> list[Alert]:
        """The end of the input: what is still held, and totals of the open episodes."""
        found = self._found(self._join.finish())
        found += [self._observed(scan) for scan in self._scans.totals(self.last_time)]
        return self._episodes.update(self.last_time, found) + self._episodes.close()

    def _found(self, joined: Joined) -> list[Observation]:
        rows = joined.connections
        found = self._scans.update(self._with_processes(rows), joined.service_hosts)
        found = [self._observed(scan) for scan in found]
        found += self._surroundings.update(rows)
        found += [self._tool(time, entry) for time, entry in joined.started if self._is_tool(entry)]
        found.sort(key=lambda scan: scan.time)
        times = [*rows["time"][-1:].tolist(), *(time for time, _ in joined.started)]
        self.last_time = max(self.last_time, *times, 0)
        return found

    def counters(self) -> dict[str, int]:
        """What was seen, left out and forgotten, by part and name."""
        parts = {
            "records": self._join.counters(),
            **self._scans.counters(),
            **self._surroundings.counters(),
            "episodes": self._episodes.counters(),
        }
        return {f"{part}.{name}": n for part in parts for name, n in parts[part].items()}

    def _with_processes(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """The rows, with processes for sources where they have one."""
        numbers = rows["process"]["exec_count"]
        known = np.flatnonzero(numbers)
        replaced = rows.copy()
        for number, place in zip(*np.unique(numbers, return_index=True), strict=True):
            entry = self._join.processes.get(int(number))
            if entry is not None and entry.source is None:
                entry.source = _source(rows[place])
        replaced["src_hi"][known] = _PROCESS
        replaced["src_lo"][known] = numbers[known]
        return replaced

    def _observed(self, scan: Observation) -> Observation:
        if scan.source is None or not scan.source.address.startswith(_PROCESS_BYTES):
            return scan
        number = int.from_bytes(scan.source.address[8:])
        entry = self._join.processes.get(number)
        if entry is None:
            return replace(scan, source=None, subject=(0, 0, number))
        evidence = (*scan.evidence, *self._novelty(entry, scan.time))
        return replace(scan, subject=entry.key, source=entry.source, evidence=evidence)

    def _novelty(self, entry: Execution, time: int) -> tuple[Evidence, ...]:
        """What is known of a process's novelty, and what was concluded."""
        concluded = (Evidence("inferred_attempts", entry.inferred),) if entry.inferred else ()
        if not entry.actor.started:
            return (Evidence("start", "not recorded"), *concluded)
        age = Evidence(
            "process_age_s",
            round((time - entry.actor.started) / 1e9, 3),
            self._settings.new_process.age_s,
            "new_process.age_s",
        )
        first = (Evidence("first_run_of", entry.actor.exe),) if entry.unfamiliar else ()
        return (age, *first, *concluded)

    def _is_tool(self, entry: Execution) -> bool:
        scanners = self._settings.sweep.scanner_names
        actor = entry.actor
        return program_name(actor.exe) in scanners or program_name(actor.original) in scanners

    def _tool(self, time: int, entry: Execution) -> Observation:
        renamed = program_name(entry.actor.original) != program_name(entry.actor.exe)
        original = (Evidence("original_file_name", entry.actor.original),)
        return Observation(
            detector=KNOWN_SCANNER,
            time=time,
            first=time,
            subject=entry.key,
            source=None,
            protocol=0,
            kind=Attempt.CONNECT,
            figure=1,
            attempts=0,
            severity=KNOWN_SCANNER.severity,
            evidence=original if renamed and entry.actor.original else (),
            last_target=None,
            targets=(),
        )


def _source(row: np.void) -> Endpoint | None:
    """None where the record has no source address."""
    if row["src_hi"] == row["src_lo"] == 0:
        return None
    return Endpoint(int(row["src_hi"]).to_bytes(8, "big") + int(row["src_lo"]).to_bytes(8, "big"))
