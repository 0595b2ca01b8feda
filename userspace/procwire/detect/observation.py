"""What a detector hands on: whom it saw do what, and the figures that say so."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from procwire.detect.detector import Detector
from procwire.event import Subject
from procwire.record import Attempt, Endpoint, Process, ProcessId


@dataclass(frozen=True)
class Evidence:
    """One figure an alert rests on. threshold: what it had to reach, None for a figure that decides
    nothing; setting: the name under which the threshold can be changed."""

    name: str
    value: int | float | str
    threshold: int | float | None = None
    setting: str | None = None


class JobProgram(msgspec.Struct, frozen=True):
    """A program's part in a job, since that began to be counted: how many processes ran it, and
    what they tried. last: the key of the latest; process: that one, where it is known."""

    last: ProcessId
    processes: int
    attempts: int
    process: Process | None = None


class Job(msgspec.Struct, frozen=True):
    """What processes belong to of which none is told of itself. number: of the session, or the
    cgroup's inode; programs: a few, those that tried most first."""

    kind: Subject
    number: int
    programs: tuple[JobProgram, ...]

    @property
    def name(self) -> tuple[int, int]:
        """What tells it from all others."""
        return int(self.kind), self.number


@dataclass(frozen=True)
class Observation:
    """A detector's verdict on one window of one subject.

    time, first: ns since the epoch, of the verdict and of the window's first attempt; subject: the
    process, or None where the source address is the subject; job: where that is the subject, whose
    leading program's last process is named then; source: None where only the process is
    known; protocol, kind: IP protocol and kind of the attempts; figure: the count whose growth
    makes the episode grow; final: what became of what was told before, which raises nothing anew;
    within: the name of the job that a process is part of, where the kernel told it.
    """

    detector: Detector
    time: int
    first: int
    subject: ProcessId | None
    source: Endpoint | None
    protocol: int
    kind: Attempt
    figure: int
    attempts: int
    severity: int
    evidence: tuple[Evidence, ...]
    last_target: Endpoint | None
    targets: tuple[Endpoint, ...]
    final: bool = False
    job: Job | None = None
    within: tuple[int, int] | None = None
