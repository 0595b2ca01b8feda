"""For whom Windows' kernel connects: file shares are opened under process id 4.

It is for whoever resolved or tried that peer just before; else for the only process of a person
that reached for the network at that moment. Both are conclusions, and alerts say so.
"""

from __future__ import annotations

from collections import OrderedDict

from procwire.telemetry.event import Actor
from procwire.telemetry.processes import Execution

Peer = tuple[int, int]
"""Halves of an address as in event.Attempted."""

_KERNEL_PID = 4
_KERNEL = ("system", "")
# How long ago somebody may have asked for the peer, or else have done anything, in ns.
_ASKED, _AT_WORK = 10_000_000_000, 2_000_000_000
# Accounts that are nobody's.
_SERVICES = ("NT AUTHORITY\\", "NT SERVICE\\", "WINDOW MANAGER\\")
_REMEMBERED = 65536
# Machines with somebody at work, and how many on each.
MACHINES, _AT_ONCE = 4096, 64


def is_kernel(actor: Actor) -> bool:
    """Whether a record's process is Windows' kernel."""
    return actor.pid == _KERNEL_PID and actor.exe.lower() in _KERNEL


class Asked:
    """Who asked for which peer last, and who is at work on each machine, in event time."""

    def __init__(self) -> None:
        self._peers: OrderedDict[tuple[str, Peer], tuple[int, Execution]] = OrderedDict()
        self._at_work: OrderedDict[str, dict[int, tuple[int, Execution]]] = OrderedDict()

    def note(self, entry: Execution, peer: Peer, time: int) -> None:
        """An execution resolved or tried a peer."""
        name = entry.host, peer
        self._peers[name] = time, entry
        self._peers.move_to_end(name)
        if len(self._peers) > _REMEMBERED:
            self._peers.popitem(last=False)
        user = entry.actor.user
        if user and not user.upper().startswith(_SERVICES):
            at_work = self._at_work.setdefault(entry.host, {})
            at_work[entry.number] = time, entry
            self._at_work.move_to_end(entry.host)
            if len(self._at_work) > MACHINES:
                self._at_work.popitem(last=False)
            if len(at_work) > _AT_ONCE:
                del at_work[next(iter(at_work))]

    def by(self, host: str, peer: Peer, time: int) -> Execution | None:
        """Who had the kernel of a machine connect to a peer, None where that cannot be told."""
        asked = self._peers.get((host, peer))
        if asked is not None and time - asked[0] <= _ASKED:
            return asked[1]
        at_work = self._at_work.get(host, {})
        for number, (since, _) in list(at_work.items()):
            if time - since > _AT_WORK:
                del at_work[number]
        return next(iter(at_work.values()))[1] if len(at_work) == 1 else None
