"""Whose what came to this host was, by the ends that its processes held."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from procwire.event import (
    FLAG_ANY_ADDRESS,
    FLAG_OLDER,
    FLOW_EVENT,
    PROCESS_EVENT,
    EventKind,
    FlowRole,
)
from procwire.output.address import mapped
from procwire.owners import history_writer
from procwire.owners.history import older
from procwire.owners.history_writer import HistoryWriter
from procwire.owners.past_owners import Flow, History
from procwire.record import Endpoint, Process
from procwire.sensor.loader import no_events
from test_results import room

START, SECOND = 1_790_000_000_000_000_000, 1_000_000_000
NAMESPACE, OTHER_NAMESPACE = 4026531840, 4026532000
SERVER, SECOND_SERVER, CHILD = (77, 10, 2), (88, 20, 1), (99, 30, 1)
HERE, ELSEWHERE, CALLER = "10.0.0.1", "10.0.0.3", "10.9.9.9"
ANYWHERE = ""
TCP, UDP = 6, 17
LISTENS, SENDS, ENDS, WRITES = FlowRole.LISTENS, FlowRole.SENDS, FlowRole.ENDS, FlowRole.WRITES
CONNECTS = FlowRole.CONNECTS


class Event(NamedTuple):
    """A flow event, `at` seconds after START."""

    at: float
    role: FlowRole
    address: str = HERE
    key: tuple[int, int, int] = SERVER
    protocol: int = TCP
    port: int = 80
    peer: str = ANYWHERE
    flags: int = 0
    namespace: int = NAMESPACE
    socket: int = 0


def known(key: tuple[int, int, int]) -> tuple[Process, list[Process]]:
    who = (0, "root")
    argv = (f"/bin/{key[1]}",)
    made = Process(key, (1, 1, 1), START, *who, argv[0], argv, "c", "/", None, None, "kernel")
    return made, []


def written(writer: HistoryWriter, *events: Event) -> None:
    rows = np.zeros(len(events), FLOW_EVENT)
    for row, event in zip(rows, events, strict=True):
        row["time_ns"], row["process"] = START + int(event.at * SECOND), event.key
        row["role"], row["protocol"] = event.role, event.protocol
        row["source_port"], row["net_namespace"] = event.port, event.namespace
        # One of a process for each port, where nothing else is said.
        row["socket"] = event.socket or event.key[1] << 16 | event.port
        row["flags"] = event.flags | (FLAG_ANY_ADDRESS if event.address == ANYWHERE else 0)
        for name, address in (("source", event.address), ("destination", event.peer)):
            if address:
                row[name] = np.frombuffer(mapped(ip_address(address).packed), np.uint8)
        if event.peer:
            row["destination_port"] = 4000
    writer.events(no_events()._replace(flow=rows))


def exits(writer: HistoryWriter, at: float, key: tuple[int, int, int]) -> None:
    rows = np.zeros(1, PROCESS_EVENT)
    rows["time_ns"], rows["process"], rows["kind"] = START + int(at * SECOND), key, EventKind.EXIT
    writer.events(no_events()._replace(process=rows))


def call(at: float, address: str = HERE, protocol: int = TCP, port: int = 80) -> Flow:
    """Whoever calls from elsewhere."""
    ends = [
        Endpoint(mapped(ip_address(one).packed), number)
        for one, number in ((CALLER, 4000), (address, port))
    ]
    return Flow(ends[0], ends[1], protocol, START + int(at * SECOND), True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "h"


@pytest.fixture
def writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> HistoryWriter:
    monkeypatch.setattr(history_writer.time, "time_ns", lambda: START)
    made = HistoryWriter(path, known, NAMESPACE)
    made.networks([ip_network("10.0.0.1/32"), ip_network("127.0.0.0/8")], {}, START)
    return made


def held(path: Path, flow: Flow) -> tuple[int, str, str] | None:
    owner = History(path).holder(flow)
    return owner and (owner.process["pid"], owner.attribution, owner.role)


def test_who_listens_has_what_it_accepts(path: Path, writer: HistoryWriter) -> None:
    written(writer, Event(1, LISTENS, ANYWHERE), Event(9, ENDS, ANYWHERE))
    assert held(path, call(5)) == (10, "inferred", "receiver")
    answer = call(5)._replace(source=call(5).destination, destination=call(5).source)
    assert held(path, answer) == (10, "inferred", "sender")
    assert held(path, call(5, ELSEWHERE)) is None
    assert held(path, call(5, port=81)) is None
    assert held(path, call(5, protocol=UDP)) is None
    assert held(path, call(11)) is None
    assert held(path, call(0.5)) == (10, "inferred", "receiver")
    assert held(path, call(-1)) is None


def test_who_is_bound_has_the_datagrams(path: Path, writer: HistoryWriter) -> None:
    written(writer, Event(1, SENDS, protocol=UDP), Event(9, ENDS, ANYWHERE, protocol=UDP))
    assert held(path, call(5, protocol=UDP)) == (10, "kernel", "receiver")
    assert held(path, call(11, protocol=UDP)) is None


def test_sockets_older_than_the_sensor(path: Path, writer: HistoryWriter) -> None:
    written(writer, Event(1, SENDS, ANYWHERE, protocol=UDP, flags=FLAG_OLDER))
    assert held(path, call(-500, protocol=UDP)) == (10, "snapshot", "receiver")
    assert held(path, call(500, protocol=UDP)) == (10, "snapshot", "receiver")


def test_connections_older_than_the_sensor(path: Path, writer: HistoryWriter) -> None:
    """Found when it started, of whoever had accepted them, or of both ends on one host."""
    flow = {"peer": CALLER, "flags": FLAG_OLDER}
    written(writer, Event(1, CONNECTS, **flow))
    name = next(iter(History(path)._recent.claims))
    opener = History(path).opener(name, START - SECOND, True, 4000)
    assert opener is not None
    assert (opener.process["pid"], opener.attribution, opener.role) == (10, "snapshot", "receiver")
    assert History(path).opener(name, START + 9 * SECOND, True, 4000) is None


def test_another_namespace(path: Path, writer: HistoryWriter) -> None:
    """Its sockets on every address have their port on its own addresses, as soon as these are
    known."""
    loopback = "127.0.0.1"
    written(
        writer,
        Event(1, LISTENS, ANYWHERE, namespace=OTHER_NAMESPACE),
        Event(1, SENDS, ELSEWHERE, protocol=UDP, namespace=OTHER_NAMESPACE),
    )
    inferred = (10, "inferred", "receiver")
    assert held(path, call(5)) is None
    assert held(path, call(5, ELSEWHERE)) is None
    assert held(path, call(5, ELSEWHERE, UDP)) == inferred
    own = [ip_network(f"{address}/32") for address in (ELSEWHERE, loopback)]
    home = [ip_network("10.0.0.1/32")]
    writer.networks(home, {OTHER_NAMESPACE: own}, START + 2 * SECOND)
    asked = [call(5), call(5, ELSEWHERE), call(5, loopback)]
    assert [held(path, one) for one in asked] == [None, inferred, None]
    writer.networks(home, {}, START + 60 * SECOND)
    assert held(path, call(90, ELSEWHERE)) is None
    assert held(path, call(30, ELSEWHERE)) == inferred


def test_several_hold_an_end(path: Path, writer: HistoryWriter) -> None:
    first = Event(1, SENDS, protocol=UDP)
    written(writer, first, first._replace(at=2, address=ANYWHERE, key=SECOND_SERVER))
    assert held(path, call(5, protocol=UDP)) == (20, "inferred", "receiver")
    written(writer, first._replace(at=6, role=ENDS, address=ANYWHERE, key=SECOND_SERVER))
    assert held(path, call(8, protocol=UDP)) == (10, "kernel", "receiver")


def test_a_listening_socket_that_another_process_closes(path: Path, writer: HistoryWriter) -> None:
    written(writer, Event(1, LISTENS, ANYWHERE, socket=7))
    exits(writer, 2, SERVER)
    assert held(path, call(5)) == (10, "inferred", "receiver")
    # By then it may have given its port back.
    written(writer, Event(6, ENDS, ANYWHERE, key=CHILD, port=0, socket=7))
    assert held(path, call(8)) is None


def test_a_socket_ends_for_all_who_had_it(path: Path, writer: HistoryWriter) -> None:
    """One binds it, another sends through it and closes it, and the first lives on."""
    bound = Event(1, SENDS, protocol=UDP, socket=7)
    written(writer, bound, bound._replace(at=2, key=CHILD))
    assert held(path, call(3, protocol=UDP)) == (CHILD[1], "inferred", "receiver")
    written(writer, bound._replace(at=4, key=CHILD, role=ENDS))
    assert held(path, call(6, protocol=UDP)) is None


def test_of_two_sockets_on_one_port_the_other_stays(path: Path, writer: HistoryWriter) -> None:
    """As SO_REUSEPORT lets a process have."""
    first = Event(1, SENDS, protocol=UDP, socket=7)
    written(writer, first, first._replace(at=2, socket=8), first._replace(at=3, role=ENDS))
    assert held(path, call(6, protocol=UDP)) == (10, "kernel", "receiver")
    written(writer, first._replace(at=7, role=ENDS, socket=8))
    assert held(path, call(9, protocol=UDP)) is None


def test_what_a_raw_socket_wrote_ends_with_its_process(path: Path, writer: HistoryWriter) -> None:
    written(writer, Event(1, WRITES, ELSEWHERE))
    exits(writer, 2, SERVER)
    assert held(path, call(2, ELSEWHERE)) == (10, "kernel", "receiver")
    assert held(path, call(5, ELSEWHERE)) is None


def test_the_host_gets_another_address(path: Path, writer: HistoryWriter) -> None:
    written(writer, Event(1, LISTENS, ANYWHERE))
    writer.networks([ip_network("10.0.0.3/32")], {}, START + 100 * SECOND)
    asked = {at: (call(at), call(at, ELSEWHERE)) for at in (50, 150)}
    found = {at: [held(path, flow) is not None for flow in flows] for at, flows in asked.items()}
    assert found == {50: [True, False], 150: [False, True]}


def test_nothing_is_held_from_one_run_to_the_next(
    path: Path, writer: HistoryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(writer, Event(1, LISTENS, ANYWHERE), Event(1, LISTENS, ANYWHERE, port=81))
    writer.close()
    monkeypatch.setattr(history_writer.time, "time_ns", lambda: START + 100 * SECOND)
    again = HistoryWriter(path, known, NAMESPACE)
    written(again, Event(101, LISTENS, ANYWHERE, key=SECOND_SERVER))
    found = {(at, port): held(path, call(at, port=port)) for at in (50, 150) for port in (80, 81)}
    assert {asked for asked, owner in found.items() if owner} == {(50, 80), (50, 81), (150, 80)}
    assert found[150, 80] == (20, "inferred", "receiver")


def test_each_file_tells_what_is_still_held(
    path: Path, writer: HistoryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = HistoryWriter(path, known, NAMESPACE, largest=4000)
    small.networks([ip_network("10.0.0.1/32")], {}, START)
    reader = History(path)
    written(small, Event(1, LISTENS, ANYWHERE))
    for at in range(2, 200):
        flow = Event(at, SENDS, key=(at, at, 1), protocol=UDP, port=at)
        written(small, flow, flow._replace(at=at + 1, role=ENDS))
        reader.refresh()
        assert reader.holder(call(at, protocol=UDP, port=at)) is not None
    owner = reader.holder(call(500))
    assert owner is not None and owner.process["pid"] == 10
    assert older(path).stat().st_size < 10_000
    path.unlink()
    older(path).rename(path)
    assert held(path, call(500)) == (10, "inferred", "receiver")


def test_a_full_disk_costs_whole_lines_and_the_rest_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer.time, "time_ns", lambda: START)
    said: list[str] = []
    writer = HistoryWriter(path, known, NAMESPACE, tell=said.append)
    writer.networks([ip_network("10.0.0.1/32")], {}, START)
    with room(path.stat().st_size + 10):
        for port in (80, 81):
            written(writer, Event(1, LISTENS, ANYWHERE, port=port))
    written(writer, Event(2, LISTENS, ANYWHERE, port=82))
    assert writer.counters()["history.unwritten"] == 4
    assert [held(path, call(5, port=port)) is not None for port in (80, 81, 82)] == [
        False,
        False,
        True,
    ]
    assert said == [f"{path}: File too large; the history lacks what finds no room"]


def test_a_file_that_cannot_make_room_for_the_next_ends_no_watch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer.time, "time_ns", lambda: START)
    said: list[str] = []
    writer = HistoryWriter(path, known, NAMESPACE, largest=1, tell=said.append)
    writer.networks([ip_network("10.0.0.1/32")], {}, START)
    older(path).unlink()
    older(path).mkdir()
    written(writer, Event(1, LISTENS, ANYWHERE, port=80))
    written(writer, Event(2, LISTENS, ANYWHERE, port=81))
    older(path).rmdir()
    written(writer, Event(3, LISTENS, ANYWHERE, port=82))
    assert [held(path, call(5, port=port)) is not None for port in (80, 81, 82)] == [True] * 3
    assert len(said) == 1


def test_what_is_held_is_bounded(
    path: Path, writer: HistoryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer, "MOST_HELD", 10)
    for port in range(1, 21):
        written(writer, Event(1, LISTENS, ANYWHERE, port=port))
    written(writer, Event(2, ENDS, ANYWHERE, port=3), Event(3, LISTENS, ANYWHERE, port=100))
    assert writer.counters()["history.overflow"] == 10
    found = [held(path, call(5, port=port)) is not None for port in (1, 3, 10, 11, 100)]
    assert found == [True, False, True, False, True]
    for port in range(2000):
        written(writer, Event(4, WRITES, key=CHILD, port=port + 1))
    assert writer.counters()["history.overflow"] == 10 + 2000 - 1024
