"""What Sensor needs of whoever loads the programs, and libbpf, which reads their rings: events,
counters, the processes that run already, and an end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from procwire.errors import Unavailable
from procwire.sensor.blind_spots import BlindSpot
from procwire.sensor.counters import Counter

_LOG_LINES = 12
_KERNEL = "run procwire doctor; the sensor is tested from Linux 5.10 on"


class Loader(StrEnum):
    """Who loads the programs. AUTO: libbpf where the kernel has BTF, bcc elsewhere."""

    AUTO = "auto"
    LIBBPF = "libbpf"
    BCC = "bcc"


class Programs(Protocol):
    """Loaded programs whose hooks are attached.

    loader: who loaded them; gaps: what they do not see and libbpf's do; attached: the hooks that
    are, by section; left_out: those that are not, and why.
    """

    loader: Loader
    gaps: tuple[BlindSpot, ...]
    attached: tuple[str, ...]
    left_out: Mapping[str, str]

    def ring(self, name: str) -> int:
        """The file descriptor of a ring, which stays the programs' to close."""

    def counter(self, counter: Counter) -> int:
        """One counter, summed over the CPUs."""

    def snapshot(self) -> NDArray[np.void]:
        """The processes that run now: (n,) PROCESS_EVENT, times since boot, without exe and argv,
        which only an exec shows. Keys are those of the events. Processes that run a program to skip
        are skipped from here on."""

    def find_files(self) -> NDArray[np.void]:
        """Takes up what is open: raw sockets and connects under way that are older than the hooks,
        and executables that this process holds with O_PATH, as programs to skip. (n,) FLOW_EVENT,
        times since boot: whose each older socket is, where that is wanted."""

    def complete(self, processes: NDArray[np.void], *others: NDArray[np.void]) -> NDArray[np.void]:
        """Puts into events what the programs could not tell. processes: (n,) PROCESS_EVENT, perhaps
        cut, which is returned; others: (n,) arrays with the fields process and net_namespace."""

    def close(self) -> None:
        """Detaches every hook; the kernel frees programs and maps. May be called twice."""


class Libbpf:
    """The library: ffi and lib of procwire._libbpf, and its errors as Unavailable.

    Raises Unavailable where libbpf.so.1 is missing.
    """

    def __init__(self) -> None:
        try:
            from procwire._libbpf import ffi, lib
        except ImportError as error:
            raise Unavailable(
                f"libbpf cannot be loaded: {error}", "apt-get install libbpf1"
            ) from error
        self.ffi: Any = ffi
        self.lib: Any = lib
        self.lib.log_keep()
        self.lib.log_clear()

    def text(self, value: Any) -> str:
        """A C string."""
        text: bytes = self.ffi.string(value)
        return text.decode(errors="replace")

    def check(self, result: int, action: str) -> None:
        """Raises Unavailable for a negative errno."""
        if result < 0:
            self.fail(action, -result)

    def fail(self, action: str, error: int) -> NoReturn:
        """Raises Unavailable with what the library said last."""
        lines = self.text(self.lib.log_text()).splitlines()[-_LOG_LINES:]
        said = "".join(f"\n  {line}" for line in lines)
        raise Unavailable(f"cannot {action}: {os.strerror(error)}{said}", _KERNEL)
