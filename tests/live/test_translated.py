"""Whose a flow is whose addresses the captured host translates: of processes in a container, as
they are seen outside, between three namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from test_correlate import PROBE, said, started
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
    pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed"),
]
INSIDE = f"pwtest-inside-{os.getpid()}"
INSIDE_4, GATEWAY_4 = "172.30.0.2", "172.30.0.1"
INSIDE_6, GATEWAY_6 = "2001:db8:99::2", "2001:db8:99::1"
RULES = f"""
table inet translate {{
    chain out {{
        type nat hook postrouting priority 100
        oifname "{WIRE}" masquerade random
    }}
    chain in {{
        type nat hook prerouting priority -100
        tcp dport 8080 dnat ip to {INSIDE_4}:80
    }}
}}
"""
FAR_SERVER = f"""
import socket
open = [socket.create_server(({FAR_4!r}, 7000), backlog=100)]
print("ready", flush=True)
while True:
    open.append(open[0].accept()[0])
"""
# Each child tries one port that nobody else tries, and says so.
CONTAINER = f"""
import json, os, socket, sys
listener = socket.create_server(("", 80))
print("ready", flush=True)
sys.stdin.readline()
V4, V6, STREAM, DATAGRAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
for number in range(20):
    for family, kind, address, port in (
        (V4, STREAM, {FAR_4!r}, 7300), (V4, DATAGRAM, {FAR_4!r}, 7400),
        (V6, STREAM, {FAR_6!r}, 7500), (V6, DATAGRAM, {FAR_6!r}, 7600),
    ):
        if not (child := os.fork()):
            sock = socket.socket(family, kind)
            sock.settimeout(10)
            try:
                sock.connect((address, port + number))
                sock.send(b"x")
            except OSError:
                pass
            os._exit(0)
        os.waitpid(child, 0)
        print(json.dumps([6 if kind == STREAM else 17, port + number, child]), flush=True)
print(json.dumps([6, 8080, os.getpid()]), flush=True)
listener.accept()
"""
CALLS = f"import socket; socket.create_connection(({NEAR_4!r}, 8080)).close()"


@contextmanager
def container() -> Iterator[None]:
    """A namespace behind the near one, which translates its addresses."""
    ip("netns", "add", INSIDE)
    try:
        ip("link", "add", "eth0", "netns", INSIDE, "type", "veth", "peer", "in0", "netns", NEAR)
        for namespace, name, four, six in (
            (INSIDE, "eth0", INSIDE_4, INSIDE_6),
            (NEAR, "in0", GATEWAY_4, GATEWAY_6),
        ):
            ip("-n", namespace, "address", "add", f"{four}/24", "dev", name)
            ip("-n", namespace, "address", "add", f"{six}/64", "dev", name, "nodad")
            ip("-n", namespace, "link", "set", name, "up")
        ip("-n", INSIDE, "route", "add", "default", "via", GATEWAY_4)
        ip("-n", INSIDE, "-6", "route", "add", "default", "via", GATEWAY_6)
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            run(NEAR, "sysctl", "-qw", setting)
        subprocess.run(within(NEAR, "nft", "-f", "-"), input=RULES, text=True, check=True)
        yield
    finally:
        ip("netns", "del", INSIDE)


def test_a_container_s_processes_are_named_outside() -> None:
    with two_hosts(), container(), server(FAR, FAR_SERVER):
        inside = started(sys.executable, "-c", CONTAINER, namespace=INSIDE)
        probe = started(sys.executable, str(PROBE), WIRE, "libbpf")
        assert inside.stdin is not None
        inside.stdin.write("\n")
        inside.stdin.flush()
        subprocess.run(within(FAR, sys.executable, "-c", CALLS), check=True, timeout=60)
        truth = {tuple(flow): pid for *flow, pid in map(json.loads, said(inside).splitlines())}
        seen = json.loads(said(probe))
    told = {}
    for protocol, address, port, _, peer_port, owner in seen["flows"]:
        if address in (NEAR_4, NEAR_6):
            told[protocol, port if port == 8080 else peer_port] = owner
    assert len(truth) == 4 * 20 + 1
    named = {flow: told.get(flow) and told[flow][0] for flow in truth}
    assert named == truth, seen["lost"]
    assert {told[flow][1] for flow in truth} == {"inferred"}
    assert seen["known"]["correlate.accepted_inferred"] >= 1
