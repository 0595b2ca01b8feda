"""What a detector hands on: whom it saw do what, and the figures that say so."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from procwire.detect.detector import Detector
from procwire.record import Attempt

ProcessId = tuple[int, int, int]
"""A process key as record.Process has it: started ns since boot, pid, exec count."""


class Endpoint(msgspec.Struct, frozen=True):
    """A peer. address: 16 bytes in network order, IPv4 mapped; port: None where unknown or absent
    (for ICMP the type or the code)."""

    address: bytes
    port: int | None = None


@dataclass(frozen=True)
class Evidence:
    """One figure an alert rests on. threshold: what it had to reach, None for a figure that decides
    nothing; setting: the name under which the threshold can be changed."""

    name: str
    value: int | float | str
    threshold: int | float | None = None
    setting: str | None = None


@dataclass(frozen=True)
class Observation:
    """A detector's verdict on one window of one subject.

    time, first: ns since the epoch, of the verdict and of the window's first attempt; subject: the
    process, or None where the source address is the subject; source: None where only the process is
    known; protocol, kind: IP protocol and kind of the attempts; figure: the count whose growth
    makes the episode grow; final: what became of what was told before, which raises nothing anew.
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
