"""Backscatter: who is flooded from forged addresses answers hosts that asked nothing.

Such a host is a victim and no scanner, so this is told as an anomaly and never as an alert. Counted
are handshake answers, refusals and ICMP errors that belong to nothing, from sources of which flows
know (decode/context.py) that the question was not missed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.detect.detector import BACKSCATTER
from procwire.detect.fanout import FanOut
from procwire.detect.figures import Figures, Verdict, observation, reaches
from procwire.detect.finding_groups import Hits
from procwire.detect.observation import Evidence, Observation
from procwire.event import Origin, Outcome
from procwire.record import CONNECTION, Attempt
from procwire.settings import Settings

ANSWERS = ("stream.synack_unsolicited", "stream.rst_no_session", "icmp4.unsolicited_error")
"""Ids of the checks whose findings are counted."""

_SYN, _RST, _ACK = 0x02, 0x04, 0x10
# RFC 6335 section 6: what is flooded is a service, and a client's port is none of a service.
_SYSTEM_PORTS = 1024
_VICTIMS = 512
_ADDRESSES = ("src_hi", "src_lo", "dst_hi", "dst_lo", "src_port", "dst_port", "protocol")


class Backscatter:
    """Counts by source the hosts that it answers. rules: ids of the checks by FINDING.rule."""

    def __init__(self, settings: Settings, rules: tuple[str, ...]) -> None:
        self._settings = settings
        fanout = settings.fanout
        only_hosts = {"host_ports": 0, "failures": 0, "sequential_run": 0}
        victims = {"subjects": min(fanout.subjects, _VICTIMS)}
        self._fanout = FanOut(fanout.model_copy(update=only_hosts | victims))
        self._counted = np.array([name in ANSWERS for name in rules])

    def update(self, hits: Hits) -> list[Observation]:
        """The sources that the findings of a batch show to be victims."""
        findings = hits.findings
        if not len(findings):
            return []
        rows = findings["row"][self._counted[findings["rule"]] & (findings["in_context"] == 1)]
        rows = rows[_are_answers(hits, rows)] if len(rows) else rows
        if not len(rows):
            return []
        answers = np.zeros(len(rows), CONNECTION)
        answers["time"] = hits.times[rows]
        for name in _ADDRESSES:
            answers[name] = getattr(hits.packets, name)[rows]
        answers["origin"], answers["outcome"] = Origin.WIRE, Outcome.PENDING
        return self._observations(self._fanout.update(answers))

    def totals(self) -> list[Observation]:
        """The end: what the longest windows hold of each source that was told."""
        return [replace(seen, final=True) for seen in self._observations(self._fanout.totals())]

    def counters(self) -> dict[str, int]:
        """Counts of answers, reports and evicted sources by name."""
        counts = self._fanout.counters()
        return {name: counts[name] for name in ("attempts", "reports", "evicted")}

    def _observations(self, rows: NDArray[np.void]) -> list[Observation]:
        verdicts = map(self._judge, Figures.of(rows))
        pairs = zip(rows, verdicts, strict=True)
        return [observation(row, seen, Attempt.CONNECT) for row, seen in pairs if seen is not None]

    def _judge(self, figures: Figures) -> Verdict | None:
        wide = self._settings.fanout
        # Forged addresses are drawn; who goes through a network in order looks for something.
        if not reaches(figures.hosts, wide.hosts) or reaches(
            figures.sequential_run, wide.sequential_run
        ):
            return None
        return Verdict(
            BACKSCATTER,
            figures.hosts,
            BACKSCATTER.severity,
            (
                Evidence("answered_hosts", figures.hosts, wide.hosts, "fanout.hosts"),
                *figures.plain("attempts", "window_s"),
            ),
        )


def _are_answers(hits: Hits, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which packets can only be answers to a first packet, from a service to a client's port: a
    probe with the flags of an answer goes the other way. A reset with sequence number 0 refuses a
    SYN; any other may end a connection that is older than the capture (RFC 9293 3.10.7.1)."""
    packets = hits.packets
    flags = packets.tcp_flags[rows]
    accepts = flags & (_SYN | _ACK) == _SYN | _ACK
    refuses = (flags & (_RST | _ACK) == _RST | _ACK) & (packets.seq[rows] == 0)
    to_client = packets.dst_port[rows] >= np.maximum(packets.src_port[rows], _SYSTEM_PORTS)
    segment = packets.transport[rows] == layers.TCP
    return np.where(segment, (accepts | refuses) & to_client, True)
