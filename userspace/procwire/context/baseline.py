"""The habits of a site in the context's file, and what people decide about them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

import msgspec
import numpy as np

from procwire.context.store import Store
from procwire.detect.habits import FAN_OUT, PENDING, PROGRAM, STATES, Group, Habit, Habits
from procwire.errors import UsageError

_IDENTITY = Habit.__struct_fields__
_WHICH = ", ".join(_IDENTITY)


class Known(msgspec.Struct, frozen=True):
    """A habit as it is listed. state: one of habits.STATES; count: how often it was seen; first,
    last, decided: ns since the epoch; decided_by: who approved or denied it."""

    id: int
    habit: Habit
    state: str
    count: int
    first: int
    last: int
    decided_by: str | None
    decided: int | None


class Learned(msgspec.Struct, frozen=True):
    """How long a role and zone was observed, in seconds."""

    role: str
    zone: str
    observed_s: float


def restore(store: Store, habits: Habits) -> None:
    """Take over everything that the context holds."""
    listed = known(store)
    habits.restore((one.habit, one.state, one.count, one.first, one.last) for one in listed)
    rows = store.rows("SELECT role, zone, time FROM observed")
    habits.restore_observed({Group(role, zone): observed for role, zone, observed in rows})


def keep(store: Store, habits: Habits) -> None:
    """Write what changed. What was decided meanwhile stays decided."""
    habits.settle()
    numbers = np.flatnonzero(habits.dirty).tolist()
    rows = [
        (
            *msgspec.structs.astuple(habits.habits[number]),
            STATES[habits.states[number]],
            int(habits.counts[number]),
            habits.first[number],
            int(habits.last[number]),
        )
        for number in numbers
    ]
    with store.writing() as connection:
        connection.executemany(
            f"INSERT INTO habits ({_WHICH}, state, count, first, last)"
            f" VALUES ({', '.join('?' * (len(_IDENTITY) + 4))})"
            f" ON CONFLICT ({_WHICH}) DO UPDATE SET count = max(count, excluded.count),"
            " last = max(last, excluded.last), first = min(first, excluded.first)",
            rows,
        )
        connection.executemany(
            "INSERT INTO observed (role, zone, time) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET time = excluded.time WHERE excluded.time > time",
            [(group.role, group.zone, time) for group, time in habits.groups().items()],
        )
    habits.dirty[numbers] = False


def known(store: Store, states: Collection[str] = STATES) -> list[Known]:
    """The habits in these states, by number."""
    marks = ", ".join("?" * len(states))
    rows = store.rows(
        f"SELECT id, state, count, first, last, decided_by, decided, {_WHICH}"
        f" FROM habits WHERE state IN ({marks}) ORDER BY id",
        tuple(states),
    )
    return [
        Known(
            id=number,
            habit=Habit(*identity),
            state=state,
            count=count,
            first=first,
            last=last,
            decided_by=decided_by,
            decided=decided,
        )
        for number, state, count, first, last, decided_by, decided, *identity in rows
    ]


def learned(store: Store) -> list[Learned]:
    """How long each role and zone was observed."""
    rows = store.rows("SELECT role, zone, time FROM observed ORDER BY role, zone")
    return [Learned(role, zone, observed / 1e9) for role, zone, observed in rows]


def decide(store: Store, numbers: Sequence[int], state: str, by: str) -> list[Known]:
    """Approve or deny habits, whatever they were; with a program that waits all that waits with it
    in its role and zone. What was decided. Raises UsageError for a number that is none."""
    every = {one.id: one for one in known(store)}
    unknown = [number for number in numbers if number not in every]
    if unknown:
        raise UsageError(
            f"nothing has the number {unknown[0]}; `procwire baseline show` lists what is known"
        )
    chosen = {number: every[number] for number in numbers}
    for one in list(chosen.values()):
        if one.habit.kind == PROGRAM:
            chosen |= {other.id: other for other in every.values() if _waits_with(other, one)}
    with store.writing() as connection:
        connection.executemany(
            "UPDATE habits SET state = ?, decided_by = ?, decided = ? WHERE id = ?",
            [(state, by, time.time_ns(), number) for number in chosen],
        )
    return [one for one in known(store) if one.id in chosen]


def _waits_with(other: Known, program: Known) -> bool:
    mine, its = other.habit, program.habit
    same = (mine.role, mine.zone, mine.program) == (its.role, its.zone, its.program)
    # Whoever approves a program has not approved its scans.
    return same and other.state == PENDING and mine.kind != FAN_OUT
