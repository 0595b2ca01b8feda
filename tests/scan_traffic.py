"""Traffic of two hosts as scans' tests make it, and what is told of it."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

from conversations import (
    Conversations,
)
from procwire.alert import Alert
from procwire.runs.analysis import Analysis
from procwire.settings import Settings

IPV4, IPV6 = 4, 6
ME = {IPV4: "10.0.0.1", IPV6: "2001:db8::1"}


HOUR = 3600.0


def host(version: int, number: int) -> str:
    """Host `number` of a network; 256 numbers make a /24 or a /120."""
    base = ip_address({IPV4: "10.20.0.0", IPV6: "2001:db8:20::"}[version])
    return str(base + number)


def afar(version: int, number: int) -> str:
    """Host `number` of as many networks, at no regular distance."""
    return host(version, 9 + number * 1013 + number * number % 97)


def alerts_of(traffic: Conversations, cut: int | None = None) -> list[Alert]:
    """The alerts of the scan detectors; cut: where one batch ends and the next begins."""
    batch, analysis = traffic.batch(), Analysis(Settings())
    rows = ("start", "captured", "length", "time", "link", "cut")
    alerts: list[Alert] = []
    for first, last in ((0, cut or 0), (cut or 0, len(batch.start))):
        part = {name: getattr(batch, name)[first:last] for name in rows}
        alerts += analysis.packets(batch._replace(**part, first=first + 1))
    alerts += analysis.finish()
    return [alert for alert in alerts if alert.check.id.startswith("scan.")]


def names_of(traffic: Conversations) -> dict[tuple[str, str], str]:
    """The last name of each episode, by its source and its own name."""
    named = {}
    for alert in alerts_of(traffic):
        assert alert.source is not None
        address = ip_address(alert.source.address)
        four = address.ipv4_mapped
        named[str(four or address), alert.episode] = alert.check.id
    return named


def shuffled(count: int) -> list[int]:
    return Random(20261121).sample(range(count), count)
