"""What a fan-out window holds, written as the row that the kernel sends for a process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import called, fused
from procwire.detect.fanout_buckets import Record, Slot, distinct, since
from procwire.detect.fanout_state import HOSTS, PAIRS, Crossing, State
from procwire.detect.fanout_turns import older
from procwire.detect.unanswered import is_untold, unanswered
from procwire.event import FANOUT_WINDOWS, SAMPLE_TARGETS, EventKind, Measure

_WINDOWS = FANOUT_WINDOWS
_MEASURES = len(Measure)
_NOTHING_CROSSED = 0
_SAMPLES = SAMPLE_TARGETS
_FIGURE_LIMIT = 2**32 - 1
_BYTE = np.uint64(255)
_FANOUT = int(EventKind.FANOUT)
_unanswered, _is_untold = fused(unanswered), fused(is_untold)


@fused
def report(
    state: State, slot: Slot, time: int, reports: NDArray[np.void], at: int, crossing: Crossing
) -> None:
    """Fill a row of event.FANOUT_EVENT; fields of processes stay 0."""
    event, subject = reports[at], state.subjects[slot]
    bucket = older(subject, crossing.window)
    event.time_ns = time
    event.window_ns = state.windows[crossing.window]
    event.window_start_ns = subject.starts[bucket]
    event.first_ns = subject.buckets[bucket].first_time
    event.kind = _FANOUT
    event.origin = state.origin
    event.attempt = subject.kind
    event.measure = crossing.measure
    event.threshold = min(crossing.threshold, _FIGURE_LIMIT)
    held = subject.buckets[bucket]
    event.attempts = since(subject.attempts, subject.attempts_before[bucket])
    event.established = since(subject.established, held.established_before)
    event.refused = since(subject.refused, held.refused_before)
    event.failures = since(subject.failures, held.failures_before)
    event.sequential_run = subject.runs[bucket]
    event.hosts = min(crossing.hosts, _FIGURE_LIMIT)
    event.host_ports = min(crossing.host_ports, _FIGURE_LIMIT)
    event.samples = min(subject.sampled, _SAMPLES)
    _write_address(event.source, subject)
    # Of ends alone there is no first target, and no last.
    _write_target(event.first, subject.first if subject.attempts else subject.last)
    _write_target(event.last, subject.last)
    for place in range(_SAMPLES):
        if place < subject.sampled:
            _write_target(event.sample[place], subject.samples[place])
        else:
            event.sample[place].address[:] = 0
            event.sample[place].port = event.sample[place].protocol = 0


@called
def of_note(state: State, reports: NDArray[np.void], written: int) -> int:
    """Move those reports to the front that may be of scans, as so great a share came to nothing or
    nobody knows how most ended; how many they are."""
    kept = 0
    for at in range(written):
        event = reports[at]
        attempts, kind = int(np.int64(event.attempts)), int(np.int64(event.attempt))
        established, failures = int(np.int64(event.established)), int(np.int64(event.failures))
        share = _unanswered(attempts, established, failures, kind, state.origin)
        untold = _is_untold(attempts, established, failures, state.origin)
        if untold or share >= state.unanswered:
            reports[kept] = event
            kept += 1
    return kept


@fused
def _write_target(field: Record, target: Record) -> None:
    _write_address(field.address, target)
    field.port = target.port
    field.protocol = target.protocol


@fused
def _write_address(field: NDArray[np.uint8], halves: Record) -> None:
    """Sixteen bytes in network order."""
    for byte in range(8):
        shift = np.uint64(56 - 8 * byte)
        field[byte] = np.uint8(halves.hi >> shift & _BYTE)
        field[8 + byte] = np.uint8(halves.lo >> shift & _BYTE)


@fused
def final_figures(subject: Record, window: int) -> Crossing:
    """What a window holds, though nothing was crossed."""
    bucket = older(subject, window)
    hosts, pairs = distinct(subject, bucket, HOSTS), distinct(subject, bucket, PAIRS)
    return Crossing(window, _NOTHING_CROSSED, 0, hosts, pairs)


@fused
def turn(state: State, slot: Slot, time: int, reports: NDArray[np.void], at: int) -> int:
    """Write the last figures of each window of which something was reported and whose bucket is
    over: between two crossings its shape may have changed. The number of reports written."""
    subject, written = state.subjects[slot], 0
    for window in range(_WINDOWS):
        start, length = subject.starts[older(subject, window)], state.windows[window]
        reported = False
        for measure in range(_MEASURES):
            reported |= subject.steps[window * _MEASURES + measure] > 0
        if reported and not 0 <= time - start < length:
            report(state, slot, time, reports, at + written, final_figures(subject, window))
            written += 1
            # Its figures fall, and what was told may be told again.
            subject.due = 1
    return written
