"""Scans, and what only looks like one, as packets with the times that they would have: from the
bytes to the alerts, over IPv4 and IPv6."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conversations import (
    ACCEPTED,
    ACK,
    FIN,
    NOBODY_ANSWERS,
    PSH,
    REFUSED,
    ROUND_TRIP,
    RST,
    SECOND,
    START,
    URG,
    Conversations,
)
from procwire.detect.detector_settings import decided_by
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from scan_traffic import HOUR, IPV4, IPV6, ME, afar, alerts_of, host, names_of, shuffled


def vertical(t: Conversations, version: int) -> None:
    for i, port in enumerate(shuffled(80)):
        t.connect(i * 0.1, ME[version], host(version, 5), 1 + 7 * port, REFUSED)


def horizontal(t: Conversations, version: int) -> None:
    for i in range(40):
        t.connect(i * 0.5, ME[version], afar(version, i), 445, NOBODY_ANSWERS)


def block(t: Conversations, version: int) -> None:
    for i, number in enumerate(shuffled(30 * 20)):
        target, port = afar(version, number % 30), 1 + 7 * (number // 30)
        t.connect(i * 0.05, ME[version], target, port, REFUSED if number % 3 else NOBODY_ANSWERS)


def in_order(t: Conversations, version: int) -> None:
    for i in range(23):
        t.connect(i * 0.2, ME[version], host(version, 60 + i), 22, NOBODY_ANSWERS)


def ports_in_order(t: Conversations, version: int) -> None:
    for i in range(30):
        t.connect(i * 0.2, ME[version], host(version, 5), 100 + i, REFUSED)


def spread_over_a_prefix(t: Conversations, version: int) -> None:
    """A host a minute: no window of ten minutes holds enough."""
    for i, number in enumerate(shuffled(256)[:24]):
        t.connect(i * 61.0, ME[version], host(version, number), 22, NOBODY_ANSWERS)


def slow(t: Conversations, version: int) -> None:
    for i in range(9):
        outcome = ACCEPTED if i == 4 else NOBODY_ANSWERS
        t.connect(i * HOUR, ME[version], afar(version, i), 3389, outcome)


def datagrams(t: Conversations, version: int) -> None:
    """Errors are rationed: one a second."""
    for i in range(60):
        ends = (ME[version], t.port(), host(version, 5), 2000 + 7 * i)
        t.datagram(i * 0.25, ends)
        if i % 4 == 0:
            t.unreachable(i * 0.25 + ROUND_TRIP, host(version, 5), ends)


def with_few_hops(t: Conversations, version: int) -> None:
    """A building's controllers are looked for as if their paths were traced."""
    for i in range(60):
        t.datagram(i * 0.1, (ME[version], 47808, host(version, 3 * i), 47808), hops=30)


def echoes(t: Conversations, version: int) -> None:
    for i in range(60):
        t.echo(i * 0.1, ME[version], host(version, 3 * i), i % 9 == 0)


def neighbours(t: Conversations, version: int) -> None:
    for i in range(60):
        t.ask_neighbour(i * 0.1, ME[version], host(version, 3 * i), i % 9 == 0)


def again_and_again(t: Conversations, version: int) -> None:
    for i in range(150):
        t.connect(i * 2.0, ME[version], host(version, 5), 22, REFUSED)


def lone(flags: int) -> Callable[[Conversations, int], None]:
    def probes(t: Conversations, version: int) -> None:
        for i in range(20):
            there = (ME[version], t.port(), host(version, 5), 100 + 7 * i)
            t.segment(i * 0.1, there, flags)
            if flags & ACK:
                back = (there[2], there[3], there[0], there[1])
                t.segment(i * 0.1 + ROUND_TRIP, back, RST)

    return probes


@pytest.mark.parametrize("version", [IPV4, IPV6])
@pytest.mark.parametrize(
    ("made", "name"),
    [
        (vertical, "scan.port_vertical"),
        (horizontal, "scan.host_sweep"),
        (block, "scan.block"),
        (in_order, "scan.sequential"),
        (ports_in_order, "scan.sequential"),
        (spread_over_a_prefix, "scan.sequential"),
        (slow, "scan.slow_trw"),
        (datagrams, "scan.udp_icmp_unreach"),
        (with_few_hops, "scan.host_sweep"),
        (echoes, "scan.icmp_sweep"),
        (neighbours, "scan.arp_nd_sweep"),
        (again_and_again, "scan.repeated_attempts"),
        (lone(0), "scan.null"),
        (lone(FIN), "scan.fin"),
        (lone(FIN | PSH | URG), "scan.xmas"),
        (lone(FIN | ACK), "scan.maimon"),
        (lone(ACK), "scan.ack"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_scan_is_one_episode_of_its_name(made, name: str, version: int) -> None:
    traffic = Conversations()
    made(traffic, version)
    found = names_of(traffic)
    assert [(source, check) for (source, _), check in found.items()] == [(ME[version], name)]
    for alert in alerts_of(traffic):
        decided = {one.setting for one in alert.evidence if one.setting is not None}
        assert decided <= {shown for shown, _, _ in decided_by(alert.check, Settings())}


@pytest.mark.parametrize("question", [13, 17], ids=["time", "mask"])
def test_who_asks_many_hosts_for_the_time_or_the_mask_sweeps_them_unless_they_answer(
    question: int,
) -> None:
    named = []
    for answering in (9, 1):
        traffic = Conversations()
        for i in range(60):
            target = host(IPV4, 3 * i)
            traffic.icmp(i * 0.1, ME[IPV4], target, question, 0, rest=b"\0\7\0\1" + bytes(12))
            if i % answering == 0:
                back = (i * 0.1 + ROUND_TRIP, target, ME[IPV4], question + 1, 0)
                traffic.icmp(*back, rest=b"\0\7\0\1" + bytes(12))
        named.append([check for _, check in names_of(traffic).items()])
    assert named == [["scan.icmp_sweep"], []]


def test_an_episode_is_told_again_at_tenfold_growth_and_at_its_end() -> None:
    traffic = Conversations()
    for i in range(3000):
        traffic.connect(i * 0.01, ME[IPV4], afar(IPV4, i), 445, NOBODY_ANSWERS)
    alerts = [alert for alert in alerts_of(traffic) if alert.check.id == "scan.host_sweep"]
    hosts = [one.value for alert in alerts for one in alert.evidence if one.name == "hosts"]
    assert [alert.state for alert in alerts] == ["raised", "grown", "grown", "closed"]
    assert len({alert.episode for alert in alerts}) == 1
    assert [hosts[1], hosts[2]] == pytest.approx([250, 2500], rel=0.1)
    assert alerts[-1].count == pytest.approx(3000, rel=0.01)


def test_two_scans_a_day_apart_are_two_episodes() -> None:
    traffic = Conversations()
    for day in range(2):
        for i in range(40):
            at = day * 24 * HOUR + i * 0.5
            traffic.connect(at, ME[IPV4], afar(IPV4, i + 50 * day), 445, NOBODY_ANSWERS)
    raised = [alert for alert in alerts_of(traffic) if alert.state == "raised"]
    assert len(raised) == 2
    assert len({alert.episode for alert in raised}) == 2


def test_a_scan_before_1970_is_told_of_that_time() -> None:
    traffic, begin = Conversations(), -2_000_000_000
    for i in range(40):
        traffic.connect(begin + i * 0.5, ME[IPV4], afar(IPV4, i), 445, NOBODY_ANSWERS)
    alerts = alerts_of(traffic)
    times = [one - START - begin * SECOND for alert in alerts for one in (alert.first, alert.time)]
    assert times
    assert 0 <= min(times) <= max(times) < HOUR * SECOND
    analysis = Analysis(Settings())
    analysis.packets(traffic.batch())
    assert analysis.last_time == traffic.batch().time[-1]


@pytest.mark.parametrize("made", [block, slow, datagrams], ids=lambda made: made.__name__)
def test_where_a_batch_ends_changes_nothing(made) -> None:
    traffic = Conversations()
    made(traffic, IPV4)
    assert alerts_of(traffic, cut=17) == alerts_of(traffic)
