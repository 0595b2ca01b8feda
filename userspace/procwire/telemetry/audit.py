"""What an event of the Linux audit system says, whichever way its records were written down.

connect() does not tell TCP from UDP, and bind and accept carry an address, too: only the system
calls that reach out count. One that would have blocked (EINPROGRESS) is never heard of again. What
finds no route has sent nothing: a host without IPv6 asks so for each name.
"""

from __future__ import annotations

import errno

import msgspec

from procwire.event import Outcome
from procwire.record import Attempt
from procwire.telemetry.event import Actor, Attempted, Ended, Event, Started
from procwire.telemetry.value import PROTOCOLS, address_of, number, shown

CONNECT, SEND, EXECUTE, EXIT = "connect", "send", "execute", "exit"

# Name of a system call -> what it does here.
_NAMES = {
    "connect": CONNECT,
    "sendto": SEND,
    "sendmsg": SEND,
    "sendmmsg": SEND,
    "execve": EXECUTE,
    "execveat": EXECUTE,
    "exit": EXIT,
    "exit_group": EXIT,
}
_NUMBERED = ("connect", "sendto", "sendmsg", "sendmmsg", "execve", "execveat", "exit", "exit_group")
_GENERIC = (203, 206, 211, 269, 221, 281, 93, 94)
_POWER = (328, 335, 341, 349, 11, 362, 1, 234)
# AUDIT_ARCH of linux/audit.h -> numbers of _NUMBERED.
_ARCHITECTURES = {
    0xC000003E: (42, 44, 46, 307, 59, 322, 60, 231),
    0x40000003: (362, 369, 370, 345, 11, 358, 1, 252),
    0x40000028: (283, 290, 296, 374, 11, 387, 1, 248),
    0xC00000B7: _GENERIC,
    0xC00000F3: _GENERIC,
    0xC0000015: _POWER,
    0x80000015: _POWER,
    0x80000016: (362, 369, 370, 358, 11, 354, 1, 248),
}
_CALLS = {
    (architecture, call): name
    for architecture, calls in _ARCHITECTURES.items()
    for name, call in zip(_NUMBERED, calls, strict=True)
}

_OUTCOMES = {
    errno.EINPROGRESS: Outcome.SENT,
    errno.EINTR: Outcome.SENT,
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ETIMEDOUT: Outcome.TIMED_OUT,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.EACCES: Outcome.DENIED,
    errno.EPERM: Outcome.DENIED,
    errno.ECONNRESET: Outcome.REFUSED,
}
_INET, _INET6 = 2, 10


class Audited(msgspec.Struct):
    """One event, its records joined. Texts are "" where no record has them; call: the system call
    by name; sockaddr: the kernel's bytes."""

    time: int
    host: str
    call: str = ""
    success: bool = False
    exit: int = 0
    pid: int = 0
    parent: int = 0
    uid: int | None = None
    user: str = ""
    comm: str = ""
    exe: str = ""
    argv: tuple[str, ...] = ()
    command_line: str | None = None
    cwd: str = ""
    sockaddr: bytes = b""


def call_name(architecture: object, call: object) -> str:
    """The name of a system call that is known by name, or by number with its architecture; "" for
    one that is of no use here."""
    if isinstance(call, str) and not call.isdecimal():
        return call if call in _NAMES else ""
    text = str(architecture)
    written = text if text.startswith("0x") else f"0x{text}"
    return _CALLS.get((number(written), number(call)), "")


def interpret(audited: Audited) -> Event | None:
    """What an event says, None where that is nothing of use. Raises ValueError for an address that
    is none."""
    does = _NAMES.get(audited.call)
    actor = Actor(
        pid=audited.pid,
        parent_pid=audited.parent,
        exe=audited.exe,
        comm=audited.comm,
        user=audited.user or ("" if audited.uid is None else str(audited.uid)),
        uid=audited.uid,
        argv=audited.argv,
        command_line=audited.command_line,
        cwd=audited.cwd or None,
    )
    if does == EXIT:
        return Ended(audited.time, audited.host, actor)
    if does == EXECUTE:
        if not audited.success:
            return None
        actor.started = audited.time
        return Started(audited.time, audited.host, actor, Actor(pid=audited.parent))
    if does in (CONNECT, SEND) and audited.sockaddr:
        return _attempted(audited, actor, does == SEND)
    return None


def _attempted(audited: Audited, actor: Actor, datagram: bool) -> Attempted | None:
    peer = _peer(audited.sockaddr)
    outcome = Outcome.ESTABLISHED if audited.success else _OUTCOMES.get(-audited.exit)
    if peer is None or outcome is None or peer[1] == 0:
        return None
    # The program's arguments are those of its start.
    actor.argv = ()
    return Attempted(
        time=audited.time,
        host=audited.host,
        actor=actor,
        source=(0, 0),
        source_port=0,
        destination=peer[0],
        destination_port=peer[1],
        protocol=PROTOCOLS["udp" if datagram else "tcp"],
        outcome=Outcome.SENT if datagram else outcome,
        kind=Attempt.DATAGRAM if datagram else Attempt.CONNECT,
        silent=outcome == Outcome.SENT,
    )


def _peer(sockaddr: bytes) -> tuple[tuple[int, int], int] | None:
    """Address and port of struct sockaddr_in or sockaddr_in6 (ip(7), ipv6(7)), whose family alone
    is in the order of the machine; None for other families."""
    if len(sockaddr) < 2:
        raise ValueError(f"found a socket address of {len(sockaddr)} bytes, expected 16 or 28")
    family = max(sockaddr[0], sockaddr[1]) if 0 in sockaddr[:2] else -1
    if family not in (_INET, _INET6):
        return None
    start, size = (4, 4) if family == _INET else (8, 16)
    if len(sockaddr) < start + size:
        raise ValueError(f"found socket address {shown(sockaddr.hex())}, expected it whole")
    return address_of(sockaddr[start : start + size]), int.from_bytes(sockaddr[2:4])
