"""Protocol scans: who asks a host which IP protocols it has, by packets of one after the other.

Windows count distinct pairs of host and protocol by source, of protocols that hardly any host
speaks. What hosts and routers speak among each other is not counted, and packets that go the way of
the one before count once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.jit import kernel
from procwire.decode.columns import Packets
from procwire.detect.detector import PROTOCOL_SCAN
from procwire.detect.fanout import FanOut
from procwire.detect.figures import Figures, Verdict, observation, reaches
from procwire.detect.observation import Evidence, Observation
from procwire.event import Origin, Outcome
from procwire.record import CONNECTION, Attempt, Endpoint
from procwire.settings import Settings

# Of IANA's register those in use: ICMP, IGMP, IP in IP, TCP, UDP, IPv6, RSVP, GRE, ESP, AH, ICMPv6,
# no next header, EIGRP, OSPF, PIM, VRRP, L2TP, SCTP, mobility, UDP-Lite, MPLS and HIP; and 0, which
# packets without IP have.
_SPOKEN = [0, 1, 2, 4, 6, 17, 41, 46, 47, 50, 51, 58, 59, 88, 89, 103, 112, 115, 132, 135, 136, 137]
_SPOKEN += [139]
_IS_RARE = ~np.isin(np.arange(256), _SPOKEN)
_SOURCES = 512
_ROOM = 1024


class _Looked(NamedTuple):
    """The columns of Packets that are looked at: fewer to hand to a kernel."""

    transport: NDArray[np.uint8]
    protocol: NDArray[np.uint8]
    src_hi: NDArray[np.uint64]
    src_lo: NDArray[np.uint64]
    dst_hi: NDArray[np.uint64]
    dst_lo: NDArray[np.uint64]

    @classmethod
    def of(cls, packets: Packets) -> _Looked:
        """Those of a batch."""
        return cls(*(getattr(packets, name) for name in cls._fields))


class ProtocolScan:
    """Counts by source the hosts that it sends such packets to, and their protocols."""

    def __init__(self, settings: Settings) -> None:
        self._protocols = settings.probes.protocols
        off = {"hosts": 0, "failures": 0, "sequential_run": 0}
        size = {"host_ports": self._protocols, "subjects": min(settings.fanout.subjects, _SOURCES)}
        self._fanout = FanOut(settings.fanout.model_copy(update=off | size))
        self._latest = np.zeros(1, CONNECTION)
        self._asked = np.zeros(_ROOM, CONNECTION)
        self._asked["origin"], self._asked["outcome"] = Origin.WIRE, Outcome.PENDING

    def update(
        self, packets: Packets, times: NDArray[np.int64], first: int, end: int
    ) -> list[Observation]:
        """The scans among the packets of a batch from `first` up to `end`. times: (n,) ns since the
        epoch."""
        if not self._protocols:
            return []
        what, found, times = _Looked.of(packets), [], times[:end]
        while first < end:
            first, count = _list_asked(what, times, _IS_RARE, self._latest, first, self._asked)
            if count:
                found += self._observations(self._fanout.update(self._asked[:count]))
        return found

    def totals(self) -> list[Observation]:
        """The end: what the longest windows hold of each source that was told."""
        return [replace(seen, final=True) for seen in self._observations(self._fanout.totals())]

    def counters(self) -> dict[str, int]:
        """Counts of packets that were looked at, reports and evicted sources by name."""
        counts = self._fanout.counters()
        return {"packets": counts["attempts"]} | {
            name: counts[name] for name in ("reports", "evicted")
        }

    def _observations(self, rows: NDArray[np.void]) -> list[Observation]:
        verdicts = map(self._judge, Figures.of(rows))
        pairs = zip(rows, verdicts, strict=True)
        found = (observation(row, seen, Attempt.CONNECT) for row, seen in pairs if seen is not None)
        return [_without_ports(one) for one in found]

    def _judge(self, figures: Figures) -> Verdict | None:
        if not reaches(figures.ports_per_host, self._protocols):
            return None
        return Verdict(
            PROTOCOL_SCAN,
            figures.host_ports,
            PROTOCOL_SCAN.severity,
            (
                Evidence(
                    "protocols_per_host",
                    round(figures.ports_per_host, 1),
                    self._protocols,
                    "probes.protocols",
                ),
                Evidence("host_protocols", figures.host_ports),
                *figures.plain("hosts", "attempts", "window_s"),
            ),
        )


def _without_ports(seen: Observation) -> Observation:
    """The observation with hosts as its targets, each once, and the protocols that it samples."""
    targets = tuple(dict.fromkeys(Endpoint(one.address) for one in seen.targets))
    last = None if seen.last_target is None else Endpoint(seen.last_target.address)
    sampled = sorted({one.port for one in seen.targets if one.port is not None})
    protocols = Evidence("sample_protocols", ", ".join(map(str, sampled)))
    return replace(seen, last_target=last, targets=targets, evidence=(*seen.evidence, protocols))


@kernel
def _list_asked(
    packets: _Looked,
    times: NDArray[np.int64],
    is_rare: NDArray[np.bool_],
    latest: NDArray[np.void],
    first: int,
    asked: NDArray[np.void],
) -> tuple[int, int]:
    """List packets of rare protocols from row `first` on, those that go another way than the one
    before, as record.CONNECTION. Up to which row, and how many: as many as there is room for."""
    count, before = 0, latest[0]
    for row in range(first, len(times)):
        # Nearly all have a transport header.
        if packets.transport[row] or not is_rare[packets.protocol[row]]:
            continue
        if (
            packets.src_lo[row] == before.src_lo
            and packets.dst_lo[row] == before.dst_lo
            and packets.protocol[row] == before.protocol
            and packets.src_hi[row] == before.src_hi
            and packets.dst_hi[row] == before.dst_hi
        ):
            continue
        before.src_hi, before.src_lo = packets.src_hi[row], packets.src_lo[row]
        before.dst_hi, before.dst_lo = packets.dst_hi[row], packets.dst_lo[row]
        before.protocol = packets.protocol[row]
        one = asked[count]
        one.time = times[row]
        one.src_hi, one.src_lo = before.src_hi, before.src_lo
        one.dst_hi, one.dst_lo = before.dst_hi, before.dst_lo
        # What a window tells apart by port.
        one.protocol = one.dst_port = before.protocol
        count += 1
        if count == len(asked):
            return row + 1, count
    return len(times), count
