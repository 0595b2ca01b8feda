"""Records that could not be read: each is counted, the first are remembered by their line."""

from __future__ import annotations

from procwire.errors import RecordsDamaged

_REMEMBERED = 3


class Faults:
    """The damage of one input. path: as the user named it; malformed: records left out."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.malformed = 0
        self._first: list[str] = []

    def add(self, place: str, problem: str) -> None:
        """Count a record that is not what it should be. place: "line 17", "record 5"."""
        self.malformed += 1
        if len(self._first) < _REMEMBERED:
            self._first.append(f"{place}: {problem}")

    def check(self) -> None:
        """Raise RecordsDamaged if there was any."""
        if self.malformed:
            raise RecordsDamaged(self.path, self.malformed, tuple(self._first))
