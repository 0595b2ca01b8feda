"""The time of observation: event time without what a clock that jumps, or a sensor that was off,
leaves out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.detect.distinct import LATENESS

# Of more than this, nothing was observed meanwhile.
_LONGEST_STEP = 60_000_000_000


class ObservedTime:
    """now: the time of observation so far, ns."""

    def __init__(self) -> None:
        self.now = 0
        self._latest: int | None = None

    def advance(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Event time moves on to each of `times` (n,), ns since the epoch; the time of observation
        at each. What comes late adds nothing; a clock that was set is followed."""
        latest = int(times[0]) if self._latest is None else self._latest
        # A step back is longer than any as an unsigned number.
        longest = int((times[1:] - times[:-1]).view(np.uint64).max(initial=0))
        if 0 <= times[0] - latest <= _LONGEST_STEP and longest <= _LONGEST_STEP:
            clock = times + (self.now - latest)
            self._latest = int(times[-1])
        else:
            reached = np.maximum.accumulate(np.maximum(times, latest))
            followed = np.where(reached - times <= LATENESS, reached, times)
            steps = np.diff(followed, prepend=latest)
            self._latest = int(followed[-1])
            clock = self.now + np.cumsum(np.clip(steps, 0, _LONGEST_STEP))
        self.now = int(clock[-1])
        return clock
