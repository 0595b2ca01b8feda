"""The process of each alert that packets raised: its sender on this host, or else its receiver.

Strategy: alerts are few, so they ask; packets never do. A scan has no single flow: the attempts of
its source at the time it was raised are asked for, and have to agree. What kernel and wire tell of
a process's scan stays two episodes, because they count different things, each naming the other.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import replace as with_fields
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from procwire.alert import CLOSED, GROWN, RECEIVER, SENDER, Alert, Share
from procwire.owners.attribution import INFERRED, KERNEL, NONE, SNAPSHOT, Owner
from procwire.owners.flow_counts import FlowCounts
from procwire.owners.flow_keys import keys_of_contacts
from procwire.owners.scan_shares import ScanShares
from procwire.record import Lookup, ProcessId

if TYPE_CHECKING:
    from procwire.owners.flow_owners import FlowOwners

_REMEMBERED = 4096
_SAMPLE = 32


class Correlator:
    """Names processes in alerts. owners: whose each flow is; known: asked for processes."""

    def __init__(self, owners: FlowOwners, known: Lookup) -> None:
        self._owners, self._known = owners, known
        self._flows = FlowCounts(owners)
        self._shares = ScanShares(owners)
        # What an episode was told to be stays so when it closes, whatever is forgotten by then.
        self._named: OrderedDict[tuple[str, bool], Alert] = OrderedDict()
        self._scans: OrderedDict[ProcessId, dict[str, str]] = OrderedDict()
        self._counts = Counter(dict.fromkeys((KERNEL, SNAPSHOT, INFERRED, NONE, "forgotten"), 0))

    def counters(self) -> dict[str, int]:
        """Alerts on local flows by attribution; those whose process was forgotten; flows, as
        FlowCounts has them; claims."""
        counts = {f"alerts_{name}": n for name, n in self._counts.items()} | self._flows.counters()
        counts["translations_evicted"] = self._owners.translations.evicted
        return counts | {"flows": len(self._owners), "evicted": self._owners.evicted}

    def packets(
        self, alerts: Iterable[Alert], contacts: NDArray[np.void], place: str
    ) -> list[Alert]:
        """The alerts of packets with their processes.

        contacts: record.CONNECTION (n,) of the same batch, given once, also where there is no
        alert; place: the interface they were seen on.
        """
        self._flows.update(contacts)
        told = [self._told(alert, contacts) for alert in alerts]
        more = [self._also_by(*found, contacts) for found in self._shares.update(contacts)]
        told += [alert for alert in more if alert is not None]
        self._shares.told([alert for alert in told if _is_scan_from_here(alert)], contacts)
        return [self._linked(self._shared(alert), place) for alert in told]

    def processes(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The kernel's alerts, which name their processes, beside what packets tell of them."""
        return [self._linked(alert, KERNEL) for alert in alerts]

    def _told(self, alert: Alert, contacts: NDArray[np.void]) -> Alert:
        known = self._named.get(_name(alert))
        # A process that scans goes on; findings between two hosts may be of another one each time.
        if known is not None and (alert.state == CLOSED or alert.packet is None):
            told = known
        else:
            told = self._attributed(alert, contacts)
            self._remember(told)
        return replace(alert, process=told.process, ancestors=told.ancestors, role=told.role)

    def _also_by(self, alert: Alert, owner: Owner, contacts: NDArray[np.void]) -> Alert | None:
        """The alert of a scan that another process is found to make, too, which it names, if that
        is known."""
        if self._known(owner.process) is None:
            return None
        time = int(contacts["time"].max())
        now = replace(alert, state=GROWN, time=time, last=max(alert.last, time))
        return self._named_by(now, owner, SENDER)

    def _shared(self, alert: Alert) -> Alert:
        """The alert, of a scan with the processes that share in it."""
        if not _is_scan_from_here(alert):
            return alert
        found = [(self._known(key), attempts) for key, attempts in self._shares.of(alert)]
        shares = tuple(Share(known[0], attempts) for known, attempts in found if known is not None)
        if alert.state == CLOSED:
            self._shares.closed(alert)
        return replace(alert, shares=shares)

    def _remember(self, alert: Alert) -> None:
        if alert.process is None:
            return
        self._named[_name(alert)] = alert
        self._named.move_to_end(_name(alert))
        if len(self._named) > _REMEMBERED:
            self._named.popitem(last=False)

    def _attributed(self, alert: Alert, contacts: NDArray[np.void]) -> Alert:
        owner, role = self._of_scan(alert, contacts), SENDER
        if alert.packet is not None:
            owner, role = self._of_packet(alert)
        if owner is None:
            ends = [end for end in (alert.source, alert.destination) if end is not None]
            self._counts[NONE] += any(self._owners.is_local(end.address) for end in ends)
            return alert
        return self._named_by(alert, owner, role)

    def _named_by(self, alert: Alert, owner: Owner, role: str) -> Alert:
        known = self._known(owner.process)
        if known is None:
            self._counts["forgotten"] += 1
            return alert
        self._counts[owner.attribution] += 1
        process = with_fields(known[0], attribution=owner.attribution)
        return replace(alert, process=process, ancestors=tuple(known[1]), role=role)

    def _of_packet(self, alert: Alert) -> tuple[Owner | None, str]:
        """Whose the packet is: its sender's, or its receiver's where the sender is elsewhere."""
        source, destination = alert.source, alert.destination
        if source is None or destination is None:
            return None, SENDER
        # The last of several is what the alert shows.
        owner = self._owners.owner(source, destination, alert.protocol, alert.last)
        if owner is not None:
            return owner, SENDER
        return self._owners.owner(destination, source, alert.protocol, alert.last), RECEIVER

    def _of_scan(self, alert: Alert, contacts: NDArray[np.void]) -> Owner | None:
        """Whose the latest attempts of the alert's source are, if they are of one process."""
        if alert.source is None or alert.packet is not None:
            return None
        number = int.from_bytes(alert.source.address)
        hi, lo = np.uint64(number >> 64), np.uint64(number & (1 << 64) - 1)
        own = (contacts["src_hi"] == hi) & (contacts["src_lo"] == lo)
        own &= (contacts["protocol"] == alert.protocol) & (contacts["time"] == alert.time)
        rows = np.flatnonzero(own)[:_SAMPLE]
        if not len(rows) and alert.destination is not None:
            # Packets of protocols that nobody connects by are no attempts.
            return self._owners.owner(alert.source, alert.destination, alert.protocol, alert.time)
        keys = keys_of_contacts(contacts, rows, "src", "dst")
        owners = self._owners.owners(keys, contacts["time"][rows])
        votes = Counter(owner for owner in owners if owner is not None)
        if not votes:
            return None
        (owner, _), *others = votes.most_common()
        alone = not others
        return owner if alone else Owner(owner.process, INFERRED)

    def _linked(self, alert: Alert, place: str) -> Alert:
        """The alert of a scan with the episodes in which other places tell of the same process."""
        if alert.process is None or not _is_scan_from_here(alert):
            return alert
        episodes = self._scans.setdefault(alert.process.key, {})
        episodes[place] = alert.episode
        self._scans.move_to_end(alert.process.key)
        if len(self._scans) > _REMEMBERED:
            self._scans.popitem(last=False)
        related = tuple(one for where, one in sorted(episodes.items()) if where != place)
        return replace(alert, related=related) if related else alert


def _is_scan_from_here(alert: Alert) -> bool:
    """Whether a process of this host makes the scan that the alert tells of."""
    return alert.packet is None and alert.process is not None and alert.role == SENDER


def _name(alert: Alert) -> tuple[str, bool]:
    """Of an episode: whether it is a scan's or of packets, which may go both ways."""
    return alert.episode, alert.packet is None
