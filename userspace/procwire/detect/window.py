"""The fan-out windows as kernels, twin of kernel/window*.h with a source address as the subject.

Strategy: per subject and window two buckets of the window's length lie on a fixed grid, half a
window apart; figures are those of the older one, so they cover half to a whole window. Distinct
counts are HyperLogLog sketches, everything else is exact. Most attempts come from a subject with
few, or repeat a target, and touch little memory: counts are totals, of which each bucket remembers
what they were when it began; a sketch is begun by the first attempt of a bucket that is no longer
remembered by itself, for most subjects never; a target that raises no register of the youngest
bucket raises none; and figures are looked at only after one rose. Subjects live in an
open-addressing table probed over a few slots, where the least recently active gives way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD
from procwire.detect.fanout_buckets import (
    Record,
    Slot,
    begin_sketches,
    distinct,
    is_quiet,
    look_ahead,
    look_far_ahead,
    raises,
    since,
    slot_of,
    would_raise,
)
from procwire.detect.fanout_report import final_figures, of_note, report, turn
from procwire.detect.fanout_state import (
    AGE_BITS,
    AGE_MASK,
    BUCKETS,
    FEW,
    HOSTS,
    PAIRS,
    SKETCHES,
    TOTALS,
    Crossing,
    State,
)
from procwire.detect.fanout_turns import older, oldest, roll
from procwire.detect.sketch import code_of, estimate
from procwire.event import FANOUT_WINDOWS, SAMPLE_TARGETS, Measure, Origin, Outcome

_WINDOWS = FANOUT_WINDOWS
_MEASURES = len(Measure)
_FIRST_MEASURE = int(Measure.HOSTS)
_FAILURES = int(Measure.FAILURES) - _FIRST_MEASURE
_RUN = int(Measure.SEQUENTIAL_RUN) - _FIRST_MEASURE
# As many failures as never come.
_NEVER = 2**62
_SAMPLES = SAMPLE_TARGETS
# The first bucket of the window whose targets are sampled.
_SAMPLED = 2

_WIRE = int(Origin.WIRE)
_PENDING, _SENT, _ABORTED = int(Outcome.PENDING), int(Outcome.SENT), int(Outcome.ABORTED)
_ESTABLISHED, _REFUSED = int(Outcome.ESTABLISHED), int(Outcome.REFUSED)


@fused
def _follow(subject: Record, row: Record) -> None:
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
    subject.run = min(np.int64(subject.run) + 1, TOTALS) if goes_on else 2
    subject.stride_lo, subject.stride_hi, subject.stride_port = lo, hi, port


@fused
def _point(target: Record, row: Record) -> None:
    target.hi = row.dst_hi
    target.lo = row.dst_lo
    target.port = row.dst_port
    target.protocol = row.protocol


@fused
def _attempt(state: State, slot: Slot, row: Record, hashed: Record) -> None:
    subject = state.subjects[slot]
    _follow(subject, row)
    if subject.run > subject.least_run:
        _lengthen(state, subject, row.time)
    host, pair = code_of(hashed.host), code_of(hashed.target)
    if _is_fresh(state, slot, host, pair):
        _point(subject.samples[subject.sampled % _SAMPLES], row)
        subject.sampled = subject.sampled + 1 if subject.sampled < 2 * _SAMPLES else _SAMPLES + 1
    if subject.attempts == 0:
        _point(subject.first, row)
    _point(subject.last, row)
    place = subject.attempts % FEW
    subject.latest[HOSTS * FEW + place] = host
    subject.latest[PAIRS * FEW + place] = pair
    subject.attempts += 1


@fused
def _lengthen(state: State, subject: Record, time: int) -> None:
    """Enter the subject's run into its buckets, and the time into those that are empty."""
    subject.least_run = subject.run
    for bucket in range(BUCKETS):
        if subject.runs[bucket] == 0:
            subject.buckets[bucket].first_time = time
        subject.runs[bucket] = max(subject.runs[bucket], subject.run)
    subject.due |= 0 < state.thresholds[subject.kind, _RUN] <= subject.run


@fused
def _is_fresh(state: State, slot: Slot, host: int | np.int64, pair: int | np.int64) -> bool:
    """Enter a target into the sketches; whether it is to be sampled: while a bucket has few, and
    where the pair raised a register."""
    subject = state.subjects[slot]
    judged, ages = np.int64(subject.judged), np.int64(subject.ages)
    # Of the two of a window the older one is judged.
    sampled = _SAMPLED if judged >> _SAMPLED & 1 else _SAMPLED + 1
    least = state.least[subject.kind]
    host_rises = pair_rises = True
    fresh = False
    for _age in range(BUCKETS):
        bucket, ages = ages & AGE_MASK, ages >> AGE_BITS
        before = since(subject.attempts, subject.attempts_before[bucket])
        is_judged = judged >> bucket & 1
        if before < FEW:
            if before + 1 >= least:
                subject.due |= is_judged
            if bucket == sampled:
                fresh = bool(before < _SAMPLES) or would_raise(subject, before, pair)
            continue
        if before == FEW:
            begin_sketches(state, slot, bucket)
        first = bucket * SKETCHES
        host_rises = host_rises and raises(state, slot, first + HOSTS, host)
        pair_rises = pair_rises and raises(state, slot, first + PAIRS, pair)
        if bucket == sampled:
            fresh = pair_rises
        if is_judged:
            if host_rises or before == FEW:
                subject.due |= _is_told(state, subject, bucket, HOSTS)
            if pair_rises or before == FEW:
                subject.due |= _is_told(state, subject, bucket, PAIRS)
        if not (host_rises or pair_rises) and before > FEW:
            break
    return fresh


@fused
def _is_told(state: State, subject: Record, bucket: Slot, which: int) -> bool:
    """Whether a sketch of a bucket that is judged holds as many as is told next, or, as estimates
    err, fewer than were told."""
    threshold = state.thresholds[subject.kind, which]
    if threshold == 0:
        return False
    figure = estimate(subject.sketches[bucket * SKETCHES + which])
    step = subject.steps[bucket // 2 * _MEASURES + which] if subject.told else 0
    return bool(figure >= max(threshold, step) or (step > 0 and figure < threshold))


@fused
def _end(subject: Record, outcome: int) -> None:
    if outcome == _ESTABLISHED:
        subject.established += 1
    elif outcome != _ABORTED:
        subject.failures += 1
        subject.refused += outcome == _REFUSED
        if subject.failures >= subject.failures_due:
            subject.due = 1


@fused
def _failures_due(state: State, subject: Record) -> int | np.int64:
    """How many failures in all make those of a window as many as is told next."""
    threshold, due = state.thresholds[subject.kind, _FAILURES], np.int64(_NEVER)
    if threshold == 0:
        return due
    for window in range(_WINDOWS):
        bucket, told_at = subject.buckets[older(subject, window)], threshold
        if subject.told:
            told_at = max(threshold, subject.steps[window * _MEASURES + _FAILURES])
        held = since(subject.failures, bucket.failures_before)
        due = min(due, subject.failures - held + told_at)
    return due


@fused
def _judge(state: State, slot: Slot, row: Record, reports: NDArray[np.void], at: int) -> int:
    """Move every step; 1 if report `at` was written (the first crossing), else 0."""
    subject = state.subjects[slot]
    if not subject.due:
        return 0
    subject.due = 0
    if is_quiet(state, subject, oldest(subject)):
        subject.told = 0
        subject.failures_due = _failures_due(state, subject)
        return 0
    if not subject.told:
        for step in range(_WINDOWS * _MEASURES):
            subject.steps[step] = 0
    written, told = 0, 0
    for window in range(_WINDOWS):
        bucket, steps = older(subject, window), window * _MEASURES
        if is_quiet(state, subject, bucket):
            if subject.told:
                for measure in range(_MEASURES):
                    subject.steps[steps + measure] = 0
            continue
        hosts, pairs = distinct(subject, bucket, HOSTS), distinct(subject, bucket, PAIRS)
        failures = since(subject.failures, subject.buckets[bucket].failures_before)
        attempts = since(subject.attempts, subject.attempts_before[bucket])
        # An estimate may be higher. So few attempts are not looked at before they are enough.
        most = attempts if attempts <= FEW else max(hosts, pairs)
        figures = (min(hosts, most), min(pairs, most), failures, np.int64(subject.runs[bucket]))
        for measure in range(_MEASURES):
            figure, threshold = figures[measure], state.thresholds[subject.kind, measure]
            if threshold == 0:
                continue
            if figure < threshold:
                if subject.told:
                    subject.steps[steps + measure] = 0
                continue
            crossed = max(threshold, subject.steps[steps + measure])
            told = 1
            if figure < crossed:
                continue
            if written:
                # Its turn is at the next attempt or end.
                subject.due = 1
                continue
            crossing = Crossing(window, measure + _FIRST_MEASURE, crossed, hosts, pairs)
            report(state, slot, row.time, reports, at, crossing)
            written = 1
            while figure >= crossed:
                crossed *= 10
            subject.steps[steps + measure] = crossed
    subject.told = told
    subject.failures_due = _failures_due(state, subject)
    return written


@kernel
def count_connections(
    state: State,
    connections: NDArray[np.void],
    hashes: NDArray[np.void],
    reports: NDArray[np.void],
) -> int:
    """Enter record.CONNECTION rows (n,), of these hashes, writing reports (room for 5n); how many
    are of note.

    A row of origin wire is an attempt, or the end of an earlier one; any other row is both."""
    written, count = 0, len(connections)
    for i in range(count):
        if i + 2 * AHEAD < count:
            look_far_ahead(state, connections[i + 2 * AHEAD], hashes[i + 2 * AHEAD])
        if i + AHEAD < count:
            look_ahead(state, connections[i + AHEAD], hashes[i + AHEAD])
        row = connections[i]
        slot = slot_of(state, row, hashes[i].source)
        subject = state.subjects[slot]
        if not subject.begun <= row.time < subject.ends:
            if subject.told:
                written += turn(state, slot, row.time, reports, written)
            roll(state, slot, row.time)
        ended = row.outcome != _PENDING and row.outcome != _SENT
        if row.origin != _WIRE or not ended:
            _attempt(state, slot, row, hashes[i])
            state.counters[0] += 1
            written += _judge(state, slot, row, reports, written)
        if ended:
            _end(subject, row.outcome)
            state.counters[1] += 1
            written += _judge(state, slot, row, reports, written)
    state.counters[2] += written
    return of_note(state, reports, written)


@kernel
def final_reports(state: State, reports: NDArray[np.void]) -> None:
    """Write the longest window's figures of each subject of which something was reported."""
    written = 0
    for place in range(len(state.names)):
        slot = np.int64(state.slots[place])
        if state.names[place] and state.subjects[slot].told:
            crossing = final_figures(state.subjects[slot], _WINDOWS - 1)
            report(state, slot, state.active[place], reports, written, crossing)
            written += 1
