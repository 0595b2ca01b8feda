"""The buckets of fan-out windows as kernels: whose they are, when they begin, what they hold.

Counts are the subject's totals, of which each bucket remembers what they were when it began. A
sketch is begun by the first attempt of a bucket that is no longer remembered by itself.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from procwire.decode.mix import mix_address
from procwire.detect.fanout_state import BUCKETS, FEW, State
from procwire.detect.sketch import EMPTY_SUM, REGISTERS, estimate, observe
from procwire.event import SAMPLE_TARGETS, Measure
from procwire.jit import fused

Record: TypeAlias = Any
Slot: TypeAlias = int | np.int64

_MEASURES = len(Measure)
_SAMPLES = SAMPLE_TARGETS
_PROBES = 8
_REGISTERS = np.uint64(REGISTERS)
# No time lies in a window that begins then.
_NEVER = -(2**62)


@fused
def slot_of(state: State, row: Record) -> Slot:
    """Slot of the row's source among those of its kind: its own, a free one, or that of the least
    recently active."""
    subjects = state.subjects
    count = len(subjects) // len(state.thresholds)
    first = np.int64(row.kind) * count
    slot = first + np.int64(mix_address(row.src_hi, row.src_lo) % np.uint64(count))
    best = slot
    for _probe in range(_PROBES):
        subject = subjects[slot]
        if subject.used and subject.hi == row.src_hi and subject.lo == row.src_lo:
            subject.active = row.time
            return slot
        if subjects[best].used and (not subject.used or subject.active < subjects[best].active):
            best = slot
        slot += 1
        if slot == first + count:
            slot = first
    if subjects[best].used:
        state.counters[3] += 1
    _begin(state, best, row)
    return best


@fused
def _begin(state: State, slot: Slot, row: Record) -> None:
    """Make a slot that of the row's source."""
    subject = state.subjects[slot]
    subject.used = 1
    subject.hi = row.src_hi
    subject.lo = row.src_lo
    subject.active = row.time
    subject.attempts = subject.established = subject.refused = subject.failures = 0
    subject.run = subject.sampled = 0
    state.told[slot] = False
    subject.stride_hi = subject.stride_lo = 0
    subject.stride_port = 0
    # Its buckets are over at any time.
    subject.ends = _NEVER
    state.levels[slot] = 0
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
