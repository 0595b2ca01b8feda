"""Each thing that an ATT&CK analytic asks to be seen, played: an alert that names the analytic."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from conversations import Conversations
from procwire.analytics import ANALYTICS
from procwire.context.store import MEMORY, Store
from procwire.decode.tcp_segment import ACK, FIN
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.detect.scans import Scans
from procwire.episodes import Episodes
from procwire.event import Outcome
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from test_alert import KEY, PARENT, SCANNER_PROCESS, row
from test_baseline import AFTER, FAR, HOUR, Run, asks
from test_fanout import NETWORK
from test_scans import LOST, SCANS, attempts, hosts
from test_surroundings import NOW, looks_for, observed, plant, tried
from test_surroundings import asks as neighbour

CLIENT, SERVER, THIRD = "10.10.0.5", "10.10.0.9", "10.10.0.66"
WARM_S = 100


def told(observations, lookup=lambda key: None):
    """The alerts of observations; an episode ends with the name of the widest scan in it."""
    episodes = Episodes(lookup=lookup)
    raised = episodes.update(max(one.time for one in observations), observations)
    return raised + episodes.close()


def scanned(*scan):
    return told(Scans().update(attempts(*scan)))


def of_a_process(**figures):
    """What the kernel counted of /tmp/x9."""
    rows = row(**figures)
    rows["process"] = KEY
    return told(FanoutDetectors().update(rows), lambda key: (SCANNER_PROCESS, (PARENT,)))


def of_a_site(*rows):
    """What a site tells that has learned for an hour that ssh uses SSH and curl HTTP."""
    with Store(MEMORY) as store:
        run = Run(store)
        run.sees(asks(1, 22), asks(2, 443))
        run.passes(0, HOUR)
        return told(run.sees(*rows))


def captured(play):
    """What a capture tells in which twenty connections go before."""
    traffic = Conversations()
    for number in range(20):
        traffic.connect(number * WARM_S / 20, CLIENT, SERVER, 443, Outcome.ESTABLISHED)
    play(traffic)
    analysis = Analysis(Settings())
    return analysis.packets(traffic.batch()) + analysis.finish()


def strays(traffic):
    for port in range(2000, 2009):
        traffic.segment(WARM_S + port / 1000, (THIRD, port, SERVER, 443), FIN | ACK, 5)


def claims(traffic):
    """Two stations announce one address in turn."""
    for number in range(6):
        mac = bytes([2, 0, 0, 0, 0, 7 + number % 2])
        own = ip_address(THIRD).packed
        body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + mac + own + mac + own
        traffic.frame(WARM_S + number, 0x0806, body)


def malformed(traffic):
    """A datagram whose length leaves no room for its own header."""
    traffic.ip(WARM_S, THIRD, SERVER, 17, struct.pack(">HHHH", 4000, 53, 7, 0))


SCAN = ("AN1949", "AN1057", "AN1058", "AN2050")
PLAYED = {
    "many destinations": (
        SCAN,
        "scan.host_sweep",
        lambda: scanned(0, hosts(60, 80, 977), [LOST] * 60),
    ),
    "many ports": (
        SCAN,
        "scan.port_vertical",
        lambda: scanned(0, [(NETWORK, 7 * at * at) for at in range(1, 90)], [LOST] * 89),
    ),
    "addresses in order": (
        SCAN,
        "scan.sequential",
        lambda: scanned(0, hosts(24, 80, 1), [LOST] * 24),
    ),
    "a network in disorder": (
        SCAN,
        "scan.sequential",
        lambda: scanned(*SCANS["a network in disorder"]),
    ),
    "few hosts": (SCAN, "scan.slow_trw", lambda: scanned(*SCANS["few hosts, all silent"])),
    "again and again": (
        ("AN1949",),
        "scan.repeated_attempts",
        lambda: scanned(*SCANS["again and again"]),
    ),
    "unusual segments": (SCAN[:1], "scan.null", lambda: scanned(*SCANS["null"])),
    "a program that does not talk": (
        ("AN1949",),
        "first_seen.program",
        lambda: of_a_site(asks(3, 443, AFTER)),
    ),
    "an uncommon flow": (
        ("AN1949", "AN2050"),
        "first_seen.zone_flow",
        lambda: of_a_site(asks(0, 80, AFTER, dst=FAR)),
    ),
    "a program speaks what it never spoke": (
        ("AN1962", "AN1999"),
        "first_seen.service",
        lambda: of_a_site(asks(2, 22, AFTER)),
    ),
    "packets of no flow": (
        ("AN1962", "AN1999"),
        "stream.fin_no_session",
        lambda: captured(strays),
    ),
    "gratuitous traffic": (("AN1962", "AN1999"), "arp.ip_mac_flip", lambda: captured(claims)),
    "anomalous structure": (("AN1962", "AN1999"), "udp.len_mismatch", lambda: captured(malformed)),
    "sequential probing by a process": (
        SCAN,
        "scan.sequential",
        lambda: of_a_process(hosts=22, host_ports=22, sequential_run=22, failures=22),
    ),
    "a fan-out by a process": (
        SCAN,
        "scan.host_sweep",
        lambda: of_a_process(hosts=60, attempts=60),
    ),
    "a new process": (
        ("AN1057", "AN1058", "AN2050"),
        "process.new_fan_out",
        lambda: told(observed(tried(8, Outcome.REFUSED), begun=NOW)),
    ),
    "offices' protocols into a control zone": (
        ("AN2050",),
        "ics.enterprise_protocol",
        lambda: told(observed(looks_for(plant(3)))),
    ),
    "who is there in a control zone": (
        ("AN2050",),
        "ics.neighbour_sweep",
        lambda: told(
            observed(
                [neighbour(250, Outcome.ESTABLISHED)]
                + [neighbour(host, Outcome.TIMED_OUT) for host in range(1, 9)]
            )
        ),
    ),
}


@pytest.mark.parametrize("name", PLAYED)
def test_what_an_analytic_asks_for_raises_an_alert_that_names_it(name):
    analytics, check, play = PLAYED[name]
    alerts = [alert for alert in play() if alert.check.id == check]
    assert alerts
    assert set(analytics) <= set(alerts[0].check.analytics)


def test_every_analytic_is_played():
    assert {name for names, *_ in PLAYED.values() for name in names} == {
        analytic.id for analytic in ANALYTICS
    }


def test_a_process_that_enumerates_is_named_with_its_ancestry():
    alert, *_ = of_a_process(hosts=60, attempts=60)
    assert (alert.process.argv, alert.ancestors[0].exe) == (("/tmp/x9", "-r"), "/sbin/init")
