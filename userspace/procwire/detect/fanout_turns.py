"""When the buckets of fan-out windows begin, and which of them is the older one.

A bucket begins anew by the first row that is not within its cell of the grid: until then, or for
who is silent, nothing has to be done."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from procwire.compiled.jit import fused
from procwire.detect.fanout_state import (
    AGE_BITS,
    AGE_MASK,
    BUCKETS,
    NEVER,
    SET_BACK,
    TOTALS,
    State,
)
from procwire.event import FANOUT_WINDOWS

Record: TypeAlias = Any
Slot: TypeAlias = int | np.int64


@fused
def roll(state: State, slot: Slot, time: int) -> None:
    """Begin each bucket anew whose grid cell is over, and put those before the others in age."""
    subject = state.subjects[slot]
    # What is judged falls as buckets turn, but where the clock had been set back.
    subject.due |= subject.judged >= SET_BACK
    over = np.int64(0)
    for bucket in range(BUCKETS):
        lasts = 0 <= time - subject.starts[bucket] < state.windows[bucket // 2]
        over |= np.int64(not lasts) << bucket
    order = bits = np.int64(0)
    for bucket in range(BUCKETS):
        if over >> bucket & 1:
            _turn_over(subject, bucket, _start_of(state, bucket, time))
            order = order << AGE_BITS | bucket
            bits += AGE_BITS
    ages = np.int64(subject.ages)
    for _age in range(BUCKETS):
        older_bucket, ages = ages & AGE_MASK, ages >> AGE_BITS
        if not over >> older_bucket & 1:
            order |= older_bucket << bits
            bits += AGE_BITS
    is_back = time < subject.begun or subject.judged >= SET_BACK
    subject.ages = order
    subject.begun, subject.ends = NEVER, -NEVER
    judged = 0
    for window in range(FANOUT_WINDOWS):
        older_one = older(subject, window)
        judged |= 1 << older_one
        starts, length = subject.starts, state.windows[window]
        subject.begun = max(subject.begun, starts[older_one ^ 1])
        subject.ends = min(subject.ends, starts[older_one] + length)
    subject.judged = judged
    if is_back:
        _look_back(subject, over)


@fused
def _look_back(subject: Record, over: int | np.int64) -> None:
    """Have what is judged looked at if it has risen, and from now on if it may: the clock was set
    back."""
    passed, judged = np.int64(0), np.int64(subject.judged)
    for age in range(BUCKETS):
        bucket = np.int64(subject.ages) >> age * AGE_BITS & AGE_MASK
        if judged >> bucket & 1:
            # It begins now, and the other one goes on.
            subject.due |= over >> bucket & ~(over >> (bucket ^ 1)) & 1
            if not passed >> bucket // 2 & 1:
                subject.judged |= SET_BACK
        passed |= np.int64(1) << bucket // 2


@fused
def _start_of(state: State, bucket: Slot, time: int) -> int | np.int64:
    """When the bucket's cell of the grid began, which is the same for all subjects: the division
    costs as much as entering an attempt."""
    length, start = state.windows[bucket // 2], np.int64(state.cells[bucket])
    if not 0 <= time - start < length:
        start = time - (time + bucket % 2 * (length // 2)) % length
        state.cells[bucket] = start
    return start


@fused
def _turn_over(subject: Record, bucket: Slot, start: int | np.int64) -> None:
    held = subject.buckets[bucket]
    subject.starts[bucket] = held.first_time = start
    subject.attempts_before[bucket] = subject.attempts & TOTALS
    held.established_before = subject.established & TOTALS
    held.refused_before = subject.refused & TOTALS
    held.failures_before = subject.failures & TOTALS
    subject.runs[bucket] = subject.least_run = 0


@fused
def older(subject: Record, window: int) -> int:
    """The bucket of a window whose figures are reported."""
    first = 2 * window
    return first if subject.starts[first] < subject.starts[first + 1] else first + 1


@fused
def oldest(subject: Record) -> int | np.int64:
    """The bucket that has seen all that any has."""
    return np.int64(subject.ages) >> (BUCKETS - 1) * AGE_BITS & AGE_MASK
