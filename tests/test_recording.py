"""A replayed record tells what the run told, byte for byte, wherever turns and batches ended."""

from __future__ import annotations

import io
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conversations import FIN, NOBODY_ANSWERS, PSH, URG, Conversations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from procwire.capture.batch import ETHERNET
from procwire.capture.open import read_capture
from procwire.capture.writer import CaptureWriter
from procwire.context.site import Site
from procwire.decode.frame import decode
from procwire.errors import Unavailable, UsageError
from procwire.event import FLOW_EVENT, PROCESS_EVENT, EventKind, FlowRole
from procwire.output import eve
from procwire.owners.translations import TRANSLATION
from procwire.runs.joined import Joined
from procwire.runs.live import Live
from procwire.runs.recorded import Recording, networks_of
from procwire.runs.recording import TURNS, Recorder
from procwire.runs.replay import Replay
from procwire.sensor.loader import no_events
from procwire.sensor.processes import ProcessTable
from procwire.settings import Settings
from test_alert import SCANNER_PROCESS as PROCESS

HOME = 4026531833
ME, NETWORK = "10.0.0.1", [ip_network("10.0.0.1/32")]
FIELDS = ("start", "captured", "length", "time", "link", "cut")


def traffic():
    """A scan of forty hosts by process 7, XMAS probes by process 8, and somebody else's scan."""
    talk = Conversations()
    for number in range(40):
        target = f"10.20.0.{number + 1}"
        talk.connect(1 + number / 50, ME, target, 445, NOBODY_ANSWERS)
        talk.connect(2 + number / 50, "10.0.0.9", target, 22, NOBODY_ANSWERS)
        talk.segment(3 + number / 50, (ME, 50000, target, 80), FIN | PSH | URG)
    return talk.batch()


BATCH = traffic()
PEOPLE = [
    replace(PROCESS, key=(70, 7, 1), exe="/tmp/seven", attribution="snapshot"),
    replace(PROCESS, key=(80, 8, 1), exe="/tmp/eight", argv=("/tmp/eight", "\x1b[2J\udcff")),
]


def claims():
    """What the kernel tells of the flows of this host, a microsecond before each."""
    packets, rows, seen = decode(BATCH).packets, [], set()
    own = int(ip_address("::ffff:" + ME))
    for at in range(len(BATCH.time)):
        if packets.src_lo[at] != own:
            continue
        row = np.zeros(1, FLOW_EVENT)
        connects = packets.tcp_flags[at] == 2
        row["role"] = FlowRole.CONNECTS if connects else FlowRole.WRITES
        row["process"] = PEOPLE[0 if connects else 1].key
        row["protocol"], row["net_namespace"] = 6, HOME
        row["source_port"], row["destination_port"] = packets.src_port[at], packets.dst_port[at]
        for name, low in (("source", packets.src_lo[at]), ("destination", packets.dst_lo[at])):
            row[name] = list(int(low).to_bytes(16))
        if row["source_port"][0] not in seen:
            row["time_ns"] = BATCH.time[at] - 1000
            rows.append(row)
        seen.add(row["source_port"][0])
    return np.concatenate(rows)


CLAIMS = claims()


class Told:
    """The bytes that a run writes."""

    def __init__(self):
        self.stream = io.BytesIO()

    def __call__(self, alerts, source):
        self.stream.write(eve.lines(alerts, source))

    @property
    def lines(self):
        return self.stream.getvalue().splitlines()


def live(folder: Path, cuts: list[int]) -> Told:
    """The run of all packets in turns that end behind the packets `cuts`, recorded."""
    told, table = Told(), ProcessTable()
    capture = SimpleNamespace(interface="eth0", link=ETHERNET)
    recorder = Recorder(folder, Settings(), HOME, [capture])
    joined = Joined(Settings(), ["eth0"], HOME, table, told, Site())
    table.changes = []
    table.insert(PEOPLE)
    joined.networks(NETWORK)
    recorder.networks(NETWORK)
    edges, known = [0, *sorted(cuts), len(BATCH.time)], 0
    for start, end in zip(edges, edges[1:], strict=False):
        part = {name: getattr(BATCH, name)[start:end] for name in FIELDS}
        batch = BATCH._replace(**part, first=start + 1)
        now = int(batch.time[-1])
        until = int(CLAIMS["time_ns"].searchsorted(now))
        events = no_events()._replace(flow=CLAIMS[known:until])
        before = len(told.lines)
        joined.events(events, now)
        recorder.events(events, table.changes, now, len(told.lines) > before)
        table.changes, known = [], until
        for taken in joined.packets(0, [batch]):
            recorder.packets(0, taken)
    joined.finish()
    recorder.close()
    return told


def replayed(folder: Path, workers: int = 1, batch_size: int = 65536) -> Told:
    told = Told()
    replay = Replay(folder, None, told, Site(), workers, batch_size)
    replay.run()
    replay.finish()
    return told


@given(
    cuts=st.lists(st.integers(1, len(BATCH.time) - 1), max_size=6, unique=True),
    workers=st.sampled_from([1, 2]),
    batch_size=st.sampled_from([1, 7, 64, 65536]),
)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_replay_tells_the_same_byte_for_byte(tmp_path_factory, cuts, workers, batch_size):
    folder = tmp_path_factory.mktemp("records") / "one"
    told = live(folder, cuts)
    assert told.lines
    assert replayed(folder, workers, batch_size).lines == told.lines
    # Nor do alerts depend on where turns ended, but for the order of those of one turn.
    whole = live(folder.with_name("whole"), [])
    assert sorted(told.lines) == sorted(whole.lines)


def test_alerts_name_the_processes_that_the_record_holds(tmp_path):
    live(tmp_path / "one", [100])
    text = b"\n".join(replayed(tmp_path / "one").lines).decode()
    for exe, attribution in (("/tmp/seven", "kernel"), ("/tmp/eight", "kernel")):
        assert f'"exe":"{exe}"' in text
        assert f'"attribution":"{attribution}"' in text
    others = [line for line in text.splitlines() if '"src_ip":"10.0.0.9"' in line]
    assert others
    assert not any("process" in line for line in others)


@pytest.mark.parametrize(("times", "kept"), [((5, 90, 7), [90, 7]), ((5, 7, 7), [7])])
def test_of_turns_without_events_the_latest_and_the_last_are_kept(tmp_path, times, kept):
    """The clock may be set back while nothing happens; what it was before has ended episodes."""
    recorder = Recorder(tmp_path / "one", Settings(), HOME, [])
    for now in times:
        recorder.events(no_events(), [], now, told=False)
    recorder.close()
    assert [frame.now for frame in Recording(tmp_path / "one").frames()] == kept


def test_packets_of_a_record_come_in_the_batches_that_they_were(tmp_path):
    live(tmp_path / "one", [50, 90])
    replay = Replay(tmp_path / "one", None, Told(), Site(), batch_size=7)
    sizes, packets = [], replay.joined.packets

    def noted(interface, batches, workers):
        for batch in packets(interface, batches, workers):
            sizes.append((batch.first, len(batch.time)))
            yield batch

    replay.joined.packets = noted
    replay.run()
    assert sizes == [(1, 50), (51, 40), (91, len(BATCH.time) - 90)]


def test_the_record_is_its_owner_s_alone_and_has_a_folder_to_itself(tmp_path):
    live(tmp_path / "one", [])
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "one").iterdir()}
    assert modes == {TURNS: 0o600, "packets-0.pcapng": 0o600}
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700
    with pytest.raises(UsageError, match="not empty"):
        Recorder(tmp_path / "one", Settings(), HOME, [])


def test_a_history_that_cannot_be_written_leaves_no_record_behind(tmp_path):
    with pytest.raises(Unavailable, match="Is a directory; name another file with --history"):
        Live(Settings(), None, [], print, Site(), tmp_path, tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_networks_are_read_back_and_what_is_none_is_left_out(tmp_path):
    recorder = Recorder(tmp_path / "one", Settings(), HOME, [])
    recorder.networks(NETWORK, {HOME + 1: NETWORK})
    recorder.networks(NETWORK)
    recorder.close()
    frames = list(Recording(tmp_path / "one").frames())
    assert [networks_of(frame.local) for frame in frames] == [list(NETWORK)] * 2
    assert [networks_of(frame.elsewhere.get(HOME + 1, ())) for frame in frames] == [
        list(NETWORK),
        [],
    ]
    assert networks_of(["x", *map(str, NETWORK), "10.0.0.0/99", ""]) == list(NETWORK)


def test_translations_are_read_back(tmp_path):
    rows = np.zeros(3, TRANSLATION)
    rows["outer"], rows["inner"] = np.arange(30).reshape(2, 3, 5)
    recorder = Recorder(tmp_path / "one", Settings(), HOME, [])
    recorder.translations(rows[:0])
    recorder.translations(rows)
    recorder.close()
    recording = Recording(tmp_path / "one")
    (frame,) = recording.frames()
    assert np.array_equal(recording.translations(frame), rows)


def test_packets_are_read_back_as_they_were(tmp_path):
    with (tmp_path / "a.pcapng").open("wb") as file:
        CaptureWriter(file, "eth0", ETHERNET).write(BATCH)
    rows = list(read_capture(tmp_path / "a.pcapng"))
    assert np.array_equal(np.concatenate([one.time for one in rows]), BATCH.time)
    found = [one.data[s : s + n].tobytes() for one in rows for s, n in zip(*one[1:3], strict=True)]
    expected = zip(BATCH.start, BATCH.captured, strict=True)
    assert found == [BATCH.data[s : s + n].tobytes() for s, n in expected]


def test_a_table_follows_another():
    one, other = ProcessTable(ended_limit=2), ProcessTable(ended_limit=2)
    one.changes = []
    one.insert(PEOPLE)
    rows = np.zeros(3, PROCESS_EVENT)
    rows["kind"] = [EventKind.FORK, EventKind.EXIT, EventKind.EXIT]
    rows["process"] = [(90, 9, 1), (90, 9, 1), (70, 7, 1)]
    rows["parent"] = PEOPLE[0].key
    one.apply(rows)
    other.follow(one.changes)
    keys = [(70, 7, 1), (80, 8, 1), (90, 9, 1)]
    assert [one.get(key) for key in keys] == [other.get(key) for key in keys]
    assert len(one) == len(other) == 1
