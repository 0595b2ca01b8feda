"""EVE records get the process of their flow, and nothing else changes."""

from __future__ import annotations

import errno
import json
import stat
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from procwire.cli.main import procwire
from procwire.errors import InputDamaged
from procwire.event import CONNECTION_EVENT, FLOW_EVENT, FlowRole, Origin
from procwire.output.community_id import community_id
from procwire.output.timestamp import timestamp
from procwire.owners.enrich import Enricher
from procwire.owners.history import older
from procwire.owners.history_writer import HistoryWriter
from procwire.owners.past_owners import History
from procwire.record import Endpoint, Process
from procwire.sensor.loader import SensorEvents, no_events

SCHEMA = Path(__file__).parent.parent.parent / "shared" / "facts" / "eve-schema-8.json"
START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
KEY, OTHER = (77, 4711, 2), (88, 815, 1)
NAMESPACE = 4026531840


def known(key: tuple[int, int, int]) -> tuple[Process, list[Process]] | None:
    if key not in (KEY, OTHER):
        return None
    name = "/usr/bin/curl" if key == KEY else "/tmp/\udcffx"
    argv = (name, "-s\n\x1b[31m")
    user = (33, "www-data")
    made = Process(key, (1, 1, 1), START, *user, name, argv, "c", "/", None, None, "kernel")
    return made, [made]


def connections(*rows: tuple[int, tuple[int, int, int], int]) -> SensorEvents:
    """Connections of (ns after START, process, source port), 10.0.0.1 to port 80 of
    10.0.0.2."""
    events = np.zeros(len(rows), FLOW_EVENT)
    for event, (time, key, port) in zip(events, rows, strict=True):
        event["time_ns"], event["process"], event["source_port"] = START + time, key, port
        for name, last in (("source", 1), ("destination", 2)):
            event[name] = [*[0] * 10, 0xFF, 0xFF, 10, 0, 0, last]
        event["destination_port"], event["protocol"], event["role"] = 80, 6, FlowRole.CONNECTS
    return no_events()._replace(flow=events)


def history(path: Path, *rows: tuple[int, tuple[int, int, int], int]) -> Path:
    writer = HistoryWriter(path, known, NAMESPACE)
    writer.events(connections(*rows))
    writer.close()
    return path


def record(time: int, port: int, swapped: bool = False, **fields: object) -> dict[str, object]:
    ends = {"src_ip": "10.0.0.1", "src_port": port, "dest_ip": "10.0.0.2", "dest_port": 80}
    if swapped:
        ends = {"src_ip": "10.0.0.2", "src_port": 80, "dest_ip": "10.0.0.1", "dest_port": port}
    head = {"timestamp": timestamp(START + time), "event_type": "http", "proto": "TCP"}
    return head | ends | fields


def line(one: object) -> bytes:
    return json.dumps(one).encode() + b"\n"


def process_of(enriched: bytes) -> dict[str, object] | None:
    one = json.loads(enriched)
    if "alert" in one:
        found: dict[str, object] | None = one["alert"].get("context", {}).get("process")
        return found
    variables = one.get("metadata", {}).get("flowvars", [])
    return next((v["process"] for v in variables if v.get("key") == "process"), None)


def enriched(path: Path, *records: object) -> list[dict[str, object] | None]:
    return [process_of(one) for one in Enricher(History(path)).lines([line(r) for r in records])]


def pids(path: Path, *records: object) -> list[object]:
    return [process and process["pid"] for process in enriched(path, *records)]


def test_joins_by_community_id_addresses_and_time(tmp_path: Path) -> None:
    path = history(tmp_path / "h", (0, KEY, 4000), (60 * SECOND, OTHER, 4000), (0, KEY, 4001))
    mapped = bytes(10) + b"\xff\xff\x0a\0\0"
    ends = Endpoint(mapped + b"\1", 4000), Endpoint(mapped + b"\2", 80)
    name = community_id(*ends, 6)
    assert pids(
        path,
        record(SECOND, 4000, community_id=name),
        record(SECOND, 4000),
        record(SECOND, 4000, swapped=True),
        record(61 * SECOND, 4000, community_id=name),
        record(90 * SECOND, 4000, flow={"start": timestamp(START)}),
        record(90 * SECOND, 4000, community_id="1:of another seed"),
        record(SECOND, 4002),
        record(-2 * SECOND, 4000),
        record(90 * SECOND, 4001, flow={"start": timestamp(START + 30 * SECOND)}),
    ) == [4711, 4711, 4711, 815, 4711, 815, None, None, None]


def test_says_how_sure_it_is(tmp_path: Path) -> None:
    path = history(tmp_path / "h", (0, KEY, 4000))
    with_start = record(SECOND, 4000, flow={"start": timestamp(START + 1000)})
    found = enriched(path, with_start, record(SECOND, 4000))
    assert [process and process["attribution"] for process in found] == ["kernel", "inferred"]


@pytest.mark.skipif(not SCHEMA.exists(), reason=f"no {SCHEMA}")
def test_valid_by_suricatas_schema(tmp_path: Path) -> None:
    path = history(tmp_path / "h", (0, KEY, 4000), (0, OTHER, 4001))
    alert = {"action": "allowed", "gid": 1, "signature_id": 1, "rev": 1, "signature": "s"}
    alert |= {"category": "", "severity": 3}
    kept = {"flowvars": [{"key": "a", "value": "b"}], "flowints": {"n": 1}}
    records = [
        record(SECOND, 4000, event_type="alert", alert=alert | {"context": {"own": 1}}),
        record(SECOND, 4001, event_type="alert", alert=alert),
        record(SECOND, 4000, event_type="flow", metadata=kept),
    ]
    valid = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate
    found = [json.loads(one) for one in Enricher(History(path)).lines([line(r) for r in records])]
    for one in found:
        valid(one)
    assert found[0]["alert"]["context"]["own"] == 1
    assert found[2]["metadata"]["flowvars"][0] == kept["flowvars"][0]
    assert found[2]["metadata"]["flowints"] == {"n": 1}
    assert found[1]["alert"]["context"]["process"]["exe"] == "/tmp/?x"


HOSTILE = st.sampled_from(
    [
        None,
        True,
        -1,
        2**70,
        1.5,
        "",
        "\ud800",
        "::",
        "1:x",
        "2026-13-01",
        "0001-01-01T00:00:00+2359",
    ]
    + [[], [1], {}, {"start": 5}, {"start": "x"}, {"flowvars": {}}, {"context": []}]
)
FIELDS = ("timestamp", "flow", "community_id", "proto", "src_ip", "src_port", "alert", "metadata")


@given(st.dictionaries(st.sampled_from(FIELDS), HOSTILE), st.binary())
def test_takes_any_line(tmp_path_factory: pytest.TempPathFactory, odd: dict, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile-history"
    if not path.exists():
        history(path, (0, KEY, 4000))
    lines = [line(record(SECOND, 4000) | odd), line({"flow": odd}), raw]
    found = Enricher(History(path)).lines(lines)
    assert found[1:] == lines[1:]
    before, after = json.loads(lines[0]), json.loads(found[0])
    assert {k: after[k] for k in before if k not in ("alert", "metadata")} == {
        k: before[k] for k in before if k not in ("alert", "metadata")
    }


def run(*arguments: object, given: bytes = b"") -> Result:
    command = ["enrich", *map(str, arguments)]
    return CliRunner().invoke(procwire, command, input=given, standalone_mode=False)


def test_file_and_standard_input(tmp_path: Path) -> None:
    path = history(tmp_path / "h", (0, KEY, 4000))
    lines = [line(record(SECOND, 4000)), line(record(SECOND, 4002)), b"\n"]
    (tmp_path / "eve.json").write_bytes(b"".join(lines))
    ran = run(tmp_path / "eve.json", "--history", path, "-o", tmp_path / "out")
    assert (ran.exception, ran.return_value) == (None, 0)
    written = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    assert process_of(written[0]) is not None
    assert written[1:] == lines[1:]
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    ran = run("-", "--history", path, given=lines[1] + b'{"half":')
    assert ran.stdout_bytes == lines[1] + b'{"half":'
    assert isinstance(ran.exception, InputDamaged)
    assert ran.exception.offset == len(lines[1])


def test_says_what_is_missing(tmp_path: Path) -> None:
    ran = run("-", "--history", tmp_path / "none")
    assert "procwire watch --history" in str(ran.exception)
    out = tmp_path / "out"
    out.write_bytes(b"of before\n")
    path = history(tmp_path / "h", (0, KEY, 4000))
    ran = run(tmp_path / "no-eve", "--history", path, "-o", out)
    assert "no-eve" in str(ran.exception)
    assert out.read_bytes() == b"of before\n"


def test_a_full_disk_is_no_fault_of_the_input(tmp_path: Path) -> None:
    (tmp_path / "eve.json").write_bytes(line(record(SECOND, 4000)))
    path = history(tmp_path / "h", (0, KEY, 4000))
    ran = run(tmp_path / "eve.json", "--history", path, "-o", "/dev/full")
    assert isinstance(ran.exception, OSError)
    assert ran.exception.errno == errno.ENOSPC


def test_history_is_private_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "below" / "h"
    writer = HistoryWriter(path, known, NAMESPACE, largest=2000)
    reader = History(path)
    for port in range(1, 200):
        writer.events(connections((0, KEY, port)))
        reader.refresh()
        enricher = Enricher(reader)
        assert process_of(enricher.lines([line(record(SECOND, port))])[0]) is not None
    sizes = [one.stat().st_size for one in (path, older(path))]
    assert sum(sizes) < 2 * 2000 + 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pids(path, record(SECOND, 199), record(SECOND, 1)) == [4711, None]
    assert {name: n for name, n in writer.counters().items() if n} == {"history.flows": 199}


def test_history_writes_each_connect_once(tmp_path: Path) -> None:
    """The kernel tells of a connect when it begins, as a flow, and again with its outcome."""
    events = connections((0, KEY, 4000))
    outcome = np.zeros(1, CONNECTION_EVENT)
    for name in set(outcome.dtype.names or ()) & set(events.flow.dtype.names or ()):
        outcome[name] = events.flow[name]
    outcome["origin"] = Origin.CONNECT
    writer = HistoryWriter(tmp_path / "h", known, NAMESPACE)
    writer.events(events)
    writer.events(events._replace(flow=events.flow[:0], connection=outcome))
    assert writer.counters()["history.flows"] == 1
    assert pids(tmp_path / "h", record(SECOND, 4000)) == [4711]


def test_history_counts_what_it_cannot_tell(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "h", known, NAMESPACE)
    writer.events(connections((0, (9, 9, 9), 1)))
    assert writer.counters()["history.unknown_process"] == 1
    of_nobody = b'["flow",1,[1,2,3],"x",80]\n'
    no_network = b'["local",1,["10.0.0.0/99"]]\n'
    (tmp_path / "h").write_bytes(b'["flow",2]\n["process":\nx\n' + no_network + of_nobody)
    assert History(tmp_path / "h").unread == 4
