"""Where a byte lies, for the words that look for one. A block is compared at a time, without a
branch for each, which the processor does at once."""

from __future__ import annotations

from typing import Any

from procwire.jit import fused

_BLOCK = 16


@fused
def first_of(data: Any, start: int, end: int, value: int) -> int:
    """Index of the first byte `value` in data[start:end], or `end`. All of these bytes exist."""
    at = start
    while at + _BLOCK <= end and not _in_block(data, at, value):
        at += _BLOCK
    while at < end and data[at] != value:
        at += 1
    return at


@fused
def _in_block(data: Any, start: int, value: int) -> bool:
    found = False
    for at in range(start, start + _BLOCK):
        found |= bool(data[at] == value)
    return found
