"""The plain twin of procwire.decode.defrag: datagrams as dictionaries of bytes."""

from __future__ import annotations

from typing import NamedTuple


class Fragment(NamedTuple):
    """One IP fragment: what its datagram is known by, its IP version, place and bytes."""

    key: object
    version: int
    offset: int
    more: bool
    payload: bytes


class NaiveDefragmenter:
    """The first copy of a block wins (IPv4), an overlap ends the datagram (IPv6). Of an uneven
    fragment that more follows, whole blocks count (IPv4) or nothing (IPv6)."""

    def __init__(self) -> None:
        self.open: dict[object, list[Fragment]] = {}
        self.contested: set[object] = set()
        self.ended: set[object] = set()

    def add(self, new: Fragment) -> tuple[bytes | None, bool]:
        """(payload of the datagram that is whole now, whether the fragment overlaps others)"""
        if new.key in self.ended:
            return None, False
        size = len(new.payload)
        if new.more and size % 8 and (new.version == 6 or size < 8):
            return None, False
        seen = self.open.setdefault(new.key, [])
        if any(same(new, old) for old in seen) and new.key not in self.contested:
            return None, False
        overlap = any(contradict(new, old) for old in seen)
        if overlap and new.version == 6:
            self.ended.add(new.key)
            return None, True
        if overlap:
            self.contested.add(new.key)
        ends = [end(part) for part in seen if not part.more]
        if ends and (end(new) > ends[0] or (not new.more and end(new) != ends[0])):
            return None, True
        seen.append(new)
        ends = [end(part) for part in seen if not part.more]
        held: dict[int, bytes] = {}
        for part in seen:
            payload = counted(part)
            for at in range(0, len(payload), 8):
                held.setdefault((part.offset + at) // 8, payload[at : at + 8])
        if not ends or held.keys() != set(range(-(-ends[0] // 8))):
            return None, overlap
        if any(end(part) > -(-ends[0] // 8) * 8 for part in seen):
            # Odd bytes of an uneven fragment came from behind the end.
            return None, overlap
        del self.open[new.key]
        self.contested.discard(new.key)
        return b"".join(held[block] for block in sorted(held))[: ends[0]], overlap


def end(part: Fragment) -> int:
    return part.offset + len(part.payload)


def counted(part: Fragment) -> bytes:
    """Of a fragment that more follows its whole blocks."""
    size = len(part.payload)
    return part.payload[: size - size % 8] if part.more else part.payload


def same(one: Fragment, other: Fragment) -> bool:
    blocks = [(part.offset, part.more, -(-len(part.payload) // 8)) for part in (one, other)]
    uneven = [part.more and len(part.payload) % 8 > 0 for part in (one, other)]
    return blocks[0] == blocks[1] and uneven[0] == uneven[1] and counted(one) == counted(other)


def contradict(one: Fragment, other: Fragment) -> bool:
    """Whether the fragments share a block of 8 bytes, or one lies behind the other's end."""
    shared = one.offset < -(-end(other) // 8) * 8 and other.offset < -(-end(one) // 8) * 8
    behind = any(
        not last.more and (-(-end(part) // 8) > -(-end(last) // 8) or not part.more)
        for last, part in ((one, other), (other, one))
    )
    return shared or behind
