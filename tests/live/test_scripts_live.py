"""Which script an interpreter runs, as the kernel's events tell it: given by name, and by its first
line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from identity import process_of
from procwire.event import EventKind
from sensing import Sensing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]
INTERPRETER = str(Path(sys.executable).resolve())
# Whatever else it is given must not matter.
OTHER = "/opt/approved.py"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that tries a port that nobody answers."""
    path = tmp_path / "poller"
    path.write_text(
        f"#!{INTERPRETER}\nimport socket\nsocket.socket().connect_ex(('127.0.0.1', 7002))\n"
    )
    path.chmod(0o755)
    return path


def told(live: Sensing, *command: str) -> str:
    """What a command is known by."""
    pid, _ = live.run(*command)
    live.connections(pid, 1)
    return process_of(live, live.rows("connection", pid)[0]).identity


def test_a_script_is_known_by_its_whole_path(live: Sensing, script: Path) -> None:
    """However it was started, and whether or not /proc could be read before it ended."""
    assert told(live, INTERPRETER, str(script), OTHER) == str(script)
    assert told(live, str(script), OTHER) == str(script)


def test_its_executable_is_the_interpreter_without_any_look_into_proc(
    live: Sensing, script: Path
) -> None:
    pid, _ = live.run(str(script))
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    executed = rows[rows["kind"] == EventKind.EXEC][-1]
    assert executed["exe"] == INTERPRETER.encode()
    assert executed["argv"].split(b"\0")[:2] == [INTERPRETER.encode(), str(script).encode()]


def test_what_runs_behind_options_is_the_interpreter_s(live: Sensing, script: Path) -> None:
    code = f"exec(open({str(script)!r}).read())"
    assert told(live, INTERPRETER, "-c", code, OTHER) == INTERPRETER
    assert told(live, INTERPRETER, "-X", "utf8", str(script)) == INTERPRETER
