"""Flows faster than a person makes them: each carries its process, whatever comes at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from two_hosts import FAR, FAR_4, NEAR, WIRE, run, server, two_hosts, within

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
PROCWIRE = Path(sys.executable).with_name("procwire")
# Twenty processes, each with a socket of its own for each flow, open on every address as most are.
# More at a time than were once asked about; bench/sensor_flows.py has what a machine can take.
PROCESSES, TURNS, AT_A_TIME = 20, 10, 20
LOAD = f"""
import os, socket, time
for number in range({PROCESSES}):
    if os.fork() == 0:
        break
else:
    for _ in range({PROCESSES}):
        os.wait()
    raise SystemExit
for turn in range({TURNS}):
    for number in range({AT_A_TIME}):
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            one.bind(("", 0))
            one.sendto(b"x", ({FAR_4!r}, 5000 + turn * {AT_A_TIME} + number))
    # All at once.
    time.sleep(0.2 - time.time() % 0.2)
os._exit(0)
"""
# No port is closed: each refusal would be a packet more.
SINKS = f"""
import socket, time
kept = [socket.socket(type=socket.SOCK_DGRAM) for _ in range({TURNS * AT_A_TIME})]
for number, one in enumerate(kept):
    one.bind(({FAR_4!r}, 5000 + number))
print("ready", flush=True)
time.sleep(600)
"""


def test_thousands_of_sockets_a_second_carry_their_process(tmp_path: Path) -> None:
    results = tmp_path / "eve.json"
    command = [str(PROCWIRE), "watch", "-i", WIRE, "-o", str(results)]
    with two_hosts(), server(FAR, SINKS):
        # As after many flows, each port was another's before.
        run(NEAR, "sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40599")
        # Unlike ip netns exec, it leaves the mounts alone, among them that of the cgroups.
        near = ["nsenter", f"--net=/run/netns/{NEAR}"]
        with subprocess.Popen([*near, *command], stderr=subprocess.PIPE, text=True) as watch:
            assert watch.stderr is not None
            assert any("ends it" in line for line in watch.stderr)
            subprocess.run(within(NEAR, sys.executable, "-c", LOAD), check=True, timeout=60)
            watch.send_signal(signal.SIGINT)
            watch.communicate(timeout=60)
    with results.open() as lines:
        told = [one for one in map(json.loads, lines) if one["event_type"] == "stats"]
    counts = told[-1]["metadata"]["flowints"]
    ways = {way: counts[f"correlate.originated_{way}"] for way in ("kernel", "inferred", "none")}
    flows, lost = PROCESSES * TURNS * AT_A_TIME, counts["kernel.lost_flow_ring_full"]
    # A port that is given again goes on with the flow before it.
    assert flows * 0.9 <= sum(ways.values()) <= flows + 50, (ways, lost)
    assert ways["none"] <= flows / 100, (ways, lost)
