"""Commands that run meanwhile, procwire's above all: begun, waited for, and what they told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

PROCWIRE = Path(sys.executable).with_name("procwire")
ROOT = Path(__file__).parent.parent.parent
START_S = 600


def started(command: list[str], sign: str) -> subprocess.Popen[str]:
    """The running command, once its stderr has said `sign`. Where nothing is compiled yet, that
    takes minutes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    too_long = threading.Timer(START_S, process.kill)
    too_long.start()
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if sign in line:
                return process
    finally:
        too_long.cancel()
    process.communicate()
    raise AssertionError(f"ended too early, or killed after {START_S} s: {''.join(said)}")


def records(process: subprocess.Popen[str]) -> tuple[list[dict], str]:
    """What it has told by its end, which this makes: its records, and its talk."""
    process.send_signal(signal.SIGTERM)
    out, talk = process.communicate(timeout=30)
    return [json.loads(line) for line in out.splitlines()], talk


def ended(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What a command that ends by itself said."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def completed(command: list[str]) -> int:
    """Runs a command to its end; its pid, as others on this machine may run the same program."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        assert process.wait() == 0
        return process.pid
