"""What records of other tools say, whatever their format: a program started or ended, a process
tried to reach a peer, a name was resolved.

Readers make these; join.py is the only one to look at them. A missing text is "", a missing pid 0.
What is remembered of them is as long as what the kernel tells, whatever a record holds.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from procwire.event import Outcome
from procwire.record import CUT, Attempt

TEXT_LIMIT = 4096
"""Characters that are kept of a text, and of a process's arguments together, as of ARGV_SIZE."""
_TEXTS = ("guid", "exe", "comm", "user", "command_line", "cwd", "original")


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


def shorten(event: Event) -> None:
    """Cut the texts of an event to TEXT_LIMIT. What was longer ends in CUT."""
    event.host = _cut(event.host)
    if event.actor is not None:
        _shorten_actor(event.actor)
    if isinstance(event, Started):
        _shorten_actor(event.parent)


def _shorten_actor(actor: Actor) -> None:
    if _length(actor) > TEXT_LIMIT:
        for name in _TEXTS:
            text = getattr(actor, name)
            if text is not None:
                setattr(actor, name, _cut(text))
    if actor.argv:
        actor.argv = _cut_arguments(actor.argv)


def _length(actor: Actor) -> int:
    """Of all its texts: hardly ever does one have to be looked at."""
    return (
        len(actor.guid)
        + len(actor.exe)
        + len(actor.comm)
        + len(actor.user)
        + len(actor.command_line or "")
        + len(actor.cwd or "")
        + len(actor.original)
    )


def _cut_arguments(arguments: tuple[str, ...]) -> tuple[str, ...]:
    # Each counts with the end that the kernel keeps behind it.
    room = TEXT_LIMIT
    for place, argument in enumerate(arguments):
        if len(argument) >= room:
            return (*arguments[:place], argument[:room] + CUT)
        room -= len(argument) + 1
    return arguments


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + CUT
