"""Connections field by field: NumPy's calls over a column of its own cost a fraction of those over
a field of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.detect.services import has_name
from procwire.record import CONNECTION, FIRST_DYNAMIC_PORT

_FIELDS: Mapping[str, Any] = CONNECTION.fields or {}
_WORD = 8
# All of an IPv4 address, and enough of an IPv6 one.
ADDRESS = np.uint64(0xFFFFFFFF)
MAPPED_LOOPBACK = np.uint64(0xFFFF7F)
LOOPBACK_SHIFT = np.uint64(24)
"""127.0.0.0/8: what the lower halves of its addresses are without so many bits."""
IS_ANY_PORT = ~has_name(np.arange(1 << 16))
"""By port, whether it shows the same habits as all such ports."""
IS_ANY_PORT[:FIRST_DYNAMIC_PORT] = False


def word_of(name: str) -> int:
    """Which of a row's words of 8 bytes a field of CONNECTION lies in."""
    return int(_FIELDS[name][1]) // _WORD


def _masks(*names: str) -> NDArray[np.uint64]:
    """A row of CONNECTION, as words of 8 bytes, of which only the fields `names` have bits."""
    ones = np.full(1, np.uint64(2**64 - 1))
    row = np.zeros(1, CONNECTION)
    for name in names:
        row[name] = ones.view(CONNECTION[name])[0]
    return row.view(np.uint64)


_ASKED = word_of("dst_port")
OF_ASKED = _masks("dst_port", "protocol", "origin", "outcome", "family")[_ASKED]
"""Of the word of the destination's port, the bits of what is asked for and what came of it."""
OF_KIND = _masks("kind")[word_of("kind")]
"""The same of the kind, which takes the place that the source's port has in its word."""
OF_PORT = _masks("dst_port")[_ASKED]
"""Of what is asked for, the bits of the port."""


def words(rows: NDArray[np.void]) -> NDArray[np.uint64]:
    """Rows of record.CONNECTION (n,) as words of 8 bytes (n, words of a row)."""
    flat = np.ascontiguousarray(rows).view(np.uint64)
    return flat.reshape(len(rows), CONNECTION.itemsize // _WORD)


class Fields(dict[str, NDArray[Any]]):
    """Fields of record.CONNECTION rows (n,) by name, copied when they are first asked for, with
    those beside them in 8 bytes: who looks at a field of rows waits for as many lines of memory as
    there are rows."""

    def __init__(self, rows: NDArray[np.void]) -> None:
        super().__init__()
        self._rows = words(rows)
        self._words: dict[int, NDArray[np.uint64]] = {}

    def __missing__(self, name: str) -> NDArray[Any]:
        kind, offset = _FIELDS[name][:2]
        place, step = offset % _WORD // kind.itemsize, _WORD // kind.itemsize
        parts = self._word(offset).view(kind)[place::step]
        column = self[name] = np.ascontiguousarray(parts)
        return column

    def asked(self) -> NDArray[np.uint64]:
        """What each row asks for and what came of it: destination port, protocol, origin, outcome,
        family and kind in one number."""
        asked: NDArray[np.uint64] = self.word("dst_port") & OF_ASKED
        asked |= self.word("kind") & OF_KIND
        return asked

    def word(self, name: str) -> NDArray[np.uint64]:
        """The 8 bytes of each row in which a field lies."""
        return self._word(_FIELDS[name][1])

    def process(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """When each row's process began, and its pid and exec count in one."""
        offset = _FIELDS["process"][1]
        return self._word(offset), self._word(offset + _WORD)

    def _word(self, offset: int) -> NDArray[np.uint64]:
        """The 8 bytes around an offset of each row."""
        place = offset // _WORD
        if place not in self._words:
            self._words[place] = np.ascontiguousarray(self._rows[:, place])
        return self._words[place]


def from_somewhere(rows: NDArray[np.void] | Fields) -> NDArray[np.bool_]:
    """Which rows name a source: a connect that failed at once has none."""
    named: NDArray[np.bool_] = (rows["src_hi"] != 0) | (rows["src_lo"] & ADDRESS != 0)
    return named


def is_between_stations(rows: Fields) -> NDArray[np.bool_]:
    """Which rows name a source and leave the machine: not for 127.0.0.0/8, ::1 or itself."""
    lo = rows["dst_lo"]
    local = (lo >> LOOPBACK_SHIFT == MAPPED_LOOPBACK) | (lo == 1)
    mine = (rows["src_hi"] == rows["dst_hi"]) & (rows["src_lo"] == lo)
    stays: NDArray[np.bool_] = ((rows["dst_hi"] == 0) & local) | mine
    return from_somewhere(rows) & ~stays
