"""The processes that ran before the sensor did.

Their keys come from the kernel's own task list (Sensor.snapshot), because /proc does not show the
exec count; everything else comes from /proc. Attach first, take the snapshot second: a process that
starts in between is seen twice under one key, never not at all. A parent that the kernel's walk
leaves out, as some kernels do with the first process, is known by the key that its children have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from procwire.record import Process, ProcessId
from procwire.sensor.machine import boot_epoch_ns
from procwire.sensor.proc import ProcFacts, read_facts, split_argv
from procwire.sensor.processes import key_of, user_name

_UNKNOWN: ProcessId = (0, 0, 0)


def processes_before(rows: NDArray[np.void]) -> Iterator[Process]:
    """A Process for each row of Sensor.snapshot(), (n,) PROCESS_EVENT.

    A process that ends while it is read keeps what the kernel told: key, parent, user and name.
    """
    boot = boot_epoch_ns()
    seen, parents = set(), set()
    for row in rows:
        key, parent = key_of(row["process"]), key_of(row["parent"])
        seen.add(key)
        parents.add(parent)
        comm = row["comm"].decode(errors="replace")
        yield _process(key, parent, boot, int(row["uid"]), comm, read_facts(key[0], key[1]))
    for key in sorted(parents - seen):
        facts = read_facts(key[0], key[1])
        folder = Path("/proc") / str(key[1])
        try:
            uid, comm = folder.stat().st_uid, (folder / "comm").read_text(errors="replace")
        except OSError:
            # It has ended, or is the kernel's own, which has no number.
            continue
        if facts is not None:
            yield _process(key, _UNKNOWN, boot, uid, comm.removesuffix("\n"), facts)


def _process(
    key: ProcessId, parent: ProcessId, boot: int, uid: int, comm: str, facts: ProcFacts | None
) -> Process:
    return Process(
        key=key,
        parent=parent,
        started=key[0] + boot,
        uid=uid,
        user=user_name(uid),
        exe=facts.exe if facts else "",
        argv=split_argv(facts.cmdline) if facts else (),
        comm=comm,
        cwd=facts.cwd if facts else None,
        cgroup=facts.cgroup if facts else None,
        container=facts.container if facts else None,
        attribution="snapshot",
    )
