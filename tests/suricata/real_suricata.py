"""Runs the Suricata 7 that packaging/suricata.sh fetched over a capture, and reads what it says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from procwire.compiler import to_suricata
from procwire.rules import all_rules

ROOT = Path(__file__).parent.parent.parent
PROGRAM = ROOT / ".cache" / "suricata7" / "suricata"
TIME_LIMIT = 120

# Stream and checksum settings that leave every packet to the rules; without `midstream` the packets
# of half a connection would have no flow.
SETTINGS = """%YAML 1.1
---
default-rule-path: {directory}
default-log-dir: {directory}
stats: {{enabled: yes, interval: 1000}}
outputs:
  - eve-log: {{enabled: yes, filetype: regular, filename: eve.json, types: [alert, stats]}}
logging: {{default-log-level: warning, outputs: [console: {{enabled: yes}}]}}
unix-command: {{enabled: no}}
security: {{lua: {{allow-rules: true}}}}
packet-alert-max: 255
pcap-file: {{checksum-checks: no}}
stream: {{checksum-validation: no, drop-invalid: no, midstream: true, async-oneside: true}}
classification-file: /dev/null
reference-config-file: /dev/null
threshold-file: /dev/null
"""


class Outcome(NamedTuple):
    """What one run gave. alerts: (number of the packet from 1, sid); stats: the last record's
    counters; log: what was printed, which is empty if nothing is wrong."""

    alerts: set[tuple[int, int]]
    stats: dict[str, Any]
    log: str


def require() -> None:
    """Skip the test where no Suricata 7 could be had."""
    if not PROGRAM.exists():
        pytest.skip(f"no Suricata 7: packaging/suricata.sh 7 {PROGRAM.parent} could not fetch it")


def build_rules(directory: Path) -> None:
    """The rules file and the scripts, freshly built."""
    words, hook = ((ROOT / "lua" / name).read_text() for name in ("words.lua", "hook.lua"))
    to_suricata.build(all_rules(), directory, words, hook)


def run(directory: Path, capture: Path, *options: str) -> Outcome:
    """Run the rules of `directory` over `capture`."""
    settings = directory / "suricata.yaml"
    settings.write_text(SETTINGS.format(directory=directory))
    command = [PROGRAM, "-c", settings, "-S", directory / "procwire.rules", "-l", directory]
    done = subprocess.run(
        [*map(str, command), "-r", str(capture), "-k", "none", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    records = [json.loads(line) for line in (directory / "eve.json").read_text().splitlines()]
    (directory / "eve.json").unlink()
    # Suricata also looks into what it reassembled and into tunnels; those are no packets of the
    # capture and have no number in it.
    alerts = [record for record in records if record.get("pkt_src") == "wire/pcap"]
    stats = [record["stats"] for record in records if record["event_type"] == "stats"]
    return Outcome(
        {(alert["pcap_cnt"], alert["alert"]["signature_id"]) for alert in alerts},
        stats[-1],
        done.stdout,
    )
