"""Claims of processes on ends and flows, as the kernel told of them, of which the last are kept.

Strategy: a ring, chained by the hash of what is claimed. What a socket claimed ends with it. Claims
of sockets that are still open are not overwritten but entered anew, so that a busy hour forgets no
program that waits for connections.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.event import FLAG_OLDER, PROCESS_KEY, FlowRole
from procwire.owners.flow_keys import WORDS, hashes, keys_of_events

NEVER = np.iinfo(np.int64).max
# Claims of one end that are looked at: many are those of a program that opens a port again.
_CHAIN = 64
_TCP = 6

CLAIM = np.dtype(
    [
        ("key", "u8", (WORDS,)),  # source, destination (two halves each), ports and protocol
        ("before", "i8"),  # number of the previous claim whose key has the same hash, or -1
        ("hash", "u8"),
        ("began", "i8"),  # ns since the epoch; 0: before the sensor
        ("ended", "i8"),  # NEVER: not yet, or nobody will tell
        ("process", PROCESS_KEY),
        ("namespace", "u4"),
        ("socket", "u4"),
        ("role", "u1"),
    ],
    align=True,
)


class Claims:
    """A ring of CLAIM. evicted: claims forgotten to make room that had not ended."""

    def __init__(self, capacity: int) -> None:
        self.evicted = 0
        self._rows = np.zeros(capacity, CLAIM)
        self._latest: dict[int, int] = {}
        self._open: dict[int, list[tuple[int, int]]] = {}
        self._entered = 0

    def __len__(self) -> int:
        return min(self._entered, len(self._rows))

    @property
    def first(self) -> int:
        """Number of the first claim that is still there."""
        return max(0, self._entered - len(self._rows))

    def enter(self, events: NDArray[np.void]) -> None:
        """Enter (n,) FLOW_EVENT, times in ns since the epoch."""
        for start in range(0, len(events), len(self._rows)):
            self._enter(events[start : start + len(self._rows)])

    def chain(self, key: NDArray[np.uint64]) -> list[tuple[int, Any]]:
        """Claims on the key (5,) with their numbers, the latest first."""
        chain: list[tuple[int, Any]] = []
        number = self._latest.get(int(hashes(key[np.newaxis])[0]), -1)
        while number >= self.first and len(chain) < _CHAIN:
            claim = self._rows[number % len(self._rows)]
            chain.append((number, claim))
            number = int(claim["before"])
        return [one for one in chain if np.array_equal(one[1]["key"], key)]

    def latest(self, keys: NDArray[np.uint64], until: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the latest claim on each key (n, 5) that had begun at a time (n,), ns since the
        epoch: (n,), -1 where there is none."""
        numbers = np.array([self._latest.get(one, -1) for one in hashes(keys).tolist()], np.int64)
        for _ in range(_CHAIN):
            claims = self.at(numbers)
            younger = (numbers >= self.first) & (claims["began"] > until)
            if not younger.any():
                break
            numbers[younger] = claims["before"][younger]
        claims = self.at(numbers)
        here = (numbers >= self.first) & (claims["began"] <= until)
        numbers[~here | (claims["key"] != keys).any(axis=1)] = -1
        return numbers

    def at(self, numbers: NDArray[np.int64]) -> NDArray[np.void]:
        """The claims of these numbers (n,), anything for what is none."""
        return self._rows[numbers % len(self._rows)]

    def _enter(self, events: NDArray[np.void]) -> None:
        ends = events["role"] == FlowRole.ENDS
        opening = events[~ends]
        rows = np.zeros(len(opening), CLAIM)
        rows["key"] = keys_of_events(opening)
        rows["hash"] = hashes(rows["key"])
        rows["began"] = np.where(opening["flags"] & FLAG_OLDER, 0, opening["time_ns"])
        rows["ended"] = NEVER
        for name in ("process", "socket", "role"):
            rows[name] = opening[name]
        rows["namespace"] = opening["net_namespace"]
        # Of a connection's end nobody tells, nor of a raw socket's.
        lasts = (rows["role"] == FlowRole.SENDS) | (rows["role"] == FlowRole.LISTENS)
        lasts |= (rows["role"] == FlowRole.CONNECTS) & (opening["protocol"] != _TCP)
        rows["socket"][~lasts] = 0
        while len(rows):
            rows = self._write(rows)
        self._end(events[ends])

    def _write(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Write the rows in place of the oldest; returns those of them that are still open."""
        numbers = np.arange(self._entered, self._entered + len(rows))
        again = self._rows[self._make_room(numbers[numbers >= len(self._rows)] - len(self._rows))]
        before = []
        columns = numbers, *(rows[name] for name in ("hash", "socket", "began"))
        for number, one, socket, began in zip(*(each.tolist() for each in columns), strict=True):
            before.append(self._latest.get(one, -1))
            self._latest[one] = number
            if socket:
                self._open.setdefault(socket, []).append((number, began))
        rows["before"] = before
        self._rows[numbers % len(self._rows)] = rows
        self._entered += len(rows)
        return again

    def _make_room(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Forget the claims of these numbers (n,); returns the places of those to enter anew."""
        places = numbers % len(self._rows)
        claims = self._rows[places]
        again = np.zeros(len(places), bool)
        is_open = (claims["ended"] == NEVER).tolist()
        columns = numbers, *(claims[name] for name in ("hash", "socket", "began"))
        old = zip(*(each.tolist() for each in columns), strict=True)
        for row, (number, one, socket, began) in enumerate(old):
            if self._latest.get(one) == number:
                del self._latest[one]
            if not is_open[row]:
                continue
            if socket:
                self._open[socket].remove((number, began))
                if not self._open[socket]:
                    del self._open[socket]
                # As long as most of the ring is for what comes.
                again[row] = len(self._open) < len(self._rows) // 2
            self.evicted += not again[row]
        return places[again]

    def _end(self, events: NDArray[np.void]) -> None:
        """What the sockets had claimed ends."""
        places, times = [], []
        ends = zip(events["socket"].tolist(), events["time_ns"].tolist(), strict=True)
        for socket, time in ends:
            for number, began in self._open.pop(socket, ()):
                if began <= time:
                    places.append(number % len(self._rows))
                    times.append(time)
                else:
                    self._open.setdefault(socket, []).append((number, began))
        self._rows["ended"][places] = times
