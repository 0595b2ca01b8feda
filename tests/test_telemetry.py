"""Other tools' records: every format tells the same of the same attempts, whatever is wrong."""

from __future__ import annotations

import contextlib
import gzip
import json
import zipfile
from pathlib import Path

import jsonschema
import pytest
import records
from commands import ENDS
from hypothesis import given, settings
from hypothesis import strategies as st
from procwire.alert import Alert
from procwire.errors import InputDamaged, RecordsDamaged
from procwire.event import Outcome
from procwire.inputs import Inputs
from procwire.reading import Reading
from procwire.settings import Settings
from procwire.telemetry.event import Attempted, Event, Resolved, Started
from procwire.telemetry.faults import Faults
from procwire.telemetry.join import Join
from procwire.telemetry.lines import LINE_LIMIT
from procwire.telemetry.value import address, epoch, local_moment, moment
from records import MACHINE, START, WITH_PROCESSES, WRITERS

SCHEMA = Path(__file__).parent.parent.parent / "shared" / "facts" / "eve-schema-8.json"
FEW = [(1.0 + i, 700, f"10.0.1.{1 + i}", 445, True) for i in range(3)]
SILENT = ("flat", "security", "winlogbeat", "ecs", "structured", "sysmon_linux", "xml")


def events(path: Path, faults: Faults | None = None) -> list[Event]:
    (found,) = Inputs(path)
    assert found.format is not None
    return list(found.format.read(found.source, faults or Faults(str(path))))


def written(tmp_path: Path, content: bytes, name: str = "records") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def read(path: Path) -> tuple[list[Alert], dict[str, int], list[str]]:
    """Alerts, counters and damage."""
    reading, alerts, damage = Reading(Settings(), 1), [], []
    inputs = iter(Inputs(path))
    while True:
        try:
            found = next(inputs, None)
            if found is None:
                break
            for step in reading.steps(found):
                alerts += step.alerts
        except InputDamaged as problem:
            damage.append(str(problem))
    return alerts + reading.finish(), reading.counters(), damage


def raised(path: Path) -> list[str]:
    return [one.check.id for one in read(path)[0] if one.state == "raised"]


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
    assert process.attribution == "recorded"
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


def test_two_recorders_of_one_host_tell_each_thing_once(tmp_path: Path) -> None:
    both = records.security(FEW) + records.flat(FEW)
    (alert,), counters, _ = read(written(tmp_path, both))
    assert counters["records.told_twice"] == 3
    assert counters["records.connections"] == 3
    assert alert.process is not None
    assert alert.process.exe == records.PROGRAM
    assert alert.process.user == "EXAMPLE\\eve"


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


def host(alert: Alert) -> str:
    assert alert.process is not None
    assert alert.process.host is not None
    return alert.process.host[2]


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
def test_malformed_lines_are_counted_named_and_left_out(tmp_path: Path, form: str) -> None:
    good = WRITERS[form](FEW).splitlines(keepends=True)
    wrong = {
        "audit": b"type=SYSCALL msg=audit(x): broken\n",
        "sysmon_linux": b"<Channel>Linux-Sysmon/Operational</Channel><EventID>3</EventID> <Data\n",
        "xml": b"<Event><EventID>3</EventID><Channel>Sysmon</Channel><Data\n",
        "zeek_columns": b"1.0\tC\tnowhere\t1\t1.2.3.4\t5\ttcp\t-\t-\tSF\t-\n",
    }.get(form, b'{"truncated": \n')
    path = written(tmp_path, b"".join([*good[:-1], wrong, b"x" * LINE_LIMIT * 2 + b"\n", good[-1]]))
    faults = Faults(str(path))
    assert events(path, faults) == events(written(tmp_path, b"".join(good), "good"))
    assert faults.malformed == 2
    with pytest.raises(RecordsDamaged, match=rf"records: line {len(good)}: .* longer than"):
        faults.check()


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
    monkeypatch.setattr("procwire.reading.BATCH", size)
    assert read(path)[0] == whole
    assert whole != []


@pytest.mark.parametrize("form", WRITERS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_whatever_is_changed_is_read_or_counted(tmp_path_factory, form: str, data) -> None:
    content = bytearray(WRITERS[form](FEW))
    head = content.index(b"\n") + 1
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(head, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(head, len(content)))
    path = written(tmp_path_factory.mktemp("changed"), bytes(content[:cut]))
    faults, join = Faults(str(path)), Join(Settings())
    with contextlib.suppress(InputDamaged):
        rows = join.update(events(path, faults)).connections
        assert len(rows) + len(join.finish().connections) <= len(FEW)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content: bytes) -> None:
    path = written(tmp_path_factory.mktemp("any"), content)
    assert all(problem.startswith(str(path)) for problem in read(path)[2])


@pytest.mark.parametrize("keep", [0, 3000, 5000, 40_000, 69_000])
def test_an_event_log_that_is_cut_is_read_as_far_as_it_goes(
    tmp_path: Path, corpus: Path, keep: int
) -> None:
    whole = (corpus / "process" / "win" / "neg_rdp_tunnel_5156.evtx").read_bytes()
    path = written(tmp_path, whole[:keep])
    _, counters, damage = read(path)
    assert len(damage) == 1
    assert counters.get("records.events", 0) == {40_000: 32, 69_000: 53}.get(keep, 0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(128, 69_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_an_event_log_with_changed_bytes_is_read_or_counted(
    tmp_path_factory, corpus: Path, changes
) -> None:
    content = bytearray((corpus / "process" / "win" / "neg_rdp_tunnel_5156.evtx").read_bytes())
    for place, value in changes:
        content[place] = value
    read(written(tmp_path_factory.mktemp("log"), bytes(content)))


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


@pytest.mark.parametrize("text", ["", "yesterday", "2020-13-01", "99999-01-01", "1e9", None, 7])
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a date and time"):
        moment(text)


@pytest.mark.parametrize("text", ["", "x", "9" * 30, "1e9", "1.x"])
def test_what_is_no_epoch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        epoch(text)


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


def archive(path: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.json", content)
    return path.read_bytes()


def test_archives_that_are_damaged_say_so(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.zip", records.flat(FEW) * 200)
    (problem,) = read(written(tmp_path, whole[:-40]))[2]
    assert "the archive cannot be unpacked" in problem
    (problem,) = read(written(tmp_path, archive(tmp_path / "b.zip", b"hello")))[2]
    assert "found an archive of 1 files, expected" in problem
    locked = bytearray(whole)
    for flags in (6, whole.rindex(b"PK\x01\x02") + 8):
        locked[flags] |= 1
    (problem,) = read(written(tmp_path, bytes(locked)))[2]
    assert "encrypted" in problem
    spoiled = bytearray(whole)
    spoiled[len(whole) // 3] ^= 0xFF
    assert len(read(written(tmp_path, bytes(spoiled)))[2]) == 1


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


def test_what_is_left_out_ends_with_its_own_code_and_is_named(run, tmp_path: Path) -> None:
    path = written(tmp_path, records.flat(FEW) + b"{\n" * 9)
    ran = run("read", "--format", "text", path)
    assert ran.code == ENDS["damage"]
    assert "sweep.exe (pid 700, EXAMPLE\\eve, WS1.example) tried 3 hosts" in ran.out
    assert f"{path}: line 5: " in ran.talk
    assert "6 more were left out" in ran.talk
    assert "records.malformed 9" in ran.talk.replace("\n", " ")


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
