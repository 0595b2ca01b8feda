"""Whose each flow of a host is, measured between two namespaces: processes that end at once,
datagrams, both families, raw sockets, accepted connections, and sockets older than the sensor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from loaders import EITHER_LOADER
from procwire.sensor.programs import Loader
from two_hosts import (
    FAR,
    FAR_4,
    FAR_6,
    NEAR,
    NEAR_4,
    NEAR_6,
    WIRE,
    ip,
    run,
    server,
    two_hosts,
    within,
)

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
PROBE, KINDS = (Path(__file__).with_name(name) for name in ("whose.py", "flow_kinds.py"))
CALLS = 7777
# Ports that the kinds of flows go to, or are called at, by other ones.
TRANSLATED = f"""
table inet translate {{
    chain out {{
        type nat hook output priority -100
        ip daddr {FAR_4} tcp dport 7800 dnat ip to {FAR_4}:7000
    }}
    chain in {{
        type nat hook prerouting priority -100
        tcp dport 8108 redirect to :7108
    }}
}}
"""
# Accepts, and calls whom it is told to.
FAR_SERVER = f"""
import socket, threading
kept = []
def accept(listener):
    while True:
        kept.append(listener.accept()[0])
for family, address in ((socket.AF_INET, {FAR_4!r}), (socket.AF_INET6, {FAR_6!r})):
    listener = socket.create_server((address, 7000), family=family, backlog=1000)
    threading.Thread(target=accept, args=(listener,)).start()
told = socket.create_server(({FAR_4!r}, {CALLS}))
print("ready", flush=True)
while True:
    line = told.accept()[0]
    way, address, port, times = line.recv(99).decode().split()
    for _ in range(int(times)):
        if way == "tcp":
            kept.append(socket.create_connection((address, int(port)), timeout=10))
        else:
            kept.append(socket.socket(type=socket.SOCK_DGRAM))
            kept[-1].sendto(b"x", (address, int(port)))
    line.sendall(b"done")
    line.close()
"""


# In the far namespace, as in a container: open on every address.
CONTAINER = """
import socket, sys
port, six = int(sys.argv[1]), sys.argv[2] == "6"
family = socket.AF_INET6 if six else socket.AF_INET
listener = socket.create_server(("", port), family=family, dualstack_ipv6=six)
print("ready", flush=True)
sys.stdin.readline()
"""
CALLS_CONTAINERS = f"""
import socket
for address, ports in (({FAR_4!r}, (7200, 7201)), ({FAR_6!r}, (7201, 7203))):
    for port in ports:
        socket.create_connection((address, port)).close()
"""


def started(*command: str, namespace: str = NEAR) -> subprocess.Popen[str]:
    """The command in a namespace, once it is ready."""
    # Unlike ip netns exec, it leaves the mounts alone, among them that of the cgroups.
    process = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{namespace}", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", command
    return process


def said(process: subprocess.Popen[str], line: str = "\n") -> str:
    out, _ = process.communicate(line, timeout=300)
    return out


def table(lines: list[list], owners: dict[tuple, list | None]) -> dict[str, Counter[str]]:
    """By kind, how many flows' processes were known in which way when their first packet was seen;
    none: not at all; wrong: another one's."""
    # Two processes may be given the same port in turn; the first packet was one of theirs.
    truth: dict[tuple, set[int]] = {}
    kinds: dict[tuple, str] = {}
    for kind, *flow, pids in lines:
        truth.setdefault(tuple(flow), set()).update(pids)
        kinds.setdefault(tuple(flow), kind)
    counts: dict[str, Counter[str]] = {}
    for flow, kind in kinds.items():
        pid, way = owners.get(flow) or (0, "none")
        counts.setdefault(kind, Counter())[way if pid in (0, *truth[flow]) else "wrong"] += 1
    return counts


@EITHER_LOADER
def test_flows_carry_their_process(loader: Loader) -> None:
    """Prints the table (pytest -s)."""
    is_translated = shutil.which("nft") is not None
    with two_hosts():
        for number in range(40):
            ip("-n", FAR, "address", "add", f"10.98.0.{100 + number}/24", "dev", WIRE)
        run(NEAR, "sysctl", "-qw", "net.ipv4.ping_group_range=0 0")
        if is_translated:
            rules = within(NEAR, "nft", "-f", "-")
            subprocess.run(rules, input=TRANSLATED, text=True, check=True)
        arguments = (WIRE, NEAR_4, NEAR_6, FAR_4, FAR_6, str(CALLS), str(int(is_translated)))
        with server(FAR, FAR_SERVER):
            load = started(sys.executable, str(KINDS), *arguments)
            probe = started(sys.executable, str(PROBE), WIRE, loader)
            lines = [json.loads(line) for line in said(load).splitlines()]
            seen = json.loads(said(probe))
    assert load.returncode == 0
    counts = table(lines, {tuple(flow): owner for *flow, owner in seen["flows"]})
    for kind, ways in counts.items():
        print(f"{kind:45}", *(f"{way} {n}" for way, n in sorted(ways.items())), sep="  ")
    known = seen["known"]
    total = sum(counts.values(), Counter[str]())
    print(f"{'all':45}", *(f"{way} {n}" for way, n in sorted(total.items())), sep="  ")
    assert len(counts) == 35 + 2 * is_translated, counts
    assert total["wrong"] == 0, (counts, seen["lost"])
    assert total["none"] <= total.total() / 100, (counts, seen["lost"])
    for kind, ways in counts.items():
        assert ways["none"] <= 1, (kind, seen["lost"])
        # Who waits for connections may have handed them on.
        assert "accepted" not in kind or ways["kernel"] == 0, kind
    for kind in ("TCP answered", "UDP", "UDP connected", "UDP passed to another process"):
        # Of twenty; flows that were given the port of an earlier one are counted with that one.
        known_at_once, flows = counts[kind]["kernel"], counts[kind].total()
        assert 15 <= flows <= known_at_once + 1, (kind, counts[kind])
    assert counts["older than the sensor"] == {"snapshot": 3}
    assert known["correlate.originated_none"] <= total.total() / 100, known


@EITHER_LOADER
def test_what_a_container_accepts_is_its_process_s(loader: Loader) -> None:
    """A port on every address of another namespace, older and younger than the sensor."""
    with two_hosts():
        listening = [sys.executable, "-c", CONTAINER]
        older = [
            started(*listening, port, family, namespace=FAR)
            for port, family in (("7200", "4"), ("7201", "6"))
        ]
        probe = started(sys.executable, str(PROBE), WIRE, loader)
        younger = started(*listening, "7203", "6", namespace=FAR)
        subprocess.run(within(NEAR, sys.executable, "-c", CALLS_CONTAINERS), check=True, timeout=60)
        seen = json.loads(said(probe))
        for process in (*older, younger):
            said(process)
    told = {
        (address, port): tuple(owner)
        for _, address, port, _, _, owner in seen["flows"]
        if 7200 <= port <= 7203 and owner
    }
    v4_only, both, late = (process.pid for process in (*older, younger))
    assert told == {
        (FAR_4, 7200): (v4_only, "inferred"),
        (FAR_4, 7201): (both, "inferred"),
        (FAR_6, 7201): (both, "inferred"),
        (FAR_6, 7203): (late, "inferred"),
    }
    known = seen["known"]
    assert (known["correlate.accepted_inferred"], known["correlate.accepted_none"]) == (4, 0)
    assert (known["correlate.originated_kernel"], known["correlate.originated_none"]) == (4, 0)
