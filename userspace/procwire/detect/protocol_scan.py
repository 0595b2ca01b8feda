"""Protocol scans: who asks a host which IP protocols it has, by packets of one after the other.

Windows count distinct pairs of host and protocol by source, of protocols that hardly any host
speaks. What hosts and routers speak among each other is not counted, and packets that go the way of
the one before count once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from procwire.decode.columns import Packets
from procwire.detect.detector import PROTOCOL_SCAN
from procwire.detect.fanout import FanOut
from procwire.detect.figures import Figures, Verdict, observation, reaches
from procwire.detect.observation import Endpoint, Evidence, Observation
from procwire.event import Origin, Outcome
from procwire.record import CONNECTION, Attempt
from procwire.settings import Settings

# Of IANA's register those in use: ICMP, IGMP, IP in IP, TCP, UDP, IPv6, RSVP, GRE, ESP, AH, ICMPv6,
# no next header, EIGRP, OSPF, PIM, VRRP, L2TP, SCTP, mobility, UDP-Lite, MPLS and HIP; and 0, which
# packets without IP have.
_SPOKEN = [0, 1, 2, 4, 6, 17, 41, 46, 47, 50, 51, 58, 59, 88, 89, 103, 112, 115, 132, 135, 136, 137]
_SPOKEN += [139]
_IS_RARE = ~np.isin(np.arange(256), _SPOKEN)
_SOURCES = 512
_ADDRESSES = ("src_hi", "src_lo", "dst_hi", "dst_lo", "protocol")


class ProtocolScan:
    """Counts by source the hosts that it sends such packets to, and their protocols."""

    def __init__(self, settings: Settings) -> None:
        self._protocols = settings.probes.protocols
        off = {"hosts": 0, "failures": 0, "sequential_run": 0}
        size = {"host_ports": self._protocols, "subjects": min(settings.fanout.subjects, _SOURCES)}
        self._fanout = FanOut(settings.fanout.model_copy(update=off | size))
        self._latest = np.zeros((len(_ADDRESSES), 1), np.uint64)

    def update(self, packets: Packets, times: NDArray[np.int64]) -> list[Observation]:
        """The scans among the packets of a batch. times: (n,) ns since the epoch."""
        # Nearly all have a transport header: a look into the table costs five times as much.
        rows = np.flatnonzero(packets.transport == 0)
        rows = rows[_IS_RARE[packets.protocol[rows]]]
        if not len(rows) or not self._protocols:
            return []
        asked = np.array([getattr(packets, name)[rows] for name in _ADDRESSES], np.uint64)
        before = np.concatenate((self._latest, asked[:, :-1]), axis=1)
        self._latest = asked[:, -1:]
        at = np.flatnonzero((asked != before).any(axis=0))
        if not len(at):
            return []
        sent = np.zeros(len(at), CONNECTION)
        sent["time"] = times[rows[at]]
        for name, column in zip(_ADDRESSES, asked[:, at], strict=True):
            sent[name] = column
        # What a window tells apart by port.
        sent["dst_port"] = sent["protocol"]
        sent["origin"], sent["outcome"] = Origin.WIRE, Outcome.PENDING
        return self._observations(self._fanout.update(sent))

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
