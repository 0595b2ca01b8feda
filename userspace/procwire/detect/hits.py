"""Which findings of a batch belong together: those of one rule between one pair of addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.detect.observation import Endpoint

if TYPE_CHECKING:
    # Importing it loads numba, which the watch over processes does without.
    from procwire.decode.columns import Packets

_WITH_PORTS = frozenset((layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6, layers.SCTP))


class Hits(NamedTuple):
    """The findings of one batch and the packets they lie in.

    findings: record.FINDING (n,), in packet order; times: int64, ns since the epoch, one for each
    row of packets; counted: int64, by rule, further findings, of tier C, that have no row.
    """

    findings: NDArray[np.void]
    packets: Packets
    times: NDArray[np.int64]
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


class Kept(NamedTuple):
    """The findings of a batch that are not only counted: FINDING (n,), in packet order; the packets
    of the batch; by finding, its time; and what it shares with its group: rule, whether its context
    holds, both addresses."""

    findings: NDArray[np.void]
    packets: Packets
    times: NDArray[np.int64]
    key: tuple[NDArray[np.integer[Any]], ...]

    def keys(self, places: NDArray[np.int64] | list[np.int64]) -> list[tuple[int, ...]]:
        """What each of those rows shares with its group."""
        return list(zip(*(column[places].tolist() for column in self.key), strict=True))

    def found(self, places: NDArray[np.int64] | list[np.int64]) -> list[Found]:
        """Those rows in Python's types, all at once: one number at a time costs a hundredfold."""
        findings = self.findings[places]
        at = findings["row"]
        fields = {name: findings[name] for name in _OF_FINDING}
        fields |= {name: getattr(self.packets, name)[at] for name in _OF_PACKET}
        fields["time"] = self.times[places]
        return list(map(Found, *(fields[name].tolist() for name in Found._fields)))


class Group(NamedTuple):
    """Findings of one key without a pause. time, last: times of the first and of the latest;
    places: their rows in Kept, ascending."""

    time: int
    last: int
    places: NDArray[np.int64]


def gather(hits: Hits, counted: NDArray[np.bool_], tally: NDArray[np.int64]) -> Kept:
    """The findings, in their order, except of rules that are only counted.

    counted: by rule, whether it is one of them; tally: int64, by rule, raised by its findings.
    """
    rules = hits.findings["rule"]
    tally += np.bincount(rules, minlength=len(tally)) + hits.counted
    kept = hits.findings[~counted[rules]]
    at, packets = kept["row"], hits.packets
    addresses = (packets.src_hi, packets.src_lo, packets.dst_hi, packets.dst_lo)
    key = (kept["rule"], kept["in_context"], *(column[at] for column in addresses))
    return Kept(kept, packets, hits.times[at], key)


def groups(kept: Kept, pause: int) -> list[Group]:
    """The groups in order of their first findings, ended by a pause of so many ns."""
    order = np.lexsort(kept.key)
    begins = np.zeros(len(order), bool)
    for column in kept.key:
        ordered = column[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    return _groups(kept, order, begins, pause)


def one_key(kept: Kept, places: NDArray[np.int64], pause: int) -> list[Group]:
    """The same of those rows, at least one, that `places` lists: they share a key by decree."""
    return _groups(kept, places, np.zeros(len(places), bool), pause)


def _groups(
    kept: Kept, order: NDArray[np.int64], begins: NDArray[np.bool_], pause: int
) -> list[Group]:
    """begins: where in `order` another key than the one before begins."""
    if not len(order):
        return []
    times = kept.times[order]
    begins[1:] |= times[1:] - times[:-1] >= pause
    begins[0] = True
    starts = np.flatnonzero(begins)
    lasts = np.maximum.reduceat(times, starts).tolist()
    firsts, bounds = times[starts].tolist(), [*starts.tolist(), len(order)]
    return [
        Group(firsts[one], lasts[one], order[bounds[one] : bounds[one + 1]])
        for one in np.argsort(order[starts]).tolist()
    ]
