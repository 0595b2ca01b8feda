"""procwire watch where a session's processes fan out together: a scan is one episode, and clients
that are answered are none."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from commands_running import PROCWIRE, records, started
from senders import python
from test_watch import namespace

__all__ = ["namespace"]
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
# Workers take turns, a host each, so that none is far ahead: 20 of them, ten hosts each.
TURNS = """
def work(k, turns, says):
    for n in range(10):
        os.read(turns, 1)
        with socket.socket() as tcp: tcp.connect_ex((f"10.97.0.{10 * k + n + 1}", 7002))
        os.write(says, b"x")
os.setsid()
done, says = os.pipe()
workers = []
for k in range(20):
    turns, gives = os.pipe()
    workers.append(gives)
    if os.fork() == 0:
        # Nobody but the first holds the other ends, so all end with it.
        for gives in workers: os.close(gives)
        work(k, turns, says)
        os.read(turns, 1)
        os._exit(0)
for turn in range(10):
    for gives in workers:
        os.write(gives, b"x")
        os.read(done, 1)
"""
# As a package update and a proxy have them: each asks some mirrors, one in ten is down.
CLIENTS = """
os.setsid()
server = socket.create_server(("0.0.0.0", 7003), backlog=1000)
for k in range(20):
    if os.fork() == 0:
        for n in range(20):
            with socket.socket() as tcp:
                tcp.connect_ex((f"10.97.0.{10 * k + n % 10 + 1}", 7003 if n % 10 else 7004))
        os._exit(0)
for k in range(20): os.wait()
"""


def alerts(namespace: list[str], command: tuple[str, ...]) -> list[dict[str, Any]]:
    """The alerts on a command and what it starts."""
    watch = started([str(PROCWIRE), "watch"], "watching")
    subprocess.run([*namespace, *command], check=True)
    told, _ = records(watch)
    found = [record["alert"] for record in told if record["event_type"] == "alert"]
    # All run the same script, of which the record has a part.
    start = " ".join(command[:3])
    return [one for one in found if one["context"]["process"].get("cmdline", "").startswith(start)]


def test_workers_that_live_on_are_one_episode(namespace: list[str]) -> None:
    told = alerts(namespace, python(TURNS))
    assert len({one["metadata"]["episode"][0] for one in told}) == 1
    job = told[0]["context"]["job"]
    assert job["kind"] in ("session", "cgroup")
    (program,) = job["programs"]
    # Of 20 hosts in order, unless a bucket of each window began meanwhile.
    assert program["processes"] == 20
    assert 20 <= program["attempts"] <= 200


def test_clients_that_are_answered_are_none(namespace: list[str]) -> None:
    assert alerts(namespace, python(CLIENTS)) == []
