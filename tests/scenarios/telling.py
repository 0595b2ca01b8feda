"""What a record tells of a scenario, and when it began; and a site that was watched for a week."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from procwire.alert import Alert
from procwire.context.inventory import Inventory, ZoneEntry, replace_all
from procwire.context.site import Site
from procwire.context.store import Store
from procwire.event import CONNECTION_EVENT, FlowRole, Origin, Outcome
from procwire.output.eve import Source
from procwire.runs.joined import Joined
from procwire.runs.recorded import Recording
from procwire.runs.recording import Turn
from procwire.runs.replay import Replay
from procwire.sensor.loader import no_events
from procwire.sensor.processes import ProcessTable
from procwire.settings import Settings

SECOND, MINUTE = 10**9, 60 * 10**9
# The watched host's own network, and control zones behind the router and beside the host.
ZONES = (
    ZoneEntry("office", "it", ("10.98.0.0/24", "2001:db8:98::/64")),
    ZoneEntry("cells", "ics", ("10.97.50.0/24",)),
    ZoneEntry("panels", "ics", ("10.98.0.160/27", "2001:db8:98::a0/123")),
)


def site_in(store: Store) -> Site:
    """The site of a new context, of which the zones are known."""
    replace_all(store, Inventory(ZONES))
    return Site(store)


def replayed(record: Path, site: Site) -> list[Alert]:
    """The alerts of a record on a site, with default settings."""
    told: list[Alert] = []

    def tell(alerts: Iterable[Alert], source: Source) -> None:
        told.extend(alert for alert in alerts if not alert.is_anomaly)

    replay = Replay(record, Settings(), tell, site)
    replay.run()
    replay.finish()
    return told


def attempts(record: Path) -> list[int]:
    """When others were tried in the namespace of a record, ns since the epoch, in order: by what
    was told of connections, or else, for raw sockets, of the packets that they write."""
    recording = Recording(record)
    connects, writes = [], []
    for turn in recording.frames():
        if isinstance(turn, Turn):
            events = recording.events(turn)
            written = events.flow[events.flow["role"] == FlowRole.WRITES]
            for rows, times in ((events.connection, connects), (written, writes)):
                times += rows["time_ns"][rows["net_namespace"] == recording.namespace].tolist()
    return sorted(connects or writes)


def week_passes(site: Site, begin: int) -> None:
    """Seven days and an hour in which one connection a minute comes to pass, of nobody known."""
    minutes = 7 * 24 * 60 + 60
    rows = np.zeros(minutes, CONNECTION_EVENT)
    rows["time_ns"] = begin + MINUTE * np.arange(minutes, dtype=np.uint64)
    rows["source"], rows["destination"] = _mapped(10, 98, 0, 1), _mapped(10, 97, 0, 1)
    rows["destination_port"], rows["protocol"], rows["family"] = 123, 17, 4
    rows["origin"], rows["outcome"] = Origin.SENDMSG, Outcome.SENT
    joined = Joined(Settings(), (), 0, ProcessTable(), lambda alerts, source: None, site)
    joined.events(no_events()._replace(connection=rows), int(rows["time_ns"][-1]))


def _mapped(*address: int) -> list[int]:
    return [*bytes(10), 255, 255, *address]
