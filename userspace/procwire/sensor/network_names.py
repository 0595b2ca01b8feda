"""The network namespaces that programs without a view into the kernel name as they can, by the
inode numbers that everybody else knows them by.

Strategy: a program tells a socket's namespace by its cookie, which is asked for here in every
namespace that is there as the sensor starts; a process that enters one has a name made up for it. A
name that is new is looked up in /proc, with a process that has it. See kernel/bcc/namespace.h.
"""

from __future__ import annotations

import ctypes
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from procwire.sensor.proc import started_ns
from procwire.sensor.running import network_of

LEAST_INODE = 0xE0000000
NAME_OF_PROCESS = 1 << 31
REMEMBERED = 4096

_UNKNOWN = 0
_CLONE_NEWNET = 0x40000000
_SO_NETNS_COOKIE = 71
_MOUNTED = re.compile(r"^(?:\S+ ){3}net:\[\d+\] (\S+) ", re.MULTILINE)
# Processes that are asked for one name, and names that are looked up, at a time.
_ASKED, _LOOKED_UP = 4, 32


class NetworkNames:
    """known: inode numbers by name."""

    def __init__(self) -> None:
        self.known: dict[int, int] = dict(_cookies())

    def replace(self, *events: NDArray[np.void]) -> None:
        """Puts inode numbers in the place of names, 0 where one is not known (yet). events: (n,)
        arrays with the fields net_namespace and process."""
        asked: set[int] = set()
        for rows in events:
            names = rows["net_namespace"]
            for name in np.unique(names[names < LEAST_INODE]).tolist():
                if name not in self.known and len(asked) < _LOOKED_UP:
                    asked.add(name)
                    self._look_up(name, rows["process"][names == name])
                names[names == name] = self.known.get(name, _UNKNOWN)

    def _look_up(self, name: int, processes: NDArray[np.void]) -> None:
        """Through the latest processes that have it."""
        if name == _UNKNOWN:
            return
        latest = dict.fromkeys(processes[["started_ns", "pid"]].tolist()[::-1])
        for started, pid in list(latest)[:_ASKED]:
            inode = network_of(pid)
            if not inode or started_ns(pid) != started:
                continue
            # A socket may be in another namespace than its process, whose cookie is known then.
            if name < NAME_OF_PROCESS and inode in self._of_cookies():
                continue
            if len(self.known) >= REMEMBERED:
                self.known.pop(next(iter(self.known)))
            self.known[name] = inode
            return

    def _of_cookies(self) -> set[int]:
        return {inode for name, inode in self.known.items() if name < NAME_OF_PROCESS}


def _cookies() -> Iterator[tuple[int, int]]:
    """Cookie and inode of every network namespace that a process or a mount holds and that may be
    entered: a thread of its own does. Linux before 5.14 tells none."""
    found: dict[int, int] = {}
    thread = Thread(target=_enter, args=(_namespaces(), found))
    thread.start()
    thread.join()
    return ((cookie & (NAME_OF_PROCESS - 1), inode) for inode, cookie in found.items())


def _namespaces() -> Iterator[Path]:
    mounts = _MOUNTED.findall(Path("/proc/self/mountinfo").read_text())
    yield from map(Path, mounts)
    yield from Path("/proc").glob("[0-9]*/ns/net")


def _enter(namespaces: Iterable[Path], found: dict[int, int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for namespace in namespaces:
        with suppress(OSError):
            inode = namespace.stat().st_ino
            if inode in found:
                continue
            with namespace.open("rb") as file:
                if libc.setns(file.fileno(), _CLONE_NEWNET):
                    continue
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                cookie = asked.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
                (found[inode],) = struct.unpack("=Q", cookie)
