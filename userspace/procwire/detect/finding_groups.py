"""Which findings of a batch belong together: those of one rule between one pair of addresses, or,
where they are of probes, of one prober, or, where sources are forged, to one target."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.detect.forged import FORGED
from procwire.detect.probes import PROBES
from procwire.record import Endpoint

if TYPE_CHECKING:
    # Importing it loads numba, which the watch over processes does without.
    from procwire.decode.columns import Packets

ADDRESS = 16
"""Bytes of an address. What findings share that fold by one address begins with that."""
# Those of IPv4 are mapped, so none is this.
_UNREAD = bytes(ADDRESS)
WITH_PORTS = frozenset((layers.TCP, layers.UDP, layers.ICMP4, layers.ICMP6, layers.SCTP))
"""Transports with ports, or types and codes in their place."""


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


class Found(NamedTuple):
    """A finding and its packet in Python's own types, which are what alerts are made of. Fields as
    in record.FINDING and decode.columns.Packets; source, destination: addresses, 16 bytes in
    network order, IPv4 mapped; time: ns since the epoch."""

    source: bytes
    destination: bytes
    time: int
    packet: int
    start: int
    rule: int
    size: int
    src_port: int
    dst_port: int
    in_context: int
    network: int
    transport: int
    protocol: int

    def endpoints(self) -> tuple[Endpoint | None, Endpoint | None]:
        """Source and destination; None for a packet without a network layer, or where a header of
        IPv4 or a message of ARP ends before the address."""
        return (
            self._endpoint(self.source, self.src_port),
            self._endpoint(self.destination, self.dst_port),
        )

    def _endpoint(self, address: bytes, port: int) -> Endpoint | None:
        if self.network == 0 or (self.network != layers.IPV6 and address == _UNREAD):
            return None
        return Endpoint(address, port if self.transport in WITH_PORTS else None)


BY_PAIR, BY_PROBER, BY_TARGET = range(3)
"""By what findings fold: both addresses, who probes, or whom packets with forged sources go to."""


def fold_of(rule: str) -> int:
    """By what all findings of a rule fold, by its id."""
    if rule in FORGED:
        return BY_TARGET
    return BY_PROBER if rule in PROBES else BY_PAIR


class Group(NamedTuple):
    """Findings of one key without a pause. key: its number; rule, fold: of all of them; row: of the
    first in Kept; time, seen: event time reached with the first and the last; last: the latest time
    of them; start, end: where its members are listed."""

    key: int
    rule: int
    fold: int
    row: int
    time: int
    seen: int
    last: int
    start: int
    end: int


class Groups(NamedTuple):
    """Groups in order of their first findings. columns: int64 (n, 9), as in Group; members: (m,),
    the findings of one group after the other, in their order: address and port of the other end,
    where they fold by one, transport, and row in Kept; of_rows: int64 (m,), the group of each row
    that was grouped."""

    columns: NDArray[np.int64]
    members: NDArray[np.void]
    of_rows: NDArray[np.int64]
