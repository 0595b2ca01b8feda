"""The lines of an input, in bounded memory and as UTF-8, with their numbers.

Windows programs also write UTF-16, which its byte order mark tells; a line longer than any record
is left out and counted.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from procwire.capture.source import Source
from procwire.telemetry.faults import Faults

LINE_LIMIT = 1 << 20
"""Bytes of the longest line that is read. auditd splits records at 8 kB, Windows at 64 kB."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Lines:
    """Iterates over (number from 1, line without its end) of a source, empty lines left out."""

    def __init__(self, source: Source, faults: Faults) -> None:
        self._source, self.faults = source, faults

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        number, rest, too_long = 0, b"", False
        for window in self._windows():
            *lines, last = window.split(b"\n")
            for line in lines:
                number += 1
                if too_long:
                    rest, too_long = b"", False
                    continue
                if rest:
                    line, rest = rest + line, b""
                if len(line) > LINE_LIMIT:
                    self._leave_out(number)
                elif line and not line.isspace():
                    yield number, line
            if too_long:
                continue
            rest += last
            if len(rest) > LINE_LIMIT:
                self._leave_out(number + 1)
                rest, too_long = b"", True
        if rest and not rest.isspace():
            yield number + 1, rest

    def malformed(self, number: int, problem: str) -> None:
        """Count a line that is not what it should be."""
        self.faults.add(f"line {number}", problem)

    def _leave_out(self, number: int) -> None:
        self.malformed(number, f"longer than {LINE_LIMIT} bytes, which no record is")

    def _windows(self) -> Iterator[bytes]:
        source = self._source
        text = _decoded(source.data[:3].tobytes())
        while True:
            window = source.data[source.at :].tobytes()
            source.at = len(source.data)
            yield text(window)
            if not source.advance():
                return


class _AsItIs:
    """UTF-8, of which a mark at the start says nothing more."""

    def __init__(self) -> None:
        self._begun = False

    def __call__(self, window: bytes) -> bytes:
        if self._begun:
            return window
        self._begun = True
        return window.removeprefix(codecs.BOM_UTF8)


class _FromUtf16:
    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")

    def __call__(self, window: bytes) -> bytes:
        return self._decoder.decode(window).encode("utf-8", "replace")


def _decoded(head: bytes) -> _AsItIs | _FromUtf16:
    return _FromUtf16() if head.startswith(_UTF16) else _AsItIs()
