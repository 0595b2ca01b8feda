"""The clock of one machine as its records show it, and how late a record may come.

Recorders write a little out of order, and Zeek writes a connection down when it ends. Attempts are
therefore held back for a while and sorted; what is later still counts at the earliest time that is
open. A single record of another day is an error; where several in a row agree the clock has been
set, and is followed.
"""

from __future__ import annotations

HELD = 60_000_000_000
"""For how long attempts wait for earlier ones, in ns of the machine's clock."""

_MINUTES = 600_000_000_000
_DAY = 86_400_000_000_000
_AGREEING_AHEAD, _AGREEING_BEHIND = 3, 16


class Clock:
    """latest: the time reached, ns since the epoch; settings: how often it was set back;
    out_of_time: records that counted at another time than their own."""

    def __init__(self, start: int) -> None:
        self.latest = start
        self.settings = 0
        self.out_of_time = 0
        self._elsewhere = start
        self._agreeing = 0

    @property
    def settled(self) -> int:
        """Nothing will count before this time, ns since the epoch."""
        return self.latest - HELD

    def follow(self, time: int) -> int:
        """The time at which a record of `time` (ns since the epoch) counts."""
        step = time - self.latest
        if -HELD <= step <= 0:
            return time
        if 0 < step < _DAY or self._has_been_set(time, step):
            self.settings += step < 0
            self._agreeing, self.latest = 0, time
            return time
        self.out_of_time += 1
        return self.latest if step > 0 else self.settled

    def _has_been_set(self, time: int, step: int) -> bool:
        """Whether enough records in a row lie far off, and near to each other."""
        if -_MINUTES < step < 0:
            self._agreeing = 0
            return False
        agrees = abs(time - self._elsewhere) < _MINUTES
        self._agreeing = self._agreeing + 1 if agrees else 1
        self._elsewhere = time
        return self._agreeing >= (_AGREEING_AHEAD if step > 0 else _AGREEING_BEHIND)
