"""What records of other tools say, whatever their format: a program started or ended, a process
tried to reach a peer, a name was resolved.

Readers make these; join.py is the only one to look at them. A missing text is "", a missing pid 0.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from procwire.event import Outcome
from procwire.record import Attempt


class Actor(msgspec.Struct, gc=False):
    """The process of a record as far as the record names it.

    guid: a name that no two executions share, where the recorder gives one; started: ns since the
    epoch, 0 where unknown; command_line: one string as Windows keeps it, argv: a vector;
    original: the name that the program's own resources give it.
    """

    pid: int
    parent_pid: int = 0
    guid: str = ""
    exe: str = ""
    comm: str = ""
    user: str = ""
    uid: int | None = None
    started: int = 0
    command_line: str | None = None
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    original: str = ""


class Started(msgspec.Struct, gc=False):
    """A program began to run. time: ns since the epoch; host: the machine's name."""

    time: int
    host: str
    actor: Actor
    parent: Actor


class Ended(msgspec.Struct, gc=False):
    """A process ended."""

    time: int
    host: str
    actor: Actor


class Attempted(msgspec.Struct, gc=False):
    """The process at `source` tried to reach `destination`; only who begins is recorded so.

    source, destination: halves of 16 bytes in network order, IPv4 mapped; outcome: SENT where the
    recorder does not tell; recorder: two of different recorders may be the same attempt; silent:
    the recorder does not tell of attempts that fail. actor: None for records of the wire.
    """

    time: int
    host: str
    actor: Actor | None
    source: tuple[int, int]
    source_port: int
    destination: tuple[int, int]
    destination_port: int
    protocol: int
    outcome: Outcome = Outcome.SENT
    kind: Attempt = Attempt.CONNECT
    recorder: str = ""
    silent: bool = False


class Resolved(msgspec.Struct, gc=False):
    """A process was told the addresses of a name."""

    time: int
    host: str
    actor: Actor
    addresses: tuple[tuple[int, int], ...]


Event: TypeAlias = Started | Ended | Attempted | Resolved
