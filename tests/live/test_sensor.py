"""The sensor on this kernel: real processes, real connections, in a network namespace of its own.

Other programs run on the machine meanwhile, so every expectation is of one process's own events.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from differences import differences
from nobody import needs_open_folders
from procwire.event import EventKind, Measure, Outcome
from procwire.sensor.counters import Counter
from procwire.sensor.doctor import checks
from procwire.sensor.proc import started_ns
from procwire.sensor.processes import key_of
from scenarios import SCENARIOS, Scenario
from senders import WAITS, python
from sensing import ESTIMATED_25, LOOK_S, SETTINGS, WAIT_S, YEAR, Sensing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]

STORM = 20_000


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(live: Sensing, scenario: Scenario) -> None:
    """What a stock kernel in a virtual machine must see as well."""
    if scenario.hook in live.sensor.left_out:
        pytest.skip(f"{scenario.hook}: {live.sensor.left_out[scenario.hook]}")
    assert differences(live, scenario) == []


def test_nmap_is_named_with_command_line_user_and_parents(live: Sensing) -> None:
    if shutil.which("nmap") is None:
        pytest.skip("nmap is not installed (apt-get install nmap)")
    pid, _ = live.run("nmap", "-sT", "-Pn", "-n", "-p", "80", "10.99.0.0/24")
    rows = live.wait("fanout", pid, lambda rows: bool(np.any(rows["measure"] == Measure.HOSTS)))
    report = rows[rows["measure"] == Measure.HOSTS][0]
    assert report["comm"] == b"nmap"
    assert report["hosts"] == 25
    assert report["attempts"] in ESTIMATED_25
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


def test_a_killed_process_keeps_what_it_tried(live: Sensing) -> None:
    process = live.start(*python(WAITS))
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
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        if any(line.split()[3] == "02" for line in table):
            return True
        time.sleep(LOOK_S)
    return False


def test_a_storm_is_counted_to_the_last_attempt(live: Sensing) -> None:
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
    with live.start(sys.executable, "-I", "-c", script) as process:
        process.communicate(timeout=60)
    pid = process.pid
    after = live.sensor.counters()
    lost = after["lost_connection_ring_full"] - before["lost_connection_ring_full"]
    assert lost > 0
    rows = live.wait("connection", pid, lambda rows: len(rows) >= STORM - lost)
    assert STORM - lost <= len(rows) < STORM
    assert after["count_attempts"] - before["count_attempts"] >= STORM
    assert after["count_outcomes"] - before["count_outcomes"] >= STORM

    # What others lost may be more than this storm made, and then nothing was read yet.
    reports = live.wait("fanout", pid, lambda rows: len(rows) >= 3 * len(SETTINGS.window_ns))
    reports = reports[(reports["measure"] == Measure.FAILURES) & (reports["window_ns"] == YEAR)]
    assert reports["threshold"].tolist() == [100, 1000, 10_000]
    for figure in ("attempts", "refused", "failures"):
        assert reports[figure].tolist() == [100, 1000, 10_000]
    assert reports["hosts"].tolist() == [1, 1, 1]


def test_a_thread_is_no_process(live: Sensing) -> None:
    script = "import threading; t = threading.Thread(target=print); t.start(); t.join()"
    pid, _ = live.python(script)
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    assert rows["kind"].tolist().count(EventKind.FORK) == 1
    assert rows["kind"].tolist().count(EventKind.EXIT) == 1


def test_what_ran_before_is_known_by_the_same_key(live: Sensing) -> None:
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


def test_packets_end_a_wait_for_events(live: Sensing) -> None:
    packets, far = os.pipe()
    live.sensor.wake_by(packets)
    # What else happens on the machine ends each wait, too: the kernel says what is waited for.
    waited = re.compile(rf"^tfd: +{packets} ", re.MULTILINE)
    descriptors = [one.name for one in Path("/proc/self/fd").iterdir()]
    known = [Path(f"/proc/self/fdinfo/{name}") for name in descriptors]
    assert any(waited.search(one.read_text()) for one in known if one.exists())
    os.close(packets)
    os.close(far)


@needs_open_folders
def test_without_privilege_the_capability_is_named() -> None:
    script = "from procwire.sensor.loader import Sensor; Sensor()"
    refused = subprocess.run(
        [sys.executable, "-c", script], user=65534, capture_output=True, text=True, timeout=60
    )
    assert "Unavailable: missing CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN" in refused.stderr


def test_doctor_finds_this_machine_fit() -> None:
    found = checks()
    assert [check for check in found if check.required and not check.ok] == []
    hooks = {hook.name: hook for check in found for hook in check.hooks}
    assert hooks["cgroup/connect4"].found == "attached by libbpf"
    assert all(hook.ok or "boot Linux" in hook.remedy for hook in hooks.values())
    losses = {loss.name for check in found for loss in check.losses}
    assert losses == {name.lower() for name in Counter.__members__ if name[0] in "LS"}
    spots = [spot.name for check in found for spot in check.not_seen]
    assert "AF_XDP" in spots
