"""What the detectors that know the site do with whole columns, as kernels: one pass over the rows
instead of fifty calls of NumPy.

Sightings and KeyMap say what it is, and are what is used where no compiled code is loaded. Both
give the same numbers.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, prefetch
from procwire.detect.fields import (
    ADDRESS,
    IS_ANY_PORT,
    LOOPBACK_SHIFT,
    MAPPED_LOOPBACK,
    OF_ASKED,
    OF_KIND,
    OF_PORT,
    Fields,
    word_of,
    words,
)
from procwire.detect.key_map import FACTOR, FREE, GOLDEN, SHIFT, KeyMap
from procwire.detect.key_map import combined as combined_columns
from procwire.detect.sightings import Means, Sightings

_BEGAN, _ASKED, _KIND = map(word_of, ("process", "dst_port", "kind"))
# Of a process, its pid and exec count.
_NUMBERS = _BEGAN + 1


class _Seen(NamedTuple):
    """Columns (n,) of Sightings, by their names there, and the time of each row."""

    time: NDArray[np.int64]
    is_known: NDArray[np.bool_]
    between_stations: NDArray[np.bool_]
    subject: NDArray[np.uint64]
    shows: NDArray[np.uint64]


class CompiledSightings(Sightings):
    """Sightings of which the columns that every row is asked for are made together."""

    @cached_property
    def _seen(self) -> _Seen:
        count = len(self.rows)
        seen = _Seen(
            time=np.empty(count, np.int64),
            is_known=np.empty(count, np.bool_),
            between_stations=np.empty(count, np.bool_),
            subject=np.empty(count, np.uint64),
            shows=np.empty(count, np.uint64),
        )
        _look(self.rows, words(self.rows), IS_ANY_PORT, seen)
        return seen

    @cached_property
    def columns(self) -> Fields:
        """The rows field by field."""
        columns = Fields(self.rows)
        columns["time"] = self._seen.time
        return columns

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether the process is known."""
        return self._seen.is_known

    @cached_property
    def subject(self) -> NDArray[np.uint64]:
        """A key for who made each row."""
        return self._seen.subject

    @cached_property
    def between_stations(self) -> NDArray[np.bool_]:
        """Whether a row names a source and leaves the machine."""
        return self._seen.between_stations

    @cached_property
    def shows(self) -> NDArray[np.uint64]:
        """A key for all that decides which habits a row shows."""
        shows = self._seen.shows
        return combined_columns(shows, self.zone) if len(self.zones) else shows


class _Table(NamedTuple):
    """The slots of a KeyMap, as it keeps them, and the numbers by which a key finds its own."""

    keys: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    factor: np.uint64
    drop: np.uint64


class CompiledKeyMap(KeyMap):
    """A KeyMap that is searched by a kernel."""

    def numbers(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each key (n,), -1 for one that is not in it."""
        found = np.empty(len(keys), np.int64)
        _find(self._table(), keys, found)
        return found

    def count(
        self,
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
        counts: NDArray[np.int64],
        latest: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Count keys (n,) of these times, and the places of those that are not in it."""
        unknown = np.empty(len(keys), np.int64)
        missing = _count(self._table(), keys, times, counts, latest, unknown)
        return unknown[:missing]

    def _table(self) -> _Table:
        return _Table(self._keys, self._numbers, self._factor, self._drop)


COMPILED = Means(CompiledSightings, CompiledKeyMap)


@fused
def _mixed(key: np.uint64) -> np.uint64:
    key *= FACTOR
    return key ^ (key >> SHIFT)


@fused
def _combined(one: np.uint64, other: np.uint64) -> np.uint64:
    return _mixed(_mixed(one + GOLDEN) ^ other)


@kernel
def _look(
    connections: NDArray[np.void],
    rows: NDArray[np.uint64],
    is_any_port: NDArray[np.bool_],
    seen: _Seen,
) -> None:
    """Fill the columns of record.CONNECTION (n,), which are words of 8 bytes in `rows`, too."""
    count = len(connections)
    for i in range(count):
        # Row after row: widened by LLVM, which this keeps it from, the loop takes twice as long.
        prefetch(connections, min(i + AHEAD, count - 1), 0, 1)
        row, numbers = connections[i], rows[i, _NUMBERS]
        seen.time[i] = row.time
        seen.is_known[i] = numbers != 0
        source = _combined(row.src_hi, row.src_lo)
        subject = _combined(rows[i, _BEGAN], numbers) if numbers else source
        seen.subject[i] = subject
        loopback = row.dst_lo >> LOOPBACK_SHIFT == MAPPED_LOOPBACK or row.dst_lo == 1
        mine = row.src_hi == row.dst_hi and row.src_lo == row.dst_lo
        stays = (row.dst_hi == 0 and loopback) or mine
        seen.between_stations[i] = not stays and (row.src_hi != 0 or row.src_lo & ADDRESS != 0)
        asked = rows[i, _ASKED] & OF_ASKED | rows[i, _KIND] & OF_KIND
        if is_any_port[row.dst_port]:
            asked &= ~OF_PORT
        seen.shows[i] = _mixed(_mixed(_combined(subject, asked) ^ row.src_hi) ^ row.src_lo)


@fused
def _look_ahead(table: _Table, key: np.uint64) -> None:
    """Ask for where a key would be first."""
    slot = np.int64(key * table.factor >> table.drop)
    prefetch(table.keys, slot, 0, 1)
    prefetch(table.numbers, slot, 0, 1)


@fused
def _number(table: _Table, key: np.uint64) -> int | np.int64:
    """The number of a key, FREE for one that is not there."""
    slot, step = np.int64(key * table.factor >> table.drop), 0
    while table.keys[slot] != key and table.numbers[slot] != FREE:
        step += 1
        slot = slot + step & len(table.keys) - 1
    return np.int64(table.numbers[slot])


@kernel
def _find(table: _Table, keys: NDArray[np.uint64], found: NDArray[np.int64]) -> None:
    count = len(keys)
    for i in range(count):
        _look_ahead(table, keys[min(i + AHEAD, count - 1)])
        found[i] = _number(table, keys[i])


@kernel
def _count(
    table: _Table,
    keys: NDArray[np.uint64],
    times: NDArray[np.int64],
    counts: NDArray[np.int64],
    latest: NDArray[np.int64],
    unknown: NDArray[np.int64],
) -> int:
    """As KeyMap.count(), writing the places into `unknown`: how many."""
    missing, count = 0, len(keys)
    for i in range(count):
        _look_ahead(table, keys[min(i + AHEAD, count - 1)])
        number = _number(table, keys[i])
        if number == FREE:
            unknown[missing] = i
            missing += 1
            continue
        counts[number] += 1
        latest[number] = max(latest[number], times[i])
    return missing
