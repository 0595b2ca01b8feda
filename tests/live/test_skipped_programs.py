"""Executables that the settings take out of the count: by the file that runs, not by its name."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from procwire.errors import UsageError
from procwire.event import EventKind
from procwire.sensor.loader import Sensor
from procwire.sensor.settings import SensorSettings
from senders import PROBED_PORT, PROCESS_PER_PROBE
from sensing import SETTINGS, Sensing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]


@pytest.fixture
def allowed(tmp_path: Path) -> str:
    """A shell of our own, which is another file than the machine's."""
    program = tmp_path / "allowed"
    shutil.copy("/bin/bash", program)
    return str(program)


def skipping(program: str, children: bool = False) -> SensorSettings:
    return SensorSettings(
        window_ns=SETTINGS.window_ns, skip_programs=(program,), skip_children=children
    )


def attempts(seen: Sensing, *command: str) -> int:
    """Of the process and what it starts: as many as were reported at its end."""
    pid, _ = seen.run(*command)
    seen.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    # Children report for themselves, where their parent's program is left out.
    rows = seen.all("fanout")
    seen.seen.clear()
    # So does whatever else runs on this machine.
    ours = rows["last"]["port"] == PROBED_PORT
    return int(rows["attempts"][ours & (rows["measure"] == 0)].sum())


@pytest.fixture
def begun(live: Sensing, allowed: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of that program, which probes once it is written to."""
    command = ["ip", "netns", "exec", live.namespace, allowed, "-c"]
    command.append(f"echo ready; read line; {PROCESS_PER_PROBE}")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


def test_its_processes_older_ones_too_and_their_forks_are_not_counted_and_others_are(
    live: Sensing, allowed: str, begun: subprocess.Popen[bytes]
) -> None:
    with Sensor(skipping(allowed), loader=live.sensor.loader) as sensor:
        seen = Sensing(sensor, live.namespace)
        begun.communicate(b"\n", timeout=30)
        seen.wait("process", begun.pid, lambda rows: EventKind.EXIT in rows["kind"])
        assert len(seen.rows("fanout", begun.pid)) == 0
        before = sensor.counters()["skipped_program"]
        assert before >= 40
        assert attempts(seen, allowed, "-c", PROCESS_PER_PROBE) == 0
        assert sensor.counters()["skipped_program"] >= before + 40
        assert attempts(seen, "/bin/bash", "-c", PROCESS_PER_PROBE) == 40
        # What it starts is another program, unless it is asked for.
        child = ("-c", '/bin/bash -c "$0"; true', PROCESS_PER_PROBE)
        assert attempts(seen, allowed, *child) == 40
        # The file that was there is not what runs now.
        Path(allowed).unlink()
        shutil.copy("/bin/bash", allowed)
        assert attempts(seen, allowed, "-c", PROCESS_PER_PROBE) == 40


def test_what_it_starts_is_skipped_where_asked_for(live: Sensing, allowed: str) -> None:
    child = ("-c", '/bin/bash -c "$0"; true', PROCESS_PER_PROBE)
    with Sensor(skipping(allowed, children=True), loader=live.sensor.loader) as sensor:
        seen = Sensing(sensor, live.namespace)
        assert attempts(seen, allowed, *child) == 0
        assert attempts(seen, "/bin/bash", "-c", PROCESS_PER_PROBE) == 40


def test_a_script_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(UsageError, match="is a script, which its interpreter executes"):
        Sensor(skipping(str(script)))
    with pytest.raises(UsageError, match="No such file or directory; name an executable's file"):
        Sensor(skipping(str(tmp_path / "missing")))
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(UsageError, match="no regular file; name an executable's file"):
            Sensor(skipping(str(path)))
    with pytest.raises(UsageError, match="null (byte|character.*); name an executable's file"):
        Sensor(skipping("/bin/\0sh"))
