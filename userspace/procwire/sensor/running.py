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

NO_LOGIN_UID = 0xFFFFFFFF
"""The login user of whoever nobody logged in for, as the kernel has it."""

_STATUS = re.compile(rb"^(PPid|Uid|Gid|Threads):\s*(\d+)", re.MULTILINE)
_STATUS_FIELDS = 4
_NUMBERS = re.compile(rb"^NSpid:\s*(.*)$", re.MULTILINE)
_CGROUP2 = re.compile(rb"^0::(/.*)$", re.MULTILINE)


class Running(NamedTuple):
    """A process as /proc shows it; ppid: its parent; job: number and kind, as in kernel/owner.h;
    network: the inode of its network namespace; numbers: its pids, from here to its own namespace;
    children_apart: whether what it starts is in another one."""

    pid: int
    started: int
    comm: bytes
    ppid: int
    uid: int
    gid: int
    threads: int
    session: int
    job: tuple[int, int]
    login_uid: int
    network: int
    numbers: tuple[int, ...]
    children_apart: bool


def running_processes() -> Iterator[Running]:
    """Every process in /proc that stays long enough to be read."""
    root = cgroup2_root()
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            text = (folder / "status").read_bytes()
            status = dict(_STATUS.findall(text))
            comm = (folder / "comm").read_bytes().removesuffix(b"\n")
            session = os.getsid(pid)
            job = _job(root, (folder / "cgroup").read_bytes(), session)
        except OSError:
            continue
        started = started_ns(pid)
        if started is not None and len(status) == _STATUS_FIELDS:
            facts = {field.decode().lower(): int(number) for field, number in status.items()}
            yield Running(
                pid,
                started,
                comm,
                session=session,
                job=job,
                login_uid=login_uid_of(pid),
                network=network_of(pid),
                numbers=_numbers(text),
                children_apart=_namespace(folder, "pid") != _namespace(folder, "pid_for_children"),
                **facts,
            )


def login_uid_of(pid: int) -> int:
    """Who logged in to start it; NO_LOGIN_UID if nobody did, or it is gone."""
    try:
        return int(Path(f"/proc/{pid}/loginuid").read_text())
    except (OSError, ValueError):
        return NO_LOGIN_UID


def namespace_pid_of(pid: int) -> int:
    """Its number in its own namespace; 0 if it is gone."""
    try:
        numbers = _numbers(Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return 0
    return numbers[-1] if numbers else 0


def network_of(pid: int) -> int:
    """The inode of its network namespace; 0 if it is gone, or may not be seen."""
    return _namespace(Path(f"/proc/{pid}"), "net")


def _namespace(folder: Path, name: str) -> int:
    try:
        return (folder / "ns" / name).stat().st_ino
    except OSError:
        return 0


def _numbers(status: bytes) -> tuple[int, ...]:
    found = _NUMBERS.search(status)
    return tuple(map(int, found[1].split())) if found else ()


def _job(root: Path, cgroups: bytes, session: int) -> tuple[int, int]:
    """What a process belongs to. cgroups: as /proc has it. Raises OSError if the cgroup is gone."""
    found = _CGROUP2.search(cgroups)
    path = os.fsdecode(found[1]).lstrip("/") if found else ""
    if not path:
        return session, Subject.SESSION
    return (root / path).stat().st_ino, Subject.CGROUP
