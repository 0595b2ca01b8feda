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


def pattern(rule: Rule, spans: tuple[bytes, ...]) -> str | None:
    """A regular expression, for the start of a span, of what keeps `rule` silent on `spans`, which
    are alike but for one byte; None if it fires on one, or only a span of a certain length keeps it
    silent."""
    read, size = set[int](), 0
    for data in spans:
        needed = seen(rule, data)
        if needed is None:
            return None
        read, size = read | needed[0], max(size, needed[1])
    return "".join(_one_of(sorted({data[at] for data in spans}), at in read) for at in range(size))


def seen(rule: Rule, data: bytes) -> tuple[set[int], int] | None:
    """The offsets that the rule reads of a span on which it is silent, and how many bytes it asks
    for; None if it fires, or is silent because of the span's length."""
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
    return watched.read, max(size.least, *(offset + 1 for offset in watched.read))


def _one_of(values: list[int], read: bool) -> str:
    if not read:
        return "."
    escaped = [f"\\x{value:02x}" for value in (values[0], values[-1])]
    return escaped[0] if len(values) == 1 else f"[{'-'.join(escaped)}]"
