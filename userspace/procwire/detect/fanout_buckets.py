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
from procwire.compiled.number_search import places
from procwire.compiled.prefetch import prefetch
from procwire.detect.fanout_state import (
    BEGUN_LINES,
    BUCKETS,
    BY_NUMBER,
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
from procwire.detect.slots import PROBED_LINES, PROBES, TAKEN
from procwire.event import Measure

Record: TypeAlias = Any
Slot: TypeAlias = int | np.int64

_MEASURES = len(Measure)
_REGISTER_MASK = np.uint64(REGISTERS - 1)
_RANK_MASK = (1 << RANK_BITS) - 1
# A byte holds a rank and, above it, a generation.
_GENERATION_MASK = (1 << 8 - RANK_BITS) - 1
_BYTE_BITS, _BYTE = np.uint64(3), np.uint64(255)


@fused
def slot_of(state: State, row: Record, source: np.uint64) -> Slot:
    """Slot of the row's source, of that hash, among those of its kind: its own, a new one, or that
    of the least recently active."""
    first = np.int64(row.kind) * state.places
    place, name = first + home_of(source, state.places), source | TAKEN
    for _probe in range(PROBES):
        if state.names[place] == name:
            slot = np.int64(state.slots[place])
            subject = state.subjects[slot]
            if subject.hi == row.src_hi and subject.lo == row.src_lo:
                state.active[place] = row.time
                return slot
        place += 1
        if place == first + state.places:
            place = first
    best = _yielding(state, row, source)
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
def _yielding(state: State, row: Record, source: np.uint64) -> Slot:
    """The place for a source that has none: a free one, or that of the least recently active."""
    first = np.int64(row.kind) * state.places
    place = best = first + home_of(source, state.places)
    for _probe in range(PROBES):
        if state.names[best] and (
            state.names[place] == 0 or state.active[place] < state.active[best]
        ):
            best = place
        place += 1
        if place == first + state.places:
            place = first
    return best


@fused
def look_far_ahead(state: State, row: Record, hashed: Record) -> None:
    """Ask for where it says which slot is that of a row's source."""
    place = np.int64(row.kind) * state.places + home_of(hashed.source, state.places)
    prefetch(state.names, place, 0, PROBED_LINES)
    prefetch(state.slots, place, 0, 1)
    prefetch(state.active, place, 0, PROBED_LINES)


@fused
def look_ahead(state: State, row: Record, hashed: Record) -> None:
    """Ask for what is kept of a row's source, or of the one that will give way to it."""
    first = np.int64(row.kind) * state.places
    place, name = first + home_of(hashed.source, state.places), hashed.source | TAKEN
    for _probe in range(PROBES):
        if state.names[place] == name:
            break
        place += 1
        if place == first + state.places:
            place = first
    else:
        given = _yielding(state, row, hashed.source)
        slot = np.int64(state.slots[given] if state.names[given] else state.used[0])
        prefetch(state.subjects, slot, 0, BEGUN_LINES)
        return
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
    """Make a slot that of the row's source. What is not looked at before it is written stays."""
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
    subject.begun = subject.ends = NEVER
    subject.judged = 0
    subject.ages = BY_NUMBER
    for bucket in range(BUCKETS):
        subject.starts[bucket] = NEVER
    last = subject.last
    last.hi = last.lo = last.port = last.protocol = 0


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
    as_high = places(subject.latest, PAIRS * FEW, FEW, pair, pair | _RANK_MASK)
    last = ((1 << attempts) - 1) << (subject.attempts - attempts) % FEW
    return not as_high & (last | last >> FEW)


@fused
def distinct(subject: Record, bucket: Slot, which: int) -> int | np.int64:
    """Estimate of the distinct hosts or pairs of a bucket, of FEW attempts by the registers that
    they would fill."""
    attempts = since(subject.attempts, subject.attempts_before[bucket])
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
    attempts = since(subject.attempts, subject.attempts_before[bucket])
    if attempts > FEW:
        return False
    failures = since(subject.failures, subject.buckets[bucket].failures_before)
    bounds = (attempts, attempts, failures, np.int64(subject.runs[bucket]))
    quiet = True
    for measure in range(_MEASURES):
        threshold = state.thresholds[subject.kind, measure]
        quiet &= threshold == 0 or bounds[measure] < threshold
    return quiet
