"""Programs that somebody has denied, or that still wait: what they do is told, and graver."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from procwire.context import baseline
from procwire.context.store import MEMORY, Store
from procwire.detect.habits import DENIED, MOST_CONTACTS, PENDING
from procwire.event import Outcome
from procwire.output.text import text
from test_baseline import AFTER, FAR, HOUR, Run, asks, knowing
from test_surroundings import NOW, SECOND


@pytest.fixture
def learned() -> Iterator[Run]:
    with Store(MEMORY) as store:
        yield knowing(store)


def denied(learned: Run, pid: int) -> Run:
    """A later run, before which the program of that process was denied."""
    learned.sees(asks(pid, 443, AFTER))
    learned.site.save()
    number = baseline.known(learned.store, (PENDING,))[0].id
    baseline.decide(learned.store, [number], DENIED, "ann")
    return Run(learned.store)


def test_what_was_denied_is_told_again_and_graver(learned: Run) -> None:
    later = denied(learned, 3)
    rows = [asks(3, 443, AFTER + i * SECOND) for i in (0, 1, 120)]
    seen = later.sees(*rows)
    # The program and, with it, what it asked for; once a minute.
    assert {one.severity for one in seen} == {2}
    alerts = later.episodes.update(NOW + AFTER + HOUR, seen)
    assert len({alert.episode for alert in alerts}) == len(alerts) >= 1
    assert "it was denied" in text(alerts[0])


def test_of_what_is_denied_every_destination_is_handed_on(learned: Run) -> None:
    """Once a minute, and only if its alert was told; a script's as well."""
    later = denied(learned, 101)
    rows = [asks(101, after=AFTER, dst=f"10.10.0.{host}") for host in (9, 9, 77, 78, 77)]
    seen = later.sees(*rows)
    assert later.site.denied_contacts() == [], "nobody was told of it, yet"
    assert later.episodes.update(NOW + AFTER, seen)
    later.sees(*rows, *(asks(101, after=AFTER + 60 * SECOND, dst=FAR) for _ in range(3)))
    reached = [one.last_target for one in later.site.denied_contacts()]
    assert [str(ip_address(one.address[12:])) for one in reached if one] == [FAR]
    assert later.site.denied_contacts() == []
    hosts = (f"10.{host >> 8}.{host & 255}.1" for host in range(MOST_CONTACTS + 10))
    later.sees(*(asks(101, after=AFTER + HOUR, dst=host) for host in hosts))
    assert len(later.site.denied_contacts()) == MOST_CONTACTS
    assert later.site.counters()["context.contacts_lost"] == 10


def test_a_scan_by_a_program_that_waits_is_graver(learned: Run) -> None:
    rows = [
        asks(3, 445, AFTER + host, dst=f"10.10.1.{host}", outcome=Outcome.REFUSED)
        for host in range(1, 10)
    ]
    rows = [row | {"process": (NOW + AFTER, 3, 1)} for row in rows]
    alerts = learned.episodes.update(NOW + AFTER, learned.sees(*rows))
    by_check = {alert.check.id: alert for alert in alerts}
    scan = by_check["process.new_fan_out"]
    assert scan.severity == 2
    assert "waits for approval" in text(scan)
    assert by_check["first_seen.program"].severity == 4
