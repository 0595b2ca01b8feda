"""Recall of every check on labelled recordings, and what is raised on benign ones.

    .venv/bin/python tests/score.py [FOLDER]

FOLDER holds corpus/wire/labels.jsonl and facts/checks.csv; by default what lies next to the
checkout. A check counts as found in a capture if any record, alert or anomaly, names it. Why it was
missed, or raised where it should not be, score_reasons.csv says: "label" where the standard
contradicts the label, "limit" where procwire falls short.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from procwire.alert import Alert
from procwire.capture.open import read_capture
from procwire.catalogue import catalogue
from procwire.errors import InputDamaged
from procwire.output.eve import Source, record
from procwire.runs.analysis import Analysis
from procwire.settings import Settings

SHARED = Path(__file__).parent.parent.parent / "shared"
REASONS = Path(__file__).with_name("score_reasons.csv")
# Benign label -> tiers that may not raise an alert there.
FORBIDDEN = {"gold": "AB", "csum_only": "AB", "health_only": "A"}


class Reason(NamedTuple):
    """Why a record is missing or too many. kind: "label" or "limit"."""

    kind: str
    text: str


NOT_KNOWN = Reason("?", "not looked into")


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


def reasons() -> dict[tuple[str, str], Reason]:
    """Why, by check and name of the capture."""
    with REASONS.open() as file:
        return {
            (row["check"], row["capture"]): Reason(row["kind"], row["reason"])
            for row in csv.DictReader(file)
        }


def _print_recall(result: Score) -> None:
    print(f"{'check':<30}{'found':>6}{'labelled':>9}")
    checks = sorted(result.found.keys() | result.missed.keys())
    found = {check: len(result.found[check]) for check in checks}
    labelled = {check: found[check] + len(result.missed[check]) for check in checks}
    for check in checks:
        print(f"{check:<30}{found[check]:>6}{labelled[check]:>9}")
    found_all, labelled_all = sum(found.values()), sum(labelled.values())
    print(f"recall: {found_all} of {labelled_all}, {found_all / labelled_all:.1%}")


def _print_misses(result: Score) -> None:
    why = reasons()
    misses = [
        (check, name, why.get((check, name), NOT_KNOWN))
        for check in sorted(result.missed)
        for name in map(_name, result.missed[check])
    ]
    print(
        f"missed: {len(misses)}, of which the standard contradicts the label of "
        f"{sum(reason.kind == 'label' for _, _, reason in misses)}"
    )
    for check, name, reason in misses:
        print(f"  {check:<24} {name}\n      {reason.kind}: {reason.text}")


def _print_false(result: Score) -> None:
    why = reasons()
    print(f"alerts on benign captures: {sum(map(len, result.false.values()))}")
    for (label, check), captures in sorted(result.false.items()):
        for name in map(_name, captures):
            reason = why.get((check, name), NOT_KNOWN)
            print(f"  {label:<12}{check:<24} {name}\n      {reason.kind}: {reason.text}")


def _name(capture: str) -> str:
    return Path(capture).name


def main() -> None:
    """Print the table, what was missed and what was raised on benign captures."""
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    if not (shared / "corpus" / "wire" / "labels.jsonl").exists():
        sys.exit(f"no labelled recordings at {shared / 'corpus' / 'wire'}")
    with (shared / "facts" / "checks.csv").open() as file:
        release = {row["check"] for row in csv.DictReader(file) if row["release1"] == "yes"}
    built = {entry.id for entry in catalogue()}
    print(
        f"checks of the release that are not built: {' '.join(sorted(release - built)) or 'none'}"
    )
    result = score(shared / "corpus" / "wire", release)
    _print_recall(result)
    _print_misses(result)
    _print_false(result)


if __name__ == "__main__":
    main()
