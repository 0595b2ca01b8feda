"""The sensor on this kernel: real processes, real connections, in a network namespace of its own.

Other programs run on the machine meanwhile, so every expectation is of one process's own events.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from procwire.errors import Unavailable
from procwire.event import EventKind, Measure, Outcome
from procwire.sensor.doctor import checks
from procwire.sensor.loader import Sensor, SensorEvents, SensorSettings
from procwire.sensor.proc import started_ns
from procwire.sensor.processes import ProcessTable, key_of
from procwire.sensor.snapshot import processes_before

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]

NAMESPACE = f"procwire-{os.getpid()}"
POLLS, POLL_MS = 100, 100
# No bucket turns over while a test runs, whenever it starts: figures are exact.
YEAR = 365 * 24 * 3600 * 10**9
SETTINGS = SensorSettings(window_ns=(YEAR, 2 * YEAR, 4 * YEAR), detail_limit=1_000_000)
STORM = 20_000

CONNECT = """
import socket, sys
for line in sys.argv[1:]:
    host, port = line.rsplit("@", 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client:
        print(client.connect_ex((host, int(port))), flush=True)
"""


class Live:
    """The sensor, the namespace and everything seen so far."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.table = ProcessTable()
        self.table.insert(processes_before(sensor.snapshot()))
        self.seen: list[SensorEvents] = []

    def run(self, *command: str) -> tuple[int, str]:
        """Runs to the end in the namespace; the pid, and what it wrote."""
        with self.start(*command) as process:
            said, _ = process.communicate(timeout=60)
        return process.pid, said

    def start(self, *command: str) -> subprocess.Popen[str]:
        # ip execs the command, so the pid stays.
        return subprocess.Popen(
            ["ip", "netns", "exec", NAMESPACE, *command], stdout=subprocess.PIPE, text=True
        )

    def python(self, script: str, *arguments: str) -> tuple[int, str]:
        return self.run(sys.executable, "-I", "-c", script, *arguments)

    def poll(self) -> None:
        events = self.sensor.poll(POLL_MS)
        self.table.apply(events.process)
        self.seen.append(events)

    def rows(self, kind: str, pid: int) -> NDArray[np.void]:
        """All events of one process, in order."""
        batches = [getattr(events, kind) for events in self.seen]
        rows: NDArray[np.void] = np.concatenate(batches)
        return rows[rows["process"]["pid"] == pid]

    def wait(self, kind: str, pid: int, enough: Callable[[NDArray[np.void]], bool]) -> NDArray:
        """Polls until the process's events are enough; they are returned for the test to judge."""
        for _ in range(POLLS):
            self.poll()
            rows = self.rows(kind, pid)
            if enough(rows):
                return rows
        return self.rows(kind, pid)

    def connections(self, pid: int, count: int) -> list[tuple[str, int, Outcome]]:
        rows = self.wait("connection", pid, lambda rows: len(rows) >= count)
        return [(*endpoint(row), Outcome(row["outcome"])) for row in rows]


def endpoint(row: np.void) -> tuple[str, int]:
    address = ipaddress.IPv6Address(row["destination"].tobytes())
    return str(address.ipv4_mapped or address), int(row["destination_port"])


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed (apt-get install iproute2)")
    ip("netns", "add", NAMESPACE)
    inside = ("-n", NAMESPACE)
    try:
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "route", "add", "local", "10.99.0.0/24", "dev", "lo")
        ip(*inside, "route", "add", "unreachable", "10.98.1.0/24")
        ip(*inside, "route", "add", "prohibit", "10.98.2.0/24")
        # Neighbours that are reached and never answer.
        ip(*inside, "link", "add", "hole", "type", "veth", "peer", "name", "ground")
        ip(*inside, "addr", "add", "10.97.0.1/24", "dev", "hole")
        for device in ("hole", "ground"):
            ip(*inside, "link", "set", device, "up")
        for host in ("10.97.0.2", "10.97.0.3"):
            neighbour = (host, "lladdr", "02:00:00:00:00:77", "dev", "hole", "nud", "permanent")
            ip(*inside, "neigh", "replace", *neighbour)
        ip("netns", "exec", NAMESPACE, "sysctl", "-qw", "net.ipv4.tcp_syn_retries=1")
        try:
            sensor = Sensor(SETTINGS)
        except Unavailable as error:
            pytest.skip(str(error))
        with sensor:
            yield Live(sensor)
    finally:
        ip("netns", "del", NAMESPACE)


def test_nmap_is_named_with_command_line_user_and_parents(live: Live) -> None:
    if shutil.which("nmap") is None:
        pytest.skip("nmap is not installed (apt-get install nmap)")
    pid, _ = live.run("nmap", "-sT", "-Pn", "-n", "-p", "80", "10.99.0.0/24")
    rows = live.wait("fanout", pid, lambda rows: bool(np.any(rows["measure"] == Measure.HOSTS)))
    report = rows[rows["measure"] == Measure.HOSTS][0]
    assert report["comm"] == b"nmap"
    # hosts is an estimate; every attempt went to another host.
    assert report["hosts"] == 25
    assert 22 <= report["attempts"] <= 28
    assert report["samples"] == 8
    assert {sample["address"].tobytes()[12:15] for sample in report["sample"]} == {b"\x0a\x63\x00"}

    process = live.table.get(key_of(report["process"]))
    assert process is not None
    assert process.argv == ("nmap", "-sT", "-Pn", "-n", "-p", "80", "10.99.0.0/24")
    assert Path(process.exe).name == "nmap"
    assert (process.uid, process.user, process.attribution) == (0, "root", "kernel")
    parent, *_ = live.table.ancestry(process.key)
    assert parent.key[1] == os.getpid()
    assert parent.attribution == "snapshot"
    assert parent.argv[0] != ""


def test_each_connection_has_its_outcome_in_every_family(live: Live) -> None:
    server = "import socket; s = socket.create_server(('::', 7001), family=socket.AF_INET6, "
    server += "dualstack_ipv6=True); print('ready', flush=True); input()"
    targets = [
        ("10.99.0.1", "10.99.0.1", 7001, Outcome.ESTABLISHED),
        ("10.99.0.2", "10.99.0.2", 7002, Outcome.REFUSED),
        ("::1", "::1", 7001, Outcome.ESTABLISHED),
        ("::1", "::1", 7002, Outcome.REFUSED),
        ("::ffff:10.99.0.3", "10.99.0.3", 7001, Outcome.ESTABLISHED),
        ("::ffff:10.99.0.4", "10.99.0.4", 7002, Outcome.REFUSED),
    ]
    command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-I", "-c", server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == b"ready\n"
        pid, _ = live.python(CONNECT, *(f"{host}@{port}" for host, _, port, _ in targets))
        listener.communicate(b"\n", timeout=10)
    found = live.connections(pid, len(targets))
    assert found == [(address, port, outcome) for _, address, port, outcome in targets]
    rows = live.rows("connection", pid)
    assert rows["family"].tolist() == [4, 4, 6, 6, 4, 4]
    assert np.all(rows["source_port"] > 0)
    assert rows["source"][0].tobytes()[12:] == ipaddress.IPv4Address("10.99.0.1").packed
    assert rows["error"].tolist() == [0, 111, 0, 111, 0, 111]


def test_no_route_is_unreachable_though_no_packet_was_sent(live: Live) -> None:
    hosts = [f"10.98.{kind}.{number}" for kind in (1, 2) for number in range(1, 6)]
    pid, said = live.python(CONNECT, *(f"{host}@80" for host in hosts))
    assert set(said.split()) == {"113", "13"}
    found = live.connections(pid, len(hosts))
    assert found == [(host, 80, Outcome.UNREACHABLE) for host in hosts]


def test_one_socket_that_tries_again_is_two_attempts(live: Live) -> None:
    script = """
import socket
with socket.socket() as client:
    client.connect_ex(("10.98.1.1", 80))
    client.connect_ex(("10.99.0.1", 7002))
"""
    pid, _ = live.python(script)
    assert live.connections(pid, 2) == [
        ("10.98.1.1", 80, Outcome.UNREACHABLE),
        ("10.99.0.1", 7002, Outcome.REFUSED),
    ]


def test_an_outcome_long_after_is_that_of_the_process_that_asked(live: Live) -> None:
    """The timer that gives up runs in softirq, under whichever process runs then."""
    pid, said = live.python(CONNECT, "10.97.0.2@80")
    assert said.split() == ["110"]
    assert live.connections(pid, 1) == [("10.97.0.2", 80, Outcome.TIMED_OUT)]
    row = live.rows("connection", pid)[0]
    assert row["duration_ns"] > 10**9
    assert row["comm"].startswith(b"python")


def test_a_killed_process_keeps_what_it_tried(live: Live) -> None:
    process = live.start(sys.executable, "-I", "-c", CONNECT, "10.97.0.3@80")
    live.wait("process", process.pid, lambda rows: len(rows) >= 3)
    assert wait_for_syn(process.pid)
    process.kill()
    process.communicate(timeout=10)
    assert live.connections(process.pid, 1) == [("10.97.0.3", 80, Outcome.ABORTED)]
    # Its exit came before its socket closed, so it is in the same batch at the latest.
    rows = live.rows("process", process.pid)
    assert rows[rows["kind"] == EventKind.EXIT]["exit_code"].tolist() == [9]


def wait_for_syn(pid: int) -> bool:
    """Whether the process came to wait for an answer to its SYN (state 02 in /proc/PID/net/tcp)."""
    for _ in range(POLLS * 1000):
        table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        if any(line.split()[3] == "02" for line in table):
            return True
    return False


def test_udp_connect_is_told_and_not_counted(live: Live) -> None:
    script = """
import socket
for number in range(60):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect((f"10.99.0.{number}", 53))
"""
    pid, _ = live.python(script)
    found = live.connections(pid, 60)
    assert found == [(f"10.99.0.{number}", 53, Outcome.SENT) for number in range(60)]
    assert len(live.rows("fanout", pid)) == 0


def test_raw_socket_names_its_process(live: Live) -> None:
    pid, _ = live.python("import socket; socket.socket(2, socket.SOCK_RAW, 1)")
    rows = live.wait("socket", pid, lambda rows: len(rows) > 0)
    assert rows[["family", "type", "protocol"]].tolist() == [(2, 3, 1)]
    assert rows["net_namespace"][0] == Path(f"/run/netns/{NAMESPACE}").stat().st_ino


def test_a_storm_is_counted_to_the_last_attempt(live: Live) -> None:
    """Nobody reads while 20,000 connections are refused: details overflow their ring and are
    counted, the fan-out counts miss none."""
    script = f"""
import socket
for _ in range({STORM}):
    with socket.socket() as client:
        client.connect_ex(("10.99.0.1", 7002))
"""
    live.poll()
    before = live.sensor.counters()
    pid, _ = live.python(script)
    after = live.sensor.counters()
    lost = after["lost_connection_ring_full"] - before["lost_connection_ring_full"]
    assert lost > 0
    rows = live.wait("connection", pid, lambda rows: len(rows) >= STORM)
    assert STORM - lost <= len(rows) < STORM
    assert after["count_attempts"] - before["count_attempts"] >= STORM
    assert after["count_outcomes"] - before["count_outcomes"] >= STORM

    reports = live.rows("fanout", pid)
    reports = reports[(reports["measure"] == Measure.FAILURES) & (reports["window_ns"] == YEAR)]
    assert reports["threshold"].tolist() == [100, 1000, 10_000]
    for figure in ("attempts", "refused", "failures"):
        assert reports[figure].tolist() == [100, 1000, 10_000]
    assert reports["hosts"].tolist() == [1, 1, 1]


def test_fork_and_exec_are_followed_from_start_to_exit(live: Live) -> None:
    pid, _ = live.run("/bin/sh", "-c", "/bin/echo one; exec /bin/sh -c 'exit 3'")
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    assert rows["kind"].tolist() == [
        EventKind.FORK,
        EventKind.EXEC,  # ip
        EventKind.EXEC,  # sh
        EventKind.EXEC,  # sh again
        EventKind.EXIT,
    ]
    counts = rows["process"]["exec_count"]
    assert (counts - counts[0]).tolist() == [0, 1, 2, 3, 3]
    assert len(set(rows["process"]["started_ns"].tolist())) == 1
    assert set(rows["parent"]["pid"].tolist()) == {os.getpid()}
    assert rows["exit_code"][-1] == 3 << 8
    last = live.table.get(key_of(rows["process"][-1]))
    assert last is not None
    assert last.argv == ("/bin/sh", "-c", "exit 3")
    executed = np.concatenate([events.process for events in live.seen])
    children = executed[executed["parent"]["pid"] == pid]
    assert children["kind"].tolist() == [EventKind.FORK, EventKind.EXEC, EventKind.EXIT]
    assert children["argv"][1] == b"/bin/echo\0one"
    assert children["exe"][1] == b"/bin/echo"


def test_a_thread_is_no_process(live: Live) -> None:
    script = "import threading; t = threading.Thread(target=print); t.start(); t.join()"
    pid, _ = live.python(script)
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    assert rows["kind"].tolist().count(EventKind.FORK) == 1
    assert rows["kind"].tolist().count(EventKind.EXIT) == 1


def test_a_long_command_line_is_cut_and_says_so(live: Live) -> None:
    pid, _ = live.run("/bin/true", "x" * 5000)
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    executed = rows[rows["kind"] == EventKind.EXEC][-1]
    assert executed["argv_size"] == 4096
    assert executed["flags"] == 1
    assert live.sensor.counters()["skipped_argv_truncated"] > 0


def test_what_ran_before_is_known_by_the_same_key(live: Live) -> None:
    rows = live.sensor.snapshot()
    own = rows[rows["process"]["pid"] == os.getpid()][0]
    assert own["process"]["started_ns"] == started_ns(os.getpid())
    process = live.table.get(key_of(own["process"]))
    assert process is not None
    assert process.exe == str(Path("/proc/self/exe").readlink())
    assert process.cwd == str(Path.cwd())
    ancestors = live.table.ancestry(process.key)
    assert ancestors[0].key[1] == os.getppid()
    assert {ancestor.attribution for ancestor in ancestors} == {"snapshot"}
    # A child's key carries on from its parent's: fork inherits the exec count.
    pid, _ = live.run("/bin/true")
    forked = live.wait("process", pid, lambda rows: len(rows) > 0)[0]
    assert key_of(forked["parent"]) == process.key


def test_without_privilege_the_capability_is_named() -> None:
    script = "from procwire.sensor.loader import Sensor; Sensor()"
    refused = subprocess.run(
        [sys.executable, "-c", script], user=65534, capture_output=True, text=True, timeout=60
    )
    assert "Unavailable: missing CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN" in refused.stderr


def test_doctor_finds_this_machine_fit() -> None:
    assert [check for check in checks() if check.required and not check.ok] == []
