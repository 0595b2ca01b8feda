"""The event ABI as NumPy dtypes and Python enums, computed from kernel/event.h through cffi.

Nothing is written down twice: offsets, sizes and values are what the C compiler gave them.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

from procwire._event import ffi, lib

ABI_VERSION: int = lib.EVENT_ABI_VERSION
ADDRESS_SIZE: int = lib.ADDRESS_SIZE
COMM_SIZE: int = lib.COMM_SIZE
EXE_SIZE: int = lib.EXE_SIZE
ARGV_SIZE: int = lib.ARGV_SIZE
SAMPLE_TARGETS: int = lib.SAMPLE_TARGETS
FANOUT_WINDOWS: int = lib.FANOUT_WINDOWS

FLAG_ARGV_TRUNCATED: int = lib.EVENT_FLAG_ARGV_TRUNCATED
FLAG_ARGV_UNREADABLE: int = lib.EVENT_FLAG_ARGV_UNREADABLE
FLAG_EXE_TRUNCATED: int = lib.EVENT_FLAG_EXE_TRUNCATED
FLAG_UNSEEN_PACKETS: int = lib.EVENT_FLAG_UNSEEN_PACKETS
FLAG_ANY_ADDRESS: int = lib.EVENT_FLAG_ANY_ADDRESS
FLAG_OLDER: int = lib.EVENT_FLAG_OLDER


class EventKind(IntEnum):
    """enum event_kind."""

    EXEC = lib.EVENT_EXEC
    FORK = lib.EVENT_FORK
    EXIT = lib.EVENT_EXIT
    SOCKET = lib.EVENT_SOCKET
    CONNECTION = lib.EVENT_CONNECTION
    FANOUT = lib.EVENT_FANOUT
    FLOW = lib.EVENT_FLOW


class Origin(IntEnum):
    """enum connection_origin: how the attempt became known."""

    CONNECT = lib.ORIGIN_CONNECT
    SENDMSG = lib.ORIGIN_SENDMSG
    RAW = lib.ORIGIN_RAW
    WIRE = lib.ORIGIN_WIRE
    IMPORT = lib.ORIGIN_IMPORT


class Outcome(IntEnum):
    """enum connection_outcome: how the attempt ended."""

    PENDING = lib.OUTCOME_PENDING
    ESTABLISHED = lib.OUTCOME_ESTABLISHED
    REFUSED = lib.OUTCOME_REFUSED
    TIMED_OUT = lib.OUTCOME_TIMED_OUT
    UNREACHABLE = lib.OUTCOME_UNREACHABLE
    DENIED = lib.OUTCOME_DENIED
    SENT = lib.OUTCOME_SENT
    ABORTED = lib.OUTCOME_ABORTED


class Subject(IntEnum):
    """enum fanout_subject: whose attempts a fan-out tells."""

    PROCESS = lib.SUBJECT_PROCESS
    SESSION = lib.SUBJECT_SESSION
    CGROUP = lib.SUBJECT_CGROUP


class FlowRole(IntEnum):
    """enum flow_role: what a process was seen to hold."""

    CONNECTS = lib.FLOW_CONNECTS
    SENDS = lib.FLOW_SENDS
    LISTENS = lib.FLOW_LISTENS
    ENDS = lib.FLOW_ENDS
    WRITES = lib.FLOW_WRITES


class Attempt(IntEnum):
    """enum attempt_kind: what an attempt was made with. CONNECT: a SYN, or whatever another origin
    calls a connection; NULL to ACK: a TCP segment without SYN outside of any connection, by its
    flags (XMAS: FIN, PSH and URG; MAIMON: FIN and ACK); NEIGHBOUR: an ARP request or a neighbour
    solicitation."""

    CONNECT = lib.ATTEMPT_CONNECT
    NULL = lib.ATTEMPT_NULL
    FIN = lib.ATTEMPT_FIN
    XMAS = lib.ATTEMPT_XMAS
    MAIMON = lib.ATTEMPT_MAIMON
    ACK = lib.ATTEMPT_ACK
    DATAGRAM = lib.ATTEMPT_DATAGRAM
    ECHO = lib.ATTEMPT_ECHO
    NEIGHBOUR = lib.ATTEMPT_NEIGHBOUR


class Measure(IntEnum):
    """enum fanout_measure: the figure of a window that crossed its threshold."""

    HOSTS = lib.MEASURE_HOSTS
    HOST_PORTS = lib.MEASURE_HOST_PORTS
    FAILURES = lib.MEASURE_FAILURES
    SEQUENTIAL_RUN = lib.MEASURE_SEQUENTIAL_RUN


def _item_type(kind: Any) -> Any:
    """The NumPy type of a C type: a nested struct, an array, a string of char or an integer."""
    if kind.kind == "struct":
        return _struct_type(kind.cname)
    if kind.kind == "array":
        if kind.item.cname == "char":
            return f"S{kind.length}"
        return (_item_type(kind.item), (kind.length,))
    sign = "u" if kind.cname.startswith("unsigned") else "i"
    return f"{sign}{ffi.sizeof(kind)}"


def _struct_type(name: str) -> np.dtype[np.void]:
    """The structured dtype with the C compiler's offsets and size."""
    kind = ffi.typeof(name)
    fields = list(kind.fields)
    return np.dtype(
        {
            "names": [name for name, _ in fields],
            "formats": [_item_type(field.type) for _, field in fields],
            "offsets": [field.offset for _, field in fields],
            "itemsize": ffi.sizeof(kind),
        }
    )


PROCESS_KEY = _struct_type("struct process_key")
PROCESS_EVENT = _struct_type("struct process_event")
PROCESS_HEADER: int = ffi.offsetof("struct process_event", "argv")
"""Where a process event's arguments begin, which are its end."""
SOCKET_EVENT = _struct_type("struct socket_event")
CONNECTION_EVENT = _struct_type("struct connection_event")
FLOW_EVENT = _struct_type("struct flow_event")
TARGET = _struct_type("struct target")
JOB_PROGRAM = _struct_type("struct job_program")
FANOUT_EVENT = _struct_type("struct fanout_event")
FANOUT_SETTINGS = _struct_type("struct fanout_settings")

_ARGV_STEP = 64


@lru_cache(maxsize=ARGV_SIZE // _ARGV_STEP)
def _cut_process_event(steps: int) -> np.dtype[np.void]:
    room = min(steps * _ARGV_STEP, ARGV_SIZE)
    fields = {name: field[:2] for name, field in (PROCESS_EVENT.fields or {}).items()}
    fields["argv"] = (np.dtype(f"S{room}"), PROCESS_HEADER)
    formats, offsets = zip(*fields.values(), strict=True)
    size = PROCESS_HEADER + room
    return np.dtype(
        {"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": size}
    )


def cut_process_event(longest: int) -> np.dtype[np.void]:
    """PROCESS_EVENT with no more room for argv than events of up to `longest` bytes need: few
    command lines have four kilobytes."""
    return _cut_process_event(max(1, -(-(longest - PROCESS_HEADER) // _ARGV_STEP)))
