"""The socket on which a running Suricata takes commands: a line of JSON each way."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import msgspec

from procwire.errors import Unavailable

BLOCKED = "procwire-blocked"
"""The dataset of blocked addresses, which the rules name: in 8 each with its process."""

_GREETING = {"version": "0.2"}
ANSWER_S = 2.0
_LONGEST_ANSWER = 1 << 20
_ENABLE = "set `unix-command: {enabled: yes}` in suricata.yaml, restart it, and run with its rights"


class Refused(Unavailable):
    """Suricata answered that it will not do it, or somebody else answered."""


class CommandSocket:
    """A connection to the socket at `path`; whatever is asked ends within `timeout_s`, by default
    ANSWER_S.

    Raises Unavailable where nobody answers there.
    """

    def __init__(self, path: Path, timeout_s: float | None = None) -> None:
        self._path = path
        self._timeout_s = timeout_s or ANSWER_S
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(self._timeout_s)
        self._rest = b""
        try:
            self._socket.connect(str(path))
            self._exchange(_GREETING)
        except OSError as problem:
            self._socket.close()
            raise self._dead(problem) from None
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """End the connection. May be called twice."""
        self._socket.close()

    def ask(self, command: str, **arguments: str) -> Any:
        """What Suricata answers to a command. Raises Refused if it says no, Unavailable if it says
        nothing."""
        message: dict[str, Any] = {"command": command}
        if arguments:
            message["arguments"] = arguments
        try:
            return self._exchange(message)
        except OSError as problem:
            raise self._dead(problem) from None

    def _exchange(self, message: dict[str, Any]) -> Any:
        end = time.monotonic() + self._timeout_s
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(msgspec.json.encode(message) + b"\n")
        while b"\n" not in self._rest:
            # The socket's timeout is each part's: who says a little now and then would never end.
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(65536)
            if not data or len(self._rest) > _LONGEST_ANSWER:
                raise ConnectionResetError(104, "Suricata hung up")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            answer = msgspec.json.decode(line, type=dict[str, Any])
        except (ValueError, RecursionError):
            raise Refused(
                f"{self._path}: this is no Suricata: {line[:80]!r}", "name its command socket"
            ) from None
        if answer.get("return") != "OK":
            reason = answer.get("message", "no reason given")
            raise Refused(f"{self._path}: {reason}", "its log may tell more")
        return answer.get("message")

    def _dead(self, problem: OSError) -> Unavailable:
        reason = problem.strerror or str(problem) or "no answer in time"
        return Unavailable(f"no Suricata answers at {self._path}: {reason}", _ENABLE)
