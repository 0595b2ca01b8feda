"""Sockets that processes have open, for programs that cannot walk the kernel's list of files."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

_PIDFD_GETFD = 438  # on every architecture
_SO_COOKIE = 57
_LIBC = ctypes.CDLL(None, use_errno=True)


class OpenSocket(NamedTuple):
    """family, type: as socket(2) has them; cookie: the kernel's number of it; copy: open until the
    next one is asked for."""

    family: int
    type: int
    cookie: int
    copy: socket.socket


def open_sockets(pid: int) -> Iterator[OpenSocket]:
    """Those of a process of which this one may have a copy; none if it may not, or cannot."""
    with ExitStack() as closing:
        try:
            numbers = _sockets(f"/proc/{pid}/fd")
            if not numbers:
                return
            process = os.pidfd_open(pid)
        except OSError:
            return
        closing.callback(os.close, process)
        for number in numbers:
            copy = _LIBC.syscall(_PIDFD_GETFD, process, number, 0)
            if copy < 0:
                continue
            with socket.socket(fileno=copy) as found:
                said = found.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8)
                (cookie,) = struct.unpack("=Q", said)
                yield OpenSocket(found.family, found.type, cookie, found)


def _sockets(folder: str) -> list[int]:
    """The descriptors that are sockets. Raises OSError if the process is gone."""
    with os.scandir(folder) as entries:
        return [int(entry.name) for entry in entries if _is_socket(entry.path)]


def _is_socket(path: str) -> bool:
    try:
        return os.readlink(path).startswith("socket:")  # noqa: PTH115 - Path would take its time
    except OSError:
        return False
