"""Records made to be costly: a line is gone through a few times, and little of it is remembered."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from network_records import WRITERS
from procwire.record import CUT
from procwire.settings import Settings
from procwire.telemetry import join
from procwire.telemetry.asked import MACHINES, Asked
from procwire.telemetry.event import TEXT_LIMIT, Actor, Attempted, Resolved, Started
from procwire.telemetry.faults import Faults
from procwire.telemetry.join import Join
from procwire.telemetry.lines import LINE_LIMIT
from procwire.telemetry.processes import Processes
from procwire.telemetry.value import address, moment
from reading_records import FEW, events, written

STAMP = "msg=audit(1611054245.000:7)"
CALL = f"type=AUOMS_SYSCALL {STAMP}: arch=c000003e syscall=42 pid=7"
# Form -> lines that begin again and again what they do not end.
COSTLY = {
    "xml": ["<EventID"],
    "audit": ["node=", f"type=SYSCALL {STAMP}: ^a", f"{CALL}^ cmdline="],
    "laurel": ["addr=", "addr=a "],
}


@contextmanager
def not_for_ever() -> Iterator[None]:
    """What goes through the rest of a line for each of its words takes minutes."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def costly(form: str, pattern: str) -> str:
    head, _, again = pattern.rpartition("^")
    line = head + again * ((LINE_LIMIT - 300) // len(again))
    if form != "laurel":
        return line
    call = {"arch": "c000003e", "syscall": 42, "pid": 7}
    return json.dumps({"ID": "1.0:1", "SYSCALL": call, "SOCKADDR": {"SADDR": line}})


@pytest.mark.parametrize(("form", "pattern"), [(f, one) for f in COSTLY for one in COSTLY[f]])
def test_the_rest_of_a_line_is_not_gone_through_for_each_of_its_words(
    tmp_path: Path, form: str, pattern: str
) -> None:
    good = WRITERS[form](FEW)
    path = written(tmp_path, good + costly(form, pattern).encode() + b"\n")
    with not_for_ever():
        found = events(path, Faults(str(path)))
    assert len(found) >= len(FEW)


def test_nor_is_it_where_its_format_is_looked_for(tmp_path: Path) -> None:
    content = b"<Event " * 36_000 + b"\n" + WRITERS["xml"](FEW)
    path = written(tmp_path, content)
    with not_for_ever():
        assert len(events(path)) >= len(FEW)


def sysmon(event_id: int, **fields: object) -> bytes:
    common = {
        "EventID": event_id,
        "Hostname": "WS1",
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "UtcTime": "2021-01-19 11:04:05.000",
        "ProcessId": 700,
        "Image": "C:\\a.exe",
    }
    return json.dumps(common | fields).encode() + b"\n"


LONG = "a" * (LINE_LIMIT // 4)
# The format is told by the first lines.
FIRST = sysmon(5)


def test_of_long_texts_no_more_is_remembered_than_the_kernel_tells(tmp_path: Path) -> None:
    path = written(tmp_path, FIRST + sysmon(1, CommandLine=LONG, User=LONG))
    (_, told) = events(path)
    assert isinstance(told, Started)
    assert told.actor.command_line == told.actor.user == "a" * TEXT_LIMIT + CUT


def test_many_arguments_are_cut_where_the_kernel_cuts_them(tmp_path: Path) -> None:
    head = f"type=SYSCALL {STAMP}: arch=c000003e syscall=59 success=yes pid=7\n"
    each = 50_000
    lines = [
        f"type=EXECVE {STAMP}: " + " ".join(f"a{line * each + one}=62" for one in range(each))
        for line in range(8)
    ]
    path = written(tmp_path, (head + "\n".join(lines)).encode())
    (told,) = events(path)
    assert isinstance(told, Started)
    assert told.actor.argv == (*["b"] * (TEXT_LIMIT // 2), CUT)


def test_of_a_name_so_many_addresses_are_taken_as_an_answer_has(tmp_path: Path) -> None:
    results = "".join(f"10.0.{one >> 8}.{one & 255};" for one in range(20_000))
    (_, told) = events(written(tmp_path, FIRST + sysmon(22, QueryResults=results)))
    assert isinstance(told, Resolved)
    assert len(told.addresses) == 256


def test_names_with_many_addresses_are_not_held_as_long(monkeypatch) -> None:
    monkeypatch.setattr(join, "_HELD_LIMIT", 1000)
    few, many = (
        [Resolved(0, "WS1", Actor(7), ((0, 1),) * addresses) for _ in range(999)]
        for addresses in (1, 256)
    )
    held = []
    for names in few, many:
        joined = Join(Settings())
        joined.update(names)
        held.append(len(joined._held))
    assert held == [999, 0]


def test_the_process_of_an_attempt_is_remembered_once(tmp_path: Path) -> None:
    attempt = sysmon(
        3,
        Initiated="true",
        Protocol="tcp",
        SourceIp="10.0.0.1",
        DestinationIp="10.0.0.2",
        DestinationPort=445,
    )
    told = events(written(tmp_path, attempt))
    Join(Settings()).update(told)
    assert isinstance(told[0], Attempted)
    assert told[0].actor is None


def test_nothing_long_is_remembered_with_what_it_means() -> None:
    # The same object: what is remembered is without its zone.
    assert address(f"::1%{LONG}") is address("::1")
    with pytest.raises(ValueError, match="expected a date and time"):
        moment("2020-01-01 00:00:00" + " " * TEXT_LIMIT)


def test_who_is_at_work_is_known_of_so_many_machines_whenever_they_are_settled() -> None:
    processes, asked, peer = Processes(), Asked(), (0, 1)
    hosts = [f"host{number}" for number in range(MACHINES + 1)]
    for host in hosts:
        asked.note(processes.find(host, Actor(7, user="eve"), 0), peer, 0)
    known = [asked.by(host, (0, 2), 0) is not None for host in hosts]
    assert known == [False] + [True] * MACHINES
