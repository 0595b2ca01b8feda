"""Bytes of a packet for people, those that decide between brackets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import click

# Columns of a line of the dump with so many bytes: offset, bytes, text.
_BYTES_A_LINE = ((16, 7 + 4 * 16), (8, 7 + 4 * 8), (4, 0))


class Marked(NamedTuple):
    """A frame, its first byte of evidence and the one behind its last; equal where what is missing
    is the fault."""

    frame: bytes
    start: int
    end: int


def dump(marked: Marked, width: int, colour: bool) -> Iterator[str]:
    """Offset, bytes and text; the evidence between brackets, and in red where there is colour;
    empty brackets where it is missing."""
    step = next(step for step, columns in _BYTES_A_LINE if columns <= width)
    cells_needed = len(marked.frame) + (marked.start == len(marked.frame))
    for at in range(0, cells_needed, step):
        places = range(at, min(at + step, cells_needed))
        cells = [_cell(marked, place, at, colour) for place in places]
        blank = "   " * (step - len(places))
        last = places[-1]
        close = "]" if marked.start <= last < marked.end == last + 1 else " "
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in marked.frame[at:][:step])
        yield f"{at:04x} {''.join(cells)}{close}{blank} {text}"


def _cell(marked: Marked, place: int, line: int, colour: bool) -> str:
    """Three columns of one byte: what is before it, and its digits."""
    if place == len(marked.frame):
        return " []"
    inside = marked.start <= place < marked.end
    before = " "
    if inside and place == marked.start:
        before = "["
    elif place == marked.end and place != line:
        before = "]"
    digits = f"{marked.frame[place]:02x}"
    return before + (click.style(digits, fg="red", bold=True) if colour and inside else digits)
