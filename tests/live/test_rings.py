"""watch with several workers on an interface that several rings share: its record tells the same
again with any number of workers, and a disk that is full ends the record and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands_running import PROCWIRE, ended, started
from two_hosts import FAR, NEAR, NEAR_4, WIRE, run, two_hosts

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to open packet sockets"),
    pytest.mark.skipif(shutil.which("nmap") is None, reason="nmap is not installed"),
]
FLOWS, DATAGRAMS = 100, 40
FLOOD = f"""
import socket
senders = [socket.socket(type=socket.SOCK_DGRAM) for _ in range({FLOWS})]
for _ in range({DATAGRAMS}):
    for sender in senders:
        sender.sendto(bytes(500), ({NEAR_4!r}, 9))
"""


def test_a_replay_with_any_number_of_workers_says_the_same(tmp_path: Path) -> None:
    record = tmp_path / "record"
    options = ["--context", str(tmp_path / "context"), "-i", WIRE, "--record", str(record)]
    with two_hosts():
        command = ["nsenter", f"--net=/run/netns/{NEAR}", str(PROCWIRE), "watch", *options]
        watch = started([*command, "--workers", "3", "ip"], "watching")
        flood = subprocess.Popen(["ip", "netns", "exec", FAR, sys.executable, "-c", FLOOD])
        run(FAR, "nmap", "-sX", "-Pn", "-n", "-p", "1-30", NEAR_4)
        assert flood.wait(60) == 0
        watch.send_signal(signal.SIGTERM)
        out, talk = watch.communicate(timeout=60)
    told = [json.loads(line) for line in out.splitlines()]
    counts = told[-1]["metadata"]["flowints"]
    seen = counts[f"capture.{WIRE}.received"] + counts[f"capture.{WIRE}.dropped"]
    assert seen >= FLOWS * DATAGRAMS + 30, talk
    rules = {rule for one in told if "alert" in one for rule in one["alert"]["metadata"]["rule"]}
    assert {"tcp.flags_null_xmas", "scan.xmas"} <= rules
    for workers in ("1", "4"):
        again = ended([str(PROCWIRE), "read", "--workers", workers, str(record)]).stdout
        assert out.splitlines()[:-1] == again.splitlines()[:-1]


def test_a_full_disk_ends_the_record_and_nothing_else(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    # In a mount namespace of its own, so that nothing is left mounted however it ends.
    on_small_disk = f'mount -t tmpfs -o size=1m none {disk} && exec "$@"'
    record = ["--context", str(tmp_path / "context"), "--record", str(disk / "record")]
    with two_hosts():
        enter = ["nsenter", f"--net=/run/netns/{NEAR}", "unshare", "--mount"]
        command = [*enter, "sh", "-c", on_small_disk, "sh", str(PROCWIRE), "watch", "-i", WIRE]
        watch = started([*command, *record, "ip"], "watching")
        run(FAR, sys.executable, "-c", FLOOD)
        run(FAR, "nmap", "-sX", "-Pn", "-n", "-p", "1-30", NEAR_4)
        watch.send_signal(signal.SIGTERM)
        out, talk = watch.communicate(timeout=60)
    told = [json.loads(line) for line in out.splitlines()]
    counts = told[-1]["metadata"]["flowints"]
    assert counts["record.stopped"] == 1, talk
    assert 0 < counts["record.bytes"] < 1 << 20
    rules = {rule for one in told if "alert" in one for rule in one["alert"]["metadata"]["rule"]}
    assert "scan.xmas" in rules
