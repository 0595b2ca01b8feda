"""What the programs in the kernel are told before they load."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from procwire.errors import UsageError
from procwire.event import FANOUT_SETTINGS, FANOUT_WINDOWS

_U32_LIMIT = 2**32
_NUMBERS = (
    "hosts",
    "host_ports",
    "failures",
    "sequential_run",
    "probe_targets",
    "detail_limit",
    "flows",
)


@dataclass(frozen=True)
class SensorSettings:
    """Written into the programs' read-only data before they load.

    window_ns: lengths of the windows; thresholds: distinct hosts, distinct host:port pairs, failed
    attempts, attempts in unbroken order, targets of TCP segments without SYN; 0 is off.
    detail_limit: connection events that one process may send per longest window; flows: 1 to be
    told whose each flow is, which only packets need. skip_programs: executables whose processes are
    not counted, as the files are at start; skip_children: nor are other programs that they start.
    Each row() has a hash_seed of its own.
    """

    window_ns: tuple[int, int, int] = (10_000_000_000, 60_000_000_000, 600_000_000_000)
    hosts: int = 25
    host_ports: int = 50
    failures: int = 100
    sequential_run: int = 20
    probe_targets: int = 10
    detail_limit: int = 32
    skip_programs: tuple[str, ...] = ()
    skip_children: bool = False
    flows: int = 0

    def __post_init__(self) -> None:
        if len(self.window_ns) != FANOUT_WINDOWS or any(length < 2 for length in self.window_ns):
            raise UsageError(f"window_ns: give {FANOUT_WINDOWS} lengths of at least 2 ns")
        for name in _NUMBERS:
            if not 0 <= getattr(self, name) < _U32_LIMIT:
                raise UsageError(f"{name}: {getattr(self, name)} is not in 0..{_U32_LIMIT - 1}")

    def row(self) -> NDArray[np.void]:
        """As the programs read them: (1,) FANOUT_SETTINGS."""
        row = np.zeros(1, FANOUT_SETTINGS)
        row["window_ns"], row["hash_seed"] = self.window_ns, secrets.randbits(64)
        row["skip_programs"], row["skip_children"] = len(self.skip_programs), self.skip_children
        for name in _NUMBERS:
            row[name] = getattr(self, name)
        return row
