"""More packets than can be read: each is read or counted as dropped, memory stays as it is, and
what the kernel tells is told all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from two_hosts import FAR, FAR_4, NEAR, WIRE, ip, server, two_hosts, within

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
PROCWIRE = Path(sys.executable).with_name("procwire")
FLOODS = 2
# Before the reader gets no time, and at least so long again afterwards, until a scan is told.
FLOODED_S, PATIENCE_S = 4, 10
# A machine that gives the reader no time for so long: more than rings of blocks that are full hold.
STOPPED_S = 5
# Segments of one call, which the kernel makes packets of before any capture sees them
# (linux/udp.h, UDP_SEGMENT).
SEGMENTS, SIZE = 60, 64
FLOOD = f"""
import socket
one = socket.socket(type=socket.SOCK_DGRAM)
one.setsockopt(socket.IPPROTO_UDP, 103, {SIZE})
one.connect(({FAR_4!r}, 5000))
data = bytes({SEGMENTS * SIZE})
while True:
    one.send(data)
"""
# Nobody listens on these ports, and each is refused.
SCAN = f"""
import socket
for port in range(6000, 6100):
    with socket.socket() as one:
        one.connect_ex(({FAR_4!r}, port))
"""
SINK = f"""
import socket, time
sink = socket.socket(type=socket.SOCK_DGRAM)
sink.bind(({FAR_4!r}, 5000))
print("ready", flush=True)
time.sleep(600)
"""
# What begins with the first packets, and room for noise; a second of such packets is much more.
GROWTH_MB = 40


def passed() -> int:
    """Packets that a capture of the wire could see so far, also those that found no room at its
    other end."""
    shown = subprocess.run(
        ["ip", "-n", NEAR, "-j", "-s", "link", "show", WIRE], capture_output=True, check=True
    )
    counts = json.loads(shown.stdout)[0]["stats64"]
    return counts["tx"]["packets"] + counts["tx"]["dropped"] + counts["rx"]["packets"]


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def told(results: Path) -> list[dict]:
    """The whole lines so far."""
    return [json.loads(line) for line in results.read_bytes().split(b"\n")[:-1]]


def scan_of(record: dict) -> str | None:
    """The check of an alert that names a process which tried the far host."""
    if record["event_type"] != "alert" or "process" not in record["alert"]["context"]:
        return None
    return record["alert"]["metadata"]["rule"][0] if record["dest_ip"] == FAR_4 else None


@contextmanager
def flooding(*near: str) -> Iterator[None]:
    """Floods meanwhile, begun by the command `near`."""
    floods = [subprocess.Popen([*near, sys.executable, "-c", FLOOD]) for _ in range(FLOODS)]
    try:
        yield
        assert [flood.poll() for flood in floods] == [None] * FLOODS
    finally:
        for flood in floods:
            flood.kill()
            flood.wait()


def test_a_flood_is_read_or_counted_and_scans_are_told_meanwhile(tmp_path: Path) -> None:
    results = tmp_path / "eve.json"
    # Unlike ip netns exec, it leaves the mounts alone, among them that of the cgroups.
    near = ["nsenter", f"--net=/run/netns/{NEAR}"]
    command = [*near, str(PROCWIRE), "watch", "-i", WIRE, "-o", str(results)]
    with two_hosts(), server(FAR, SINK):
        ip("-n", NEAR, "link", "set", WIRE, "gso_max_segs", "1")
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watch:
            assert watch.stderr is not None
            assert any("ends it" in line for line in watch.stderr)
            try:
                before = passed()
                with flooding(*near):
                    time.sleep(FLOODED_S)
                    first = highest = resident_mb(watch.pid)
                    watch.send_signal(signal.SIGSTOP)
                    subprocess.run(within(NEAR, sys.executable, "-c", SCAN), check=True, timeout=60)
                    time.sleep(STOPPED_S)
                    watch.send_signal(signal.SIGCONT)
                    goes_on, lasts, scans = time.monotonic(), 0.0, False
                    while lasts < FLOODED_S or not scans and lasts < PATIENCE_S:
                        time.sleep(0.2)
                        lasts = time.monotonic() - goes_on
                        highest = max(highest, resident_mb(watch.pid))
                        scans = any(map(scan_of, told(results)))
                sent = passed() - before
                watch.send_signal(signal.SIGINT)
                watch.communicate(timeout=120)
            finally:
                watch.kill()
    counts = told(results)[-1]["metadata"]["flowints"]
    read, dropped = (counts[f"capture.{WIRE}.{name}"] for name in ("received", "dropped"))
    print(f"{sent:,} sent, {read:,} read, {dropped:,} dropped, {first:.0f} to {highest:.0f} MB")
    assert scans, "no scan was told with its process before the flood ended"
    assert dropped > 0, "the flood was no overload"
    assert counts["packets"] == read
    # Neighbours may be looked for, and routers, before and after.
    assert abs(sent - read - dropped) <= 20
    assert highest - first <= GROWTH_MB
