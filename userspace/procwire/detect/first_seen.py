"""What comes for the first time: a program on the network, what a program asks for and where, a
protocol that a program never spoke, a flow between two zones.

While a role and zone is learned such a thing is noted; afterwards it is told once and waits until
somebody approves or denies it. What was denied is told whenever it comes again. Of a program that
waits, all that it asks for waits with it, untold; what passes between zones is told by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import FIRST_FLOW, FIRST_PROGRAM, FIRST_SERVICE, FIRST_USE, Detector
from procwire.detect.distinct import Reached
from procwire.detect.habits import (
    APPROVED,
    DENIED,
    FLOW,
    LEARNED,
    PENDING,
    PROGRAM,
    SERVICE,
    STATES,
    USE,
    Columns,
    Group,
    Habit,
    Habits,
)
from procwire.detect.key_map import KeyMap
from procwire.detect.observation import Evidence, Observation
from procwire.detect.services import NAMES
from procwire.detect.shown import is_carried, lasting_port, thing
from procwire.detect.sightings import Sightings, observation, process_of, taken
from procwire.detect.tally import NONE
from procwire.record import ProcessId
from procwire.settings import Settings

ProgramOf = Callable[[ProcessId], str | None]
"""A process key -> the path of what it runs; None where that is unknown."""

RoleOf = Callable[[bytes], str]
"""An address of 16 bytes -> the role of its station, empty where it has none."""

# In the order in which they are asked: what an earlier one tells, the later ones do not.
_DETECTORS: dict[str, Detector] = {
    PROGRAM: FIRST_PROGRAM,
    SERVICE: FIRST_SERVICE,
    USE: FIRST_USE,
    FLOW: FIRST_FLOW,
}
_KINDS = list(_DETECTORS)
# By state, whether there is nothing to tell.
_IS_SETTLED = np.isin(STATES, (LEARNED, APPROVED))
_LIMIT, _MOST_PROCESSES = 1 << 18, 1 << 15
_DENIED_SEVERITY = 2
_REPEAT_NS = 60_000_000_000
_MOST_REPEATED = 1 << 14


class _Shown(NamedTuple):
    """Rows that are looked at. at: those of `seen`, and by them clock, the time of observation;
    told, whether something about the row was told or waits; habits: int32 (n, kinds), the numbers
    of what it shows; settled: whether nothing of that is to be told, now or again."""

    seen: Sightings
    at: NDArray[np.int64]
    clock: NDArray[np.int64]
    told: NDArray[np.bool_]
    habits: NDArray[np.int32]
    settled: NDArray[np.bool_]


class FirstSeen:
    """Compares connections with the habits of the site."""

    def __init__(
        self,
        settings: Settings,
        habits: Habits,
        program_of: ProgramOf,
        role_of: RoleOf,
        key_map: type[KeyMap] = KeyMap,
    ) -> None:
        self._learning_ns = settings.baseline.learning_ns
        self._habits, self._program_of, self._role_of = habits, program_of, role_of
        self._processes, self._sources = KeyMap(_MOST_PROCESSES), KeyMap(_LIMIT)
        self._programs: list[str] = []
        self._groups: list[Group] = []
        self._program_words = np.zeros(0, np.int64)
        self._group_numbers = np.zeros(0, np.int64)
        self._told_at: dict[object, int] = {}
        self._tally = habits.tally(len(_DETECTORS), key_map)
        nothing = np.zeros(0, np.int64)
        habits.learn(self._learning_ns, nothing, nothing)

    def update(self, seen: Sightings) -> list[Observation]:
        """What is new, or was denied, in the order of the rows."""
        columns = seen.columns
        at = np.flatnonzero(seen.between_stations)
        if not len(at):
            return []
        times = taken(columns["time"], at)
        clock = self._habits.time.advance(times)
        shown_keys = taken(seen.shows, at)
        unusual = self._tally.count(shown_keys, times)
        at = at[unusual]
        group = self._group_of(seen, at, clock[unusual]) if len(at) else at
        self._habits.learn(self._learning_ns, clock, times)
        if not len(at):
            return []
        program = self._program_of_rows(seen, at)
        carried = is_carried(columns)[at]
        crosses = seen.source_zone[at] != seen.zone[at]
        chosen = {
            PROGRAM: program > 0,
            SERVICE: (program > 0) & carried & (seen.service[at] > 0),
            USE: (program > 0) & carried,
            FLOW: carried & crosses & bool(len(seen.zones)),
        }
        shown = _Shown(
            seen=seen,
            at=at,
            clock=clock[unusual],
            told=np.zeros(len(at), bool),
            habits=np.full((len(at), len(chosen)), NONE, np.int32),
            settled=group >= 0,
        )
        found: list[Observation] = []
        for kind, mask in chosen.items():
            places = np.flatnonzero(mask & (group >= 0))
            shows = self._columns(seen, kind, at[places], group[places], program[places])
            found += self._judge(shown, kind, places, shows)
        settled = np.flatnonzero(shown.settled)
        self._tally.note(shown_keys[unusual[settled]], shown.habits[settled])
        return sorted(found, key=lambda one: one.time)

    def counters(self) -> dict[str, int]:
        """overflow: processes and sources that were not told apart for want of room."""
        return {"overflow": self._processes.overflow + self._sources.overflow}

    def _judge(
        self, shown: _Shown, kind: str, places: NDArray[np.int64], columns: Columns
    ) -> list[Observation]:
        """Enter what the rows at `places` show of one kind, and tell what is new or denied."""
        seen, at, clock, told = shown.seen, shown.at, shown.clock, shown.told
        if not len(places):
            return []
        times = seen.columns["time"][at[places]]
        numbers, is_new = self._habits.see(kind, columns, times)
        found = []
        for place in np.flatnonzero(is_new).tolist():
            row = int(at[places[place]])
            habit = self._habit(seen, kind, row)
            observed = self._habits.observed(_group(habit), int(clock[places[place]]))
            learns = observed < self._learning_ns
            self._habits.add(habit, LEARNED if learns else PENDING, int(times[place]))
            if not learns and (kind == FLOW or not told[places[place]]):
                found.append(self._observation(seen, row, int(numbers[place]), PENDING))
        known = numbers >= 0
        states = np.zeros(len(numbers), np.uint8)
        states[known] = self._habits.states[numbers[known]]
        for place in np.flatnonzero(states == STATES.index(DENIED)).tolist():
            row, number, time = int(at[places[place]]), int(numbers[place]), int(times[place])
            if self._is_due(number, time):
                found.append(self._observation(seen, row, number, DENIED))
            reached = int(seen.rows["dst_hi"][row]), int(seen.rows["dst_lo"][row])
            if self._is_due((self._habits.habits[number].program, *reached), time):
                self._habits.note_denied(number, self._observation(seen, row, number, DENIED))
        shown.habits[places, _KINDS.index(kind)] = numbers
        shown.settled[places] &= known & _IS_SETTLED[states]
        if kind != FLOW:
            waits = (states == STATES.index(PENDING)) | (states == STATES.index(DENIED))
            told[places[waits]] = True
        return found

    def _is_due(self, denied: object, time: int) -> bool:
        """Whether something denied is to be told: once a minute."""
        minute = time // _REPEAT_NS
        if self._told_at.get(denied) == minute:
            return False
        if len(self._told_at) >= _MOST_REPEATED:
            self._told_at.clear()
        self._told_at[denied] = minute
        return True

    def _columns(
        self,
        seen: Sightings,
        kind: str,
        at: NDArray[np.int64],
        group: NDArray[np.int64],
        program: NDArray[np.int64],
    ) -> Columns:
        """The habits of one kind; what it does not depend on is 0."""
        nothing = np.zeros(len(at), np.int64)
        by_port = kind in (USE, FLOW)
        peers = np.array([self._habits.word(name) for name in seen.zones.names])
        return Columns(
            group=group,
            program=nothing if kind == FLOW else program,
            protocol=seen.columns["protocol"][at].astype(np.int64) if by_port else nothing,
            port=lasting_port(seen.columns["dst_port"][at]) if by_port else nothing,
            service=seen.service[at].astype(np.int64) if kind == SERVICE else nothing,
            peer=peers[seen.zone[at]] if by_port else nothing,
        )

    def _habit(self, seen: Sightings, kind: str, row: int) -> Habit:
        """The same of one row, in words."""
        one = np.array([row])
        group = self._groups[int(self._sources.numbers(seen.source_of(one))[0])]
        number = int(self._processes.numbers(seen.subject[one])[0])
        by_port = kind in (USE, FLOW)
        return Habit(
            kind=kind,
            role=group.role,
            zone=group.zone,
            program="" if kind == FLOW else self._programs[number],
            protocol=int(seen.rows["protocol"][row]) if by_port else 0,
            port=int(lasting_port(seen.rows["dst_port"][one])[0]) if by_port else 0,
            service=NAMES[seen.service[row]] if kind == SERVICE else "",
            peer=seen.zones.names[seen.zone[row]] if by_port else "",
        )

    def _group_of(
        self, seen: Sightings, at: NDArray[np.int64], clock: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The group of each row's source; -1 where too many sources came at once."""
        if len(self._sources) + len(at) > _LIMIT:
            self._sources.clear()
            self._groups.clear()
            self._group_numbers = np.zeros(0, np.int64)
        numbers, is_new = self._sources.enter(seen.source_of(at))
        fresh = []
        for row, began in zip(at[is_new].tolist(), clock[is_new].tolist(), strict=True):
            hi, lo = int(seen.rows["src_hi"][row]), int(seen.rows["src_lo"][row])
            role = self._role_of((hi << 64 | lo).to_bytes(16, "big"))
            self._groups.append(Group(role, seen.zones.names[seen.source_zone[row]]))
            fresh.append(self._habits.group(self._groups[-1], began))
        self._group_numbers = np.concatenate((self._group_numbers, np.array(fresh, np.int64)))
        return np.where(numbers < 0, -1, self._group_numbers[numbers])

    def _program_of_rows(self, seen: Sightings, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """The program of each row's process as Habits.word gives it, 0 where it is unknown."""
        words = np.zeros(len(at), np.int64)
        places = np.flatnonzero(seen.is_known[at])
        if not len(places):
            return words
        if len(self._processes) + len(places) > _MOST_PROCESSES:
            # A batch has room, however many it brings.
            self._processes = KeyMap(max(_MOST_PROCESSES, len(places)))
            self._programs.clear()
            self._program_words = np.zeros(0, np.int64)
        numbers, is_new = self._processes.enter(seen.subject[at[places]])
        fresh = []
        for row in at[places[is_new]].tolist():
            key = process_of(seen.rows[row])
            self._programs.append((self._program_of(key) if key is not None else None) or "")
            fresh.append(self._habits.word(self._programs[-1]))
        self._program_words = np.concatenate((self._program_words, np.array(fresh, np.int64)))
        words[places] = np.where(numbers < 0, 0, self._program_words[numbers])
        return words

    def _observation(self, seen: Sightings, row: int, number: int, state: str) -> Observation:
        habit = self._habits.habits[number]
        detector = _DETECTORS[habit.kind]
        reached = Reached(row, 1, 1, int(seen.rows["time"][row]), ())
        evidence = (Evidence("thing", thing(habit)), Evidence("state", state))
        # Of one process each new thing is an episode of its own.
        apart = replace(detector, family=f"{detector.id}/{number}")
        made = observation(apart, seen.rows[row], reached, evidence)
        return replace(made, severity=_DENIED_SEVERITY) if state == DENIED else made


def _group(habit: Habit) -> Group:
    return Group(habit.role, habit.zone)
