"""The buckets of fan-out windows as kernels: whose they are, when they begin, what they hold.

Counts are the subject's totals, of which each bucket remembers what they were when it began. A
sketch is begun by the first attempt of a bucket that is no longer remembered by itself. What a
bucket has seen, all that began before it have, too: a hash that raises no register of one raises
none of older ones. The same register of all buckets is one number, a byte for each.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from procwire.compiled.jit import fused
from procwire.compiled.prefetch import prefetch
from procwire.detect.fanout_state import (
    BUCKETS,
    FEW,
    HOSTS,
    NEVER,
    PAIRS,
    SKETCHES,
    SUBJECT_LINES,
    TOTALS,
    State,
)
from procwire.detect.row_hashes import home_of
from procwire.detect.sketch import EMPTY_SUM, RANK_BITS, REGISTERS, estimate, estimate_of, rise
from procwire.event import FANOUT_WINDOWS, SAMPLE_TARGETS, Measure

Record: TypeAlias = Any
Slot: TypeAlias = int | np.int64

_MEASURES = len(Measure)
_STEPS = FANOUT_WINDOWS * _MEASURES
_SAMPLES = SAMPLE_TARGETS
_PROBES = 8
_REGISTER_MASK = np.uint64(REGISTERS - 1)
_RANK_MASK = (1 << RANK_BITS) - 1
# A byte holds a rank and, above it, a generation.
_GENERATION_MASK = (1 << 8 - RANK_BITS) - 1
_BYTE_BITS, _BYTE = np.uint64(3), np.uint64(255)
# No name is that of a free slot.
_TAKEN = np.uint64(1)
_NOWHERE = -1


@fused
def slot_of(state: State, row: Record, source: np.uint64) -> Slot:
    """Slot of the row's source, of that hash, among those of its kind: its own, a new one, or that
    of the least recently active."""
    first = np.int64(row.kind) * state.places
    place, name = first + home_of(source, state.places), source | _TAKEN
    for _probe in range(_PROBES):
        if state.names[place] == name:
            slot = np.int64(state.slots[place])
            subject = state.subjects[slot]
            if subject.hi == row.src_hi and subject.lo == row.src_lo:
                state.active[place] = row.time
                return slot
        place += 1
        if place == first + state.places:
            place = first
    return _claimed(state, row, source)


@fused
def _claimed(state: State, row: Record, source: np.uint64) -> Slot:
    """A slot for a source that has none."""
    first = np.int64(row.kind) * state.places
    place = best = first + home_of(source, state.places)
    for _probe in range(_PROBES):
        if state.names[best] and (
            state.names[place] == 0 or state.active[place] < state.active[best]
        ):
            best = place
        place += 1
        if place == first + state.places:
            place = first
    if state.names[best]:
        state.counters[3] += 1
    else:
        state.slots[best] = state.used[0]
        state.used[0] += 1
    state.names[best] = source | _TAKEN
    state.active[best] = row.time
    slot = np.int64(state.slots[best])
    _begin(state, slot, row)
    return slot


@fused
def look_ahead(state: State, row: Record, hashed: Record) -> None:
    """Ask for what is kept of a row's source."""
    first = np.int64(row.kind) * state.places
    place, name = first + home_of(hashed.source, state.places), hashed.source | _TAKEN
    for _probe in range(_PROBES):
        if state.names[place] == name:
            break
        place += 1
        if place == first + state.places:
            place = first
    slot = np.int64(state.slots[place])
    prefetch(state.subjects, slot, 0, SUBJECT_LINES)
    block = np.int64(state.blocks[slot])
    if block == 0:
        return
    host = np.int64(hashed.host & _REGISTER_MASK)
    target = np.int64(hashed.target & _REGISTER_MASK)
    prefetch(state.registers, _register(block, HOSTS, host), 0, 1)
    prefetch(state.registers, _register(block, PAIRS, target), 0, 1)


@fused
def _register(block: Slot, which: Slot, register: Slot) -> Slot:
    return (block * SKETCHES + which) * REGISTERS + register


@fused
def _begin(state: State, slot: Slot, row: Record) -> None:
    """Make a slot that of the row's source."""
    subject = state.subjects[slot]
    subject.hi = row.src_hi
    subject.lo = row.src_lo
    subject.kind = row.kind
    subject.attempts = subject.established = subject.refused = subject.failures = 0
    subject.run = subject.sampled = 0
    subject.told = subject.due = 0
    # Reckoned anew with the first.
    subject.failures_due = 0
    subject.stride_hi = subject.stride_lo = 0
    subject.stride_port = 0
    # Its buckets are over at any time.
    subject.ends = NEVER
    for bucket in range(BUCKETS):
        subject.starts[bucket] = NEVER
        subject.ages[bucket] = bucket
    for step in range(_STEPS):
        subject.steps[step] = 0
    _point_nowhere(subject.first)
    _point_nowhere(subject.last)
    for place in range(_SAMPLES):
        _point_nowhere(subject.samples[place])


@fused
def _point_nowhere(target: Record) -> None:
    target.hi = target.lo = target.port = target.protocol = 0


@fused
def roll(state: State, slot: Slot, time: int) -> None:
    """Begin each bucket anew whose grid cell is over, and put those before the others in age."""
    subject = state.subjects[slot]
    subject.begun, subject.ends = NEVER, -NEVER
    over, place, passed = np.int64(0), BUCKETS, np.int64(0)
    for age in range(BUCKETS):
        bucket = np.int64(subject.ages[BUCKETS - 1 - age])
        # Figures that are judged fall as buckets turn, but for those of a window of which the
        # bucket that began last is judged, as the clock had been set back.
        subject.due |= passed >> bucket // 2 & subject.judged >> bucket & 1
        passed |= np.int64(1) << bucket // 2
        length = state.windows[bucket // 2]
        if 0 <= time - subject.starts[bucket] < length:
            place -= 1
            subject.ages[place] = bucket
        else:
            over |= np.int64(1) << bucket
            _turn_over(subject, bucket, _start_of(state, bucket, time))
        subject.begun = max(subject.begun, subject.starts[bucket])
        subject.ends = min(subject.ends, subject.starts[bucket] + length)
    for young in range(BUCKETS):
        if over >> young & 1:
            place -= 1
            subject.ages[place] = young
    judged = 0
    for window in range(FANOUT_WINDOWS):
        older_one = older(subject, window)
        judged |= 1 << older_one
        # It begins now, and the other one goes on: the clock is set back.
        subject.due |= over >> older_one & ~(over >> (older_one ^ 1)) & 1
    subject.judged = judged


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
    held.attempts_before = subject.attempts & TOTALS
    held.established_before = subject.established & TOTALS
    held.refused_before = subject.refused & TOTALS
    held.failures_before = subject.failures & TOTALS
    held.sequential_run = subject.least_run = 0


@fused
def since(total: int | np.int64, before: np.uint32) -> int | np.int64:
    """What a total has grown by, less than 2^32, since its lowest 32 bits were `before`."""
    return (total - np.int64(before)) & TOTALS


@fused
def begin_sketches(state: State, slot: Slot, bucket: Slot) -> None:
    """Enter the last FEW attempts, which are all that the bucket has.

    Its registers become those of the next generation, and are emptied when all have been."""
    subject = state.subjects[slot]
    if state.blocks[slot] == 0:
        state.used[1] += 1
        state.blocks[slot] = state.used[1]
    generation = subject.generations[bucket] + 1 & _GENERATION_MASK
    subject.generations[bucket] = generation
    if generation == 0:
        others = ~(_BYTE << (np.uint64(bucket) << _BYTE_BITS))
        first = _register(state.blocks[slot], HOSTS, 0)
        for register in range(first, first + SKETCHES * REGISTERS):
            state.registers[register] &= others
    for which in range(SKETCHES):
        sketch = subject.sketches[bucket * SKETCHES + which]
        sketch.weights = EMPTY_SUM
        sketch.zeros = REGISTERS
        for place in range(FEW):
            code = np.int64(subject.latest[which * FEW + place])
            raises(state, slot, bucket * SKETCHES + which, code)


@fused
def raises(state: State, slot: Slot, sketch: Slot, code: int | np.int64) -> bool:
    """Enter a hash, as code_of() gives it, into one sketch of a bucket; whether that raised a
    register."""
    subject, bucket = state.subjects[slot], sketch // SKETCHES
    at = _register(np.int64(state.blocks[slot]), sketch % SKETCHES, code >> RANK_BITS)
    shift, rank = np.uint64(bucket) << _BYTE_BITS, code & _RANK_MASK
    ranks, generation = state.registers[at], np.int64(subject.generations[bucket])
    byte = np.int64(ranks >> shift & _BYTE)
    before = byte & _RANK_MASK if byte >> RANK_BITS == generation else 0
    if rank <= before:
        return False
    state.registers[at] = ranks ^ np.uint64(byte ^ (generation << RANK_BITS | rank)) << shift
    rise(subject.sketches[sketch], before, rank)
    return True


@fused
def would_raise(subject: Record, attempts: int | np.int64, pair: int | np.int64) -> bool:
    """Whether a pair would raise a register in a bucket of so few attempts, had it sketches."""
    newest, highest = subject.attempts + FEW - 1, pair | _RANK_MASK
    for one in range(attempts):
        if pair <= subject.latest[PAIRS * FEW + (newest - one) % FEW] <= highest:
            return False
    return True


@fused
def distinct(subject: Record, bucket: Slot, which: int) -> int | np.int64:
    """Estimate of the distinct hosts or pairs of a bucket, of FEW attempts by the registers that
    they would fill."""
    attempts = since(subject.attempts, subject.buckets[bucket].attempts_before)
    if attempts > FEW:
        return estimate(subject.sketches[bucket * SKETCHES + which])
    newest, filled = subject.attempts + FEW - 1, 0
    for one in range(attempts):
        register = subject.latest[which * FEW + (newest - one) % FEW] >> RANK_BITS
        repeated = False
        for other in range(one):
            known = subject.latest[which * FEW + (newest - other) % FEW]
            repeated |= known >> RANK_BITS == register
        filled += not repeated
    return estimate_of(filled)


@fused
def is_quiet(state: State, subject: Record, bucket: Slot) -> bool:
    """Whether no figure of a bucket can have reached its threshold, distinct counts unseen."""
    attempts = since(subject.attempts, subject.buckets[bucket].attempts_before)
    if attempts > FEW:
        return False
    failures = since(subject.failures, subject.buckets[bucket].failures_before)
    bounds = (attempts, attempts, failures, np.int64(subject.buckets[bucket].sequential_run))
    quiet = True
    for measure in range(_MEASURES):
        threshold = state.thresholds[subject.kind, measure]
        quiet &= threshold == 0 or bounds[measure] < threshold
    return quiet


@fused
def older(subject: Record, window: int) -> int:
    """The bucket of a window whose figures are reported."""
    first = 2 * window
    return first if subject.starts[first] < subject.starts[first + 1] else first + 1
