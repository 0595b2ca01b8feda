"""Recall of every check on labelled recordings, and what is raised on benign ones.

    .venv/bin/python tests/score.py [FOLDER]

FOLDER holds wire/labels.jsonl and, beside it, facts/checks.csv; by default the recordings next to
the checkout. A check counts as found in a capture if any record, alert or anomaly, names it.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from procwire.alert import Alert
from procwire.analysis import Analysis
from procwire.capture.open import read_capture
from procwire.catalogue import catalogue
from procwire.config import Settings
from procwire.errors import InputDamaged
from procwire.output.eve import Source, record

SHARED = Path(__file__).parent.parent.parent / "shared"
# Benign label -> tiers that may not raise an alert there.
FORBIDDEN = {"gold": "AB", "csum_only": "AB", "health_only": "A"}


class Score(NamedTuple):
    """Captures by check: labelled and found, labelled and missed; and (label, check) of alerts on
    benign captures."""

    found: dict[str, list[str]]
    missed: dict[str, list[str]]
    false: dict[tuple[str, str], list[str]]


def alerts_of(capture: Path) -> list[Alert]:
    """Everything raised on one capture, up to its damage if it has any."""
    analysis = Analysis(Settings())
    alerts: list[Alert] = []
    try:
        for batch in read_capture(capture):
            alerts += analysis.packets(batch)
    except InputDamaged:
        pass
    return alerts + analysis.finish()


def is_alert(alert: Alert) -> bool:
    """Whether its record is an alert rather than an anomaly."""
    return bool(record(alert, Source())["event_type"] == "alert")


def score(folder: Path, wanted: set[str]) -> Score:
    """Run every labelled capture. wanted: the checks whose recall is counted."""
    result = Score(defaultdict(list), defaultdict(list), defaultdict(list))
    for line in (folder / "labels.jsonl").read_text().splitlines():
        label = json.loads(line)
        alerts = alerts_of(folder / label["pcap"])
        raised = {alert.check.id for alert in alerts}
        for check in wanted & set(label["checks"]):
            (result.found if check in raised else result.missed)[check].append(label["pcap"])
        forbidden = FORBIDDEN.get(label["benign"] or "", "")
        for alert in alerts:
            if alert.check.tier in forbidden and is_alert(alert):
                place = result.false[label["benign"], alert.check.id]
                if label["pcap"] not in place:
                    place.append(label["pcap"])
    return result


def main() -> None:
    """Print the table."""
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    if not (shared / "corpus" / "wire" / "labels.jsonl").exists():
        sys.exit(f"no labelled recordings at {shared / 'corpus' / 'wire'}")
    with (shared / "facts" / "checks.csv").open() as file:
        release = {row["check"] for row in csv.DictReader(file) if row["release1"] == "yes"}
    built = {entry.id for entry in catalogue()}
    result = score(shared / "corpus" / "wire", release)
    print(f"{'check':<30}{'found':>6}{'labelled':>9}  missed in")
    for check in sorted(result.found.keys() | result.missed.keys()):
        found, missed = len(result.found[check]), result.missed[check]
        why = "not built" if check not in built else " ".join(Path(path).name for path in missed)
        print(f"{check:<30}{found:>6}{found + len(missed):>9}  {why}")
    for name, checks in (("built", release & built), ("release", release)):
        found = sum(len(result.found[check]) for check in checks)
        total = found + sum(len(result.missed[check]) for check in checks)
        print(f"recall, {name} checks ({len(checks)}): {found} of {total}, {found / total:.1%}")
    print(f"alerts on benign captures: {sum(map(len, result.false.values()))}")
    for (label, check), captures in sorted(result.false.items()):
        print(f"  {label:<12}{check:<28}{' '.join(Path(path).name for path in captures)}")


if __name__ == "__main__":
    main()
