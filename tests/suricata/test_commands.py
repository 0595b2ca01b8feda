"""The command socket, and who else may listen there: all that is asked ends, with an answer or a
reason."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from procwire.errors import Unavailable
from procwire.settings.processes import BlockSettings
from procwire.suricata import commands
from procwire.suricata.block import Blocker
from procwire.suricata.commands import CommandSocket, Refused
from procwire.suricata.protected import Protected

TOO_LITTLE_S, PATIENCE_S = 0.2, 60
AT_THE_START = 3  # questions: a greeting, the version, when rules were loaded
LOTS = b'{"return":"OK","message":"' + bytes([0x61]) * (3 << 20)


def test_says_that_nobody_answers(tmp_path: Path) -> None:
    (tmp_path / "no-socket").write_text("")
    for path in (tmp_path / "missing", tmp_path / "no-socket", tmp_path / ("long" * 50)):
        with pytest.raises(Unavailable, match="unix-command"):
            Blocker(path, BlockSettings(), Protected(()), print)


def answer(what: bytes) -> Callable[[socket.socket], None]:
    """Says this, and hangs up."""
    return lambda client: client.sendall(what)


def trickle(client: socket.socket) -> None:
    """Never comes to the end of a line, nor to an end at all."""
    while True:
        client.sendall(b" ")


def silence(client: socket.socket) -> None:
    """Waits for the other end to hang up."""
    while client.recv(100):
        pass


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (answer(b""), Unavailable),
        (answer(b'{"return":'), Unavailable),
        (answer(LOTS), Unavailable),
        (answer(b"no json\n"), Refused),
        (answer(b"[]\n"), Refused),
        (answer(b'{"return":1}\n'), Refused),
        (answer(b'{"return":"\xff"}\n'), Refused),
        (answer(b'{"return":' + b"[" * 100_000 + b"\n"), Refused),
        (trickle, Unavailable),
        (silence, Unavailable),
    ],
)
def test_takes_any_answer(
    tmp_path: Path, serve: Callable[[socket.socket], None], error: type[Exception]
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()

        def served() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                try:
                    serve(client)
                except OSError:
                    # It hung up.
                    return

        thread = threading.Thread(target=served)
        thread.start()
        with pytest.raises(error) as raised:
            CommandSocket(tmp_path / "socket", TOO_LITTLE_S)
        assert type(raised.value) is error
        thread.join()


def test_who_never_answers_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers at the start, hangs up, and accepts the next connection without a word."""
    monkeypatch.setattr(commands, "ANSWER_S", PATIENCE_S)
    accepted, speaks = threading.Event(), threading.Event()
    said: list[str] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()

        def serve() -> None:
            for silent in (False, True):
                client, _ = server.accept()
                with client, client.makefile("rw") as lines:
                    if silent:
                        accepted.set()
                        speaks.wait(PATIENCE_S)
                    for _ in range(AT_THE_START):
                        lines.readline()
                        lines.write(json.dumps({"return": "OK", "message": "8.0"}) + "\n")
                        lines.flush()

        threading.Thread(target=serve, daemon=True).start()
        blocker = Blocker(tmp_path / "socket", BlockSettings(), Protected(()), said.append)
        blocker.keep(now=10)
        assert said[-1].endswith("trying again")
        blocker.keep(now=20)
        assert accepted.wait(PATIENCE_S)
        blocker.keep(now=22)
        assert blocker.counters()["block.reconnected"] == 0
        speaks.set()
        end = time.monotonic() + PATIENCE_S
        now = 30
        while blocker.counters()["block.reconnected"] == 0 and time.monotonic() < end:
            blocker.keep(now)
            now += 1
            time.sleep(0.01)
        blocker.close()
    assert blocker.counters()["block.reconnected"] == 1
