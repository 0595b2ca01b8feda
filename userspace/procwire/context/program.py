"""The SHA-256 of running programs.

Read through /proc/PID/exe, which is the file that runs, whatever lies at its path by now. Of a
process that ended before it was asked for nothing is known.
"""

from __future__ import annotations

import hashlib
import stat
from collections import OrderedDict
from pathlib import Path

from procwire.errors import UsageError
from procwire.record import Process, ProcessId
from procwire.sensor.proc import started_ns

_REMEMBERED = 1024
# Larger programs exist; one that is hashed stops the watch for a quarter of a second.
_LARGEST = 256 * 1024 * 1024
_SCRIPT = b"#!"


class Programs:
    """Digests by process, so that what was said of one holds when it has ended."""

    def __init__(self) -> None:
        self._known: OrderedDict[ProcessId, str] = OrderedDict()

    def digest(self, process: Process) -> str | None:
        """The SHA-256 in hex of the program that the process runs, None where it cannot be read or
        ran on another machine."""
        if process.host is not None:
            return None
        known = self._known.get(process.key)
        if known is not None:
            return known
        started, pid, _ = process.key
        found = _digest_of(Path("/proc", str(pid), "exe"))
        # Last, so that it covers the above; an exec since then is another program by its path.
        if found is None or started_ns(pid) != started:
            return None
        self._known[process.key] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found


def digest_of_program(path: Path) -> str:
    """The SHA-256 in hex that processes of this program will have. Raises UsageError for a file
    that cannot be read or is larger than programs are, and for a script: what runs is its
    interpreter."""
    found = _digest_of(path)
    if found is None:
        raise UsageError(f"{path} cannot be read as a program; is it the whole path?")
    with path.open("rb") as program:
        if program.read(len(_SCRIPT)) == _SCRIPT:
            raise UsageError(
                f"{path} is a script, and the digest of a process is its interpreter's: "
                "give that one's, in hexadecimal"
            )
    return found


def _digest_of(path: Path) -> str | None:
    """The SHA-256 in hex of a file, None where it cannot be read or is larger than programs are."""
    try:
        facts = path.stat()
        # To open what is no file may wait, and to read it have no end.
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LARGEST:
            return None
        with path.open("rb") as program:
            return hashlib.file_digest(program, "sha256").hexdigest()
    except OSError:
        return None
