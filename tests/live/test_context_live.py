"""What is known of a site on this host's kernel: a program that is new here waits until it is
approved, and an expected alert is counted instead of told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands_running import PROCWIRE, records, started
from procwire.context.store import Store
from sensing import namespace

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
NAMESPACE = f"pwtest-context-{os.getpid()}"
# A source that is not the destination: the kernel would take it for a connection to itself.
CLIENT = """
import socket
server = socket.create_server(("10.99.0.2", 22))
with socket.create_connection(("10.99.0.2", 22), source_address=("10.99.0.1", 0)):
    server.accept()[0].close()
"""


@pytest.fixture
def within() -> Iterator[list[str]]:
    """Command prefix that runs in a namespace of its own."""
    with namespace(NAMESPACE):
        yield ["ip", "netns", "exec", NAMESPACE]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A Python that no other process of this machine runs."""
    return Path(shutil.copy(Path(sys.executable).resolve(), tmp_path / "client"))


def watched(within: list[str], context: Path, program: Path) -> list[str]:
    """The checks that a watch tells of the client's program."""
    chosen = ["--context", str(context), "--set", "baseline.learning_s=0"]
    watch = started([str(PROCWIRE), "watch", *chosen], "watching")
    home = os.environ | {"PYTHONHOME": sys.base_prefix}
    subprocess.run([*within, str(program), "-c", CLIENT], env=home, check=True)
    told, _ = records(watch)
    alerts = [record["alert"] for record in told if record["event_type"] == "alert"]
    return [
        alert["metadata"]["rule"][0]
        for alert in alerts
        if alert["context"].get("process", {}).get("exe") == str(program)
    ]


def procwire(*words: str) -> str:
    done = subprocess.run([PROCWIRE, *words], check=True, capture_output=True, text=True)
    return done.stdout


def test_a_new_program_waits_until_it_is_approved(
    within: list[str], program: Path, tmp_path: Path
) -> None:
    context = tmp_path / "context.db"
    here = ["--context", str(context)]
    assert watched(within, context, program) == ["first_seen.program"]
    waiting = [
        one
        for one in json.loads(procwire("baseline", "pending", "--json", *here))
        if one["habit"]["program"] == str(program)
    ]
    kinds = {one["habit"]["kind"]: one for one in waiting}
    assert set(kinds) == {"program", "service", "use"}
    assert kinds["service"]["habit"]["service"] == "ssh"
    assert watched(within, context, program) == [], "it is told once"
    number = str(kinds["program"]["id"])
    procwire("baseline", "deny", number, *here)
    assert "first_seen.program" in watched(within, context, program)
    words = ["--exe", str(program), "--reason", "a test", "--expires", "1d"]
    procwire("allow", "add", *words, *here)
    assert watched(within, context, program) == []
    (entry,) = json.loads(procwire("allow", "list", "--json", *here))
    assert entry["suppressed"] >= 1
    with Store(context, read_only=True) as store:
        noted = store.rows(
            "SELECT threshold, observed > 0, current FROM in_force WHERE setting = 'fanout.hosts'"
        )
    assert noted == [(25, 1, 1)]
