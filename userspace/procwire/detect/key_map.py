"""A set of 64-bit keys that numbers its members, in NumPy alone: a million of them take 25 MB.

Strategy: open addressing over whole batches at once. Each round looks at one slot for every key
that is still open, further on each time, and half of the slots stay free, so rounds are few. Where
a key lies depends on a secret of the process (Dietzfelbinger et al. 1997): nobody can choose keys
that crowd together.
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

_SMALLEST_BITS = 10
# In place of a number: nobody's slot, and that of the row _CLAIM - number of a batch.
FREE, _CLAIM = -1, -2
# Keys from several parts are mixed with the constants of decode/mix.py, which needs numba.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FACTOR = np.uint64(0xBF58476D1CE4E5B9)
SHIFT = np.uint64(32)


def combined(*parts: NDArray[np.unsignedinteger] | NDArray[np.signedinteger]) -> NDArray[np.uint64]:
    """One key (n,) of several columns (n,) of integers: the same for the same columns in order."""
    key = parts[0].astype(np.uint64)
    key += GOLDEN
    for part in parts[1:]:
        _mix(key)
        key ^= part.astype(np.uint64, copy=False)
    _mix(key)
    return key


def _mix(key: NDArray[np.uint64]) -> None:
    key *= FACTOR
    key ^= key >> SHIFT


class KeyMap:
    """Keys in the order in which they were entered: the first is number 0.

    limit: most keys it holds; overflow: keys that found no room, each time they came.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.overflow = limit, 0
        self._factor = np.uint64(secrets.randbits(64) | 1)
        self.clear()

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Forget every key."""
        self._count = 0
        self._allocate(_SMALLEST_BITS)

    def numbers(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each key (n,), -1 for one that is not in it."""
        slots, step = self._homes(keys), 0
        # A free slot's number is that of a key which is not in it. The fastest mode: no slot lies
        # outside.
        open_ = np.flatnonzero(self._keys.take(slots, mode="wrap") != keys)
        while len(open_):
            at, step = slots[open_], step + 1
            taken = self._numbers[at] != FREE
            open_ = open_[taken]
            at = (at[taken] + step) & self._mask
            slots[open_] = at
            open_ = open_[self._keys[at] != keys[open_]]
        return self._numbers.take(slots, mode="wrap").astype(np.int64)

    def count(
        self,
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
        counts: NDArray[np.int64],
        latest: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Count keys (n,) of these times: by number, raise `counts`, and `latest` to the times. The
        places of keys that are not in it."""
        numbers = self.numbers(keys)
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            known = np.flatnonzero(numbers >= 0)
            numbers, times = numbers[known], times[known]
        np.add.at(counts, numbers, 1)
        np.maximum.at(latest, numbers, times)
        return unknown

    def enter(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The number of each key (n,), entered where it was not, and whether it was new; of equal
        keys only the first is. -1 and not new where there is no room."""
        found = self.numbers(keys)
        is_new = np.zeros(len(keys), bool)
        missing = np.flatnonzero(found < 0)
        if not len(missing):
            return found, is_new
        room = self.limit - self._count
        wanted = missing if len(missing) <= room else _with_room(keys, missing, room)
        self._grow(self._count + len(wanted))
        slots = self._place(keys, wanted)
        is_new[wanted] = self._numbers[slots] == _CLAIM - wanted
        fresh = is_new[wanted]
        count = int(np.count_nonzero(fresh))
        self._numbers[slots[fresh]] = np.arange(self._count, self._count + count)
        found[wanted] = self._numbers[slots]
        self._count += count
        self.overflow += len(missing) - len(wanted)
        return found, is_new

    def _allocate(self, bits: int) -> None:
        self._keys = np.zeros(1 << bits, np.uint64)
        self._numbers = np.full(1 << bits, FREE, np.int32)
        self._mask, self._drop = np.int64((1 << bits) - 1), np.uint64(64 - bits)

    def _homes(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        return ((keys * self._factor) >> self._drop).view(np.int64)

    def _grow(self, count: int) -> None:
        """Room for `count` keys in half of the slots."""
        if 2 * count <= len(self._keys):
            return
        held = np.flatnonzero(self._numbers != FREE)
        keys, numbers = self._keys[held], self._numbers[held]
        self._allocate((2 * count - 1).bit_length())
        slots = self._place(keys, np.arange(len(keys)))
        self._numbers[slots] = numbers

    def _place(self, keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slot of keys[rows], none of which is in it; the first of equal keys claims it."""
        wanted = keys[rows]
        slots = self._homes(wanted)
        # Of several writes to one slot the last stays.
        open_, step = np.arange(len(rows))[::-1], 0
        while len(open_):
            step += 1
            free = open_[self._numbers[slots[open_]] == FREE]
            self._numbers[slots[free]] = _CLAIM - rows[free]
            self._keys[slots[free]] = wanted[free]
            open_ = open_[self._keys[slots[open_]] != wanted[open_]]
            slots[open_] = (slots[open_] + step) & self._mask
        return slots


def _with_room(keys: NDArray[np.uint64], rows: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Those of `rows` whose keys are among the first `room` different ones."""
    fresh, first = np.unique(keys[rows], return_index=True)
    chosen = fresh[np.argsort(first)[:room]]
    return rows[np.isin(keys[rows], chosen)]
