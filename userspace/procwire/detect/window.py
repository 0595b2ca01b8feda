"""The fan-out windows as kernels, twin of kernel/window*.h with a source address as the subject.

Strategy: per subject and window two buckets of the window's length lie on a fixed grid, half a
window apart; figures are those of the older one, so they cover half to a whole window. Distinct
counts are HyperLogLog sketches, everything else is exact. A sketch is begun by the first attempt of
a bucket that is no longer remembered by itself, for most subjects never: figures are the same, and
most of the memory is left alone. Subjects live in an open-addressing table probed over a few slots,
where the least recently active gives way.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.decode.mix import GOLDEN, mix64, mix_address
from procwire.detect.fanout_state import BUCKETS, FEW, Crossing, Reports, State
from procwire.detect.sketch import EMPTY_SUM, REGISTERS, estimate, observe
from procwire.event import (
    FANOUT_WINDOWS,
    SAMPLE_TARGETS,
    Measure,
    Origin,
    Outcome,
)
from procwire.jit import fused, kernel

_WINDOWS = FANOUT_WINDOWS
_HOSTS, _PAIRS = 0, 1
_MEASURES = len(Measure)
_SAMPLES = SAMPLE_TARGETS
_SAMPLED_WINDOW = 1
_PROBES = 8
_REGISTERS = np.uint64(REGISTERS)
# No time lies in a window that begins then.
_NEVER = -(2**62)

_WIRE = int(Origin.WIRE)
_PENDING, _SENT, _ABORTED = int(Outcome.PENDING), int(Outcome.SENT), int(Outcome.ABORTED)
_ESTABLISHED, _REFUSED = int(Outcome.ESTABLISHED), int(Outcome.REFUSED)

_Record: TypeAlias = Any
_Whole: TypeAlias = int | np.int64


@fused
def _subject(state: State, row: _Record) -> _Whole:
    """Slot of the row's source: its own, a free one, or that of the least recently active."""
    subjects = state.subjects
    home = np.int64(mix_address(row.src_hi, row.src_lo) % np.uint64(len(subjects)))
    best = home
    for probe in range(_PROBES):
        slot = (home + probe) % len(subjects)
        subject = subjects[slot]
        if subject.used and subject.hi == row.src_hi and subject.lo == row.src_lo:
            subject.active = row.time
            return slot
        if subjects[best].used and (not subject.used or subject.active < subjects[best].active):
            best = slot
    if subjects[best].used:
        state.counters[3] += 1
    subjects[best].used = 1
    subjects[best].hi = row.src_hi
    subjects[best].lo = row.src_lo
    subjects[best].active = row.time
    subjects[best].run = 0
    subjects[best].stride_lo = subjects[best].stride_hi = 0
    subjects[best].stride_port = 0
    subjects[best].sampled = 0
    subjects[best].attempts = 0
    state.levels[best] = 0
    for window in range(_WINDOWS):
        for bucket in range(BUCKETS):
            _reset(state, best, window, bucket, _NEVER)
    for place in range(_SAMPLES):
        sample = state.samples[best, place]
        sample.hi = sample.lo = sample.port = sample.protocol = 0
    return best


@fused
def _reset(state: State, slot: _Whole, window: int, bucket: int, start: int) -> None:
    record = state.buckets[slot, window, bucket]
    record.start = start
    record.first = start
    record.attempts = 0
    record.established = 0
    record.refused = 0
    record.failures = 0
    record.sequential_run = 0


@fused
def _begin_sketches(state: State, slot: _Whole, window: int, bucket: int) -> None:
    """Enter the last FEW attempts, which are all that the bucket has."""
    for which in range(2):
        sketch = state.sketches[slot, window, bucket, which]
        sketch.weights = EMPTY_SUM
        sketch.zeros = REGISTERS
        registers = state.registers[slot, window, bucket, which]
        for register in range(REGISTERS):
            registers[register] = 0
        for place in range(FEW):
            observe(sketch, registers, state.latest[slot, place, which])


@fused
def _distinct(state: State, slot: _Whole, window: int, which: int) -> int | np.int64:
    """Estimate of the distinct hosts or pairs that are reported of a window.

    That of FEW attempts, by linear counting, is the number of registers they would fill."""
    older = _older(state, slot, window)
    attempts = state.buckets[slot, window, older].attempts
    if attempts > FEW:
        return estimate(state.sketches[slot, window, older, which])
    filled, newest = 0, state.subjects[slot].attempts
    for one in range(attempts):
        register = state.latest[slot, (newest - 1 - one) % FEW, which] % _REGISTERS
        repeated = False
        for other in range(one):
            known = state.latest[slot, (newest - 1 - other) % FEW, which]
            repeated |= known % _REGISTERS == register
        filled += not repeated
    return np.int64(filled)


@fused
def _is_quiet(state: State, slot: _Whole, window: int) -> bool:
    """Whether no figure of a window can have reached its threshold, distinct counts unseen."""
    bucket = state.buckets[slot, window, _older(state, slot, window)]
    if bucket.attempts > FEW:
        return False
    bounds = (bucket.attempts, bucket.attempts, bucket.failures, bucket.sequential_run)
    quiet = True
    for measure in range(_MEASURES):
        threshold = state.thresholds[measure]
        quiet &= threshold == 0 or bounds[measure] < threshold
    return quiet


@fused
def _roll(state: State, slot: _Whole, time: int) -> None:
    """Empty each bucket whose grid cell is over."""
    for window in range(_WINDOWS):
        length = state.windows[window]
        for bucket in range(BUCKETS):
            if not 0 <= time - state.buckets[slot, window, bucket].start < length:
                # Only now: such a division costs as much as entering an attempt.
                start = time - (time + bucket * (length // 2)) % length
                _reset(state, slot, window, bucket, start)


@fused
def _older(state: State, slot: _Whole, window: int) -> int:
    """The bucket whose figures are reported."""
    buckets = state.buckets[slot, window]
    return 0 if buckets[0].start < buckets[1].start else 1


@fused
def _follow(subject: _Record, row: _Record) -> None:
    """Continue or break the subject's run of targets that each lie one stride on: in addresses, as
    numbers of 128 bits, in ports, or in both. The same target again is neither."""
    if subject.attempts == 0:
        subject.run = 1
        return
    last = subject.last
    lo = row.dst_lo - last.lo
    hi = row.dst_hi - last.hi - np.uint64(row.dst_lo < last.lo)
    port = np.int64(row.dst_port) - np.int64(last.port)
    if lo == 0 and hi == 0 and port == 0:
        return
    goes_on = lo == subject.stride_lo and hi == subject.stride_hi and port == subject.stride_port
    subject.run = subject.run + 1 if goes_on else 2
    subject.stride_lo, subject.stride_hi, subject.stride_port = lo, hi, port


@fused
def _point(target: _Record, row: _Record) -> None:
    target.hi = row.dst_hi
    target.lo = row.dst_lo
    target.port = row.dst_port
    target.protocol = row.protocol


@fused
def _attempt(state: State, slot: _Whole, row: _Record) -> None:
    subject = state.subjects[slot]
    _follow(subject, row)
    host = mix_address(row.dst_hi, row.dst_lo)
    pair = mix64(host ^ (np.uint64(row.dst_port) + GOLDEN))
    fresh = False
    for window in range(_WINDOWS):
        reported = _older(state, slot, window)
        for bucket in range(BUCKETS):
            record = state.buckets[slot, window, bucket]
            sketches = state.sketches[slot, window, bucket]
            registers = state.registers[slot, window, bucket]
            if record.attempts == 0:
                record.first = row.time
            record.attempts += 1
            record.sequential_run = max(record.sequential_run, subject.run)
            raised = record.attempts <= _SAMPLES
            if record.attempts > FEW:
                if record.attempts == FEW + 1:
                    _begin_sketches(state, slot, window, bucket)
                observe(sketches[_HOSTS], registers[_HOSTS], host)
                raised |= observe(sketches[_PAIRS], registers[_PAIRS], pair)
            if window == _SAMPLED_WINDOW and bucket == reported:
                fresh = raised
    if fresh:
        _point(state.samples[slot, subject.sampled % _SAMPLES], row)
        subject.sampled += 1
    if subject.attempts == 0:
        _point(subject.first, row)
    _point(subject.last, row)
    state.latest[slot, subject.attempts % FEW, _HOSTS] = host
    state.latest[slot, subject.attempts % FEW, _PAIRS] = pair
    subject.attempts += 1


@fused
def _end(state: State, slot: _Whole, outcome: int) -> None:
    for window in range(_WINDOWS):
        for bucket in range(BUCKETS):
            record = state.buckets[slot, window, bucket]
            if outcome == _ESTABLISHED:
                record.established += 1
            elif outcome != _ABORTED:
                record.failures += 1
                record.refused += outcome == _REFUSED


@fused
def _report(
    state: State, slot: _Whole, time: int, reports: Reports, at: int, crossing: Crossing
) -> None:
    report = reports.rows[at]
    report.time = time
    report.window = crossing.window
    report.measure = crossing.measure
    report.threshold = crossing.threshold
    report.subject = state.subjects[slot]
    report.bucket = state.buckets[slot, crossing.window, _older(state, slot, crossing.window)]
    report.hosts = crossing.hosts
    report.host_ports = crossing.host_ports
    for place in range(_SAMPLES):
        reports.samples[at, place] = state.samples[slot, place]


@fused
def _judge(state: State, slot: _Whole, time: int, reports: Reports, at: int) -> int:
    """Move every level; 1 if report `at` was written (the first crossing), else 0."""
    written = 0
    for window in range(_WINDOWS):
        if _is_quiet(state, slot, window):
            state.levels[slot, window] = 0
            continue
        bucket = state.buckets[slot, window, _older(state, slot, window)]
        hosts = _distinct(state, slot, window, _HOSTS)
        pairs = _distinct(state, slot, window, _PAIRS)
        figures = (hosts, pairs, bucket.failures, bucket.sequential_run)
        for measure in range(_MEASURES):
            figure, threshold = figures[measure], state.thresholds[measure]
            if threshold == 0:
                continue
            if figure < threshold:
                state.levels[slot, window, measure] = 0
                continue
            crossed = threshold * 10 ** np.int64(state.levels[slot, window, measure])
            if written or figure < crossed:
                continue
            crossing = Crossing(window, measure, crossed, hosts, pairs)
            _report(state, slot, time, reports, at, crossing)
            written = 1
            while figure >= crossed:
                crossed *= 10
                state.levels[slot, window, measure] += 1
    return written


@fused
def _turn(state: State, slot: _Whole, time: int, reports: Reports, at: int) -> int:
    """Write the last figures of each window of which something was reported and whose bucket is
    over: between two crossings its shape may have changed. The number of reports written."""
    written = 0
    for window in range(_WINDOWS):
        older, length = _older(state, slot, window), state.windows[window]
        reported = False
        for measure in range(_MEASURES):
            reported |= state.levels[slot, window, measure] > 0
        if reported and not 0 <= time - state.buckets[slot, window, older].start < length:
            _report(state, slot, time, reports, at + written, _last_figures(state, slot, window))
            written += 1
    return written


@fused
def _last_figures(state: State, slot: _Whole, window: int) -> Crossing:
    """What a window holds; its measure is -1: nothing was crossed."""
    hosts = _distinct(state, slot, window, _HOSTS)
    pairs = _distinct(state, slot, window, _PAIRS)
    return Crossing(window, -1, 0, hosts, pairs)


@kernel
def count_connections(state: State, connections: NDArray[np.void], reports: Reports) -> int:
    """Enter record.CONNECTION rows (n,), writing reports (room for 5n); how many were written.

    A row of origin wire is an attempt, or the end of an earlier one; any other row is both."""
    written = 0
    for i in range(len(connections)):
        row = connections[i]
        slot = _subject(state, row)
        written += _turn(state, slot, row.time, reports, written)
        _roll(state, slot, row.time)
        ended = row.outcome != _PENDING and row.outcome != _SENT
        if row.origin != _WIRE or not ended:
            _attempt(state, slot, row)
            state.counters[0] += 1
            written += _judge(state, slot, row.time, reports, written)
        if ended:
            _end(state, slot, row.outcome)
            state.counters[1] += 1
            written += _judge(state, slot, row.time, reports, written)
    state.counters[2] += written
    return written


@kernel
def final_reports(state: State, reports: Reports) -> int:
    """Write the longest window's figures of each subject of which something was reported (room for
    one report a subject); how many were written."""
    written = 0
    window = _WINDOWS - 1
    for slot in range(len(state.subjects)):
        reported = False
        for level_window in range(_WINDOWS):
            for measure in range(_MEASURES):
                reported |= state.levels[slot, level_window, measure] > 0
        if not reported:
            continue
        time = state.subjects[slot].active
        _report(state, slot, time, reports, written, _last_figures(state, slot, window))
        written += 1
    return written
