"""Whether a capture shows enough to judge by: does it see both directions, and does it see all?

Strategy: figures over the recent past, halved whenever their sample is full, so that a capture that
turns bad is noticed and one that recovers is trusted again. Before the warm-up is over, and below a
least number of connections seen both ways, nothing is vouched for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import fused
from procwire.decode.mix import mix_address

# Slots of the figures, an int64 array. EARLIER: flows begun when the capture began anew.
(STARTED, CLOCK, WARM_UP, TWO_SIDED, ONE_SIDED, SEGMENTS, LOST, LAST_EVICTION, EARLIER) = range(9)
FIGURES = 9

_ENOUGH_CONNECTIONS = 8
_CONNECTIONS_SAMPLE = 1 << 10
_SEGMENTS_SAMPLE = 1 << 16
# One connection in ten seen one way only says asymmetric routing, one segment in a hundred missing
# says a capture that drops.
_TWO_SIDED_PER_ONE_SIDED = 9
_SEGMENTS_PER_LOST = 100
NEVER = np.iinfo(np.int64).min
# As long as any flow is remembered.
_SILENCE = 3_600_000_000_000

STRAY_SOURCES = 4096
STRAY = np.dtype([("source", "u8"), ("since", "i8"), ("flows", "i8")])
"""Stray flows of one source address (its hash) since a time in ns."""
_STRAY_WINDOW = 60_000_000_000
_SEVERAL = 5


class Health(NamedTuple):
    """figures: int64 (FIGURES,), see the slot numbers; strays: STRAY (STRAY_SOURCES,)."""

    figures: NDArray[np.int64]
    strays: NDArray[np.void]


def health(warm_up_ns: int) -> Health:
    """Of a capture of which nothing was seen yet."""
    made = Health(np.zeros(FIGURES, np.int64), np.zeros(STRAY_SOURCES, STRAY))
    made.figures[[STARTED, CLOCK, LAST_EVICTION]] = NEVER
    made.figures[WARM_UP] = warm_up_ns
    return made


@fused
def on_time(figures: NDArray[np.int64], time: int) -> bool:
    """Note the time of a packet, ns since the epoch, in the slots STARTED and CLOCK; whether the
    capture begins with it. After a long silence it begins anew, as where a clock was set: what came
    before is forgotten or of another time, and vouches for nothing."""
    clock = figures[CLOCK]
    if clock == NEVER or time - clock > _SILENCE or clock - time > _SILENCE:
        figures[STARTED] = time
        figures[CLOCK] = time
        return True
    if time > clock:
        figures[CLOCK] = time
    return False


@fused
def later(figures: NDArray[np.int64], clock: int, time: int) -> int:
    """What on_time() makes of a clock that is not in its slot. Most packets only move it."""
    if clock <= time <= clock + _SILENCE:
        return time
    figures[CLOCK] = clock
    on_time(figures, time)
    return int(figures[CLOCK])


@fused
def on_connection(figures: NDArray[np.int64], two_sided: bool) -> None:
    """Count a connection by whether both of its directions were seen."""
    figures[TWO_SIDED if two_sided else ONE_SIDED] += 1
    if figures[TWO_SIDED] + figures[ONE_SIDED] >= _CONNECTIONS_SAMPLE:
        figures[TWO_SIDED] //= 2
        figures[ONE_SIDED] //= 2


@fused
def on_segment_seen(figures: NDArray[np.int64], lost: bool) -> None:
    """Count a segment, and whether one before it is missing."""
    figures[SEGMENTS] += 1
    if lost:
        figures[LOST] += 1
    if figures[SEGMENTS] >= _SEGMENTS_SAMPLE:
        figures[SEGMENTS] //= 2
        figures[LOST] //= 2


@fused
def is_trusted(figures: NDArray[np.int64]) -> bool:
    """Whether the capture has warmed up, sees both directions and does not drop."""
    warm = figures[CLOCK] - figures[STARTED] >= figures[WARM_UP]
    both = figures[TWO_SIDED] >= _ENOUGH_CONNECTIONS
    both = both and figures[TWO_SIDED] >= _TWO_SIDED_PER_ONE_SIDED * figures[ONE_SIDED]
    return bool(warm and both and figures[SEGMENTS] >= _SEGMENTS_PER_LOST * figures[LOST])


@fused
def remembers(figures: NDArray[np.int64], memory: int) -> bool:
    """Whether no living flow had to be forgotten within the last `memory` ns."""
    evicted = figures[LAST_EVICTION]
    return bool(evicted == NEVER or figures[CLOCK] - evicted > memory)


@fused
def several_strays(health: Health, high: np.uint64, low: np.uint64) -> bool:
    """Count a stray flow of a source; whether it has sent several within a minute. One alone may be
    a connection that was idle since before the capture.
    """
    source = mix_address(high, low)
    entry = health.strays[np.int64(source & np.uint64(STRAY_SOURCES - 1))]
    now = health.figures[CLOCK]
    if entry.source != source or abs(now - entry.since) > _STRAY_WINDOW:
        entry.source = source
        entry.since = now
        entry.flows = 0
    entry.flows += 1
    return bool(entry.flows >= _SEVERAL)
