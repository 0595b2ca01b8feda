"""What is known of this site, asked about each alert between its making and its telling.

Strategy: everything is read into memory and asked there; what the run adds is written every few
seconds in one transaction. A disk that is full costs the record of it, never an alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.alert import CLOSED, Alert
from procwire.context import baseline, tuning
from procwire.context.allowlist import Allowlist, entries, note_suppressed
from procwire.context.fan_out_habits import Telling, fan_out_habits, telling
from procwire.context.inventory import Inventory, stored
from procwire.context.program import Programs
from procwire.context.severity import weighed
from procwire.context.store import Store
from procwire.detect.detector import FIRST_FAN_OUT
from procwire.detect.habits import DENIED, Habits
from procwire.detect.observation import Observation
from procwire.detect.sightings import address_of
from procwire.detect.surroundings import Known
from procwire.errors import ProcwireError
from procwire.record import Endpoint

# Alerts that wait for room on the disk to be part of the history.
_MOST_UNSAVED = 10_000
# More episodes than are open at a time. Of most no end is told, as they never grow.
_MOST_HABITUAL = 1 << 16


class Site:
    """The context of one run. store: where it lies, None for a site of which nothing is known.
    tell: called with one line when it cannot be written.

    What save() is not called for is not kept: a replay asks and leaves no trace.
    """

    def __init__(
        self, store: Store | None = None, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self._store = store
        self._tell, self._is_told = tell, False
        self.inventory = stored(store) if store else Inventory()
        self._habits = Habits() if store else None
        if store is not None and self._habits is not None:
            baseline.restore(store, self._habits)
        self._home: Endpoint | None = None
        self._denied: set[str] = set()
        self._programs = Programs()
        self._allowlist = self._read_allowlist()
        self._suppressed: Counter[int] = Counter()
        self._unsaved: dict[int, tuple[int, int]] = {}
        self._history: list[tuning.Decided] = []
        self._in_force: dict[str, float] = {}
        self._observed = 0
        # The latest episodes that were not told as the scans that they are, oldest first.
        self._habitual: dict[str, Telling] = {}
        self._counts = Counter(unsaved=0, unsaved_history=0, expired=0, habitual=0)

    def admit(self, alerts: list[Alert], scanners: Collection[str] = ()) -> list[Alert]:
        """The alerts that are to be told, in their order, weighed by the inventory.

        scanners: names of programs that are known for scanning, and have no habits."""
        if self._store is None:
            return alerts
        told = []
        for alert in alerts:
            known = weighed(alert, self.inventory, self._home, self._is_new(alert))
            suppressed = self._is_suppressed(known)
            if not suppressed:
                told_as = self._telling(alert, known.severity, scanners)
                suppressed = told_as is Telling.NOT
                if told_as is Telling.AS_FIRST_SEEN:
                    known = replace(known, check=FIRST_FAN_OUT, severity=FIRST_FAN_OUT.severity)
            self._remember(known, suppressed)
            if not suppressed:
                told.append(known)
                if known.process is not None and _tells_denial(known):
                    self._denied.add(known.process.identity)
        return told

    @property
    def known(self) -> Known:
        """What the detectors have to know of the site."""
        return Known(self.inventory.zones, self._habits, self.inventory.role_of)

    def denied_contacts(self) -> list[Observation]:
        """What denied programs have reached since this was last asked, as far as it was told of
        them that they are."""
        contacts = self._habits.take_denied() if self._habits is not None else []
        return [one.seen for one in contacts if one.program in self._denied]

    def note_home(self, connections: NDArray[np.void]) -> None:
        """Take the source of this host's own connections (record.CONNECTION (n,)) for its address:
        the latest that lies in a zone."""
        if len(self.inventory.zones) and len(connections):
            zones = self.inventory.zones.of(connections["src_hi"], connections["src_lo"])
            known = np.flatnonzero(zones)
            if len(known):
                row = connections[known[-1]]
                self._home = Endpoint(address_of(int(row["src_hi"]), int(row["src_lo"])))

    def observed(self, in_force: dict[str, float], duration: int) -> None:
        """Note that these thresholds were in force for `duration` ns."""
        self._in_force = in_force
        self._observed += duration

    def save(self) -> None:
        """Write what the run has added, and read what others have changed. Where the file cannot be
        written that is counted, and tried again next time."""
        if self._store is None:
            return
        try:
            if self._unsaved:
                rows = [(number, *counted) for number, counted in self._unsaved.items()]
                note_suppressed(self._store, rows)
                self._unsaved.clear()
            if self._history:
                tuning.keep(self._store, self._history)
                self._history.clear()
            if self._observed:
                tuning.note_in_force(self._store, self._in_force, self._observed)
                self._observed = 0
            if self._habits is not None:
                baseline.keep(self._store, self._habits)
            if self._store.changed():
                self._allowlist = self._read_allowlist()
                if self._habits is not None:
                    baseline.restore(self._store, self._habits)
        except ProcwireError as problem:
            self._counts["unsaved"] += 1
            if not self._is_told:
                self._is_told = True
                self._tell(f"{problem}; what is learned is written then")

    def counters(self, learning_ns: int = 0) -> dict[str, int]:
        """As context.NAME: suppressed, alerts that allowlist entries kept back, and by_entry.N how
        many each of them; expired, alerts told that an entry expects whose time is over; zones of
        the inventory; habitual, alerts kept back because their programs are known for such scans
        here; learning, roles and zones observed for less than `learning_ns`; learned,
        pending, approved and denied habits, and overflow, sightings of those for which there was no
        room; unsaved, writes that failed, for want of room or else; unsaved_history, alerts that
        the history lacks for it. None of them for a site of which nothing is known."""
        if self._store is None:
            return {}
        by_entry = {f"by_entry.{number}": n for number, n in sorted(self._suppressed.items())}
        habits = self._habits.counters() if self._habits is not None else {}
        groups = self._habits.groups() if self._habits is not None else {}
        learning = sum(observed < learning_ns for observed in groups.values())
        named = {"zones": len(self.inventory.zones), "learning": learning}
        counts = {"suppressed": self._suppressed.total()} | by_entry | named | habits | self._counts
        return {f"context.{name}": n for name, n in counts.items()}

    def _remember(self, alert: Alert, suppressed: bool) -> None:
        """Note for the history what the alert rests on, unless nothing is going to be kept."""
        if self._store is None or self._store.read_only:
            return
        decided = tuning.decided(alert, suppressed)
        if decided is None:
            return
        if len(self._history) < _MOST_UNSAVED:
            self._history.append(decided)
        else:
            self._counts["unsaved_history"] += 1

    def _is_new(self, alert: Alert) -> bool:
        """Whether a scan is by a program that waits for approval."""
        if alert.process is None or alert.packet is not None or self._habits is None:
            return False
        return self._habits.is_pending(alert.process.identity)

    def _telling(self, alert: Alert, severity: int, scanners: Collection[str]) -> Telling:
        """What becomes of an alert of a scan, by what its program is known for here; severity: as
        weighed. An episode goes on and ends as it was told."""
        # Findings may be of a scan's episode, and are no habits.
        if self._habits is None or alert.packet is not None:
            return Telling.AS_IT_IS
        if alert.state == CLOSED:
            told_as = self._habitual.pop(alert.episode, Telling.AS_IT_IS)
        else:
            shown = fan_out_habits(alert, self.inventory, self._home, scanners)
            standings = [self._habits.standing(one, alert.time) for one in shown]
            told_as = telling(alert, severity, standings)
            before = self._habitual.pop(alert.episode, told_as)
            if told_as is Telling.NOT:
                told_as = before
            if told_as is not Telling.AS_IT_IS:
                self._habitual[alert.episode] = told_as
            if len(self._habitual) > _MOST_HABITUAL:
                del self._habitual[next(iter(self._habitual))]
        self._counts["habitual"] += told_as is Telling.NOT
        return told_as

    def _read_allowlist(self) -> Allowlist:
        return Allowlist(entries(self._store) if self._store else (), self._programs.digest)

    def _is_suppressed(self, alert: Alert) -> bool:
        entry = self._allowlist.match(alert)
        if entry is None:
            self._counts["expired"] += self._allowlist.match(alert, expired=True) is not None
            return False
        self._suppressed[entry.id] += 1
        before, _ = self._unsaved.get(entry.id, (0, 0))
        self._unsaved[entry.id] = before + 1, alert.time
        return True


def _tells_denial(alert: Alert) -> bool:
    return any(one.name == "state" and one.value == DENIED for one in alert.evidence)
