"""What keeps a rule silent on a span that is seen often: the bytes that it reads there.

A rule is a function of what it reads. Where these bytes are the same, and as many are captured as
it asked for, it is silent, whatever the others are.
"""

from __future__ import annotations

from procwire.rule import Rule, fires
from procwire.words import Span


class _Bytes:
    """Bytes that remember which of them were read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.read = data, set[int]()

    def __getitem__(self, offset: int) -> int:
        self.read.add(offset)
        return self.data[offset]


class _Size:
    """A size that can only be compared, and remembers from where and up to where all comparisons
    would have said the same."""

    def __init__(self, size: int) -> None:
        self.size, self.least, self.most = size, 0, float("inf")

    def __gt__(self, other: int) -> bool:
        if self.size > other:
            self.least = max(self.least, other + 1)
        else:
            self.most = min(self.most, other)
        return self.size > other

    def __ge__(self, other: int) -> bool:
        return self > other - 1

    def __lt__(self, other: int) -> bool:
        return not self >= other

    def __le__(self, other: int) -> bool:
        return not self > other


def pattern(rule: Rule, data: bytes) -> str | None:
    """A regular expression, for the start of a span, of what keeps `rule` silent on the span
    `data`; None if it fires, or only a span of a certain length keeps it silent."""
    watched, size = _Bytes(data), _Size(len(data))
    spoken: tuple[object, int, object, object] = (watched, 0, size, size)
    try:
        if rule.reads_outer or fires(rule, Span._make(spoken), Span(b"", 0, 0, 0)):
            return None
    except TypeError:
        # It counts with the length.
        return None
    if size.most != float("inf"):
        return None
    seen = range(max(size.least, *(offset + 1 for offset in watched.read)))
    return "".join(f"\\x{data[at]:02x}" if at in watched.read else "." for at in seen)
