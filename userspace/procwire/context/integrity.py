"""Whether a context's tables are there and say what can be: SQLite vouches for its pages alone, and
a byte that changed within a text is no fault to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from ipaddress import ip_network

from procwire.detect.habits import KINDS, STATES
from procwire.detect.zones import KINDS as ZONE_KINDS

_COLUMNS = (
    "SELECT kept.name, one.name, one.type FROM sqlite_schema AS kept, pragma_table_info(kept.name)"
    " AS one WHERE kept.type = 'table'"
)


def faults(connection: sqlite3.Connection, steps: Iterable[str]) -> Iterator[str]:
    """What is wrong with a context that took these steps (schema.py), for people."""
    with closing(sqlite3.connect(":memory:")) as sound:
        for step in steps:
            sound.executescript(step)
        wanted = set(sound.execute(_COLUMNS))
    there = set(connection.execute(_COLUMNS))
    yield from (f"it lacks {table}.{column}" for table, column, _ in sorted(wanted - there))
    held = {(table, column) for table, column, _ in wanted & there}
    for (table, column), is_sound in _TEXTS.items():
        if (table, column) in held:
            for (text,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}"):
                if text is not None and not is_sound(text):
                    yield f"{text!r} is no {column} of {table}"


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


_TEXTS: dict[tuple[str, str], Callable[[str], bool]] = {
    ("allowed", "source"): _is_network,
    ("allowed", "destination"): _is_network,
    ("networks", "network"): _is_network,
    ("assets", "address"): _is_network,
    ("zones", "kind"): ZONE_KINDS.__contains__,
    ("habits", "kind"): KINDS.__contains__,
    ("habits", "state"): STATES.__contains__,
}
"""Of columns that only hold certain texts, which."""
