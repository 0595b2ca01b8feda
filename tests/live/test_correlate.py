"""Whose each flow of a host is, measured between two namespaces: processes that end at once,
datagrams, both families, raw sockets, accepted connections, and sockets older than the sensor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from two_hosts import FAR, FAR_4, FAR_6, NEAR, NEAR_4, NEAR_6, WIRE, server, two_hosts, within

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
PROBE = Path(__file__).with_name("whose.py")
ROUNDS = 40

# What FAR answers with: an accepting port, and closed ones.
FAR_SERVER = f"""
import socket, threading
for family, address in ((socket.AF_INET, {FAR_4!r}), (socket.AF_INET6, {FAR_6!r})):
    listener = socket.create_server((address, 7000), family=family, backlog=1000)
    threading.Thread(target=lambda l=listener: [l.accept() for _ in iter(int, 1)]).start()
print("ready", flush=True)
"""

# Each line it prints: whose a flow is. protocol, own address and port, peer's, pid.
SAY = """
import json, os, socket, struct, sys
def say(sock, protocol, peer):
    name = sock.getsockname()
    print(json.dumps([protocol, OWN[sock.family == socket.AF_INET6 and ":" in peer[0]
        and not peer[0].startswith("::ffff:")], name[1],
        peer[0].removeprefix("::ffff:"), peer[1], os.getpid()]), flush=True)
"""

# Before the sensor: a connection, a datagram socket, a connected one, a listener, two receivers.
OLDER = f"""
OWN = ({NEAR_4!r}, {NEAR_6!r})
{SAY}
stream = socket.create_connection(({FAR_4!r}, 7000))
plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
plain.bind(("", 0))
joined = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
joined.connect(({FAR_6!r}, 7001))
listener = socket.create_server((OWN[0], 7100))
print("ready", flush=True)
sys.stdin.readline()
stream.send(b"x")
say(stream, 6, ({FAR_4!r}, 7000))
plain.sendto(b"x", ({FAR_4!r}, 7002))
say(plain, 17, ({FAR_4!r}, 7002))
joined.send(b"x")
say(joined, 17, ({FAR_6!r}, 7001))
peer = listener.accept()[1]
print(json.dumps([6, OWN[0], 7100, *peer, os.getpid()]), flush=True)
"""

# After it: what is bound waits for who calls, and children try and end.
LOAD = f"""
OWN = ({NEAR_4!r}, {NEAR_6!r})
{SAY}
def connects(family, address, port):
    sock = socket.socket(family)
    try:
        sock.connect((address, port))
    except OSError:
        pass
    say(sock, 6, (address, port))
def sends(family, address, port, join):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if join:
        sock.connect((address, port))
        sock.send(b"x")
    else:
        sock.sendto(b"x", (address, port))
    say(sock, 17, (address, port))
V4, V6, MAPPED = socket.AF_INET, socket.AF_INET6, "::ffff:{FAR_4}"
WAYS = [
    (connects, V4, {FAR_4!r}, 7000), (connects, V4, {FAR_4!r}, 7009),
    (connects, V6, {FAR_6!r}, 7000), (connects, V6, {FAR_6!r}, 7009), (connects, V6, MAPPED, 7000),
    (sends, V4, {FAR_4!r}, 7003, False), (sends, V4, {FAR_4!r}, 7003, True),
    (sends, V6, {FAR_6!r}, 7003, False), (sends, V6, {FAR_6!r}, 7003, True),
    (sends, V6, MAPPED, 7003, True), (sends, V6, MAPPED, 7003, False),
]
def writes(port):
    sock = socket.socket(V4, socket.SOCK_RAW, 6)
    for target in range(8000, 8003):
        sock.sendto(struct.pack(">HHIIBBHHH", port, target, 1, 0, 0x50, 2, 1024, 0, 0),
                    ({FAR_4!r}, 0))
        print(json.dumps([6, OWN[0], port, {FAR_4!r}, target, os.getpid()]), flush=True)
def frames(port):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(({WIRE!r}, 0))
    header = bytes.fromhex("020000009802 020000009801 0800 4500001d00010000 4011 0000")
    sock.send(header + socket.inet_aton(OWN[0]) + socket.inet_aton({FAR_4!r})
              + struct.pack(">HHHH", port, 7004, 9, 0) + b"x")
    print(json.dumps([17, OWN[0], port, {FAR_4!r}, 7004, os.getpid()]), flush=True)
listener = socket.create_server(("", 7101), backlog=1000)
six = socket.create_server(("::", 7102), family=V6, backlog=1000)
silent = socket.socket(V4, socket.SOCK_DGRAM)
silent.bind(("", 7103))
print("ready", flush=True)
sys.stdin.readline()
for one in range({ROUNDS}):
    for way, *how in [*WAYS, (writes, 20000 + one), (frames, 21000 + one)]:
        if not (child := os.fork()):
            way(*how)
            os._exit(0)
        os.waitpid(child, 0)
for own, own_port, sock in ((OWN[0], 7101, listener), (OWN[1], 7102, six)):
    for one in range({ROUNDS}):
        peer = sock.accept()[1]
        print(json.dumps([6, own, own_port, *peer[:2], os.getpid()]), flush=True)
peer = silent.recvfrom(9)[1]
print(json.dumps([17, OWN[0], 7103, *peer, os.getpid()]), flush=True)
"""

CALLERS = f"""
import socket
calls = [({NEAR_4!r}, 7100), *[({NEAR_4!r}, 7101)] * {ROUNDS}, *[({NEAR_6!r}, 7102)] * {ROUNDS}]
kept = [socket.create_connection(call) for call in calls]
socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ({NEAR_4!r}, 7103))
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
    out, _ = process.communicate(line, timeout=60)
    return out


def test_flows_carry_their_process() -> None:
    with two_hosts(), server(FAR, FAR_SERVER):
        older = started(sys.executable, "-c", OLDER)
        probe = started(sys.executable, str(PROBE), WIRE)
        load = started(sys.executable, "-c", LOAD)
        for process in (older, load):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        subprocess.run(within(FAR, sys.executable, "-c", CALLERS), check=True, timeout=60)
        lines = [json.loads(line) for line in (said(older) + said(load)).splitlines()]
        seen = json.loads(said(probe))
    owners = {tuple(flow): owner for *flow, owner in seen["flows"]}
    # Two processes may be given the same port in turn; the first packet was one of theirs.
    truth: dict[tuple[int, str, int, str, int], set[int]] = {}
    for *flow, pid in lines:
        truth.setdefault(tuple(flow), set()).add(pid)
    assert len(truth) > 13 * ROUNDS
    told = {flow: owners.get(flow) for flow in truth}
    missing = [flow for flow, owner in told.items() if not owner]
    wrong = [flow for flow, owner in told.items() if owner and owner[0] not in truth[flow]]
    assert wrong == [], seen["lost"]
    assert len(missing) <= len(truth) / 100, (missing, seen["lost"])
    known = seen["known"]
    assert known["correlate.accepted_inferred"] >= 2 * ROUNDS
    assert known["correlate.originated_kernel"] > 10 * ROUNDS
    assert known["correlate.originated_none"] <= len(truth) / 100, known
    ways = Counter(owner[1] for owner in told.values() if owner)
    # The three that are older, and what older and younger listeners accepted.
    assert ways["snapshot"] == 3
    accepted = 1 + 2 * ROUNDS
    # A port that two were given in turn, too, where the second's claim came between.
    assert accepted <= ways["inferred"] <= accepted + len(truth) / 100


def test_what_a_container_accepts_is_its_process_s() -> None:
    """A port on every address of another namespace, older and younger than the sensor."""
    with two_hosts():
        listening = [sys.executable, "-c", CONTAINER]
        older = [
            started(*listening, port, family, namespace=FAR)
            for port, family in (("7200", "4"), ("7201", "6"))
        ]
        probe = started(sys.executable, str(PROBE), WIRE)
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
