"""Edits of a Suricata configuration, line by line, so that its comments and layout stay.

Every line that is added ends in a mark, and every line that is replaced stays as a comment with
one: undone() gives back the text as it was, whatever else was changed in between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from procwire.errors import UsageError

_ADDED, _REPLACED = "  # procwire", "#procwire# "


def with_value(text: str, path: Sequence[str], value: str) -> str:
    """The text with `value` at `path`, for example ("security", "lua", "allow-rules"); keys that
    are missing are added. An entry of `path` that begins with "- " is an item of a sequence.

    Raises UsageError where the text is laid out in a way that this cannot follow.
    """
    lines = text.splitlines()
    start, end, indent = 0, len(lines), ""
    for depth, key in enumerate(path):
        place = _find(lines, start, end, key)
        if place is None:
            rest = [*path[depth:]]
            where = _behind_parent(lines, start, depth)
            indent = _child_indent(lines, start, end, indent, depth)
            return "\n".join([*lines[:where], *_new(rest, value, indent), *lines[where:], ""])
        indent = _indent(lines[place])
        if depth == len(path) - 1:
            replaced = f"{indent}{key}: {value}{_ADDED}"
            lines[place : place + 1] = [f"{_REPLACED}{lines[place]}", replaced]
            return "\n".join([*lines, ""])
        if re.search(r":\s+[^\s#]", lines[place]):
            raise UsageError(f"line {place + 1}: {lines[place].strip()!r} holds a value already")
        start, end = place + 1, _end(lines, place, end)
    raise UsageError("a path needs at least one key")


def with_item(text: str, key: str, value: str) -> str:
    """The text with `value` as first item of the sequence `key`. Raises UsageError as above."""
    lines = text.splitlines()
    place = _find(lines, 0, len(lines), key)
    if place is None:
        return "\n".join([*lines, f"{key}:{_ADDED}", f"  - {value}{_ADDED}", ""])
    items = [line for line in lines[place + 1 : _end(lines, place, len(lines))] if _is_item(line)]
    indent = _indent(items[0]) if items else "  "
    return "\n".join([*lines[: place + 1], f"{indent}- {value}{_ADDED}", *lines[place + 1 :], ""])


def without_item(text: str, value: str) -> str:
    """The text without the item that with_item() added."""
    kept = (line for line in text.splitlines(keepends=True) if line.strip() != f"- {value}{_ADDED}")
    return "".join(kept)


def undone(text: str) -> str:
    """The text without the edits of this module."""
    kept = [line for line in text.splitlines(keepends=True) if not line.rstrip().endswith(_ADDED)]
    return "".join(line.removeprefix(_REPLACED) for line in kept)


def unmarked(text: str) -> str:
    """The text with the lines that were added, as if somebody had written them by hand."""
    return "".join(line.replace(_ADDED, "") for line in text.splitlines(keepends=True))


def _find(lines: list[str], start: int, end: int, key: str) -> int | None:
    """The line of `key` among the least indented of lines[start:end]."""
    shallowest = min((len(_indent(line)) for line in lines[start:end] if _counts(line)), default=0)
    for place in range(start, end):
        line = lines[place]
        if _counts(line) and len(_indent(line)) == shallowest and _key(line) == key:
            return place
    return None


def _end(lines: list[str], place: int, end: int) -> int:
    """The line behind the block that begins at `place`."""
    depth = len(_indent(lines[place]))
    for following in range(place + 1, end):
        line = lines[following]
        deeper = len(_indent(line)) > depth
        # YAML lets the items of a sequence stand below their key without indentation.
        same_sequence = _is_item(line) and not _is_item(lines[place])
        if _counts(line) and not deeper and not (same_sequence and len(_indent(line)) == depth):
            return following
    return end


def _behind_parent(lines: list[str], start: int, depth: int) -> int:
    # At the top level behind everything, because a file begins with its version and comments.
    return start if depth else len(lines)


def _child_indent(lines: list[str], start: int, end: int, indent: str, depth: int) -> str:
    children = [line for line in lines[start:end] if _counts(line)]
    if depth and children:
        return _indent(children[0])
    return indent + "  " if depth else ""


def _new(keys: list[str], value: str, indent: str) -> list[str]:
    """Lines that hold `value` below nested `keys`."""
    made = []
    for key in keys[:-1]:
        made.append(f"{indent}{key}:{_ADDED}")
        indent += "    " if key.startswith("- ") else "  "
    return [*made, f"{indent}{keys[-1]}: {value}{_ADDED}"]


def _counts(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#") and stripped not in ("---", "...")


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def _is_item(line: str) -> bool:
    return line.lstrip(" ").startswith("- ")


def _key(line: str) -> str:
    return line.strip().partition(":")[0].rstrip()
