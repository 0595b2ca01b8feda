"""Every process as /proc shows it, for programs that cannot walk the kernel's own task list."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from procwire.event import Subject
from procwire.sensor.machine import cgroup2_root
from procwire.sensor.proc import started_ns

_STATUS = re.compile(rb"^(PPid|Uid|Gid|Threads):\s*(\d+)", re.MULTILINE)
_STATUS_FIELDS = 4
_CGROUP2 = re.compile(rb"^0::(/.*)$", re.MULTILINE)


class Running(NamedTuple):
    """A process as /proc shows it; ppid: its parent; job: number and kind, as in kernel/owner.h."""

    pid: int
    started: int
    comm: bytes
    ppid: int
    uid: int
    gid: int
    threads: int
    session: int
    job: tuple[int, int]


def running_processes() -> Iterator[Running]:
    """Every process in /proc that stays long enough to be read."""
    root = cgroup2_root()
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            status = dict(_STATUS.findall((folder / "status").read_bytes()))
            comm = (folder / "comm").read_bytes().removesuffix(b"\n")
            session = os.getsid(pid)
            job = _job(root, (folder / "cgroup").read_bytes(), session)
        except OSError:
            continue
        started = started_ns(pid)
        if started is not None and len(status) == _STATUS_FIELDS:
            facts = {field.decode().lower(): int(number) for field, number in status.items()}
            yield Running(pid, started, comm, session=session, job=job, **facts)


def _job(root: Path, cgroups: bytes, session: int) -> tuple[int, int]:
    """What a process belongs to. cgroups: as /proc has it. Raises OSError if the cgroup is gone."""
    found = _CGROUP2.search(cgroups)
    path = os.fsdecode(found[1]).lstrip("/") if found else ""
    if not path:
        return session, Subject.SESSION
    return (root / path).stat().st_ino, Subject.CGROUP
