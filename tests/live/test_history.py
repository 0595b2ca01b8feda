"""What `watch --history` writes of a real connection names its process in a record of the flow."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from procwire.output.eve import timestamp

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
PROCWIRE = Path(sys.executable).with_name("procwire")
CLIENT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"


def test_history_names_the_client(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    options = ["--history", history, "--context", tmp_path / "context.db", "-o", tmp_path / "eve"]
    watch = subprocess.Popen(
        [PROCWIRE, "watch", *map(str, options)], stderr=subprocess.PIPE, text=True
    )
    assert watch.stderr is not None
    try:
        said = next((line for line in watch.stderr if "watching" in line), "")
        assert said, "it ended too early"
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            began = time.time_ns()
            client = subprocess.Popen([sys.executable, "-c", CLIENT, str(port)])
            peer = server.accept()[1][1]
            client.wait(timeout=30)
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=60)
    flow = {"timestamp": timestamp(began + 10**8), "event_type": "flow", "proto": "TCP"}
    flow |= {"src_ip": "127.0.0.1", "src_port": peer, "dest_ip": "127.0.0.1", "dest_port": port}
    ran = subprocess.run(
        [PROCWIRE, "enrich", "--history", str(history), "-"],
        input=json.dumps(flow),
        capture_output=True,
        text=True,
        check=True,
    )
    process = json.loads(ran.stdout)["metadata"]["flowvars"][0]["process"]
    assert process["pid"] == client.pid
    assert "create_connection" in process["cmdline"]
    assert process["parent"][0]["pid"] == os.getpid()
