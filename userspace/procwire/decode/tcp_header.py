"""What the flow of a TCP segment asks of its header, options included."""

from __future__ import annotations

from procwire.compiled.jit import fused
from procwire.decode.columns import span_at
from procwire.decode.source import Source
from procwire.decode.tcp_segment import SYN, Segment
from procwire.words import Span, u8, u16

_OPTION_WINDOW_SCALE, _OPTION_FAST_OPEN, _OPTION_EXPERIMENT = 3, 34, 254
_FAST_OPEN_MAGIC = 0xF989
_LARGEST_SCALE = 14  # RFC 7323 2.3


@fused
def segment_of(source: Source, row: int, sender: int) -> Segment:
    """The TCP segment that is packet `row`, sent by end `sender` of its flow."""
    packets = source.packets
    header = span_at(source.data, source.spans, int(source.span[row]))
    opens = packets.tcp_flags[row] & SYN != 0
    return Segment(
        int(packets.tcp_flags[row]),
        int(packets.seq[row]),
        int(packets.ack[row]),
        int(packets.payload[row]),
        sender,
        opens and _offers_fast_open(header),
        int(source.times[row]),
        u16(header, 14),
        _window_scale(header) if opens else 0,
    )


@fused
def _option(header: Span, wanted: int, magic: int) -> int:
    """Where a TCP header has the option `wanted`, followed by the number `magic` unless that is 0;
    0 where it has none."""
    end, at = min(header.captured, (u8(header, 12) >> 4) * 4), 20
    while at + 1 < end:
        kind = u8(header, at)
        if kind == 0:
            return 0
        if kind == wanted and (magic == 0 or u16(header, at + 2) == magic):
            return at
        at += 1 if kind == 1 else max(u8(header, at + 1), 2)
    return 0


@fused
def _offers_fast_open(header: Span) -> bool:
    """Whether a SYN carries the option of RFC 7413, or the experiment (RFC 6994) it was before."""
    if _option(header, _OPTION_FAST_OPEN, 0) > 0:
        return True
    return _option(header, _OPTION_EXPERIMENT, _FAST_OPEN_MAGIC) > 0


@fused
def _window_scale(header: Span) -> int:
    """One more than the window scale of a SYN; 0 without that option."""
    at = _option(header, _OPTION_WINDOW_SCALE, 0)
    return min(u8(header, at + 2), _LARGEST_SCALE) + 1 if at > 0 else 0
