"""Gives up what start-up needed, so that a flaw in decoding is no flaw with root's powers.

Capabilities of capabilities(7), through capset(2); nothing started later can get them back.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection

# Reading the sensor's counters, and the links of other users' processes in /proc.
CAP_SYS_PTRACE, CAP_BPF = 19, 39
NEEDED_WHILE_WATCHING = (CAP_SYS_PTRACE, CAP_BPF)

_VERSION_3 = 0x20080522
_PR_SET_NO_NEW_PRIVS = 38


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


def keep_only(capabilities: Collection[int]) -> None:
    """Drop every capability of this thread that is not among `capabilities`, for good.

    Raises OSError if the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = _Header(_VERSION_3, 0), (_Data * 2)()
    _check(libc.capget(ctypes.byref(header), held))
    for half, data in enumerate(held):
        wanted = sum(1 << number - 32 * half for number in capabilities if number // 32 == half)
        data.permitted &= wanted
        data.effective = data.permitted
        data.inheritable = 0
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(libc.capset(ctypes.byref(header), held))


def _check(result: int) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
