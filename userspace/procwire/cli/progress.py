"""How far reading has come: a bar on stderr where that is a terminal, gone when reading ends.

A file has a known length. Of what is unpacked or piped in only packets or records are counted.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from procwire.capture.source import plain_size
from procwire.output.printable import printable
from procwire.output.terminal import columns, obeys

# And show the cursor, which click hides.
_ERASE_LINE = "\r\x1b[2K\x1b[?25h"
_SHORTEST_LABEL, _SHORTEST_BAR = 8, 4
# Brackets, percentage, time left, and what separates them.
_AROUND_BAR = 24


class Progress:
    """The progress of reading one input, drawn once the first batch is there. unit: what is
    counted of an input of unknown length."""

    def __init__(self, path: Path, unit: str) -> None:
        self._path, self._unit = path, unit
        self._bar: Any = None
        self._shown = obeys(sys.stderr)
        self._size: int | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._bar is not None and self._size is not None:
            # Headers of files and blocks were not counted.
            self._bar.update(self._size - self._bar.pos)
        self.erase()

    def erase(self) -> None:
        """Leave the line to others; the next batch draws the bar again."""
        if self._bar is not None:
            click.echo(_ERASE_LINE, nl=False, err=True)

    def update(self, size: int, count: int) -> None:
        """Note that so many bytes, and packets or records, are done."""
        if not self._shown:
            return
        if self._bar is None:
            self._size = plain_size(self._path)
            self._bar = self._begin(self._size)
        self._bar.update(count if self._size is None else size)

    def _begin(self, length: int | None) -> Any:
        label = printable(self._path.name)
        width = columns(sys.stderr)
        room = max(_SHORTEST_LABEL, width // 3)
        if len(label) > room:
            label = f"{label[: room - 1]}…"
        if length is not None:
            # click itself asks stdout for the width.
            bar = max(_SHORTEST_BAR, width - len(label) - _AROUND_BAR)
            return click.progressbar(length=length, label=label, width=bar, file=sys.stderr)
        # An endless iterable is what click takes for an unknown length.
        return click.progressbar(
            itertools.count(),
            label=f"{label}, {self._unit}",
            show_pos=True,
            bar_template="%(label)s %(info)s",
            file=sys.stderr,
        )
