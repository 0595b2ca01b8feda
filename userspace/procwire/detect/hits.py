"""Which findings of a batch belong together: those of one rule between one pair of addresses, or,
where they are of probes, of one prober, or, where sources are forged, to one target."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.detect.forged import FORGED
from procwire.detect.observation import Endpoint
from procwire.detect.probes import PROBES, are_answers, are_bare

if TYPE_CHECKING:
    # Importing it loads numba, which the watch over processes does without.
    from procwire.decode.columns import Packets

_WITH_PORTS = frozenset((layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6, layers.SCTP))


class Hits(NamedTuple):
    """The findings of one batch and the packets they lie in.

    findings: record.FINDING (n,), in packet order; times: int64, ns since the epoch, one for each
    row of packets; reached: the same, the event time reached with each, which never goes back;
    counted: int64, by rule, further findings, of tier C, that have no row.
    """

    findings: NDArray[np.void]
    packets: Packets
    times: NDArray[np.int64]
    reached: NDArray[np.int64]
    counted: NDArray[np.int64]


# Fields of Found, by what they are columns of.
_OF_FINDING = ("rule", "in_context", "packet", "start", "size")
_OF_PACKET = (
    "src_hi",
    "src_lo",
    "dst_hi",
    "dst_lo",
    "network",
    "transport",
    "protocol",
    "src_port",
    "dst_port",
)


class Found(NamedTuple):
    """A finding and its packet in Python's own integers, which are what alerts are made of. Fields
    as in record.FINDING and decode.columns.Packets; time: ns since the epoch."""

    rule: int
    in_context: int
    src_hi: int
    src_lo: int
    dst_hi: int
    dst_lo: int
    time: int
    packet: int
    start: int
    size: int
    network: int
    transport: int
    protocol: int
    src_port: int
    dst_port: int

    def endpoints(self) -> tuple[Endpoint | None, Endpoint | None]:
        """Source and destination; None for a packet without a network layer."""
        if self.network == 0:
            return None, None
        has_ports = self.transport in _WITH_PORTS
        source = (self.src_hi << 64 | self.src_lo).to_bytes(16, "big")
        destination = (self.dst_hi << 64 | self.dst_lo).to_bytes(16, "big")
        return (
            Endpoint(source, self.src_port if has_ports else None),
            Endpoint(destination, self.dst_port if has_ports else None),
        )


BY_PAIR, BY_PROBER, BY_TARGET = range(3)
"""By what findings fold: both addresses, who probes, or whom packets with forged sources go to."""


def fold_of(rule: str) -> int:
    """By what all findings of a rule fold, by its id."""
    if rule in FORGED:
        return BY_TARGET
    return BY_PROBER if rule in PROBES else BY_PAIR


Shared = tuple[int, ...]
"""What findings of a group share: rule, whether its context holds, both addresses in halves, and by
what they fold. Of one address alone the other is 0."""
FOLD = 6
"""Where that has by what they fold."""

NO_PORT = -1
Other = tuple[int, int, int]
"""An address in halves, and its port or NO_PORT."""


class Kept(NamedTuple):
    """The findings of a batch that are not only counted. at: int64 (n,), their rows in the batch's;
    keys: what each shares with its group; times, reached: of each, as in Hits; others: the
    other ends of those that fold by one, made when they are first asked for."""

    hits: Hits
    at: NDArray[np.int64]
    keys: list[Shared]
    times: list[int]
    reached: list[int]
    others: Callable[[], list[Other]]

    def found(self, places: list[int]) -> list[Found]:
        """Those rows in Python's types, all at once: one number at a time costs a hundredfold."""
        at, packets = self.at[places], self.hits.packets
        rows = self.hits.findings["row"][at]
        fields = {name: self.hits.findings[name][at] for name in _OF_FINDING}
        fields |= {name: getattr(packets, name)[rows] for name in _OF_PACKET}
        fields["time"] = self.hits.times[rows]
        return list(map(Found, *(fields[name].tolist() for name in Found._fields)))


class Group(msgspec.Struct, gc=False):
    """Findings of one key without a pause. time, seen: event time reached with the first and the
    last; last: the latest time of them; places: their rows in Kept, ascending."""

    key: Shared
    time: int
    seen: int
    last: int
    places: list[int]


def gather(
    hits: Hits,
    counted: NDArray[np.bool_],
    fold: NDArray[np.uint8],
    tally: NDArray[np.int64],
) -> Kept:
    """The findings, in their order, except of rules that are only counted.

    counted: by rule, whether it is one of them; fold: uint8, by rule, by what its findings fold;
    tally: int64, by rule, raised by its findings.
    """
    rules, packets = hits.findings["rule"], hits.packets
    tally += np.bincount(rules, minlength=len(tally))
    at = np.flatnonzero(~counted[rules])
    rows = hits.findings["row"][at]
    shared = [rules[at], hits.findings["in_context"][at]]
    addresses = packets.src_hi, packets.src_lo, packets.dst_hi, packets.dst_lo
    ends = [column[rows] for column in addresses]
    by = fold[rules[at]]
    by[are_bare(packets, rows, hits.findings["size"][at])] = BY_PROBER
    if by.any():
        _fold(packets, rows, by, ends)
    shared += [*ends, by]
    keys = list(zip(*(column.tolist() for column in shared), strict=True))
    others = cache(partial(_others, packets, rows, by))
    return Kept(hits, at, keys, hits.times[rows].tolist(), hits.reached[rows].tolist(), others)


def _fold(
    packets: Packets, rows: NDArray[np.int32], by: NDArray[np.uint8], ends: list[NDArray[np.uint64]]
) -> None:
    """Leave of `ends`, both addresses in halves, that by which each finding folds, in place of the
    first."""
    at = np.flatnonzero(by)
    is_second = _is_second(packets, rows[at], by[at])
    for one, other in ((0, 2), (1, 3)):
        ends[one][at] = np.where(is_second, ends[other][at], ends[one][at])
        ends[other][at] = 0


def _others(packets: Packets, rows: NDArray[np.int32], by: NDArray[np.uint8]) -> list[Other]:
    """Of findings that fold by one end the other."""
    is_second = _is_second(packets, rows, by)
    hi = np.where(is_second, packets.src_hi[rows], packets.dst_hi[rows])
    lo = np.where(is_second, packets.src_lo[rows], packets.dst_lo[rows])
    port = np.where(is_second, packets.src_port[rows], packets.dst_port[rows]).astype(np.int64)
    port[~np.isin(packets.transport[rows], list(_WITH_PORTS))] = NO_PORT
    return list(zip(hi.tolist(), lo.tolist(), port.tolist(), strict=True))


def _is_second(
    packets: Packets, rows: NDArray[np.int32], by: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Whether a finding folds by its packet's destination."""
    is_second: NDArray[np.bool_] = (by == BY_TARGET) | are_answers(packets, rows)
    return is_second


def apart(
    kept: Kept, rows: range, full: Container[object], known: Container[object]
) -> tuple[Sequence[int], dict[Shared, list[int]]]:
    """Of `rows` those whose findings may be by themselves; and by rule and context those that may
    not: of the rules in `full` all but those with a key in `known`. Of a flood from forged
    addresses these are nearly all."""
    if not full:
        return rows, {}
    places: list[int] = []
    crowd: dict[Shared, list[int]] = {}
    for place in rows:
        key = kept.keys[place]
        if key[0] in full and key not in known:
            crowd.setdefault(key[:2], []).append(place)
        else:
            places.append(place)
    return places, crowd


def groups(kept: Kept, places: Iterable[int], pause: int) -> list[Group]:
    """The groups of those rows, in order of their first findings, ended by a pause of so many
    ns."""
    return _groups(((kept.keys[place], place) for place in places), kept, pause)


def one_key(kept: Kept, key: Shared, places: list[int], pause: int) -> list[Group]:
    """The same of those rows that `places` lists: they share a key by decree."""
    return _groups(((key, place) for place in places), kept, pause)


def _groups(findings: Iterable[tuple[Shared, int]], kept: Kept, pause: int) -> list[Group]:
    """findings: each one's key and row."""
    found: list[Group] = []
    latest: dict[Shared, Group] = {}
    times, reached = kept.times, kept.reached
    for key, place in findings:
        time, now, group = times[place], reached[place], latest.get(key)
        if group is None or now - group.seen >= pause:
            group = latest[key] = Group(key, now, now, time, [])
            found.append(group)
        group.places.append(place)
        group.seen = now
        if time > group.last:
            group.last = time
    return found
