"""What `watch --history` writes of real flows names their processes in Suricata's records."""

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
from typing import Any, Self

import pytest
from loaders import EITHER_LOADER
from procwire.output.timestamp import timestamp
from procwire.sensor.programs import Loader

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
PROCWIRE = Path(sys.executable).with_name("procwire")
HERE = "127.0.0.1"
# The sensor sees every process of its machine begin a flow; this one is on another one.
CALLER = "198.51.100.7"
WAIT_S = 60

# Accepts one connection and takes one datagram, on every address, and says when; then tells who
# called, by line: protocol, own port, peer's address and port.
SERVE = """
import json, socket
stream = socket.create_server(("", 0))
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("", 0))
ports = [one.getsockname()[1] for one in (stream, datagrams)]
print(json.dumps(ports), flush=True)
accepted, peer = stream.accept()
print(json.dumps(["TCP", ports[0], *peer]), flush=True)
data, peer = datagrams.recvfrom(9)
print(json.dumps(["UDP", ports[1], *peer]), flush=True)
input()
"""
CALL = """
import socket, sys
address, *ports = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
stream = socket.create_connection((address, ports[0]))
socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (address, ports[1]))
"""


@contextmanager
def watching(directory: Path, loader: Loader = Loader.AUTO) -> Iterator[None]:
    options = [
        "--loader",
        loader,
        "--history",
        directory / "history.jsonl",
        "--context",
        directory / "context.db",
    ]
    watch = subprocess.Popen(
        [PROCWIRE, "watch", "--loader", loader, *map(str, options), "-o", directory / "eve"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watch.stderr is not None
    try:
        assert any("watching" in line for line in watch.stderr), "it ended too early"
        yield
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=WAIT_S)


def flow_record(
    protocol: str, source: tuple[str, int], destination: tuple[str, int]
) -> dict[str, Any]:
    """As Suricata writes it of a flow that begins now."""
    began = timestamp(time.time_ns())
    ends = {"src_ip": source[0], "src_port": source[1]}
    ends |= {"dest_ip": destination[0], "dest_port": destination[1]}
    head = {"timestamp": began, "event_type": "flow", "proto": protocol}
    return head | ends | {"flow": {"start": began}}


def processes(directory: Path, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `procwire enrich` adds to them."""
    ran = subprocess.run(
        [PROCWIRE, "enrich", "--history", str(directory / "history.jsonl"), "-"],
        input="".join(f"{json.dumps(one)}\n" for one in records),
        capture_output=True,
        text=True,
        check=True,
    )
    enriched = [json.loads(line).get("metadata") for line in ran.stdout.splitlines()]
    return [one["flowvars"][0]["process"] if one else {} for one in enriched]


class Server:
    """One that is called from the far host."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid
        self.ports = self._say()

    def called(self) -> list[dict[str, Any]]:
        """Records of both flows, from the caller and from elsewhere."""
        call = [sys.executable, "-c", CALL, HERE, *map(str, self.ports)]
        subprocess.run(call, check=True, timeout=WAIT_S)
        callers = [self._say(), self._say()]
        return [
            flow_record(protocol, (CALLER, port), (HERE, own)) for protocol, own, _, port in callers
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def _say(self) -> list[Any]:
        assert self.process.stdout is not None
        said: list[Any] = json.loads(self.process.stdout.readline())
        return said


def test_names_the_client(tmp_path: Path) -> None:
    with watching(tmp_path), Server() as server:
        (*_, record) = server.called()
    (process,) = processes(tmp_path, [record | {"src_ip": HERE}])
    assert "sendto" in process["cmdline"]
    assert process["role"] == "sender"
    assert process["parent"][0]["pid"] == os.getpid()


@EITHER_LOADER
def test_names_the_server(tmp_path: Path, loader: Loader) -> None:
    """One older than the sensor, and one that it saw begin."""
    with Server() as before, watching(tmp_path, loader), Server() as after:
        records = [*before.called(), *after.called()]
    strangers = [one | {"dest_ip": "10.94.1.7"} for one in records]
    found = [
        (one.get("pid"), one.get("attribution"), one.get("role"))
        for one in processes(tmp_path, [*records, *strangers])
    ]
    assert found == [
        (before.pid, "inferred", "receiver"),
        (before.pid, "snapshot", "receiver"),
        (after.pid, "inferred", "receiver"),
        (after.pid, "kernel", "receiver"),
        *[(None, None, None)] * 4,
    ]
