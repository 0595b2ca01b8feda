"""Every way in which a process tries others: who did it, how often, by what, in the kernel's count.

The rows are in ways.py: commands that try thirty targets or more, so that their last report holds
their totals, each held to the process's whole identity. Where a process may be when it does so, and
what may happen to it, is in test_places.py; families and outcomes in scenarios.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from identity import is_whole, process_of
from procwire.event import FLAG_UNSEEN_PACKETS, EventKind, FlowRole, Origin, Outcome
from procwire.sensor.loader import Sensor
from procwire.sensor.settings import SensorSettings
from senders import ACCEPTS, OLDER_SOCKETS, PACKET, TRACES_A_PATH, python
from sensing import SETTINGS, Sensing
from ways import DIRECT_SENDS, WAYS, Way, holds

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]

STORM = 100_000
AF_PACKET = 17


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_who_tried_how_often_and_by_what(live: Sensing, way: Way) -> None:
    if shutil.which(way.command[0]) is None:
        pytest.skip(f"{way.command[0]} is not installed (apt-get install {way.command[0]})")
    if way.hook in live.sensor.left_out:
        pytest.skip(f"{way.hook}: {live.sensor.left_out[way.hook]}")
    holds(live, way)


@pytest.fixture(scope="module")
def uring(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program that connects through io_uring. Skips where the kernel gives no ring."""
    program = tmp_path_factory.mktemp("uring") / "uring"
    source = Path(__file__).with_name("uring.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", str(source), "-o", str(program)], check=True)
    tried = subprocess.run([program, "inline", "1"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"{tried.stderr.strip()} (sysctl kernel.io_uring_disabled)")
    return str(program)


@pytest.mark.parametrize("where", ["inline", "worker", "poller"])
def test_io_uring(live: Sensing, uring: str, where: str) -> None:
    """No system call connects; whichever thread does, it is the process's."""
    holds(live, Way("io_uring", (uring, where, "40")))


def test_ping_of_one_host_is_an_echo_and_no_fan_out(live: Sensing) -> None:
    if shutil.which("ping") is None:
        pytest.skip("ping is not installed (apt-get install iputils-ping)")
    command = ("ping", "-c", "3", "-i", "0.2", "10.99.0.1")
    pid, _ = live.run(*command)
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    is_whole(live, rows[rows["kind"] == EventKind.EXEC][-1], command)
    assert len(live.rows("fanout", pid)) == 0


def test_who_traces_a_path_tries_one_port(live: Sensing) -> None:
    pid, _ = live.run(*python(TRACES_A_PATH))
    live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    assert len(live.rows("fanout", pid)) == 0


def test_who_listens_is_known_and_tries_nobody(live: Sensing) -> None:
    command = python(ACCEPTS)
    pid, _ = live.run(*command)
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    is_whole(live, rows[rows["kind"] == EventKind.EXEC][-1], command)
    flows = live.rows("flow", pid)
    assert 7009 in flows["source_port"][flows["role"] == FlowRole.LISTENS]
    rows = live.rows("fanout", pid)
    # The child asked one host and port: what it leaves to its parent is its own.
    assert np.all(rows["attempts"] == rows["by_children"])


def test_frames_past_every_hook_name_their_sender_without_destinations(live: Sensing) -> None:
    if "tp_btf/sock_send_length" in live.sensor.left_out:
        pytest.skip("this kernel has no sock_send_length (Linux 6.3)")
    if DIRECT_SENDS not in live.sensor.left_out:
        pytest.skip("this kernel shows where they go")
    before = live.sensor.counters()["lost_raw_destination"]
    pid, _ = live.run(*python(PACKET, "bypass"))
    rows = live.wait("socket", pid, lambda rows: len(rows) >= 2)
    assert rows["flags"].tolist() == [0, FLAG_UNSEEN_PACKETS]
    assert rows["family"].tolist() == [AF_PACKET] * 2
    assert live.sensor.counters()["lost_raw_destination"] - before == 40
    assert len(live.rows("fanout", pid)) == 0


@pytest.fixture
def older(live: Sensing) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a raw socket and a connect under way, which sends once it is written to."""
    command = ["ip", "netns", "exec", live.namespace, *python(OLDER_SOCKETS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


def test_a_raw_socket_older_than_the_sensor_is_attributed(
    live: Sensing, older: subprocess.Popen[bytes]
) -> None:
    with Sensor(SETTINGS, loader=live.sensor.loader) as sensor:
        later = Sensing(sensor, live.namespace)
        older.communicate(b"\n", timeout=30)
        rows = later.wait("fanout", older.pid, lambda rows: 0 in rows["measure"])
    totals = rows[rows["measure"] == 0][-1]
    assert (totals["attempts"], totals["origin"]) == (40, Origin.RAW)
    process = process_of(later, totals)
    assert process.attribution == "snapshot"
    assert process.argv == python(OLDER_SOCKETS)


def test_a_connect_older_than_the_sensor_is_attributed(
    live: Sensing, older: subprocess.Popen[bytes]
) -> None:
    with Sensor(SETTINGS) as sensor:
        later = Sensing(sensor, live.namespace)
        older.communicate(b"\n", timeout=30)
        tried = later.wait("connection", older.pid, lambda rows: len(rows) > 0)
    assert [Outcome(outcome) for outcome in tried["outcome"]] == [Outcome.ABORTED]
    assert process_of(later, tried[0]).argv == python(OLDER_SOCKETS)


def test_a_hundred_thousand_connects_are_counted_and_cost_a_few_events(live: Sensing) -> None:
    """As fast as the machine goes: counts and losses add up to what was made, and who reads is
    told in tens of events."""
    script = f"""
for n in range({STORM}):
    with socket.socket() as tcp: tcp.connect_ex((host(n % 200), 7002))
"""
    settings = SensorSettings(window_ns=SETTINGS.window_ns, detail_limit=8)
    with Sensor(settings, loader=live.sensor.loader) as sensor:
        storm = Sensing(sensor, live.namespace)
        before = sensor.counters()
        pid, _ = storm.run(*python(script))
        rows = storm.wait("fanout", pid, lambda rows: 0 in rows["measure"])
        after = sensor.counters()
        told = len(rows) + len(storm.rows("connection", pid))
    made = {name: after[name] - before[name] for name in after}
    totals = rows[rows["measure"] == 0][-1]
    # Losses are those of all programs on the machine.
    missed = made["lost_process_map_full"] + made["lost_connection_map_full"]
    for name in ("attempts", "refused"):
        assert STORM - missed <= int(totals[name]) <= STORM
    assert made["count_attempts"] >= STORM
    assert told < 100
