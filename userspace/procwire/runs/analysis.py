"""The whole path from packets to alerts, in batches and in event time.

Live capture and files both end here, so the same packets give the same alerts whichever way they
came. What the kernel counts ends in process_analysis.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.alert import SOURCE_PROVEN, Alert
from procwire.capture.batch import PacketBatch
from procwire.compiled.unused import leave_out_cffi
from procwire.context.site import Site
from procwire.decode.columns import Decoded
from procwire.decode.contacts import Contacts
from procwire.decode.event_time import EventTime, Timed
from procwire.decode.frame import SKIP_REASONS
from procwire.decode.layer_counts import LayerCounts
from procwire.decode.while_read import WhileRead
from procwire.detect.backscatter import Backscatter
from procwire.detect.compiled_site import COMPILED
from procwire.detect.finding_groups import Hits
from procwire.detect.observation import Evidence, Observation
from procwire.detect.protocol_scan import ProtocolScan
from procwire.detect.scans import Scans
from procwire.detect.surroundings import Surroundings
from procwire.episodes import Episodes
from procwire.judging.checksums import Verifier
from procwire.judging.examine import Examined, Examiner, examine
from procwire.judging.observe import Observer
from procwire.judging.packet_order import in_packet_order
from procwire.judging.stations import Stations
from procwire.record import CONNECTION
from procwire.rules import all_rules
from procwire.settings import Settings

# Checks of tier C that a part counts by itself.
_COUNTED_BY_PARTS = {
    "episodes.rule.eth.unknown_ethertype": "decode.unknown ethertype",
    "episodes.rule.app.one_sided_or_wrong_dir": "flows.one_sided",
}

leave_out_cffi()

Attribute = Callable[[list[Alert], NDArray[np.void]], list[Alert]]


class Indexed(NamedTuple):
    """A batch in event time. decoded: what decode() makes of it, if that is known."""

    timed: Timed
    decoded: Decoded | None


class Judged(NamedTuple):
    """A batch, and what is seen of each of its packets by itself."""

    timed: Timed
    examined: Examined


class Tracked(NamedTuple):
    """A batch with its datagrams put together.

    findings: FINDING (n,) each, of single packets and of checksums; counted: int64, by rule,
    findings without a row; attempts: record.CONNECTION (n,) of each stretch of event time; scans:
    what those show.
    """

    timed: Timed
    decoded: Decoded
    findings: tuple[NDArray[np.void], NDArray[np.void]]
    counted: NDArray[np.int64]
    attempts: list[NDArray[np.void]]
    scans: list[list[Observation]]


def judge(indexed: Indexed) -> Judged:
    """The first step of Analysis.packets(). It remembers nothing: any number may run at a time, in
    any order."""
    return Judged(indexed.timed, examine(indexed.timed.batch, indexed.decoded))


class _Admission:
    """What is asked about alerts before they are told. attempts: record.CONNECTION (n,), those of
    the same batch. It does not know the analysis, which thus ends with its last user."""

    def __init__(
        self, site: Site, attribute: Attribute, scanners: Collection[str], observer: Observer
    ) -> None:
        self._site, self._attribute = site, attribute
        self._scanners, self._observer = scanners, observer
        self.attempts = np.zeros(0, CONNECTION)

    def admit(self, alerts: list[Alert]) -> list[Alert]:
        proven = [self._proven(alert) for alert in alerts]
        return self._site.admit(self._attribute(proven, self.attempts), self._scanners)

    def _proven(self, alert: Alert) -> Alert:
        """The alert, of a scan with the evidence that its source is not forged, if there is."""
        source = alert.source
        if alert.packet is not None or source is None:
            return alert
        if not self._observer.completed_handshake(source.address, alert.time):
            return alert
        proof = Evidence(SOURCE_PROVEN, "completed a handshake")
        return replace(alert, evidence=(*alert.evidence, proof))


class Analysis:
    """Detectors and episodes of one run. last_time: event time reached, ns since the epoch, None
    before the first packet; while_read: decodes what readers have it index, before it is given to
    indexed() as the next batch.

    site: what is known of the site, asked about each alert; attribute: names the processes of
    alerts, given record.CONNECTION (n,), the attempts and their ends in the same batch.
    """

    def __init__(
        self,
        settings: Settings,
        site: Site | None = None,
        attribute: Attribute = lambda alerts, contacts: alerts,
    ) -> None:
        self._site = site or Site()
        contacts = settings.contacts
        self.while_read = WhileRead()
        self._event_time = EventTime(contacts.timeout_ns)
        self._examiner = Examiner()
        self._verifier = Verifier()
        self._stations = Stations()
        self._contacts = Contacts(contacts.capacity, contacts.timeout_ns, contacts.reply_ns)
        self._observer = Observer(settings.flows)
        self._scans = Scans(settings)
        self._surroundings = Surroundings(settings, self._site.known, means=COMPILED)
        self._backscatter = Backscatter(settings, tuple(rule.id for rule in all_rules()))
        self._protocol_scan = ProtocolScan(settings)
        scanners = settings.sweep.scanner_names
        self._admission = _Admission(self._site, attribute, scanners, self._observer)
        self._episodes = Episodes(settings, all_rules(), admit=self._admission.admit)
        self._layers = LayerCounts()
        self._checks = len(all_rules())
        self._nothing_counted = np.zeros(self._checks, np.int64)
        self._skipped = np.zeros(len(SKIP_REASONS), np.int64)
        self.last_time: int | None = None
        self._counts = {"packets": 0, "bytes": 0, "findings": 0}

    def packets(self, batch: PacketBatch) -> list[Alert]:
        """The alerts that a batch of packets raises."""
        return self.conclude(self.track(judge(self.indexed(batch))))

    def indexed(self, batch: PacketBatch) -> Indexed:
        """What the first step takes of a batch; batches are given in order."""
        return Indexed(self._event_time.of(batch), self.while_read.decoded(batch))

    def track(self, judged: Judged) -> Tracked:
        """The second step, in the order of the packets: fragments, checksums and attempts. It may
        run beside conclude() of earlier batches, with which it shares nothing."""
        timed, batch = judged.timed, judged.timed.batch
        decoded, single = self._examiner.complete(batch, judged.examined)
        self._stations.weigh(batch, single)
        counted = np.zeros(self._checks, np.int64)
        summed = self._verifier.update(batch, decoded, counted)
        self._layers.update(decoded.spans)
        self._skipped += decoded.skipped
        attempts = self._contacts.update(timed, decoded)
        scans = [self._scans.update(rows) for rows in attempts]
        return Tracked(timed, decoded, (single, summed), counted, attempts, scans)

    def conclude(self, tracked: Tracked) -> list[Alert]:
        """The third step, in the same order: conversations, and what all that means together."""
        timed, batch, decoded = tracked.timed, tracked.timed.batch, tracked.decoded
        if not len(batch.start):
            return []
        self._counts["packets"] += len(batch.start)
        self._counts["bytes"] += int(batch.length.sum(dtype=np.int64))
        findings = in_packet_order(*tracked.findings, self._observer.update(batch, decoded))
        self._counts["findings"] += len(findings) + int(tracked.counted.sum())
        ends, alerts = [len(findings)], list[Alert]()
        if len(timed.turns):
            ends = [*np.searchsorted(findings["row"], timed.turns).tolist(), *ends]
        counted, first = tracked.counted, 0
        stretches = zip(timed.stretches(), tracked.attempts, tracked.scans, ends, strict=True)
        for (begin, end), attempts, scans, last in stretches:
            hits = Hits(findings[first:last], decoded.packets, batch.time, timed.reached, counted)
            clock = int(timed.reached[end - 1])
            self.last_time = clock if self.last_time is None else max(self.last_time, clock)
            self._admission.attempts = attempts
            scans += self._surroundings.update(attempts)
            scans += self._backscatter.update(hits)
            scans += self._protocol_scan.update(decoded.packets, batch.time, begin, end)
            alerts += self._episodes.update(clock, scans, hits)
            counted, first = self._nothing_counted, last
        return alerts

    def touch(self) -> None:
        """See memory.touch: of the tables that hold what packets begin."""
        self._contacts.touch()
        self._observer.touch()

    def finish(self) -> list[Alert]:
        """The end of the input: what is still unanswered has failed, and totals are told."""
        attempts = self._admission.attempts = self._contacts.flush()
        scans = self._scans.update(attempts) + self._surroundings.update(attempts)
        last_time = self.last_time or 0
        scans += self._scans.totals(last_time)
        hits = self._observer.finish()
        self._counts["findings"] += len(hits.findings)
        scans += self._backscatter.totals() + self._protocol_scan.totals()
        alerts = self._episodes.update(last_time, scans, hits)
        return alerts + self._episodes.close()

    def counters(self) -> dict[str, int]:
        """What was seen, skipped and dropped, by part and name."""
        parts = {
            "decode": dict(zip(SKIP_REASONS, self._skipped.tolist(), strict=True)),
            "layers": self._layers.counters(),
            "checksums": self._verifier.counters(),
            "fragments": self._examiner.counters(),
            "contacts": self._contacts.counters(),
            "flows": self._observer.counters(),
            **self._scans.counters(),
            **self._surroundings.counters(),
            "backscatter": self._backscatter.counters(),
            "protocol_scan": self._protocol_scan.counters(),
            "episodes": self._episodes.counters(),
        }
        named = {f"{part}.{name}": n for part in parts for name, n in parts[part].items()}
        shown = {check: named[name] for check, name in _COUNTED_BY_PARTS.items() if named[name]}
        return self._counts | named | shown
