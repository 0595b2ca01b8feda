"""Runs a Suricata that packaging/suricata.sh fetched over a capture, and reads what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent
VERSIONS = ("7", "8")
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


# As it comes, with what it tells of headers and streams by itself.
PLAIN_SETTINGS = """%YAML 1.1
---
default-log-dir: {directory}
outputs:
  - eve-log:
      enabled: yes
      filename: eve.json
      types: [anomaly: {{enabled: yes, types: {{decode: yes, stream: yes, applayer: no}}}}]
logging: {{default-log-level: warning, outputs: [console: {{enabled: yes}}]}}
unix-command: {{enabled: no}}
pcap-file: {{checksum-checks: no}}
stream: {{checksum-validation: no}}
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


def program(version: str) -> Path:
    """The Suricata of a major version; skips the test where there is none."""
    found = ROOT / ".cache" / f"suricata{version}" / "suricata"
    if not found.exists():
        pytest.skip(f"no Suricata {version}: packaging/suricata.sh {version} {found.parent}")
    return found


def build_rules(directory: Path) -> None:
    """The rules file and the scripts, as they are committed."""
    shutil.copytree(ROOT / "lua" / "generated", directory, dirs_exist_ok=True)


def troubles(stats: dict[str, Any]) -> dict[str, int]:
    """Counters of `stats` that have to be 0 and are not: rules that did not load, scripts that
    failed, alerts that found no room."""
    detect = stats["detect"]
    counters = {
        "rules_failed": detect["engines"][0]["rules_failed"],
        "alert_queue_overflow": detect["alert_queue_overflow"],
        **{f"lua.{name}": count for name, count in detect.get("lua", {}).items()},
    }
    return {name: count for name, count in counters.items() if count}


def run(suricata: Path, directory: Path, capture: Path, *options: str) -> Outcome:
    """Run the program `suricata` with the rules of `directory` over `capture`."""
    settings = directory / "suricata.yaml"
    settings.write_text(SETTINGS.format(directory=directory))
    command = [suricata, "-c", settings, "-S", directory / "procwire.rules", "-l", directory]
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


def events(capture: Path, directory: Path) -> dict[int, set[str]]:
    """What Suricata 7 tells without any rule: events by number of the packet. What it put together
    has none."""
    settings = directory / "suricata.yaml"
    settings.write_text(PLAIN_SETTINGS.format(directory=directory))
    (directory / "none.rules").touch()
    words = [program("7"), "-c", settings, "-S", directory / "none.rules", "-l", directory]
    subprocess.run(
        [*map(str, words), "-r", str(capture), "-k", "none", "--runmode", "single"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=TIME_LIMIT,
        check=True,
    )
    told: dict[int, set[str]] = defaultdict(set)
    for line in (directory / "eve.json").read_text().splitlines():
        record = json.loads(line)
        if "pcap_cnt" in record:
            told[record["pcap_cnt"]].add(record["anomaly"].get("event", ""))
    return told
