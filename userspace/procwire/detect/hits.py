"""Which findings of a batch belong together: those of one rule between one pair of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.detect.detector import Endpoint

if TYPE_CHECKING:
    # Importing it loads numba, which the watch over processes does without.
    from procwire.decode.columns import Packets

_WITH_PORTS = frozenset((layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6, layers.SCTP))
_KEY = 6


class Hits(NamedTuple):
    """The findings of one batch and the packets they lie in.

    findings: record.FINDING (n,), in packet order; times: int64, ns since the epoch, one for each
    row of packets.
    """

    findings: NDArray[np.void]
    packets: Packets
    times: NDArray[np.int64]


FOUND = np.dtype(
    [
        ("rule", "u2"),
        ("in_context", "u1"),
        ("src_hi", "u8"),
        ("src_lo", "u8"),
        ("dst_hi", "u8"),
        ("dst_lo", "u8"),
        ("time", "i8"),
        ("packet", "i8"),
        ("start", "u4"),
        ("size", "u2"),
        ("network", "u1"),
        ("transport", "u1"),
        ("protocol", "u1"),
        ("src_port", "u2"),
        ("dst_port", "u2"),
    ],
    align=True,
)
"""One finding and its packet. Fields as in record.FINDING and decode.columns.Packets."""
_OF_FINDING = ("rule", "in_context", "packet", "start", "size")
_OF_PACKET = tuple(name for name in FOUND.fields or () if name not in (*_OF_FINDING, "time"))


class Found(NamedTuple):
    """A row of FOUND in Python's own integers, which are what alerts are made of."""

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

    @property
    def key(self) -> tuple[int, ...]:
        """Rule, whether its context holds, and both addresses."""
        return self[:_KEY]

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


class Group(NamedTuple):
    """Findings of one key without a pause. first: the first of them; last: the time of the latest;
    places: their rows in what was gathered, ascending."""

    first: Found
    last: int
    places: NDArray[np.int64]


def gather(hits: Hits, counted: NDArray[np.bool_], tally: NDArray[np.int64]) -> NDArray[np.void]:
    """FOUND (n,) of the findings, in their order, except of rules that are only counted.

    counted: by rule, whether it is one of them; tally: int64, by rule, raised by its findings.
    """
    rules = hits.findings["rule"]
    tally += np.bincount(rules, minlength=len(tally))
    kept = hits.findings[~counted[rules]]
    rows, at = np.empty(len(kept), FOUND), kept["row"]
    for name in _OF_FINDING:
        rows[name] = kept[name]
    for name in _OF_PACKET:
        rows[name] = getattr(hits.packets, name)[at]
    rows["time"] = hits.times[at]
    return rows


def found(rows: NDArray[np.void]) -> list[Found]:
    """Rows of FOUND in Python's types, all at once: one number at a time costs a hundredfold."""
    return [Found._make(row) for row in rows.tolist()]


def groups(rows: NDArray[np.void], pause: int) -> Iterator[Group]:
    """The groups among rows of FOUND in order of their first findings, ended by a pause of so many
    ns."""
    columns = [rows[name] for name in Found._fields[:_KEY]]
    order = np.lexsort(columns)
    begins = np.zeros(len(order), bool)
    for column in columns:
        ordered = column[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    return _groups(rows, order, begins, pause)


def one_key(rows: NDArray[np.void], places: NDArray[np.int64], pause: int) -> Iterator[Group]:
    """The same of those rows, at least one, that `places` lists: they share a key by decree."""
    return _groups(rows, places, np.zeros(len(places), bool), pause)


def _groups(
    rows: NDArray[np.void], order: NDArray[np.int64], begins: NDArray[np.bool_], pause: int
) -> Iterator[Group]:
    """begins: where in `order` another key than the one before begins."""
    if not len(order):
        return
    times = rows["time"][order]
    begins[1:] |= np.diff(times) >= pause
    begins[0] = True
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(order))
    lasts = np.maximum.reduceat(times, starts)
    turn = np.argsort(order[starts])
    firsts = found(rows[order[starts[turn]]])
    bounds = (column[turn].tolist() for column in (lasts, starts, ends))
    for first, last, start, end in zip(firsts, *bounds, strict=True):
        yield Group(first, last, order[start:end])
