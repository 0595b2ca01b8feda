"""Other tools' records: every format tells the same of the same attempts, whatever is wrong."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import jsonschema
import pytest
import records
from commands import ENDS
from network_records import WRITERS
from procwire.event import Outcome
from procwire.runs.inputs import Inputs
from procwire.telemetry.event import Attempted, Resolved, Started
from procwire.telemetry.faults import Faults
from procwire.telemetry.value import address, local_moment, moment
from reading_records import FEW, events, host, raised, read, written
from records import MACHINE, START, WITH_PROCESSES

SCHEMA = Path(__file__).parent.parent.parent / "shared" / "facts" / "eve-schema-8.json"
SILENT = ("flat", "security", "winlogbeat", "ecs", "structured", "sysmon_linux", "xml")


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_tells_the_same_attempts(tmp_path: Path, form: str) -> None:
    told = events(written(tmp_path, WRITERS[form](FEW)))
    attempts = [one for one in told if isinstance(one, Attempted)]
    assert [(one.destination, one.destination_port, one.protocol) for one in attempts] == [
        (address(host), port, 6) for _, _, host, port, _ in FEW
    ]
    assert [(one.time - int(START * 1e9)) / 1e9 for one in attempts] == [
        seconds for seconds, *_ in FEW
    ]
    unknown = {Outcome.SENT} if form == "security" else {Outcome.ESTABLISHED}
    assert {one.outcome for one in attempts} == unknown
    if form in WITH_PROCESSES:
        assert {one.host for one in told} == {MACHINE}
        assert {one.actor.pid for one in attempts if one.actor} == {700}
        (start,) = (one for one in told if isinstance(one, Started))
        assert (start.actor.pid, start.parent.pid) == (700, 1)
        assert start.time == int(START * 1e9)


@pytest.mark.parametrize("form", [form for form in WRITERS if form not in SILENT])
def test_failures_are_told_by_what_tells_them(tmp_path: Path, form: str) -> None:
    told = events(written(tmp_path, WRITERS[form]([(*one[:4], False) for one in FEW])))
    outcomes = {one.outcome for one in told if isinstance(one, Attempted)}
    assert outcomes == {Outcome.REFUSED}


@pytest.mark.parametrize("form", WITH_PROCESSES)
def test_a_new_program_that_goes_through_a_small_network_is_named(
    tmp_path: Path, form: str
) -> None:
    alerts, counters, damage = read(written(tmp_path, WITH_PROCESSES[form](FEW)))
    assert damage == []
    (alert,) = alerts
    process = alert.process
    assert process is not None
    assert (alert.check.id, process.key[1], process.host) == ("scan.service_sweep", 700, MACHINE)
    assert process.program.startswith("sweep")
    assert process.user.endswith("eve")
    assert {one.attribution for one in (process, *alert.ancestors)} == {"recorded"}
    figures = {one.name: one.value for one in alert.evidence}
    assert figures["process_age_s"] == 3.0
    assert counters["records.connections"] == 3


@pytest.mark.parametrize("form", WRITERS)
def test_a_refused_sweep_is_one_in_every_format_that_tells_refusals(
    tmp_path: Path, form: str
) -> None:
    wide = [(90 + i / 10, 700, f"10.0.{i % 7}.{1 + i * 5 % 250}", 8080, False) for i in range(60)]
    names = {one.check.id for one in read(written(tmp_path, WRITERS[form](wide)))[0]}
    assert ("scan.host_sweep" in names) == (form not in SILENT), names


@pytest.mark.parametrize("form", WRITERS)
def test_a_browser_is_none_in_any_format(tmp_path: Path, form: str) -> None:
    wide = [(90 + i / 10, 700, f"198.51.{i % 7}.{1 + i * 5 % 250}", 443, True) for i in range(60)]
    assert raised(written(tmp_path, WRITERS[form](wide))) == []


@pytest.mark.parametrize("form", SILENT)
def test_where_failures_are_not_told_many_hosts_of_one_service_are_a_sweep(
    tmp_path: Path, form: str
) -> None:
    wide = [(90 + i, 700, f"10.0.1.{1 + i * i % 251}", 3389, True) for i in range(30)]
    assert raised(written(tmp_path, WRITERS[form](wide))) == ["scan.service_sweep"]


def test_system_ports_of_one_host_are_a_scan_though_nothing_is_told_of_the_answers(
    tmp_path: Path,
) -> None:
    ports = [(90 + i, 700, "10.0.1.1", 20 + i * i % 997, True) for i in range(40)]
    assert raised(written(tmp_path, records.security(ports))) == ["scan.slow_ports"]
    data = [(90 + i, 700, "10.0.1.1", 50000 + i, True) for i in range(40)]
    assert raised(written(tmp_path, records.security(data))) == []


def test_who_is_connected_to_does_not_try(tmp_path: Path) -> None:
    rows = [
        {"EventID": 3, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": MACHINE}
        | {"@timestamp": records.clock(1)}
        | records.sysmon_attempted((i, 4, f"10.0.2.{i}", 50000 + i, True), i, initiated=False)
        for i in range(1, 99)
    ]
    assert read(written(tmp_path, records.lines(rows)))[1]["records.events"] == 0


def test_two_recorders_of_one_host_tell_each_thing_once(tmp_path: Path) -> None:
    both = records.security(FEW) + records.flat(FEW)
    (alert,), counters, _ = read(written(tmp_path, both))
    assert counters["records.told_twice"] == 3
    assert counters["records.connections"] == 3
    assert alert.process is not None
    assert alert.process.exe == records.PROGRAM
    assert alert.process.user == "EXAMPLE\\eve"


@pytest.mark.parametrize("form", ["flat", "audit", "security"])
@pytest.mark.parametrize("step", [86400, -86400])
def test_a_clock_that_is_set_makes_no_program_new(tmp_path: Path, form: str, step: int) -> None:
    """One that asks three servers for their shares in turn, every half minute, for an hour."""
    asked = [
        (1.0 + 30 * i + step * (i >= 60), 700, f"10.0.0.{1 + i % 3}", 445, True) for i in range(120)
    ]
    assert raised(written(tmp_path, WRITERS[form](asked))) == []


def test_each_machine_has_its_own_clock(tmp_path: Path) -> None:
    """One is an hour ahead; their records come in turn."""
    wide = [(90 + i / 10, 700, f"10.0.1.{1 + i * i % 251}", 3389, False) for i in range(60)]
    mine = records.audit(wide).splitlines(keepends=True)
    late = [(one[0] + 3600, *one[1:]) for one in wide]
    other = records.audit(late).replace(b"node=WS1", b"node=WS2").splitlines(keepends=True)
    pairs = zip(mine, other, strict=True)
    alerts, counters, damage = read(written(tmp_path, b"".join(a + b for a, b in pairs)))
    assert damage == []
    assert counters["records.out_of_time"] == 0
    alone = [[(one.state, one.check.id) for one in alerts if host(one) == name] for name in "12"]
    assert alone[0] == alone[1] != []


def test_a_reused_process_id_is_another_process(tmp_path: Path) -> None:
    first = [(1.0, 700, "10.0.1.1", 445, True), (2.0, 700, "10.0.1.2", 445, True)]
    later = records.security([(4000.0, 700, "10.0.1.3", 445, True)]).splitlines()[1:]
    another = records.security([(3999.0, 700, "10.0.1.4", 445, True)]).splitlines()
    start = json.loads(another[0]) | {
        "NewProcessName": "C:\\Windows\\other.exe",
        "EventTime": records.clock(3998, "%Y-%m-%d %H:%M:%S"),
        "@timestamp": records.clock(3999),
    }
    content = records.security(first) + json.dumps(start).encode() + b"\n" + b"\n".join(later)
    assert raised(written(tmp_path, content)) == []


@pytest.mark.parametrize("form", WRITERS)
def test_the_content_tells_the_format_however_it_is_packed(tmp_path: Path, form: str) -> None:
    content = WRITERS[form](FEW)
    plain = events(written(tmp_path, content, "a.pcap"))
    assert events(written(tmp_path, gzip.compress(content), "a.txt")) == plain
    assert events(written(tmp_path, b"\xef\xbb\xbf" + content, "b.txt")) == plain
    assert events(written(tmp_path, content.decode().encode("utf-16"), "c.txt")) == plain
    assert events(written(tmp_path, content.replace(b"\n", b"\r\n"), "d.txt")) == plain
    with zipfile.ZipFile(tmp_path / "e.evtx", "w") as archive:
        archive.writestr("folder/dns.log", "#path\tdns\n")
        archive.writestr("folder/x", content)
    inputs = Inputs(tmp_path / "e.evtx")
    (found,) = ((one, list(one.format.read(one.source, Faults("")))) for one in inputs)
    assert found[1] == plain
    assert inputs.skipped == 1


@pytest.mark.parametrize("form", WRITERS)
def test_times_that_jump_neither_hide_nor_invent(tmp_path: Path, form: str) -> None:
    def shifted(attempts: list[records.Attempt], seconds: float) -> list[records.Attempt]:
        return [(one[0] + seconds, *one[1:]) for one in attempts]

    slow = [(i * 1200.0, 700, f"10.3.{i * i % 251}.9", 80, True) for i in range(40)]
    for jump in (-86400.0 * 3, 86400.0 * 400):
        stray = slow[:20] + shifted(slow[20:21], jump) + slow[20:]
        assert raised(written(tmp_path, WRITERS[form](stray))) == []
        reset = slow[:20] + shifted(slow[20:], jump)
        assert raised(written(tmp_path, WRITERS[form](reset))) == []
    wide = [(90 + i / 10, 700, f"10.0.{i % 7}.{1 + i * 5 % 250}", 3389, False) for i in range(99)]
    for jump in (-86400.0 * 3, 86400.0 * 400):
        stray = wide[:40] + shifted(wide[40:41], jump) + wide[41:]
        assert raised(written(tmp_path, WRITERS[form](stray))) != [], jump


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("form", ["flat", "zeek_columns"])
def test_batches_end_anywhere(tmp_path: Path, form: str, size: int, monkeypatch) -> None:
    wide = [(90 + i * 31 % 100 / 10, 700, f"10.0.1.{1 + i}", 3389, False) for i in range(99)]
    path = written(tmp_path, WRITERS[form](wide))
    whole = read(path)[0]
    monkeypatch.setattr("procwire.runs.reading.BATCH", size)
    assert read(path)[0] == whole
    assert whole != []


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2020-10-22 08:29:52.016", 1603355392_016000000),
        ("2020-10-22T08:29:52.0161234Z", 1603355392_016123400),
        ("2020-10-22T10:29:52+02:00", 1603355392_000000000),
        ("2024-11-13T12:21:43.564905+1100", 1731460903_564905000),
        ("2025-10-23T10:11:05.4354062Z UTC", 1761214265_435406200),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, time: int) -> None:
    assert moment(text) == time


def test_local_times_are_put_into_the_zone_that_fits() -> None:
    arrived = moment("2020-10-22T08:29:53Z")
    for text in ("2020-10-22 04:29:52", "2020-10-22 13:59:52", "2020-10-22 08:29:52"):
        assert local_moment(text, arrived) == moment("2020-10-22T08:29:52Z")


def test_a_scanner_under_another_name_is_told(tmp_path: Path) -> None:
    row = records.sysmon_started(700) | {
        "EventID": 1,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Hostname": MACHINE,
        "OriginalFileName": "Nmap.exe",
    }
    (alert,), _, _ = read(written(tmp_path, records.lines([row])))
    assert (alert.check.id, alert.severity) == ("process.known_scanner", 4)
    assert [(one.name, one.value) for one in alert.evidence] == [("original_file_name", "Nmap.exe")]


@pytest.mark.parametrize("form", WRITERS)
def test_alerts_of_records_are_valid_eve(run, tmp_path: Path, form: str) -> None:
    if not SCHEMA.exists():
        pytest.skip(f"no schema at {SCHEMA}")
    valid = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate
    wide = [(i / 10, 700, f"10.0.1.{1 + i * i % 251}", 3389, False) for i in range(60)]
    ran = run("read", written(tmp_path, WRITERS[form](wide)))
    assert ran.code == ENDS["findings"]
    for one in ran.records:
        valid(one)
    assert {one["event_type"] for one in ran.records} == {"alert", "stats"}
    if form in WITH_PROCESSES:
        assert ran.records[0]["host"] == MACHINE
        assert ran.records[0]["alert"]["context"]["process"]["pid"] == 700


def test_every_resolver_s_answer_is_read(tmp_path: Path) -> None:
    row = records.sysmon_started(700) | {
        "EventID": 22,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Hostname": MACHINE,
        "@timestamp": records.clock(1),
        "QueryResults": "type:  5 a.example;::ffff:10.0.0.1;fe80::1%4;cut off",
    }
    (told,) = events(written(tmp_path, records.lines([row])))
    assert isinstance(told, Resolved)
    assert told.addresses == (address("10.0.0.1"), address("fe80::1"))
