"""Protocols of offices into control zones (AN2050): one source asks several hosts for SMB, RDP,
SSH, WinRM, SNMP, LDAP, HTTP or NetBIOS, answered or not."""

from __future__ import annotations

import numpy as np

from procwire.detect.detector import ICS_ENTERPRISE
from procwire.detect.distinct import Distinct, Reached
from procwire.detect.observation import Evidence, Observation
from procwire.detect.services import IS_ENTERPRISE, NAMES
from procwire.detect.sightings import Sightings, observation
from procwire.settings import Settings


class IcsEnterprise:
    """Counts by source and service the hosts of control zones that it asks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.ics
        self._hosts = Distinct(settings.ics.window_ns)

    def update(self, seen: Sightings) -> list[Observation]:
        """Who asked for one service on too many hosts."""
        wanted = seen.is_attempt & seen.zones.is_ics[seen.zone] & IS_ENTERPRISE[seen.service]
        at = np.flatnonzero(wanted)
        if not len(at):
            return []
        reached = self._hosts.update(seen.attempts(at, seen.service), self._settings.hosts)
        return [self._observation(seen, int(at[one.row]), one) for one in reached]

    def counters(self) -> dict[str, int]:
        """evicted: sources of which everything was forgotten for want of room."""
        return self._hosts.counters()

    def _observation(self, seen: Sightings, row: int, reached: Reached) -> Observation:
        evidence = (
            Evidence("hosts", reached.targets, self._settings.hosts, "ics.hosts"),
            Evidence("service", NAMES[seen.service[row]]),
            Evidence("window_s", self._settings.window_s),
        )
        return observation(ICS_ENTERPRISE, seen.rows[row], reached, evidence)
