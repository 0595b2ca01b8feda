"""Two namespaces joined by a wire, for real tools to send over, and tcpdump at one end of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEAR, FAR = (f"pwtest-{side}-{os.getpid()}" for side in ("near", "far"))
# The same interface name at both ends; 10.98.0.0/24 and 2001:db8:98::/64 between them.
WIRE = "veth0"
NEAR_4, FAR_4 = "10.98.0.1", "10.98.0.2"
NEAR_6, FAR_6 = "2001:db8:98::1", "2001:db8:98::2"
NEAR_MAC, FAR_MAC = "02:00:00:00:98:01", "02:00:00:00:98:02"

# With a buffer in which all has room: nothing may be lost.
SNIFFER = ("tcpdump", "-Z", "root", "--immediate-mode", "-B16384", "-i", WIRE, "-U", "-w")
# The last packet of a capture, so that all before it are known to be there.
GOODBYE = b"that was all of it"
SAY_GOODBYE = f"""
import socket
socket.socket(type=socket.SOCK_DGRAM).sendto({GOODBYE!r}, ({FAR_4!r}, 9))
"""


def within(namespace: str, *command: str) -> list[str]:
    """The command that runs `command` in a namespace."""
    return ["ip", "netns", "exec", namespace, *command]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def run(namespace: str, *command: str, timeout: float = 60) -> None:
    """Run a command in a namespace; it has to succeed."""
    done = subprocess.run(
        within(namespace, *command), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)


@contextmanager
def two_hosts() -> Iterator[None]:
    """Make both namespaces and the wire, and remove them."""
    try:
        ip("netns", "add", NEAR)
        ip("netns", "add", FAR)
        ends = (WIRE, "netns", NEAR, "type", "veth", "peer", "name", WIRE)
        ip("link", "add", *ends, "netns", FAR)
        for namespace, four, six, mac in (
            (NEAR, NEAR_4, NEAR_6, NEAR_MAC),
            (FAR, FAR_4, FAR_6, FAR_MAC),
        ):
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", WIRE, "address", mac)
            ip("-n", namespace, "address", "add", f"{four}/24", "dev", WIRE)
            ip("-n", namespace, "address", "add", f"{six}/64", "dev", WIRE, "nodad")
            ip("-n", namespace, "link", "set", WIRE, "up")
            for family in ("ipv4", "ipv6"):
                # A kernel that asks five seconds later whether a neighbour is still there would
                # make an answer out of what nobody should have asked for.
                patience = f"net.{family}.neigh.{WIRE}.delay_first_probe_time=3600"
                run(namespace, "sysctl", "-qw", patience)
        yield
    finally:
        for namespace in (NEAR, FAR):
            subprocess.run(["ip", "netns", "del", namespace], check=False)


@contextmanager
def server(namespace: str, script: str) -> Iterator[None]:
    """A Python script that runs in a namespace once it has said "ready", until the end."""
    process = subprocess.Popen(
        within(namespace, sys.executable, "-c", script), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def captured(file: Path) -> Iterator[None]:
    """Record into `file` what passes the near end of the wire, to the last packet."""
    sniffer = subprocess.Popen(within(NEAR, *SNIFFER, str(file)), stderr=subprocess.PIPE, text=True)
    try:
        assert sniffer.stderr is not None
        assert any("listening" in line for line in sniffer.stderr)
        yield
        run(NEAR, sys.executable, "-c", SAY_GOODBYE)
        deadline = time.monotonic() + 30
        while GOODBYE not in file.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        sniffer.terminate()
        sniffer.communicate(timeout=30)
