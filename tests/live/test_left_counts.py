"""What was counted of a process, and could not be deleted as it ended, is not the next one's that
has its number."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from identity import process_of
from senders import LEFT_TO_THE_NEXT, python
from sensing import Sensing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]


def bpftool(*arguments: object) -> Any:
    command = ["bpftool", "-j", *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return json.loads(said) if said.strip() else None


def maps_used() -> set[int]:
    """Numbers of the maps of the programs that this process has attached."""
    used: set[int] = set()
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        if descriptor.exists():
            for program in re.findall(r"^prog_id:\s*(\d+)", descriptor.read_text(), re.MULTILINE):
                used.update(bpftool("prog", "show", "id", program).get("map_ids", ()))
    return used


def entries_of(pid: int) -> list[tuple[int, list[str], list[str]]]:
    """Map, key and value of each entry that is kept by that number, as far as they are counts."""
    maps = {number: bpftool("map", "show", "id", number)["name"] for number in maps_used()}
    entries = []
    for number, name in maps.items():
        if name in ("subjects", "subject_slots"):
            for row in bpftool("map", "dump", "id", number):
                if int.from_bytes(bytes(int(byte, 16) for byte in row["key"][:4]), "little") == pid:
                    entries.append((number, row["key"], row["value"]))
    return entries


def test_they_are_forgotten(live: Sensing) -> None:
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed (apt-get install bpftool)")
    with live.start(*python(LEFT_TO_THE_NEXT)) as process:
        assert process.stdin is not None and process.stdout is not None

        def say() -> str:
            """Lets it go on; what it says next."""
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        pid = int(say())
        left = entries_of(pid)
        assert left
        assert say() == "ended"
        for number, key, value in left:
            bpftool("map", "update", "id", number, "key", *key, "value", *value)
        assert int(say()) == pid
        assert say() == "ended"
    rows = live.wait("fanout", pid, lambda rows: (rows["measure"] == 0).sum() == 2)
    last = rows[rows["measure"] == 0]
    assert last["attempts"].tolist() == [40, 50]
    first, second = (process_of(live, row) for row in last)
    assert first.key[0] < second.key[0]
