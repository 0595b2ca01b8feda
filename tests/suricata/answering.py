"""Stands for a Suricata that takes commands."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path


class Answering:
    """A command socket that keeps a dataset."""

    def __init__(self, path: Path) -> None:
        self.held: set[str] = set()
        # Hangs up instead of answering the first of these commands.
        self.deaf_to: set[str] = set()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._server.accept()
            with client, client.makefile("rw") as lines:
                for line in lines:
                    if json.loads(line).get("command") in self.deaf_to:
                        self.deaf_to.clear()
                        break
                    lines.write(json.dumps({"return": "OK", "message": self._answer(line)}) + "\n")
                    lines.flush()

    def _answer(self, line: str) -> str:
        asked = json.loads(line)
        address = asked.get("arguments", {}).get("datavalue")
        if address and asked["command"] == "dataset-remove":
            self.held.discard(address)
        elif address:
            self.held.add(address)
        return "7.0.10"


def wait_until(state: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not state() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state()
