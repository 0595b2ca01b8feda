"""Records that are cut short or damaged, and disks that are full."""

from __future__ import annotations

import os
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from commands import ENDS
from hypothesis import given, settings
from hypothesis import strategies as st
from procwire.capture.batch import ETHERNET
from procwire.context.site import Site
from procwire.errors import InputDamaged, UsageError
from procwire.event import FANOUT_EVENT, PROCESS_EVENT, PROCESS_HEADER
from procwire.runs.recording import LENGTH, ROWS, TURNS, Networks, Packets, Recorder, Turn
from procwire.runs.replay import Replay
from procwire.sensor.loader import no_events
from procwire.settings import Settings
from test_recording import BATCH, CLAIMS, HOME, live, replayed
from test_results import room


@pytest.mark.parametrize("size", [0, 10, 21, 300, -1])
def test_a_record_that_is_cut_short_is_told_as_far_as_it_goes(run, tmp_path, size):
    live(tmp_path / "one", [30, 60])
    turns = tmp_path / "one" / TURNS
    turns.write_bytes(turns.read_bytes()[:size])
    with pytest.raises(InputDamaged, match="turns: offset"):
        replayed(tmp_path / "one")
    assert run("read", tmp_path / "one").code == ENDS["damage"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of a record, and what its turns hold."""
    folder = tmp_path_factory.mktemp("records") / "kept"
    live(folder, [50])
    return folder, (folder / TURNS).read_bytes()


@given(content=st.binary(max_size=60), at=st.integers(18, 4000))
@settings(max_examples=25)
def test_a_damaged_record_is_an_error_of_the_input(kept, content, at):
    folder, whole = kept
    turns = folder / TURNS
    turns.write_bytes(whole[:at] + content + whole[at + len(content) :])
    try:
        replayed(folder)
    except (InputDamaged, UsageError) as error:
        assert str(folder) in str(error)


def turn_of_a_fanout(**fields):
    """A turn whose fan-out has these values."""
    row = np.zeros(1, FANOUT_EVENT)
    for name, value in fields.items():
        row[name] = value
    rows = dict.fromkeys(ROWS, b"") | {"fanout": row.tobytes()}
    return Turn(now=0, changes=b"[]", process=[], **rows)


def turn_of_processes(*rows):
    """A turn with these bytes for its processes."""
    return Turn(now=0, changes=b"[]", process=list(rows), **dict.fromkeys(ROWS, b""))


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (Packets(1, 5), "no interface 1"),
        (Packets(-1, 5), "no interface -1"),
        (turn_of_a_fanout(attempt=77), "unknown attempt"),
        (turn_of_a_fanout(subject=77), "unknown subject"),
        (Networks([], {1 << 63: ["10.0.0.0/8"]}), "no frame of a record"),
        (turn_of_processes(bytes(PROCESS_HEADER), b""), "a process of 0 bytes"),
        (turn_of_processes(bytes(PROCESS_EVENT.itemsize + 1)), "a process of 4457 bytes"),
    ],
)
def test_what_no_run_was_given_is_damage(kept, frame, problem):
    folder, whole = kept
    content = msgspec.msgpack.encode(frame)
    (folder / TURNS).write_bytes(whole + LENGTH.pack(len(content)) + content)
    with pytest.raises(InputDamaged, match=problem):
        replayed(folder)


def test_a_full_disk_ends_the_record_and_not_the_run(tmp_path):
    capture = SimpleNamespace(interface="eth0", link=ETHERNET)
    said: list[str] = []
    recorder = Recorder(tmp_path / "one", Settings(), HOME, [capture], said.append)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, recorder._turns.fileno())
    os.close(full)
    events = no_events()._replace(flow=np.repeat(CLAIMS, 400))
    recorder.events(events, [], 1, told=False)
    recorder.packets(0, BATCH)
    recorder.close()
    assert recorder.counters()["record.stopped"] == 1
    assert recorder.stopped == "No space left on device"
    assert said == [f"{tmp_path / 'one'}: {recorder.stopped}; the record ends, the watch goes on"]


def test_a_record_that_ends_at_once_can_be_read(tmp_path):
    folder, capture = tmp_path / "one", SimpleNamespace(interface="eth0", link=ETHERNET)
    recorder = Recorder(folder, Settings(), HOME, [capture])
    with room((folder / TURNS).stat().st_size):
        recorder.packets(0, BATCH)
        recorder.close()
    assert recorder.stopped == "File too large"
    replay = Replay(folder, None, lambda alerts, source: None, Site())
    replay.run()
    assert replay.interfaces == ["eth0"]


def test_where_there_is_no_room_at_all_that_is_told_at_the_start(tmp_path):
    capture = SimpleNamespace(interface="eth0", link=ETHERNET)
    with room(1), pytest.raises(UsageError, match="cannot record into .*: File too large"):
        Recorder(tmp_path / "one", Settings(), HOME, [capture])
