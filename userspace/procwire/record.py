"""Record types that pass between the parts, each defined once: Process, Endpoint, CONNECTION,
FINDING.

Packets are the columns of decode/columns.py, alerts the dataclass of alert.py, and the kernel's own
events the dtypes of event.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from posixpath import normpath

import msgspec
import numpy as np

from procwire.event import PROCESS_KEY, Attempt

__all__ = [
    "CONNECTION",
    "FINDING",
    "FIRST_DYNAMIC_PORT",
    "Attempt",
    "Endpoint",
    "Lookup",
    "Process",
    "ProcessId",
    "interpreter",
    "program_name",
]


CONNECTION = np.dtype(
    [
        ("time", "i8"),  # ns since the epoch of the attempt
        ("process", PROCESS_KEY),  # all zero: unknown
        ("src_hi", "u8"),
        ("src_lo", "u8"),
        ("dst_hi", "u8"),
        ("dst_lo", "u8"),
        ("src_port", "u2"),
        ("dst_port", "u2"),
        ("protocol", "u1"),
        ("origin", "u1"),  # enum connection_origin of event.h
        ("outcome", "u1"),  # enum connection_outcome of event.h
        ("family", "u1"),  # 4 or 6
        ("kind", "u1"),  # Attempt
    ],
    align=True,
)
"""One attempt to reach a peer. Addresses are big-endian halves, IPv4 mapped, so that address
arithmetic is integer. The destination of a NEIGHBOUR is the address asked for; where there are no
ports, dst_port is the ICMP type (0 for ARP) and src_port an ECHO's identifier."""

FIRST_DYNAMIC_PORT = 32768
"""From here on Linux hands out ports to clients, and to services without one of their own
(ip-sysctl); RFC 6335 section 6 has them begin at 49152."""

FINDING = np.dtype(
    [
        ("packet", "i8"),  # number in its source, counting from 1
        ("row", "i4"),  # row in its batch
        ("rule", "u2"),  # index into rules.all_rules()
        ("size", "u2"),  # captured bytes of evidence
        ("in_context", "u1"),  # 1: what a tier B check depends on was seen to hold
        ("start", "u4"),  # offset of the evidence from the packet's first byte
    ],
    align=True,
)
"""One rule that one packet broke."""


# Programs that run what they are given -> what they read.
_INTERPRETERS = {
    **dict.fromkeys(("ash", "bash", "dash", "ksh", "sh", "zsh"), "shell"),
    **dict.fromkeys(("python", "pypy"), "python"),
    **dict.fromkeys(("lua", "luajit"), "lua"),
    **dict.fromkeys(("node", "nodejs"), "node"),
    **{name: name for name in ("perl", "php", "ruby", "tclsh")},
}
_VERSIONED = re.compile(r"([a-z]+)[0-9.]*")
# Where interpreters are installed and not every user may write.
_INSTALLED = ("/bin/", "/nix/store/", "/opt/", "/snap/", "/usr/")
CUT = "…"
"""Ends a path or an argument whose rest, and what came behind, was not captured."""

# What is read there is no file of that name.
_NO_FILES = ("/dev/", "/proc/")


ProcessId = tuple[int, int, int]
"""What tells executions apart: started ns since boot, pid, exec count. Of what another tool
recorded: started ns since the epoch, pid, running number."""


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """A peer. address: 16 bytes in network order, IPv4 mapped; port: None where unknown or absent
    (for ICMP the type or the code)."""

    address: bytes
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """One execution of a program.

    started: ns since the epoch; attribution: kernel (seen by a hook), snapshot (ran before the
    sensor), recorded (told by another tool's record), inferred (concluded from what happened around
    it) or none. argv holds the arguments as captured, undecoded bytes replaced; command_line the
    whole where a system keeps it as one string (Windows). What was cut short ends in CUT. Of what
    another tool recorded, started and uid are None where the records do not tell them, and host
    names the machine.
    """

    key: ProcessId
    parent: ProcessId
    started: int | None
    uid: int | None
    user: str
    exe: str
    argv: tuple[str, ...]
    comm: str
    cwd: str | None
    cgroup: str | None
    container: str | None
    attribution: str
    host: str | None = None
    command_line: str | None = None

    @property
    def command(self) -> str:
        """The command line as one would type it."""
        return shlex.join(self.argv) if self.command_line is None else self.command_line

    @property
    def program(self) -> str:
        """The file name of its executable in lower case, without folders and without .exe."""
        return program_name(self.exe)

    @property
    def script(self) -> str | None:
        """The whole path of the script that an interpreter was started with, None where its command
        line does not say so beyond doubt.

        Whoever starts a process chooses its arguments, and must not pass for another script: so
        only an installed interpreter is taken for one, whatever else has its name; only the first
        argument is believed, as behind options something else may be what runs, and only a whole
        path without detours, as directories and links change.
        """
        kind = interpreter(self.exe) if self.exe.startswith(_INSTALLED) else None
        if kind is None or len(self.argv) < 2 or interpreter(self.argv[0]) != kind:
            return None
        path = self.argv[1]
        # Whoever chooses the arguments chooses where they are cut, too.
        if path.endswith(CUT):
            return None
        if not path.startswith("/") or path.startswith(_NO_FILES) or normpath(path) != path:
            return None
        return path

    @property
    def identity(self) -> str:
        """What it is known by: the path of its script, which the kernel may call its executable,
        too, or else of its executable."""
        return self.script or self.exe


def interpreter(path: str) -> str | None:
    """The language of an interpreter by the name of its executable, None for any other program."""
    named = _VERSIONED.fullmatch(program_name(path))
    return _INTERPRETERS.get(named[1]) if named else None


def program_name(path: str) -> str:
    """The file name of a path of Linux or Windows in lower case, without .exe."""
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :].lower().removesuffix(".exe")


Lookup = Callable[[ProcessId], tuple[Process, Sequence[Process]] | None]
"""A process key -> the process and its ancestors, parent first; None where it is unknown."""
