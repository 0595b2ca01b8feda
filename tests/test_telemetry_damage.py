"""Records that are cut, changed, badly packed or none: read as far as they go, and counted."""

from __future__ import annotations

import contextlib
import gzip
import zipfile
from pathlib import Path

import pytest
import records
from commands import ENDS
from hypothesis import given, settings
from hypothesis import strategies as st
from network_records import WRITERS
from procwire.errors import InputDamaged, RecordsDamaged, Unavailable
from procwire.settings import Settings
from procwire.telemetry import event_log
from procwire.telemetry.event_log import MAGIC
from procwire.telemetry.faults import Faults
from procwire.telemetry.join import Join
from procwire.telemetry.lines import LINE_LIMIT
from procwire.telemetry.value import epoch, moment
from reading_records import FEW, events, read, written

CHUNK = 65536


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


# A reader of JSON goes down with it as deep as it nests, and Python's stack is bounded.
NESTED = b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("form", WRITERS)
def test_a_line_that_nests_without_end_is_malformed(tmp_path: Path, form: str, place: int) -> None:
    good = WRITERS[form](FEW).splitlines(keepends=True)
    is_json = place and good[place].startswith(b"{")
    wrong = NESTED[:-2] + b", " + good[place][1:] if is_json else NESTED
    path = written(tmp_path, b"".join([*good[:place], wrong, *good[place:]]))
    faults = Faults(str(path))
    assert events(path, faults) == events(written(tmp_path, b"".join(good), "good"))
    assert faults.malformed == 1


@pytest.mark.parametrize("form", ["audit", "sysmon_linux", "xml"])
def test_a_collected_message_that_is_no_utf8_is_malformed(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, b'{"message": "\xff"}\n' + WRITERS[form](FEW))
    faults = Faults(str(path))
    assert len(events(path, faults)) >= len(FEW)
    with pytest.raises(RecordsDamaged, match="line 1: .*can't decode byte 0xff"):
        faults.check()


def test_a_flow_without_a_protocol_is_malformed(tmp_path: Path) -> None:
    good = WRITERS["eve"](FEW)
    path = written(tmp_path, good + b'{"event_type": "flow", "timestamp": "never"}\n')
    faults = Faults(str(path))
    events(path, faults)
    with pytest.raises(RecordsDamaged, match="found no proto"):
        faults.check()


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=40)
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


@settings(max_examples=200)
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


def test_an_event_log_is_unpacked_as_far_as_one_may_go_and_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MAGIC + bytes(CHUNK * 3)
    monkeypatch.setattr(event_log, "_MOST_CHUNKS", 2)
    (problem,) = read(written(tmp_path, gzip.compress(log)))[2]
    assert "offset 135168: the log goes on, expected its end" in problem
    monkeypatch.setattr(event_log.tempfile, "SpooledTemporaryFile", lambda _: full.open("wb", 0))
    full = Path("/dev/full")
    with pytest.raises(Unavailable, match="No space left on device; free space, or name another"):
        read(written(tmp_path, gzip.compress(log[:CHUNK])))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(128, 69_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_an_event_log_with_changed_bytes_is_read_or_counted(
    tmp_path_factory, corpus: Path, changes
) -> None:
    content = bytearray((corpus / "process" / "win" / "neg_rdp_tunnel_5156.evtx").read_bytes())
    for place, value in changes:
        content[place] = value
    read(written(tmp_path_factory.mktemp("log"), bytes(content)))


@pytest.mark.parametrize("text", ["", "yesterday", "2020-13-01", "99999-01-01", "1e9", None, 7])
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a date and time"):
        moment(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9", "1823-01-01"])
def test_a_time_that_no_count_of_nanoseconds_holds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time between 1824 and 2115"):
        moment(text)


@pytest.mark.parametrize("text", ["", "x", "9" * 30, "1e9", "1.x"])
def test_what_is_no_epoch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        epoch(text)


def archive(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr("a.json", content)
    return path.read_bytes()


def test_archives_that_are_damaged_say_so(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.zip", records.flat(FEW) * 200)
    (problem,) = read(written(tmp_path, whole[:-40]))[2]
    assert "the archive cannot be unpacked" in problem
    (problem,) = read(written(tmp_path, archive(tmp_path / "b.zip", b"hello")))[2]
    assert "found an archive of 1 file, expected" in problem
    locked = bytearray(whole)
    for flags in (6, whole.rindex(b"PK\x01\x02") + 8):
        locked[flags] |= 1
    (problem,) = read(written(tmp_path, bytes(locked)))[2]
    assert "encrypted" in problem
    spoiled = bytearray(archive(tmp_path / "c.zip", records.flat(FEW) * 200))
    spoiled[len(spoiled) // 3] ^= 0xFF
    assert len(read(written(tmp_path, bytes(spoiled)))[2]) == 1


def test_what_is_left_out_ends_with_its_own_code_and_is_named(run, tmp_path: Path) -> None:
    path = written(tmp_path, records.flat(FEW) + b"{\n" * 9)
    ran = run("read", "--format", "text", path)
    assert ran.code == ENDS["damage"]
    assert "sweep.exe (pid 700, EXAMPLE\\eve, WS1.example) tried 3 hosts" in ran.out
    assert f"{path}: line 5: " in ran.talk
    assert "6 more were left out" in ran.talk
    assert "records.malformed 9" in ran.talk.replace("\n", " ")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_unpacked_all_at_once_is_refused(tmp_path: Path, method: int) -> None:
    packed = archive(tmp_path / "a.zip", records.flat(FEW), method)
    (problem,) = read(written(tmp_path, packed))[2]
    assert f"a.json is packed by method {method}, expected deflate" in problem
    assert "unpack it and read its files" in problem
