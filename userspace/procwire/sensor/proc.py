"""What /proc says of one process, and only while it is still the process that was meant.

/proc is addressed by pid, and pids are reused: every answer is checked against the start time, in
the 10 ms ticks in which /proc/PID/stat gives it and process keys are rounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from procwire.sensor.cgroups import container_of

CLOCK_TICK_NS = 10_000_000

_UNIFIED = re.compile(r"^0::(.*)$", re.MULTILINE)
# The second field of stat, the name, may hold blanks and parentheses; field 22 is counted from
# behind it.
_START_TIME_AFTER_NAME = 22 - 3


@dataclass(frozen=True)
class ProcFacts:
    """exe is empty for a kernel thread; cmdline is the raw vector, NUL-separated."""

    exe: str
    cmdline: bytes
    cwd: str | None
    cgroup: str | None
    container: str | None


def started_ns(pid: int, root: Path = Path("/proc")) -> int | None:
    """Start of the process since boot in ns, whole ticks; None if there is no such process."""
    try:
        stat = (root / str(pid) / "stat").read_bytes()
        fields = stat[stat.rindex(b")") + 2 :].split()
        return int(fields[_START_TIME_AFTER_NAME]) * CLOCK_TICK_NS
    except (OSError, ValueError, IndexError):
        return None


def read_facts(started: int, pid: int, root: Path = Path("/proc")) -> ProcFacts | None:
    """Facts of the process `pid` that started at `started` ns since boot; None if it is gone."""
    folder = root / str(pid)
    try:
        cmdline = (folder / "cmdline").read_bytes()
        groups = (folder / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    facts = ProcFacts(
        exe=_link(folder / "exe") or "",
        cmdline=cmdline,
        cwd=_link(folder / "cwd"),
        cgroup=_first(_UNIFIED, groups),
        container=container_of(groups),
    )
    # Last, so that it covers all of the above.
    return facts if started_ns(pid, root) == started else None


@lru_cache(maxsize=1024)
def kept_once(text: str) -> str:
    """The text, as the object that an equal one had not long ago. sys.intern would do but for
    Python 3.12, which never forgets what is interned."""
    return text


def split_argv(raw: bytes) -> tuple[str, ...]:
    """The arguments of a NUL-separated vector; undecodable bytes replaced."""
    if not raw:
        return ()
    parts = raw.removesuffix(b"\0").split(b"\0")
    return tuple(kept_once(part.decode(errors="replace")) for part in parts)


def _link(path: Path) -> str | None:
    try:
        return kept_once(str(path.readlink()))
    except OSError:
        return None


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return kept_once(found.group(1)) if found else None
