"""How many of something there are, in words for people."""

from __future__ import annotations


def amount(count: int, things: str) -> str:
    """A number with its unit: "1 rule", "1,200 records of use". things: in plural, noun first."""
    noun, space, rest = things.partition(" ")
    return f"{count:,} {noun.removesuffix('s') if count == 1 else noun}{space}{rest}"
