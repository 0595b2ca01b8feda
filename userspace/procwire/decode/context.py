"""Whether the context of an observation holds: can the packet be wrong, or the capture only?

Tier B checks become alerts only where this says so. It feeds the capture's health (health.py) with
what flows show of it, then asks it.
"""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.decode.flow_table import (
    COUNTED,
    ESTABLISHED,
    FROM_SYN,
    GUESSED,
    IDLE_LIMITS,
    MIDSTREAM,
    FlowTable,
)
from procwire.decode.health import (
    Health,
    is_trusted,
    on_connection,
    on_segment_seen,
    remembers,
    several_strays,
)
from procwire.decode.observations import (
    DATA_NO_SESSION,
    FIN_NO_SESSION,
    GAP,
    OVERLAP_DIFFERS,
    REPEATED,
    RST_NO_SESSION,
    SYNACK_UNSOLICITED,
    UNSOLICITED_ERROR,
)
from procwire.decode.source import FlowColumns, Source

_STRAYS = RST_NO_SESSION | FIN_NO_SESSION | DATA_NO_SESSION
_NEEDS_MEMORY = _STRAYS | SYNACK_UNSOLICITED | UNSOLICITED_ERROR
_LONGEST_MEMORY = int(IDLE_LIMITS.max())
# So many segments one way, none of them a bare SYN or reset, mean that the answers pass elsewhere.
_ONE_WAY = 8


@fused
def weigh(
    table: FlowTable, slot: int, state: Health, source: Source, row: int, columns: FlowColumns
) -> int:
    """Note which observations of packet `row`, of the flow in `slot` (or -1), can be trusted.

    Returns 1 if its flow has just been counted as seen both ways, -1 if one way, else 0.
    """
    packets, figures = source.packets, state.figures
    observed = int(columns.observed[row])
    columns.observed[row] = observed & ~REPEATED
    counted, begun_now, from_syn = 0, slot < 0, False
    if slot >= 0:
        on_segment_seen(figures, observed & GAP != 0)
        counted = _judge_direction(table, slot)
        if counted:
            on_connection(figures, counted > 0)
        begun_now = table.ends[slot, 0].packets + table.ends[slot, 1].packets == 1
        from_syn = table.flows[slot].marks & (FROM_SYN | GUESSED) == FROM_SYN
    if observed == 0:
        return counted
    # One stray may belong to a connection that was idle since before the capture, not several.
    several = (
        begun_now
        and observed & _STRAYS != 0
        and several_strays(state, packets.src_hi[row], packets.src_lo[row])
    )
    if not is_trusted(figures):
        return counted
    trusted = 0
    if begun_now and remembers(figures, _LONGEST_MEMORY):
        # What these answer cannot be older than the warm-up.
        trusted |= observed & (SYNACK_UNSOLICITED | UNSOLICITED_ERROR)
        if several:
            trusted |= observed & _STRAYS
    # Bytes may also differ because they were damaged on the way; no checksum is verified here.
    if from_syn and not observed & REPEATED:
        trusted |= observed & ~(_NEEDS_MEMORY | OVERLAP_DIFFERS)
    columns.trusted[row] |= trusted
    return counted


@fused
def _judge_direction(table: FlowTable, slot: int) -> int:
    """1 where the flow is now known to be seen both ways, -1 one way, 0 where it is not known yet
    or was known before."""
    flow, low, high = table.flows[slot], table.ends[slot, 0], table.ends[slot, 1]
    if flow.marks & COUNTED or (flow.state != MIDSTREAM and flow.state < ESTABLISHED):
        return 0
    if low.packets > 0 and high.packets > 0:
        flow.marks |= COUNTED
        return 1
    if low.packets + high.packets >= _ONE_WAY:
        flow.marks |= COUNTED
        return -1
    return 0
