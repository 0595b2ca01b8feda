"""Programs that have a Suricata block hosts: `procwire watch` itself, and `feed` by its results."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inline_site import Inline
from procwire.compiler.to_suricata import BLOCKED_PEER_SID, BLOCKED_SID

PROCWIRE = Path(sys.executable).with_name("procwire")


class Blocking:
    """A program that runs. said: what, by its end."""

    def __init__(self, pid: int) -> None:
        self.pid, self.said = pid, ""


@contextmanager
def running(ready: str, *words: object) -> Iterator[Blocking]:
    """A command of procwire meanwhile, from when it says that it is ready."""
    command = [str(PROCWIRE), *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    program = Blocking(process.pid)
    try:
        assert any(ready in line for line in process.stderr), "it ended too early"
        yield program
    finally:
        process.send_signal(signal.SIGINT)
        _, program.said = process.communicate(timeout=60)


@contextmanager
def watching(suricata: Inline, results: Path, context: Path) -> Iterator[Blocking]:
    """`procwire watch --suricata`."""
    options = "--suricata", suricata.socket, "--context", context, "-o", results
    with running("watching", "watch", *options) as program:
        yield program


@contextmanager
def feeding(suricata: Inline, results: Path, context: Path) -> Iterator[Blocking]:
    """`procwire watch`, and `procwire suricata feed` as it would run elsewhere, with a context of
    its own."""
    words = "suricata", "feed", suricata.socket, results, "--context", results.with_suffix(".db")
    with (
        running("watching", "watch", "--context", context, "-o", results),
        running("blocking", *words) as program,
    ):
        yield program


def is_block(record: dict[str, Any]) -> bool:
    return record["alert"]["signature_id"] in (BLOCKED_SID, BLOCKED_PEER_SID)
