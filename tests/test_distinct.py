"""What detectors count with: numbers of keys and distinct targets, each against its plain twin."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_distinct import NaiveDistinct
from procwire.detect.compiled_site import CompiledKeyMap
from procwire.detect.distinct import LIMIT, Attempts, Distinct
from procwire.detect.key_map import KeyMap, combined

SECOND = 1_000_000_000
NOW = 1_790_000_000 * SECOND


# Keys that share slots and repeat, among others.
@given(
    batches=st.lists(st.lists(st.integers(0, 50) | st.integers(0, 2**64 - 1), max_size=40)),
    limit=st.integers(1, 60),
)
def test_a_key_map_numbers_keys_as_a_dict_does(batches: list[list[int]], limit: int) -> None:
    known: dict[int, int] = {}
    maps, overflow = (KeyMap(limit), CompiledKeyMap(limit)), 0
    for batch in batches:
        expected, fresh = [], []
        for key in batch:
            fresh.append(key not in known and len(known) < limit)
            if fresh[-1]:
                known[key] = len(known)
            overflow += key not in known
            expected.append(known.get(key, -1))
        for keys in maps:
            numbers, is_new = keys.enter(np.array(batch, np.uint64))
            assert (numbers.tolist(), is_new.tolist()) == (expected, fresh)
    stranger = next(key for key in range(2**63, 2**64) if key not in known)
    asked = np.array([*known, stranger], np.uint64)
    times = np.arange(len(asked)) % 3
    for keys in maps:
        counts, latest = np.full(len(known), 5), np.ones(len(known), np.int64)
        for _ in range(2):
            assert keys.count(asked, times, counts, latest).tolist() == [len(known)]
        assert (counts == 7).all() and latest.tolist() == np.maximum(times[:-1], 1).tolist()
        assert (len(keys), keys.overflow) == (len(known), overflow)
        assert keys.numbers(asked)[:-1].tolist() == list(known.values())


@pytest.mark.parametrize("kind", [KeyMap, CompiledKeyMap])
def test_a_key_map_grows_and_forgets(kind: type[KeyMap]) -> None:
    keys = kind(1 << 20)
    many = combined(np.arange(30_000))
    assert len(np.unique(many)) == len(many)
    for part in np.split(many, 30):
        keys.enter(part)
    assert keys.numbers(many).tolist() == list(range(30_000))
    keys.clear()
    assert (len(keys), keys.numbers(many[:5]).tolist()) == (0, [-1] * 5)


ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 7, 20, 61, 86_400, -86_400, -30]),
        st.integers(0, 2),
        st.integers(0, 12),
    ),
    max_size=60,
)


# Most limits are too low for what comes.
@given(
    attempts=ATTEMPTS,
    cut=st.integers(1, 20),
    threshold=st.integers(0, 4),
    limit=st.integers(2, 50),
)
def test_distinct_targets_are_those_of_plain_sets(
    attempts: list[tuple[int, int, int]], cut: int, threshold: int, limit: int
) -> None:
    window = 60 * SECOND
    times = np.cumsum([step for step, _, _ in attempts], dtype=np.int64) * SECOND + NOW
    subjects = np.array([subject for _, subject, _ in attempts], np.uint64)
    targets = np.array([target for _, _, target in attempts], np.uint64)
    naive, expected = NaiveDistinct(window, limit), []
    for row, (time, subject, target) in enumerate(zip(times, subjects, targets, strict=True)):
        count, is_new = naive.attempt(int(time), int(subject), int(target))
        if is_new and threshold and count in [threshold * 10**n for n in range(3)]:
            expected.append((row, count))
    distinct, found = Distinct(window, limit), []
    port = np.zeros(len(times), np.uint16)
    for start in range(0, len(times), cut):
        rows = slice(start, start + cut)
        part = Attempts(
            times[rows], subjects[rows], targets[rows], targets[rows], targets[rows], port[rows]
        )
        reached = distinct.update(part, threshold)
        assert all(len(one.sample) == min(one.targets, 8) for one in reached)
        found += [(start + one.row, one.targets) for one in reached]
    assert found == expected
    assert distinct.counters() == {"evicted": naive.evicted}


def test_what_is_held_is_bounded_however_many_come() -> None:
    """A flood of short-lived processes of one target each: nothing takes more memory."""
    distinct, size = Distinct(60 * SECOND), 5_000
    tracemalloc.start()
    for start in range(0, 60 * size, size):
        keys = np.arange(start, start + size, dtype=np.uint64)
        times = np.full(size, NOW)
        distinct.update(Attempts(times, keys, keys, keys, keys, keys.astype(np.uint16)), 8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000
    held = 60 * size - distinct.counters()["evicted"]
    assert LIMIT // 2 <= held <= LIMIT
