"""Where the process is that tries others, and what befalls it, on every kernel: in a container,
gone after one connect, with a pid that was another's.

Nothing here needs pytest, because virtual machines run it too.
"""

from __future__ import annotations

import os

import numpy as np
from identity import is_whole, process_of
from procwire.event import EventKind, Outcome
from senders import ONE_PID_TWICE, PROCESS_PER_PROBE, SESSION_PER_PROBE, python
from sensing import Sensing, cgroup

CONTAINER = f"{os.getpid():064x}"


def totals(live: Sensing, pid: int) -> np.void:
    rows = live.wait("fanout", pid, lambda rows: 0 in rows["measure"])
    assert 0 in rows["measure"], "no totals"
    last: np.void = rows[rows["measure"] == 0][-1]
    return last


def container(live: Sensing) -> None:
    """A cgroup named as runtimes name theirs, with namespaces for pids, mounts and the network."""
    name = f"docker-{CONTAINER}.scope"
    inside = ("unshare", "--pid", "--fork", "--mount-proc", "--net")
    probes = PROCESS_PER_PROBE.replace("10.99.0", "127.0.0")
    sweep = ("bash", "-c", f"ip link set lo up; {probes}")
    with cgroup(name) as group:
        pid, _ = live.run(*inside, *sweep, cgroup=group)
        live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    forked = np.concatenate([batch.process for batch in live.seen])
    children = forked[(forked["parent"]["pid"] == pid) & (forked["kind"] == EventKind.EXEC)]
    shell = children[[row["argv"].startswith(b"bash") for row in children]]
    assert len(shell) == 1
    assert shell["namespace_pid"][0] == 1
    told = totals(live, int(shell["process"]["pid"][0]))
    process = process_of(live, told)
    assert (told["attempts"], told["by_children"]) == (40, 40)
    assert process.argv == sweep
    assert process.cgroup == f"/{name}"
    assert process.container == CONTAINER
    assert told["net_namespace"] != live.namespace_id
    assert (process.uid, process.user, process.attribution) == (0, "root", "kernel")
    assert live.table.ancestry(process.key)[0].key[1] == pid


def one_connect(live: Sensing) -> None:
    command = ("bash", "-c", "exec 2> /dev/null; echo > /dev/tcp/10.99.0.1/7002")
    pid, _ = live.run(*command)
    assert live.connections(pid, 1) == [("10.99.0.1", 7002, Outcome.REFUSED)]
    is_whole(live, live.rows("connection", pid)[0], command)


def pid_used_again(live: Sensing) -> None:
    parent, said = live.run(*python(ONE_PID_TWICE))
    pid = int(said)
    enough = lambda rows: (rows["measure"] == 0).sum() == 2  # noqa: E731
    rows = live.wait("fanout", pid, enough)
    last = rows[rows["measure"] == 0]
    assert last["attempts"].tolist() == [40, 50]
    assert last["process"]["started_ns"][0] < last["process"]["started_ns"][1]
    for row in last:
        process = process_of(live, row)
        assert process.argv == python(ONE_PID_TWICE)
        assert live.table.ancestry(process.key)[0].key[1] == parent


def session_for_each_probe(live: Sensing) -> None:
    """Outside of one it is a blind spot: there, any two sessions are different jobs."""
    command = ("bash", "-c", SESSION_PER_PROBE)
    with cgroup(live.namespace) as group:
        pid, _ = live.run(*command, cgroup=group)
        told = totals(live, pid)
    assert (told["attempts"], told["by_children"]) == (40, 40)
    is_whole(live, told, command, cgroup=f"/{live.namespace}")


PLACES = {
    "a container is named by its cgroup": container,
    "a process that ends after one connect is known in full": one_connect,
    "a pid that is used again is another process": pid_used_again,
    "a session for each probe is added up in a container": session_for_each_probe,
}
