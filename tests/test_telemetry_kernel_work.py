"""Connections that Windows' kernel makes for a process are its own, as far as can be known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import records
from reading_records import FEW, raised, read, written
from records import MACHINE


def kernel_connects(*before: dict) -> bytes:
    """Attempts of Windows' kernel on the hosts that process 700 has resolved."""
    head = {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Hostname": MACHINE,
        "@timestamp": records.clock(9),
    }
    rows = [head | {"EventID": 1} | records.sysmon_started(700), *(head | one for one in before)]
    for place, one in enumerate(FEW):
        fields = records.sysmon_attempted((*one[:1], 4, *one[2:]), place)
        rows.append(head | {"EventID": 3} | fields | {"Image": "System", "ProcessGuid": "{0-1}"})
    return records.lines(rows)


def test_what_the_kernel_does_for_a_process_is_ascribed_to_it(tmp_path: Path) -> None:
    asked = [
        {
            **records.sysmon_started(700),
            "EventID": 22,
            "UtcTime": records.clock(seconds - 0.5, "%Y-%m-%d %H:%M:%S.%f"),
            "QueryResults": f"type:  5 alias.example;::ffff:{host};",
        }
        for seconds, _, host, *_ in FEW
    ]
    (alert,), counters, _ = read(written(tmp_path, kernel_connects(*asked)))
    assert alert.process is not None
    assert (alert.process.key[1], alert.process.attribution) == (700, "inferred")
    assert counters["records.inferred"] == 3


@pytest.mark.parametrize(
    ("program", "age", "names"),
    [
        ("C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe", 1, []),
        ("C:\\Program Files (x86)\\Nmap\\nmap.exe", 1, ["scan.service_sweep"]),
        ("C:\\Program Files (x86)\\Nmap\\nmap.exe", 99, []),
        ("C:\\Windows\\Temp\\x.exe", 1, ["scan.service_sweep"]),
        ("C:\\Windows\\explorer.exe", 1, []),
        (records.PROGRAM, 99, []),
    ],
)
def test_what_is_installed_or_old_may_administer(
    tmp_path: Path, program: str, age: int, names: list[str]
) -> None:
    later = [(one[0] + age, *one[1:]) for one in FEW]
    told = records.flat(later).decode().replace(json.dumps(records.PROGRAM), json.dumps(program))
    assert [name for name in raised(written(tmp_path, told.encode())) if "scan." in name] == names


@pytest.mark.parametrize(
    ("program", "found"), [("powershell.exe", 1), ("explorer.exe", 0), ("cmd.exe", 1)]
)
def test_shares_that_a_script_host_has_the_kernel_open_are_its_doing(
    tmp_path: Path, program: str, found: int
) -> None:
    asked = [
        {
            **records.sysmon_started(700),
            "EventID": 22,
            "UtcTime": records.clock(seconds - 0.5, "%Y-%m-%d %H:%M:%S.%f"),
            "QueryResults": f"::ffff:{host};",
        }
        for seconds, _, host, *_ in FEW
    ]
    content = kernel_connects(*asked).decode()
    content = content.replace(json.dumps(records.PROGRAM), json.dumps(f"C:\\Windows\\{program}"))
    assert len(read(written(tmp_path, content.encode()))[0]) == found


def other_work(*pids: int) -> list[dict]:
    """Processes that talk to a server elsewhere just before each attempt of the kernel."""
    return [
        records.sysmon_attempted((seconds - 1.5, pid, "198.51.100.7", 443, True), 900 + place)
        | {"EventID": 3, "Image": f"C:\\Windows\\{'powershell' if pid == 700 else pid}.exe"}
        for place, (seconds, *_) in enumerate(FEW)
        for pid in pids
    ]


@pytest.mark.parametrize(("pids", "found"), [((700,), 1), ((700, 701), 0)])
def test_who_alone_is_at_work_has_the_kernel_do_it(
    tmp_path: Path, pids: tuple[int, ...], found: int
) -> None:
    content = kernel_connects(*other_work(*pids)).decode()
    content = content.replace(
        json.dumps(records.PROGRAM), json.dumps("C:\\Windows\\powershell.exe")
    )
    assert len(read(written(tmp_path, content.encode()))[0]) == found


def test_a_service_is_nobody_s_work(tmp_path: Path) -> None:
    content = (
        kernel_connects(*other_work(700))
        .decode()
        .replace("EXAMPLE\\\\eve", "NT AUTHORITY\\\\SYSTEM")
    )
    assert read(written(tmp_path, content.encode()))[0] == []


def test_what_nobody_asked_for_stays_the_kernel_s(tmp_path: Path) -> None:
    alerts, counters, _ = read(written(tmp_path, kernel_connects()))
    assert (alerts, counters["records.inferred"]) == ([], 0)
