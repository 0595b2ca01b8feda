"""What this site is used to: programs on the network, what they ask for, what passes between zones.

Strategy: every habit is a key of small integers, looked up for whole batches in a KeyMap; texts are
kept once, for what is new. Whether a thing that comes for the first time is learned or has to be
approved depends on how long its role and zone have been observed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import DETECTORS
from procwire.detect.key_map import KeyMap, combined
from procwire.detect.observation import Observation
from procwire.detect.observed_time import ObservedTime
from procwire.detect.services import NAMES
from procwire.detect.tally import Tally

LEARNED, PENDING, APPROVED, DENIED = STATES = ("learned", "pending", "approved", "denied")
PROGRAM, USE, SERVICE, FLOW, FAN_OUT = KINDS = ("program", "use", "service", "flow", "fan-out")
SMALLEST, LARGEST = 100, 10**6
"""Sizes of a fan-out, powers of ten, between which habits are told apart."""

MOST = 100_000
"""Habits of a site; what comes beyond is counted and neither learned nor told."""
MOST_CONTACTS = 4096
"""The latest contacts of denied programs, until somebody takes them."""
_ALWAYS, _NEVER = -(2**62), 2**62
_SERVICES = {name: number for number, name in enumerate(NAMES)} | {
    one.id: number for number, one in enumerate(DETECTORS)
}


class Habit(msgspec.Struct, frozen=True):
    """One thing. kind: one of KINDS; role, zone: whose, of the source; program: path of the
    executable; protocol, port: what was asked for, port 0 for any that is handed out for a time;
    service: as in services.NAMES, of a fan-out the id of its detector; peer: zone of the
    destination; user, targets: of a fan-out, who ran the program, and how many it reached at most.
    What a kind has none of is empty."""

    kind: str
    role: str
    zone: str
    program: str = ""
    protocol: int = 0
    port: int = 0
    service: str = ""
    peer: str = ""
    user: str = ""
    targets: int = 0


Standing = Enum("Standing", "USUAL LEARNED_NOW LEARNED_BEFORE STRANGE")
"""Of a fan-out. USUAL: it, or a larger one, was approved, or was learned and learning is over;
LEARNED_NOW, LEARNED_BEFORE: comes while it is learned, for the first time or again."""


class DeniedContact(NamedTuple):
    """A denied program reached the last target of `seen`, or one in a denied way."""

    program: str
    seen: Observation


class Group(msgspec.Struct, frozen=True):
    """Stations that share a baseline."""

    role: str
    zone: str


class Columns(msgspec.Struct, frozen=True):
    """Habits of one kind as columns (n,) of numbers: group and peer, program as `word` gives them,
    protocol, port and service."""

    group: NDArray[np.int64]
    program: NDArray[np.int64]
    protocol: NDArray[np.int64]
    port: NDArray[np.int64]
    service: NDArray[np.int64]
    peer: NDArray[np.int64]


class Habits:
    """Every habit that is known. states, counts, last: by a habit's number, its state as an index
    into STATES, how often it was seen, and when at last, ns since the epoch, both as settle() left
    them; first: when at first; dirty: whether it changed since it was kept; time: of
    observation."""

    def __init__(self) -> None:
        self._keys = KeyMap(MOST)
        self._tallies: list[Tally] = []
        self._words: dict[str, int] = {"": 0}
        self.habits: list[Habit] = []
        self.first: list[int] = []
        self.states = np.zeros(0, np.uint8)
        self.counts = np.zeros(0, np.int64)
        self.last = np.zeros(0, np.int64)
        self.dirty = np.zeros(0, bool)
        self._denied: deque[DeniedContact] = deque(maxlen=MOST_CONTACTS)
        self._noted = self._lost = 0
        self._pending_programs: set[str] = set()
        self.time = ObservedTime()
        # Where on it each group began.
        self._began: dict[Group, int] = {}
        # The event time from which on a group is learned.
        self._learned: dict[Group, int] = {}
        self._learning_ns = 0

    def word(self, text: str) -> int:
        """A number of its own for each text; 0, that of no text, for more than can be habits."""
        if len(self._words) >= 2 * MOST:
            return self._words.get(text, 0)
        return self._words.setdefault(text, len(self._words))

    def observed(self, group: Group, clock: int | None = None) -> int:
        """How long a group was observed, ns, by that time of observation, or by now."""
        return (self.time.now if clock is None else clock) - self._began[group]

    def learn(self, learning_ns: int, clock: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Note which groups were observed for `learning_ns` by one of the times of observation
        `clock` (n,), which are those of `times` (n,); without times those that were before."""
        self._learning_ns = learning_ns
        for group, began in self._began.items():
            if group not in self._learned and self.time.now - began >= learning_ns:
                place = int(np.searchsorted(clock, began + learning_ns))
                self._learned[group] = int(times[place]) if len(times) else _ALWAYS

    def standing(self, habit: Habit, time: int) -> Standing:
        """How usual a fan-out is, and it is noted: one that comes while its group is learned is
        learned, what is new afterwards waits."""
        group = Group(habit.role, habit.zone)
        sizes = (habit.targets * 10**n for n in range(len(str(LARGEST))))
        larger = [msgspec.structs.replace(habit, targets=n) for n in sizes if n <= LARGEST]
        known = self._keys.numbers(self._key(FAN_OUT, self._columns_of(larger))).tolist()
        otherwise = _NEVER if self.observed(group) < self._learning_ns else _ALWAYS
        learns = time < self._learned.get(group, otherwise)
        states = [STATES[self.states[number]] if number >= 0 else "" for number in known]
        covering = [n for n, state in enumerate(states) if state in (LEARNED, APPROVED)]
        place = covering[0] if covering and states[0] != DENIED else 0
        _, is_new = self.see(FAN_OUT, self._columns_of([larger[place]]), np.array([time]))
        if is_new[0]:
            self.add(habit, LEARNED if learns else PENDING, time)
        if states[place] == APPROVED or (states[place] == LEARNED and not learns):
            return Standing.USUAL
        if not learns or states[0] == DENIED:
            return Standing.STRANGE
        return Standing.LEARNED_BEFORE if states[place] == LEARNED else Standing.LEARNED_NOW

    def groups(self) -> dict[Group, int]:
        """How long each group was observed, ns."""
        return {group: self.observed(group) for group in self._began}

    def see(
        self, kind: str, columns: Columns, times: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Count habits: the number of each (n,), -1 where there is no room for it, and whether it
        is new; of a new one add() has to be told, in this order."""
        numbers, is_new = self._keys.enter(self._key(kind, columns))
        fresh = int(np.count_nonzero(is_new))
        if fresh:
            self.states = np.concatenate((self.states, np.zeros(fresh, np.uint8)))
            self.counts = np.concatenate((self.counts, np.zeros(fresh, np.int64)))
            self.last = np.concatenate((self.last, np.zeros(fresh, np.int64)))
            self.dirty = np.concatenate((self.dirty, np.zeros(fresh, bool)))
        known = np.flatnonzero(numbers >= 0)
        self.count(numbers[known], times[known])
        return numbers, is_new

    def count(
        self,
        numbers: NDArray[np.signedinteger],
        times: NDArray[np.int64],
        often: NDArray[np.int64] | int = 1,
    ) -> None:
        """Habits by number were seen, at last at these times, so often."""
        np.add.at(self.counts, numbers, often)
        np.maximum.at(self.last, numbers, times)
        self.dirty[numbers] = True

    def tally(self, kinds: int, key_map: type[KeyMap] = KeyMap) -> Tally:
        """A count of what is seen again and again, `kinds` habits at a time, for one who sees."""
        self._tallies.append(Tally(self, kinds, key_map))
        return self._tallies[-1]

    def settle(self) -> None:
        """Bring `counts`, `last` and `dirty` up to what was seen."""
        for tally in self._tallies:
            tally.settle()

    def add(self, habit: Habit, state: str, first: int) -> None:
        """Tell what the next new number is."""
        self.habits.append(habit)
        self.first.append(first)
        self._set_state(len(self.habits) - 1, state)

    def restore(self, rows: Iterable[tuple[Habit, str, int, int, int]]) -> None:
        """Take over habits that were kept: state, count, first and last time. One that is known
        already keeps the larger count."""
        listed = list(rows)
        for tally in self._tallies:
            tally.forget()
        for kind in KINDS:
            kept = [row for row in listed if row[0].kind == kind]
            if not kept:
                continue
            columns = self._columns_of([row[0] for row in kept])
            numbers, is_new = self.see(kind, columns, np.array([row[4] for row in kept]))
            for number, fresh, row in zip(numbers.tolist(), is_new.tolist(), kept, strict=True):
                if number < 0:
                    continue
                if fresh:
                    self.add(row[0], row[1], row[3])
                else:
                    self._set_state(number, row[1])
                # Counted by see(), which is no sighting.
                self.counts[number] = max(int(self.counts[number]) - 1, row[2])
            self.dirty[numbers[numbers >= 0]] = False

    def restore_observed(self, observed: Mapping[Group, int]) -> None:
        """Take over how long groups were observed."""
        for group, time in observed.items():
            self._began[group] = min(self.time.now - time, self._began.get(group, self.time.now))

    def note_denied(self, number: int, seen: Observation) -> None:
        """A denied habit was seen again."""
        program = self.habits[number].program
        if program:
            self._denied.append(DeniedContact(program, seen))
            self._noted += 1

    def take_denied(self) -> list[DeniedContact]:
        """What denied programs have reached since this was last asked, the latest of it."""
        taken = list(self._denied)
        self._lost += self._noted - len(taken)
        self._denied.clear()
        self._noted = 0
        return taken

    def is_pending(self, program: str) -> bool:
        """Whether a program waits for approval."""
        return program in self._pending_programs

    def counters(self) -> dict[str, int]:
        """By state how many; overflow: sightings of habits for which there was no room;
        contacts_lost: of denied programs, beyond MOST_CONTACTS at a time."""
        counted = np.bincount(self.states, minlength=len(STATES)).tolist()
        lost = {"overflow": self._keys.overflow, "contacts_lost": self._lost}
        return dict(zip(STATES, counted, strict=True)) | lost

    def _set_state(self, number: int, state: str) -> None:
        self.states[number] = STATES.index(state)
        habit = self.habits[number]
        if habit.kind == PROGRAM and state == PENDING:
            self._pending_programs.add(habit.program)
        elif habit.kind == PROGRAM:
            self._pending_programs.discard(habit.program)

    def group(self, group: Group, clock: int | None = None) -> int:
        """The number of a group, which is observed from that time of observation on, or now."""
        self._began.setdefault(group, self.time.now if clock is None else clock)
        return self.word(f"{group.role}\0{group.zone}")

    def _key(self, kind: str, columns: Columns) -> NDArray[np.uint64]:
        # Two numbers say it all, and mixing is what a key costs: kind, group and program; zone,
        # service, protocol and port. Groups, programs and zones are numbered below 2^29.
        who = KINDS.index(kind) << 61 | columns.group.astype(np.uint64) << 32
        what = (columns.peer << 16 | columns.service << 8 | columns.protocol) << 16
        return combined(who | columns.program.astype(np.uint64), what | columns.port)

    def _columns_of(self, habits: Sequence[Habit]) -> Columns:
        numbers = [
            (
                self.group(Group(habit.role, habit.zone)),
                self.word(f"{habit.user}\0{habit.program}" if habit.user else habit.program),
                habit.protocol,
                # A fan-out's size, of which it has several, takes the place of a port.
                habit.port or len(str(habit.targets)) - 1,
                _SERVICES.get(habit.service, 0),
                self.word(habit.peer),
            )
            for habit in habits
        ]
        return Columns(*np.array(numbers, np.int64).T)
