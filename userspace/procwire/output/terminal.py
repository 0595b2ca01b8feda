"""What a stream can show: how many columns, and whether colour is wanted."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TextIO

# Columns of what goes to no terminal.
_LINE = 100


def columns(stream: TextIO) -> int:
    """The width of the stream's terminal; another one where stdout and stderr are not the same."""
    if not stream.isatty():
        return _LINE
    return os.get_terminal_size(stream.fileno()).columns or _LINE


def width_of(stream: TextIO) -> int | None:
    """The same of a terminal; None of what is none, whose lines stay whole."""
    return columns(stream) if stream.isatty() else None


def folded(line: str, width: int | None, hang: int) -> str:
    """The line in pieces of at most `width` columns, cut between words where it can be; all but the
    first begin `hang` columns to the right, or a third of the width where that is less. It stays
    whole where `width` is None."""
    if width is None or len(line) <= width:
        return line
    indent = " " * min(hang, width // 3)
    pieces = textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(pieces)


def shown(line: str, hang: int) -> str:
    """The line, folded where standard output is a terminal. hang: as of folded()."""
    return folded(line, width_of(sys.stdout), hang)


def obeys(stream: TextIO) -> bool:
    """Whether the stream is a terminal that moves its cursor and changes colours when told to; one
    that does not is called "dumb" (terminfo(5))."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def colours(stream: TextIO) -> bool:
    """Whether the stream is such a terminal and its user has not set NO_COLOR (no-color.org)."""
    return obeys(stream) and not os.environ.get("NO_COLOR")
