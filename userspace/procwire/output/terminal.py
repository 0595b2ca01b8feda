"""What a stream can show: how many columns, and whether colour is wanted."""

from __future__ import annotations

import os
from typing import TextIO

# Columns of what goes to no terminal.
_LINE = 100


def columns(stream: TextIO) -> int:
    """The width of the stream's terminal; another one where stdout and stderr are not the same."""
    if not stream.isatty():
        return _LINE
    return os.get_terminal_size(stream.fileno()).columns or _LINE


def colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal and its user has not set NO_COLOR (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")
