"""Rows that show the same habits as rows before them: most of what a site does.

Strategy: what decides which habits a row shows is one key, whose habits are looked up once; from
then on its rows are counted by it, and the habits' own counts are raised when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from procwire.detect.key_map import KeyMap

if TYPE_CHECKING:
    from procwire.detect.habits import Habits

_MOST = 1 << 17
NONE = -1
"""In place of a habit's number: the row shows none of that kind."""
_NEVER = -(2**62)


class Tally:
    """Counts beside `habits` by what rows have in common. kinds: how many habits a row may show."""

    def __init__(self, habits: Habits, kinds: int, key_map: type[KeyMap] = KeyMap) -> None:
        self._habits = habits
        self._keys = key_map(_MOST)
        self._numbers = np.full((0, kinds), NONE, np.int32)
        self._counts = np.zeros(0, np.int64)
        self._last = np.zeros(0, np.int64)

    def count(self, keys: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the rows (n,) whose habits are known; the places of the others."""
        return self._keys.count(keys, times, self._counts, self._last)

    def note(self, keys: NDArray[np.uint64], habits: NDArray[np.int32]) -> None:
        """The habits (n, kinds) by number that rows of these keys (n,) show from now on."""
        if len(self._keys) + len(keys) > _MOST:
            self.forget()
        _, is_new = self._keys.enter(keys)
        fresh = np.count_nonzero(is_new)
        self._numbers = np.concatenate((self._numbers, habits[is_new]))
        self._counts = np.concatenate((self._counts, np.zeros(fresh, np.int64)))
        self._last = np.concatenate((self._last, np.full(fresh, _NEVER)))

    def settle(self) -> None:
        """Raise the habits' own counts."""
        counted = np.flatnonzero(self._counts)
        counts, last = self._counts[counted], self._last[counted]
        for numbers in self._numbers[counted].T:
            shown = numbers != NONE
            self._habits.count(numbers[shown], last[shown], counts[shown])
        self._counts[counted], self._last[counted] = 0, _NEVER

    def forget(self) -> None:
        """What was noted is no longer true, or too much."""
        self.settle()
        self._keys.clear()
        self._numbers, self._counts = self._numbers[:0], self._counts[:0]
        self._last = self._last[:0]
