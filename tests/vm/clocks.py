"""`procwire watch` and a scan, while the wall clock is set: where nobody else needs the clock."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DAY_S, TURNS_S = 86400, 2
PARTS, HOSTS = 3, 60
PROCWIRE = Path(sys.executable).with_name("procwire")
SCAN = f"""
import socket
for part in range({PARTS}):
    for host in range({HOSTS}):
        with socket.socket() as client:
            client.connect_ex((f"10.99.0.{{part * {HOSTS} + host + 1}}", 445))
    print(flush=True)
    input()
"""


def a_day_ahead_and_back(namespace: str) -> list[str]:
    """How what is told differs from one scan by one process, all of whose attempts are counted."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "eve.json"
        options = ["-o", str(results), "--context", str(Path(folder) / "context.db")]
        command = [str(PROCWIRE), "watch", *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watch:
            assert watch.stderr is not None
            talk = []
            for line in watch.stderr:
                talk.append(line)
                if "watching" in line:
                    break
            _scan(namespace)
            watch.send_signal(signal.SIGINT)
            talk += watch.stderr
        told = [json.loads(line) for line in results.read_text().splitlines()]
    found = _differences([one for one in told if one["event_type"] == "alert"])
    return [*found, *talk] if found else []


def _scan(namespace: str) -> None:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-I", "-S", "-c", SCAN]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as scan:
        assert scan.stdin is not None and scan.stdout is not None
        for seconds in (DAY_S, -DAY_S, 0):
            scan.stdout.readline()
            time.sleep(TURNS_S)
            time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
            time.sleep(TURNS_S)
            print(file=scan.stdin, flush=True)


def _differences(alerts: list[dict[str, Any]]) -> list[str]:
    if not alerts:
        return ["no alert"]
    last, attempts = alerts[-1], PARTS * HOSTS
    found = []
    if len({one["alert"]["metadata"]["episode"][0] for one in alerts}) != 1:
        found.append("more than one episode")
    if last["alert"]["metadata"]["rule"] != ["scan.host_sweep"]:
        found.append("no sweep in the end")
    if last["alert"]["context"]["count"] != attempts:
        found.append(f"not {attempts} attempts in all")
    return [*found, *map(json.dumps, alerts)] if found else []
