"""Which open episode tells of the same scan as a new alert: a job's, or that of a process of it.

A job is told of by the kernel, which knows its processes; a process also by detectors that know
only what it runs, where, and who started it.
"""

from __future__ import annotations

from collections.abc import Iterable

from procwire.alert import Alert
from procwire.detect.observation import Observation
from procwire.episode import Episode, Key
from procwire.record import Process


class JobScans:
    """The open episodes that tell of jobs, by the job's key; an episode may be a process's."""

    def __init__(self) -> None:
        self._episodes: dict[Key, Episode] = {}

    def enter(self, job: Key, episode: Episode) -> None:
        """The episode tells of the job from now on."""
        self._episodes[job] = episode

    def leave(self, episode: Episode) -> None:
        """The episode has ended."""
        for key in [key for key, one in self._episodes.items() if one is episode]:
            del self._episodes[key]

    def same(
        self, key: Key, scan: Observation, alert: Alert, opened: Iterable[Episode]
    ) -> list[Episode]:
        """Those that tell of the scan that raises the alert. key: what its own episode would have;
        opened: all open episodes."""
        if scan.job is None:
            jobs = self._episodes.items()
            return [one for job, one in jobs if job[:2] == key[:2] and _is_part(alert, scan, one)]
        if key in self._episodes:
            return [self._episodes[key]]
        return [one for one in opened if one.key[:2] == key[:2] and _leads(one.latest, alert)]


def _is_part(alert: Alert, scan: Observation, told: Episode) -> bool:
    """Whether a process is part of a job's scan: it had begun when that was raised, or runs one of
    the leading programs."""
    job = told.latest.job
    if alert.process is None or job is None:
        return False
    leading = [one.process for one in job.programs if one.process is not None]
    if scan.within is None:
        return any(_are_kin(alert.process, one) for one in leading)
    if scan.within != job.name:
        return False
    return alert.first <= told.raised or alert.process.program in {one.program for one in leading}


def _leads(part: Alert, job: Alert) -> bool:
    """Whether the process that is told of runs what leads in the job."""
    if part.job is not None or part.process is None or job.process is None:
        return False
    return _are_kin(part.process, job.process)


def _are_kin(one: Process, other: Process) -> bool:
    """Whether two run the same program in one container, or for one parent."""
    if (one.program, one.cgroup) != (other.program, other.cgroup):
        return False
    return one.cgroup not in (None, "/") or one.parent == other.parent
