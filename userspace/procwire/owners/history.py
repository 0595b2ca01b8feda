"""Who held which flow: the lines that `watch --history` writes (history_writer.py) and `enrich`
asks (past_owners.py).

JSON lines: each process once per file, then by its key the flows that it began and the ends at
which it waits, sends or listens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from procwire.record import ProcessId
from procwire.state_folder import state_folder

FILE_NAME = "history.jsonl"

HOME = 0
"""The network namespace in which the sensor runs."""


class Described(msgspec.Struct, frozen=True, array_like=True, tag="process"):
    """What EVE records say of the process `key`."""

    key: ProcessId
    process: dict[str, Any]


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="flow"):
    """Process `key` began a flow at `time`, ns since the epoch, with `port` on its side. older: it
    had the flow already when the sensor started, at that time."""

    time: int
    key: ProcessId
    community_id: str
    port: int
    older: bool = False


class Hold(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="end"):
    """From `time` on process `key` held an end in a FlowRole; address: empty for every one that the
    network namespace has; older: as of Claim; namespace: as of Local; socket: number of the one by
    which it is held, until ENDS."""

    time: int
    key: ProcessId
    role: int
    protocol: int
    address: str
    port: int
    older: bool = False
    namespace: int = HOME
    socket: int = 0


class Exit(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="exit"):
    """Process `key` ended at `time`."""

    time: int
    key: ProcessId


class Local(msgspec.Struct, frozen=True, array_like=True, tag="local"):
    """From `time` on these networks are a network namespace's own: its inode number, or HOME."""

    time: int
    networks: list[str]
    namespace: int = HOME


class Start(msgspec.Struct, frozen=True, array_like=True, tag="start"):
    """A run began at `time`: it knows of nothing that is held but what it tells."""

    time: int


Line = Described | Claim | Hold | Exit | Local | Start


def default_history() -> Path:
    """Where the history lies if nothing else is said: beside the context of the site."""
    return state_folder() / FILE_NAME


def older(path: Path) -> Path:
    """Where a full history is moved to."""
    return path.with_name(f"{path.name}.1")
