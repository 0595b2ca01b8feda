"""The processes that ran before the sensor did.

Their keys come from the kernel's own task list (Sensor.snapshot), because /proc does not show the
exec count; everything else comes from /proc. Attach first, take the snapshot second: a process that
starts in between is seen twice under one key, never not at all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from procwire.record import Process
from procwire.sensor.machine import boot_epoch_ns
from procwire.sensor.proc import read_facts, split_argv
from procwire.sensor.processes import key_of, user_name


def processes_before(rows: NDArray[np.void]) -> Iterator[Process]:
    """A Process for each row of Sensor.snapshot(), (n,) PROCESS_EVENT.

    A process that ends while it is read keeps what the kernel told: key, parent, user and name.
    """
    boot = boot_epoch_ns()
    for row in rows:
        key = key_of(row["process"])
        facts = read_facts(key[0], key[1])
        uid = int(row["uid"])
        yield Process(
            key=key,
            parent=key_of(row["parent"]),
            started=key[0] + boot,
            uid=uid,
            user=user_name(uid),
            exe=facts.exe if facts else "",
            argv=split_argv(facts.cmdline) if facts else (),
            comm=row["comm"].decode(errors="replace"),
            cwd=facts.cwd if facts else None,
            cgroup=facts.cgroup if facts else None,
            container=facts.container if facts else None,
            attribution="snapshot",
        )
