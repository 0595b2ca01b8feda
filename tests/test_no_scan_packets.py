"""Packets that only look like scans: retries, browsers, resolvers, polling, victims of floods."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

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
    SYN,
    Conversations,
)
from scan_traffic import IPV4, IPV6, ME, afar, alerts_of, host, names_of


def retries(t: Conversations, version: int) -> None:
    """A client whose server is away tries again every half minute for an hour."""
    for i in range(120):
        t.connect(i * 30.0, ME[version], host(version, 5), 443, NOBODY_ANSWERS)


def peers(t: Conversations, version: int) -> None:
    """Of the peers that a swarm names, some have left."""
    source = Random(3)
    for i in range(120):
        outcome = source.choice((ACCEPTED, ACCEPTED, ACCEPTED, NOBODY_ANSWERS, REFUSED))
        t.connect(i * 0.03, ME[version], afar(version, i), 30303, outcome)


def browser(t: Conversations, version: int) -> None:
    for i in range(400):
        outcome = NOBODY_ANSWERS if i % 40 == 0 else ACCEPTED
        t.connect(i * 0.02, ME[version], afar(version, i % 80), 443, outcome)


def resolver(t: Conversations, version: int) -> None:
    """A recursive resolver and its many name servers, of which some do not answer."""
    for i in range(400):
        there = (ME[version], t.port(), afar(version, i % 150), 53)
        message = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"
        t.datagram(i * 0.05, there, message)
        if i % 8:
            back = (there[2], 53, there[0], there[1])
            t.datagram(i * 0.05 + ROUND_TRIP, back, message[:2] + b"\x81\x80" + message[4:])


def land(t: Conversations, version: int) -> None:
    """Who floods a host from its own address is not that host."""
    for i in range(200):
        ends = (ME[version], t.port(), ME[version], 1 + i)
        t.segment(i * 0.01, ends, SYN if i % 2 else FIN)
        t.echo(i * 0.01, ME[version], ME[version], False)


def modbus(t: Conversations, version: int) -> None:
    """A master opens a connection to each of its neighbouring units in turn, one of them is off."""
    for i in range(600):
        unit = i % 12
        outcome = NOBODY_ANSWERS if unit == 7 else ACCEPTED
        t.connect(i * 0.5, ME[version], host(version, 10 + unit), 502, outcome)


def older_than_the_capture(t: Conversations, version: int) -> None:
    """Connections that began before it are closed, reset and kept alive by both ends."""
    for i in range(120):
        there = (ME[version], 40000 + i, afar(version, i), 443)
        back = (there[2], 443, there[0], there[1])
        at = i * 0.2
        if i % 3 == 0:
            t.segment(at, back, RST)
        elif i % 3 == 1:
            t.segment(at, there, FIN | ACK)
            t.segment(at + ROUND_TRIP, back, FIN | ACK)
            t.segment(at + 2 * ROUND_TRIP, there, ACK)
        else:
            t.segment(at, there, ACK)
            t.segment(at + ROUND_TRIP, back, ACK)


def traceroutes(t: Conversations, version: int) -> None:
    """By datagrams, by echo requests and by SYNs, three probes for each of 25 hops."""
    target = afar(version, 3)
    for probe in range(75):
        at, hops = probe * 0.2, 1 + probe // 3
        there = (ME[version], 50000, target, 33434 + probe)
        t.datagram(at, there, hops=hops)
        if probe > 71:
            t.unreachable(at + ROUND_TRIP, target, there)
        t.echo(100 + at, ME[version], target, probe > 71, hops=hops)
        syn = (ME[version], 51000 + probe, target, 80)
        t.segment(200 + at, syn, SYN, probe, hops=hops)
        if probe > 71:
            t.segment(200 + at + ROUND_TRIP, (target, 80, ME[version], syn[1]), SYN | ACK)


def traces_that_go_on(t: Conversations, version: int) -> None:
    """mtr counts its datagrams up for as long as it runs, traceroute may be told its first port."""
    target = afar(version, 3)
    for probe in range(400):
        there = (ME[version], 50000, target, 33000 + probe)
        t.datagram(probe * 0.05, there, hops=1 + probe % 20)
        there = (ME[version], t.port(), target, 40000 + probe)
        t.datagram(probe * 0.05, there, hops=1 + probe // 3 % 30)


def servers_end_what_is_older(t: Conversations, version: int) -> None:
    """A capture of one direction begins as the connections of a client end."""
    for i in range(60):
        back = (ME[version], 8080, host(version, 5 + i % 2), 40000 + i)
        t.segment(i * 0.02, back, FIN | ACK)
        t.segment(i * 0.02 + ROUND_TRIP, back, ACK)


def answers_alone(t: Conversations, version: int) -> None:
    """Servers' datagrams, where the capture begins behind the questions or never sees them."""
    for i in range(120):
        near, far, port = host(version, i), afar(version, i), 32768 + i * 241 % 28000
        t.datagram(i * 0.02, (ME[version], 5060, near if i % 2 else far, port))
        t.datagram(i * 0.02, (host(version, 500), 51820, far, port))


def monitor(t: Conversations, version: int) -> None:
    """Fifty machines are asked for an echo and for their service each minute; three are down."""
    for minute in range(15):
        for i in range(50):
            at, down = minute * 60 + i * 0.05, i % 17 == 9
            t.echo(at, ME[version], afar(version, i), not down)
            outcome = NOBODY_ANSWERS if down else ACCEPTED
            t.connect(at + 10, ME[version], afar(version, i), 22, outcome)


@pytest.mark.parametrize("version", [IPV4, IPV6])
@pytest.mark.parametrize(
    "made",
    [
        retries,
        peers,
        browser,
        resolver,
        land,
        modbus,
        older_than_the_capture,
        traceroutes,
        traces_that_go_on,
        servers_end_what_is_older,
        answers_alone,
        monitor,
    ],
    ids=lambda made: made.__name__,
)
def test_what_only_looks_like_a_scan_is_none(made, version: int) -> None:
    traffic = Conversations()
    made(traffic, version)
    assert names_of(traffic) == {}


def test_chatter_to_everybody_is_no_scan() -> None:
    """DHCP, NTP, name and service announcements to broadcast and multicast addresses."""
    traffic = Conversations()
    for i in range(300):
        client = str(IPv4Address("10.0.0.10") + i % 3)
        for port, own, target in (
            (67, 68, "255.255.255.255"),
            (123, 123, "10.0.0.255"),
            (137, 137, "10.0.0.255"),
            (1900, 50000 + i, "239.255.255.250"),
            (5353, 5353, "224.0.0.251"),
            (20000 + i, 40000 + i, "10.0.0.255"),
        ):
            source = "0.0.0.0" if port == 67 else client
            traffic.datagram(i * 0.3, (source, own, target, port), to_all=True)
    assert names_of(traffic) == {}


def flood(t: Conversations, began: float, ports: tuple[int, int] = (80, 1024)) -> None:
    """What a victim sends to addresses that were forged, and what these say to it. ports: the
    victim's, and the least of the forged ones."""
    numbers = Random(7)
    for i in range(300):
        at, forged, port = began + i * 0.1, afar(IPV4, i), numbers.randrange(ports[1], 65536)
        flags, seq = ((SYN | ACK, 4711), (RST | ACK, 0))[i % 2]
        t.segment(at, (VICTIM, ports[0], forged, port), flags, seq)
        t.segment(at + ROUND_TRIP, (forged, port, VICTIM, ports[0]), RST)
        t.unreachable(at + 0.05, VICTIM, (forged, port, VICTIM, 9000 + i))


def healthy(t: Conversations) -> None:
    """Connections of which both directions are seen, for as long as the warm-up takes."""
    for i in range(20):
        t.connect(i * 4.0, "10.0.0.8", host(IPV4, 8), 443, ACCEPTED)


VICTIM = "192.0.2.80"


def test_the_victim_of_a_flood_is_an_anomaly_of_its_own() -> None:
    traffic = Conversations()
    healthy(traffic)
    flood(traffic, 90.0)
    alerts = alerts_of(traffic)
    assert {alert.check.id for alert in alerts} == {"scan.backscatter"}
    assert [alert.state for alert in alerts] == ["raised", "grown", "closed"]
    assert all(alert.is_anomaly for alert in alerts)
    assert {alert.source and alert.source.address[12:] for alert in alerts} == {
        IPv4Address(VICTIM).packed
    }


def test_answers_in_a_capture_that_has_just_begun_are_nothing() -> None:
    traffic = Conversations()
    healthy(traffic)
    flood(traffic, 1.0)
    assert names_of(traffic) == {}


def test_answers_of_which_the_questions_pass_elsewhere_are_nothing() -> None:
    traffic = Conversations()
    for i in range(300):
        back = (VICTIM, 443, afar(IPV4, i), 40000 + i)
        traffic.segment(i * 0.5, back, SYN | ACK)
        for piece in range(9):
            payload = b"more of it"
            traffic.segment(i * 0.5 + piece * 0.01, back, PSH | ACK, 2 + piece, payload=payload)
    assert names_of(traffic) == {}


def test_probes_with_the_flags_of_an_answer_are_no_victims() -> None:
    traffic = Conversations()
    healthy(traffic)
    for i in range(300):
        there = (VICTIM, 40000 + i, afar(IPV4, i), 80)
        traffic.segment(90 + i * 0.1, there, SYN | ACK)
        traffic.segment(90 + i * 0.1 + ROUND_TRIP, (there[2], 80, VICTIM, there[1]), RST)
    assert names_of(traffic) == {}


def test_a_server_that_drops_its_old_connections_is_no_victim() -> None:
    traffic = Conversations()
    healthy(traffic)
    for i in range(300):
        back = (VICTIM, 443, afar(IPV4, i), 40000 + i)
        traffic.segment(90 + i * 0.01, back, RST | ACK, 99_000 + i)
    assert names_of(traffic) == {}
