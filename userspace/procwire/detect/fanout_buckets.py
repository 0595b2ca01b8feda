"""The buckets of fan-out windows as kernels: whose they are, when they begin, what they hold.

Counts are the subject's totals, of which each bucket remembers what they were when it began. A
sketch is begun by the first attempt of a bucket that is no longer remembered by itself.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from procwire.detect.fanout_state import BUCKET, BUCKETS, FEW, PAIRS, SUBJECT, State
from procwire.detect.row_hashes import home_of
from procwire.detect.sketch import EMPTY_SUM, REGISTERS, SKETCH, estimate, observe, rank_of
from procwire.event import FANOUT_WINDOWS, SAMPLE_TARGETS, Measure
from procwire.jit import fused
from procwire.prefetch import CACHE_LINE, lines_of, prefetch

Record: TypeAlias = Any
Slot: TypeAlias = int | np.int64

_MEASURES = len(Measure)
_SAMPLES = SAMPLE_TARGETS
_PROBES = 8
_REGISTERS = np.uint64(REGISTERS)
_REGISTER_LINES = lines_of(REGISTERS)
_SUBJECT_LINES = lines_of(SUBJECT.itemsize)
_BUCKET_LINES = lines_of(BUCKETS * BUCKET.itemsize)
_STEP_LINES = lines_of(FANOUT_WINDOWS * len(Measure) * 8)
_SKETCH_LINES = lines_of(BUCKETS * 2 * SKETCH.itemsize)
# No name is that of a free slot.
_TAKEN = np.uint64(1)
# No time lies in a window that begins then.
_NEVER = -(2**62)


@fused
def slot_of(state: State, row: Record, source: np.uint64) -> Slot:
    """Slot of the row's source, of that hash, among those of its kind: its own, a new one, or that
    of the least recently active."""
    count = len(state.names) // len(state.thresholds)
    first = np.int64(row.kind) * count
    place = best = first + home_of(source, count)
    name = source | _TAKEN
    for _probe in range(_PROBES):
        if state.names[place] == name:
            subject = state.subjects[state.slots[place]]
            if subject.hi == row.src_hi and subject.lo == row.src_lo:
                state.active[place] = row.time
                return np.int64(state.slots[place])
        if state.names[best] and (
            state.names[place] == 0 or state.active[place] < state.active[best]
        ):
            best = place
        place += 1
        if place == first + count:
            place = first
    if state.names[best]:
        state.counters[3] += 1
    else:
        state.slots[best] = state.used[0]
        state.used[0] += 1
    state.names[best] = name
    state.active[best] = row.time
    slot = np.int64(state.slots[best])
    _begin(state, slot, row)
    return slot


@fused
def look_ahead(state: State, row: Record, hashed: Record) -> None:
    """Ask for what is kept of a row's source."""
    count = len(state.names) // len(state.thresholds)
    first = np.int64(row.kind) * count
    place, name = first + home_of(hashed.source, count), hashed.source | _TAKEN
    for _probe in range(_PROBES):
        if state.names[place] == name:
            break
        place += 1
        if place == first + count:
            place = first
    slot = np.int64(state.slots[place])
    host = np.int64(hashed.host % _REGISTERS) // CACHE_LINE
    target = np.int64(hashed.target % _REGISTERS) // CACHE_LINE
    # Who fills the shortest window's sketches comes so often that they are near anyway.
    for bucket in range(2, BUCKETS):
        hosts = 2 * _REGISTER_LINES * bucket
        prefetch(state.registers, slot, hosts + host, 1)
        prefetch(state.registers, slot, hosts + _REGISTER_LINES + target, 1)
    prefetch(state.subjects, slot, 0, _SUBJECT_LINES)
    prefetch(state.buckets, slot, 0, _BUCKET_LINES)
    prefetch(state.sketches, slot, 0, _SKETCH_LINES)
    prefetch(state.steps, slot, 0, _STEP_LINES)
    prefetch(state.samples, slot, 0, 1)


@fused
def _begin(state: State, slot: Slot, row: Record) -> None:
    """Make a slot that of the row's source."""
    subject = state.subjects[slot]
    subject.hi = row.src_hi
    subject.lo = row.src_lo
    subject.kind = row.kind
    subject.attempts = subject.established = subject.refused = subject.failures = 0
    subject.run = subject.sampled = 0
    state.told[slot] = False
    subject.stride_hi = subject.stride_lo = 0
    subject.stride_port = 0
    # Its buckets are over at any time.
    subject.ends = _NEVER
    state.steps[slot] = 0
    for bucket in range(BUCKETS):
        state.buckets[slot, bucket].start = _NEVER
    for place in range(_SAMPLES):
        sample = state.samples[slot, place]
        sample.hi = sample.lo = sample.port = sample.protocol = 0


@fused
def roll(state: State, slot: Slot, time: int) -> None:
    """Begin each bucket anew whose grid cell is over."""
    subject = state.subjects[slot]
    subject.begun, subject.ends = _NEVER, -_NEVER
    oldest = youngest = 0
    for bucket in range(BUCKETS):
        record = state.buckets[slot, bucket]
        length = state.windows[bucket // 2]
        if not 0 <= time - record.start < length:
            # Only now: such a division costs as much as entering an attempt.
            record.start = time - (time + bucket % 2 * (length // 2)) % length
            record.first = record.start
            record.attempts = subject.attempts
            record.established = subject.established
            record.refused = subject.refused
            record.failures = subject.failures
            record.sequential_run = subject.least_run = 0
        subject.begun = max(subject.begun, record.start)
        subject.ends = min(subject.ends, record.start + length)
        other = state.buckets[slot, oldest]
        if record.attempts + record.failures < other.attempts + other.failures:
            oldest = bucket
        if record.attempts > state.buckets[slot, youngest].attempts:
            youngest = bucket
    subject.oldest, subject.youngest, subject.due = oldest, youngest, 1


@fused
def begin_sketches(state: State, slot: Slot, bucket: int) -> None:
    """Enter the last FEW attempts, which are all that the bucket has."""
    for which in range(2):
        sketch = state.sketches[slot, bucket, which]
        sketch.weights = EMPTY_SUM
        sketch.zeros = REGISTERS
        registers = state.registers[slot, bucket, which]
        for register in range(REGISTERS):
            registers[register] = 0
        for place in range(FEW):
            observe(sketch, registers, state.latest[slot, place, which])


@fused
def would_raise(state: State, slot: Slot, attempts: int, pair: np.uint64) -> bool:
    """Whether a pair would raise a register in a bucket of so few attempts, had it sketches."""
    newest = state.subjects[slot].attempts
    register, least = pair % _REGISTERS, rank_of(pair)
    for one in range(attempts):
        known = state.latest[slot, (newest - 1 - one) % FEW, PAIRS]
        if known % _REGISTERS == register and rank_of(known) >= least:
            return False
    return True


@fused
def distinct(state: State, slot: Slot, bucket: int, which: int) -> int | np.int64:
    """Estimate of the distinct hosts or pairs of a bucket.

    That of FEW attempts, by linear counting, is the number of registers they would fill."""
    newest = state.subjects[slot].attempts
    attempts = newest - state.buckets[slot, bucket].attempts
    if attempts > FEW:
        return estimate(state.sketches[slot, bucket, which])
    filled = 0
    for one in range(attempts):
        register = state.latest[slot, (newest - 1 - one) % FEW, which] % _REGISTERS
        repeated = False
        for other in range(one):
            known = state.latest[slot, (newest - 1 - other) % FEW, which]
            repeated |= known % _REGISTERS == register
        filled += not repeated
    return np.int64(filled)


@fused
def is_quiet(state: State, slot: Slot, bucket: Slot, kind: Slot) -> bool:
    """Whether no figure of a bucket can have reached its threshold, distinct counts unseen."""
    subject, record = state.subjects[slot], state.buckets[slot, bucket]
    attempts = subject.attempts - record.attempts
    if attempts > FEW:
        return False
    bounds = (attempts, attempts, subject.failures - record.failures, record.sequential_run)
    quiet = True
    for measure in range(_MEASURES):
        threshold = state.thresholds[kind, measure]
        quiet &= threshold == 0 or bounds[measure] < threshold
    return quiet


@fused
def older(state: State, slot: Slot, window: int) -> int:
    """The bucket of a window whose figures are reported."""
    buckets, first = state.buckets[slot], 2 * window
    return first if buckets[first].start < buckets[first + 1].start else first + 1
