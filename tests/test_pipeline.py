"""Several workers: the same alerts in the same order, and no thread left behind however it ends."""

from __future__ import annotations

import gc
import itertools
import struct
import threading
import weakref
from random import Random
from types import SimpleNamespace

import pytest
from conversations import ACK, NOBODY_ANSWERS, SECOND, START, Conversations
from hypothesis import given
from hypothesis import strategies as st
from procwire import examples
from procwire.alert import CLOSED, GROWN, RAISED
from procwire.capture.batch import rows_of
from procwire.capture.interfaces import SECONDS_LIMIT
from procwire.capture.open import read_capture
from procwire.decode.event_time import AHEAD, SET, EventTime
from procwire.errors import InputDamaged, Unavailable
from procwire.rules import packet_rules
from procwire.runs import pipeline
from procwire.runs.analysis import Analysis
from procwire.runs.pipeline import alerts_of
from procwire.settings import Settings


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """A packet that breaks each rule, three times over."""
    frames = examples.frames(packet_rules())
    path = tmp_path_factory.mktemp("pipeline") / "broken.pcap"
    path.write_bytes(examples.capture(3 * frames))
    return path


def run(capture, workers, size):
    analysis = Analysis(Settings())
    told = [alerts for _, alerts in alerts_of(analysis, read_capture(capture, size), workers)]
    return [*itertools.chain(*told), *analysis.finish()], analysis.counters()


@pytest.mark.parametrize("size", [7, 100, 65536])
def test_workers_and_batches_change_nothing(capture, size):
    wanted = run(capture, 1, 65536)
    assert len(wanted[0]) > len(packet_rules()) // 2
    for workers in (1, 2, 3, 5):
        assert run(capture, workers, size) == wanted


def test_workers_change_nothing_in_the_recordings(corpus):
    for name in ("1kxun.pcap", "dns_fragmented.pcap", "ethereum.pcap"):
        wanted = run(corpus / "traffic" / name, 1, 65536)
        for workers in (2, 4):
            assert run(corpus / "traffic" / name, workers, 64) == wanted


@pytest.mark.parametrize("spread", [5, 90, 1000, 100_000])
def test_batches_change_nothing_where_clocks_go_back(tmp_path, spread):
    data = bytearray(examples.capture(3 * examples.frames(packet_rules())))
    path, at, chance = tmp_path / "back.pcap", 24, Random(spread)
    while at < len(data):
        second, _, size, _ = struct.unpack_from("<IIII", data, at)
        struct.pack_into("<I", data, at, second + chance.randrange(spread))
        at += 16 + size
    path.write_bytes(data)
    wanted = run(path, 1, 65536)
    times = [alert.time for alert in wanted[0]]
    assert times != sorted(times)
    for size in (1, 7, 100):
        assert run(path, 1, size) == wanted


@pytest.mark.parametrize("size", [100, 500, 65536])
@pytest.mark.parametrize("workers", [1, 2])
def test_packets_of_another_day_end_no_scan(size, workers):
    """Neither tomorrow's nor yesterday's: windows and episodes go on."""
    scan = Conversations()
    for number in range(1000):
        target = f"10.20.{number // 250}.{number % 250 + 1}"
        scan.connect(number / 20, "10.0.0.9", target, 445, NOBODY_ANSWERS)
    whole = scan.batch()
    whole.time[350::50] += 86400 * SECOND
    whole.time[340::70] -= 86400 * SECOND
    batches = [rows_of(whole, at, at + size) for at in range(0, len(whole.time), size)]
    analysis = Analysis(Settings())
    told = [alert for _, alerts in alerts_of(analysis, batches, workers) for alert in alerts]
    told += analysis.finish()
    assert [alert.state for alert in told] == [RAISED, GROWN, CLOSED]


def stretches_of(times, size):
    """Of packets at those seconds, in batches of `size`: time and time reached of each, and the
    numbers of those with which stretches begin."""
    talk = Conversations()
    for _ in times:
        talk.segment(0, ("10.0.0.1", 1, "10.0.0.2", 2), ACK)
    batch = talk.batch()
    batch.time[:] = [START + at * SECOND for at in times]
    clock, found, firsts = EventTime(10 * SECOND), [], set()
    for at in range(0, len(times), size):
        timed = clock.of(rows_of(batch, at, at + size))
        both = timed.batch.time, timed.reached
        found += zip(*[(one // SECOND - START // SECOND).tolist() for one in both], strict=True)
        firsts |= {at + 1 + begin for begin, _ in timed.stretches()}
    return found, firsts


SIZES = pytest.mark.parametrize("size", [1, 4, 1000])


@SIZES
def test_stretches_end_where_the_clock_is_set_back(size):
    """By more than an attempt waits, and for good."""
    late = [3] * (SET + 5)
    found, firsts = stretches_of([0, 9, 8, 100, *late, 4], size)
    told = SET - 1
    assert found == [
        *[(0, 0), (9, 9), (8, 9), (100, 100)],
        *[(3, 100)] * told,
        *[(3, 3)] * (len(late) - told),
        (4, 4),
    ]
    set_back = 4 + told + 1
    assert firsts == {1, set_back} | set(range(1, len(found) + 1, size))


@SIZES
def test_stray_time_stamps_end_no_stretch(size):
    strays = [100, *[3] * (SET - 1), 100, *[3] * (SET - 1), 91] + [3, 101] * SET
    found, firsts = stretches_of(strays, size)
    assert [reached for _, reached in found] == list(itertools.accumulate(strays, max))
    assert firsts == set(range(1, len(strays) + 1, size))


@SIZES
def test_a_clock_that_is_set_forward_is_followed(size):
    """Once many packets say so; a few of another day are strays, and a night passes at once."""
    night, far = AHEAD // SECOND, AHEAD // SECOND + 9
    strays = [0, far, 1, *[far + 1] * (SET - 1), 2, far + 1]
    later = [*[2 * far] * SET, 2 * far + night, 3]
    found, firsts = stretches_of([*strays, *later], size)
    assert [reached for _, reached in found] == [
        *[0, 0, 1, *[1] * (SET - 1), 2, 2],
        *[2] * (SET - 2),
        *[2 * far] * 2,
        *[2 * far + night] * 2,
    ]
    assert firsts == set(range(1, len(found) + 1, size))


@SIZES
def test_times_further_apart_than_64_bits_can_say_are_so(size):
    first, last = (end - START // SECOND for end in (-SECONDS_LIMIT, SECONDS_LIMIT))
    found, firsts = stretches_of(
        [first, *[last] * (SET - 1), first, *[last] * SET, *[first] * SET], size
    )
    assert [reached for _, reached in found] == [
        *[first] * (2 * SET),
        *[last] * SET,
        first,
    ]
    set_back = len(found)
    assert firsts == {1, set_back} | set(range(1, len(found) + 1, size))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(1, 30))
def test_time_reached_is_the_latest_so_far(times, size):
    found, _ = stretches_of(times, size)
    assert found == list(zip(times, itertools.accumulate(times, max), strict=True))


def test_an_analysis_ends_with_its_last_user(capture):
    analysis = Analysis(Settings())
    for batch in read_capture(capture, 100):
        analysis.packets(batch)
    analysis.finish()
    known = weakref.ref(analysis)
    gc.disable()
    try:
        del analysis
        assert known() is None
    finally:
        gc.enable()


def test_damage_comes_behind_the_alerts_before_it(capture, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-1])
    for workers in (1, 2, 4):
        batches = 0
        with pytest.raises(InputDamaged):
            for _ in alerts_of(Analysis(Settings()), read_capture(cut, 10), workers):
                batches += 1
        assert batches == -(-(3 * len(packet_rules()) - 1) // 10)


def test_who_stops_early_leaves_no_thread(capture):
    before = set(threading.enumerate())
    for workers in (2, 4):
        pairs = alerts_of(Analysis(Settings()), read_capture(capture, 1), workers)
        next(pairs)
        pairs.close()
    assert set(threading.enumerate()) <= before


def test_where_no_thread_may_begin_the_remedy_is_told(capture, monkeypatch):
    begin, begun = threading.Thread.start, list[threading.Thread]()

    def refused(thread: threading.Thread) -> None:
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(Unavailable, match="3 workers: can't start new thread; give --workers 1"):
        next(alerts_of(Analysis(Settings()), read_capture(capture), 3))
    assert [thread.is_alive() for thread in begun] == [False]


def test_who_stops_early_does_not_wait_for_a_silent_pipe(capture):
    more = threading.Event()

    def piped():
        yield next(read_capture(capture, 1))
        more.wait()

    pairs = alerts_of(Analysis(Settings()), piped(), 3)
    next(pairs)
    pairs.close()
    more.set()


def test_who_fails_gives_nobody_its_turn_before_it_has_one(monkeypatch):
    """The second of three batches cannot be judged while the first one still is."""
    overtaken, failed, tracked = threading.Event(), threading.Event(), []

    def judge(number):
        if number == 1:
            overtaken.wait(0.5)
        if number == 2:
            failed.set()
            raise ValueError("not this one")
        failed.wait()
        return number

    def track(number):
        tracked.append(number)
        if number == 3:
            overtaken.set()
        return SimpleNamespace(batch=number)

    monkeypatch.setattr(pipeline, "judge", judge)
    indexed, conclude = (lambda one: one), (lambda one: [])
    analysis = SimpleNamespace(indexed=indexed, track=track, conclude=conclude)
    pairs = pipeline.alerts_of(analysis, iter((1, 2, 3)), 4)
    assert next(pairs) == (1, [])
    assert tracked[0] == 1
    with pytest.raises(ValueError, match="not this one"):
        next(pairs)


def test_who_would_wait_to_conclude_judges(monkeypatch):
    """The first of two batches is judged only once the caller has judged the second."""
    helped, judges = threading.Event(), {}

    def judge(number):
        judges[number] = threading.current_thread()
        if number == 1:
            helped.wait(10)
        else:
            helped.set()
        return number

    monkeypatch.setattr(pipeline, "judge", judge)
    indexed, conclude = (lambda one: one), (lambda one: [one])
    analysis = SimpleNamespace(indexed=indexed, track=lambda one: one, conclude=conclude)
    pairs = pipeline.alerts_of(analysis, iter((1, 2)), 2)
    assert list(pairs) == [(1, [1]), (2, [2])]
    assert helped.is_set() and len(set(judges.values())) == 2


def test_what_was_read_does_not_wait_for_what_comes(monkeypatch):
    """While the only other thread waits for its input, the caller does all else."""
    more, waited = threading.Event(), []

    def silent():
        yield 1
        waited.append(more.wait(10))

    monkeypatch.setattr(pipeline, "judge", lambda number: number)
    indexed, conclude = (lambda one: one), (lambda one: [one])
    analysis = SimpleNamespace(indexed=indexed, track=lambda one: one, conclude=conclude)
    pairs = pipeline.alerts_of(analysis, silent(), 2)
    assert next(pairs) == (1, [1])
    assert not waited
    more.set()
    assert list(pairs) == []
    assert waited == [True]
