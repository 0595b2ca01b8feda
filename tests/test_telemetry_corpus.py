"""The verdict on every recording of shared/corpus/process: what is expected beside what comes out.

Run with -s to see the table. A recording is a scan for a subject (a process of a host, or a source
address) if an alert of a scan detector names it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import reading_records
from procwire.alert import Alert
from procwire.output.address import address_text

# Expectations that cannot be met from the recording alone, with the reason.
UNMET: dict[tuple[str, str], str] = {}


read = cache(reading_records.read)


def subject(expected: dict[str, Any]) -> str:
    names = ("src", "host", "image", "image_contains", "pid")
    return " ".join(str(expected[name]) for name in names if name in expected) or "anybody"


def concerns(alert: Alert, expected: dict[str, Any]) -> bool:
    """Whether an alert is about the subject of an expectation."""
    process = alert.process
    if "src" in expected:
        return alert.source is not None and address_text(alert.source.address) == expected["src"]
    checks = {
        "host": process is not None and process.host == expected.get("host"),
        "image": process is not None and process.exe == expected.get("image"),
        "pid": process is not None and process.key[1] == expected.get("pid"),
        "image_contains": process is not None and expected.get("image_contains", "") in process.exe,
    }
    return all(holds for name, holds in checks.items() if name in expected)


def is_scan(alert: Alert) -> bool:
    return alert.check.id.startswith("scan.") and not alert.is_anomaly


def rows(corpus: Path) -> list[tuple[str, str, bool, set[str]]]:
    """File, subject, whether a scan is expected, and the checks that name the subject."""
    found = []
    folder = corpus / "process"
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
        recording = json.loads(line)
        if recording["kind"] == "ground_truth":
            continue
        alerts, _, damage = read(folder / recording["file"])
        assert damage == [], recording["file"]
        for expected in recording["expect"]:
            named = {one.check.id for one in alerts if is_scan(one) and concerns(one, expected)}
            found.append((recording["file"], subject(expected), expected["scan"] is True, named))
    return found


def test_every_verdict(corpus: Path) -> None:
    wrong = []
    for file, who, expected, named in rows(corpus):
        verdict = "scan" if expected else "no scan"
        reason = UNMET.get((file, who))
        fits = bool(named) == expected
        mark = "met" if fits else reason or "WRONG"
        print(f"{file:<66} {who:<78} {verdict:<8} {', '.join(sorted(named)) or '-':<36} {mark}")
        if not fits and reason is None or fits and reason is not None:
            wrong.append((file, who, expected, named))
    assert wrong == []


def test_a_known_scanner_is_told_and_is_no_scan(corpus: Path) -> None:
    alerts, _, _ = read(corpus / "process" / "win" / "sigma_advanced_port_scanner.evtx")
    assert [(one.check.id, one.severity) for one in alerts] == [("process.known_scanner", 4)]
    process = alerts[0].process
    assert process is not None
    assert (process.program, process.host) == ("advanced_port_scanner", "srv-01.midgardnet.tech")
    assert process.user == "MIDGARDNET\\SwachchhandaP"
    assert process.command.endswith('/portable "C:/Users/SwachchhandaP/Downloads/" /lng en_us')
    assert [one.comm for one in alerts[0].ancestors] == ["advanced_port_scanner_2.5.3869.tmp"]


@pytest.mark.parametrize("name", ["zeek_lowslow_010", "zeek_lowslow_012"])
def test_whom_zeek_s_labels_call_benign_is_none(corpus: Path, name: str) -> None:
    path = corpus / "process" / "net" / f"{name}.conn.log.labeled"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    malicious = {row[2] for row in rows if len(row) > 21 and row[21] == "Malicious"}
    named = {address_text(one.source.address) for one in read(path)[0] if one.source is not None}
    assert len(named) >= 5
    assert named <= malicious


def test_an_alert_names_the_process_and_its_parents(corpus: Path) -> None:
    alerts, counters, _ = read(corpus / "process" / "win" / "purplesharp_ad_playbook_I.host.zip")
    process = alerts[0].process
    assert process is not None
    assert (process.key[1], process.user) == (7520, "THESHIRE\\pgustavo")
    assert process.command == "PurpleSharp.exe  /t T1110.003,T1558.003,T1135,T1021.006"
    assert alerts[0].ancestors[0].exe == "C:\\Windows\\System32\\cmd.exe"
    figures = {one.name: one.value for one in alerts[0].evidence}
    assert figures["hosts"] == 3
    assert figures["first_run_of"] == process.exe
    assert counters["records.told_twice"] > 10
