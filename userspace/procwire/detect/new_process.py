"""Fan-out of a process that has just begun (AN1057, AN2050): hosts that it fails to reach while it
is new, and hardly any that it reaches. A browser tries as many at its start, on a host without IPv6
half of them in vain; where there was no route to a host, nobody was looked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from procwire.detect.detector import NEW_PROCESS
from procwire.detect.distinct import Distinct, Reached
from procwire.detect.fields import from_somewhere
from procwire.detect.key_map import KeyMap
from procwire.detect.observation import Evidence, Observation
from procwire.detect.scattered import SETTING, are_scattered, least_unanswered
from procwire.detect.sightings import (
    Sightings,
    address_of,
    observation,
    process_of,
    taken,
)
from procwire.event import Origin, Outcome
from procwire.record import ProcessId
from procwire.settings import Settings

Started = Callable[[ProcessId], int | None]
"""A process key -> when it began, ns since the epoch; None where that is unknown."""

_MOST_PROCESSES = 1 << 15
_UNKNOWN = -(2**62)
_IS_FAILED = np.zeros(len(Outcome), bool)
_IS_FAILED[[Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.UNREACHABLE, Outcome.DENIED]] = True


class NewProcess:
    """Counts by new process the hosts that it fails to reach. started: asked once per process."""

    def __init__(
        self, settings: Settings, started: Started, key_map: type[KeyMap] = KeyMap
    ) -> None:
        self._settings, self._started, self._key_map = settings, started, key_map
        window = settings.new_process.age_ns * 2
        self._failed, self._answered = Distinct(window), Distinct(window)
        self._processes = self._key_map(_MOST_PROCESSES)
        # By number, and last, for those without one, _UNKNOWN.
        self._begun = np.full(1, _UNKNOWN)

    def update(self, seen: Sightings) -> list[Observation]:
        """Which new processes failed to reach too many hosts."""
        rows = seen.rows
        at = np.flatnonzero(seen.is_known)
        if not len(at):
            return []
        age = taken(seen.columns["time"], at) - self._begun_of(seen, at)
        # One below 0 is more than any as an unsigned number.
        at = at[age.view(np.uint64) <= self._settings.new_process.age_ns]
        if not len(at):
            return []
        outcome = seen.columns["outcome"][at]
        answered = at[outcome == Outcome.ESTABLISHED]
        failed = at[_IS_FAILED[outcome]]
        failed = failed[~_is_unrouted(seen, failed)]
        found = []
        attempts = seen.attempts(failed)
        for one in self._failed.update(attempts, self._settings.new_process.hosts):
            row = failed[one.row]
            # As it was then, wherever the batch ends.
            earlier = np.searchsorted(answered, row)
            self._answered.update(seen.attempts(answered[:earlier]), 0)
            answered = answered[earlier:]
            known = self._answered.targets(attempts.subject[one.row])
            least, setting = self._least_unanswered(one, known)
            if one.targets >= least * (one.targets + known):
                share = round(one.targets / (one.targets + known), 3), least, setting
                found.append(self._observation(rows[row], one, known, share))
        self._answered.update(seen.attempts(answered), 0)
        return found

    def counters(self) -> dict[str, int]:
        """evicted: processes of which all that failed was forgotten for want of room, and those of
        which all that answered was."""
        counted = self._failed.counters(), self._answered.counters()
        return {"evicted": sum(one["evicted"] for one in counted)}

    def _begun_of(self, seen: Sightings, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """When the process of each row began, ns since the epoch."""
        if len(self._processes) + len(at) > _MOST_PROCESSES:
            # A batch has room, however many it brings.
            self._processes = self._key_map(max(_MOST_PROCESSES, len(at)))
            self._begun = np.full(1, _UNKNOWN)
        numbers, is_new = self._processes.enter(taken(seen.subject, at))
        if is_new.any():
            asked = (process_of(seen.rows[row]) for row in at[is_new].tolist())
            begun = [self._started(key) for key in asked if key is not None]
            fresh = [_UNKNOWN if time is None else time for time in begun]
            self._begun = np.concatenate((self._begun[:-1], np.array([*fresh, _UNKNOWN])))
        return self._begun.take(numbers, mode="wrap")

    def _least_unanswered(self, failed: Reached, answered: int) -> tuple[float, str]:
        """Which share has to come to nothing, and the setting that says so."""
        limits = self._settings
        if are_scattered(address_of(hi, lo) for hi, lo, _ in failed.sample):
            least = least_unanswered(failed.targets + answered, limits.random_walk)
            return max(round(least, 3), limits.sweep.mostly_unanswered), SETTING
        return limits.sweep.mostly_unanswered, "sweep.mostly_unanswered"

    def _observation(
        self, row: np.void, reached: Reached, answered: int, share: tuple[float, float, str]
    ) -> Observation:
        failed, limit = reached.targets, self._settings.new_process.hosts
        evidence = (
            Evidence("failed_hosts", failed, limit, "new_process.hosts"),
            Evidence("answering_hosts", answered),
            Evidence("unanswered", *share),
        )
        return observation(NEW_PROCESS, row, reached, evidence)


def _is_unrouted(seen: Sightings, at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the rows `at` tell of connects that sent nothing for want of a route."""
    failed = seen.columns["outcome"][at] == Outcome.UNREACHABLE
    unrouted: NDArray[np.bool_] = failed & (seen.columns["origin"][at] == Origin.CONNECT)
    unrouted[unrouted] = ~from_somewhere(seen.rows[at[unrouted]])
    return unrouted
