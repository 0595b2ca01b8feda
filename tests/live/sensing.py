"""The sensor at work on commands that run in a network namespace: for this machine and for others.

Nothing here needs pytest, because virtual machines run it too.
"""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from procwire.event import Outcome, Subject
from procwire.sensor.loader import Sensor, SensorEvents
from procwire.sensor.machine import cgroup2_root
from procwire.sensor.proc import started_ns
from procwire.sensor.processes import ProcessTable
from procwire.sensor.settings import SensorSettings
from procwire.sensor.snapshot import processes_before

POLL_MS = 100
WAIT_S, RUN_S, LOOK_S = 30, 180, 0.05
# No bucket turns over while a test runs, whenever it starts: figures are exact.
YEAR = 365 * 24 * 3600 * 10**9
SETTINGS = SensorSettings(window_ns=(YEAR, 2 * YEAR, 4 * YEAR), detail_limit=1_000_000, flows=1)

ESTIMATED_25 = range(24, 33)
"""Attempts, each at another host, with which these are estimated as 25, but for one run in a
million: with the 24th of the sketch's 512 registers that is filled."""

# All inside the namespace.
NETWORK = (
    "link set lo up",
    "route add local 10.99.0.0/24 dev lo",
    "route add unreachable 10.98.1.0/24",
    "route add prohibit 10.98.2.0/24",
    # Neighbours that are reached and never answer.
    "link add hole type veth peer name ground",
    # Nothing leaves through it but what a test sends.
    "link set hole addrgenmode none",
    "addr add 10.97.0.1/24 dev hole",
    "link set hole up",
    "link set ground up",
    "neigh replace 10.97.0.2 lladdr 02:00:00:00:00:77 dev hole nud permanent",
    "neigh replace 10.97.0.3 lladdr 02:00:00:00:00:77 dev hole nud permanent",
)


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """A network namespace where 10.99.0.0/24 is local, 10.98.0.0/16 out of reach, and a SYN to
    10.97.0.2 times out after three seconds."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in NETWORK:
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        retries = "net.ipv4.tcp_syn_retries=1"
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", retries], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextmanager
def cgroup(name: str) -> Iterator[Path]:
    """A cgroup of version 2, emptied and removed at the end."""
    group = Path(cgroup2_root()) / name
    group.mkdir()
    try:
        yield group
    finally:
        for _ in range(500):
            if not (group / "cgroup.procs").read_text():
                break
            time.sleep(0.01)
        group.rmdir()


class Sensing:
    """The sensor, a namespace to run commands in, and everything seen so far.

    started: when each command's process started, as /proc says, by its pid.
    """

    def __init__(self, sensor: Sensor, namespace: str) -> None:
        self.sensor, self.namespace = sensor, namespace
        self.namespace_id = Path(f"/run/netns/{namespace}").stat().st_ino
        self.table = ProcessTable()
        self.table.insert(processes_before(sensor.snapshot()))
        self.seen: list[SensorEvents] = []
        self.started: dict[int, int | None] = {}

    def run(self, *command: str, cgroup: Path | None = None) -> tuple[int, str]:
        """Runs to the end in the namespace; the pid, and what it wrote. Events are read meanwhile:
        whatever else runs on the machine fills the same rings."""
        deadline = time.monotonic() + RUN_S
        with self.start(*command, cgroup=cgroup) as process:
            while time.monotonic() < deadline:
                try:
                    said, _ = process.communicate(timeout=LOOK_S)
                    return process.pid, said
                except subprocess.TimeoutExpired:
                    self.poll()
            process.kill()
        raise TimeoutError(f"{command[0]} has not ended after {RUN_S} s")

    def start(self, *command: str, cgroup: Path | None = None) -> subprocess.Popen[str]:
        """Starts it in the namespace and the cgroup, with pipes for its input and output."""
        # Each of them execs the next, so the pid stays. ip hides the cgroups' file system.
        enter = ["sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh"]
        process = subprocess.Popen(
            [*(enter if cgroup else ()), "ip", "netns", "exec", self.namespace, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Even of one that has ended: nobody has waited for it yet.
        self.started[process.pid] = started_ns(process.pid)
        return process

    def python(self, script: str, *arguments: str) -> tuple[int, str]:
        return self.run(sys.executable, "-I", "-c", script, *arguments)

    def poll(self) -> None:
        events = self.sensor.poll(POLL_MS)
        self.table.apply(events.process)
        self.seen.append(events)

    def all(self, kind: str) -> NDArray[np.void]:
        """All events of that kind, in order."""
        rows: NDArray[np.void] = np.concatenate([getattr(events, kind) for events in self.seen])
        return rows

    def rows(self, kind: str, pid: int) -> NDArray[np.void]:
        """All events of one process, in order; none of its job, though that names processes."""
        rows = self.all(kind)
        if kind == "fanout":
            rows = rows[rows["subject"] == Subject.PROCESS]
        return rows[rows["process"]["pid"] == pid]

    def wait(self, kind: str, pid: int, enough: Callable[[NDArray[np.void]], bool]) -> NDArray:
        """Polls until the process's events are enough; they are returned for the test to judge.
        Other processes' events end polls, too: how many there are says nothing."""
        return self.until(lambda: self.rows(kind, pid), enough)

    def until(
        self, seen: Callable[[], NDArray[np.void]], enough: Callable[[NDArray[np.void]], bool]
    ) -> NDArray[np.void]:
        """Polls until what was seen is enough."""
        deadline = time.monotonic() + WAIT_S
        while True:
            self.poll()
            rows = seen()
            if enough(rows) or time.monotonic() > deadline:
                return rows

    def connections(self, pid: int, count: int) -> list[tuple[str, int, Outcome]]:
        rows = self.wait("connection", pid, lambda rows: len(rows) >= count)
        return [(*endpoint(row), Outcome(row["outcome"])) for row in rows]


def endpoint(row: np.void) -> tuple[str, int]:
    address = ipaddress.IPv6Address(row["destination"].tobytes())
    return str(address.ipv4_mapped or address), int(row["destination_port"])
