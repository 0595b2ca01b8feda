"""Every kind of scan that nmap knows, between two namespaces, captured by tcpdump and read back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from procwire.capture.open import read_capture
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from two_hosts import FAR, FAR_4, FAR_6, NEAR, captured, ip, run, server, two_hosts

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        shutil.which("nmap") is None, reason="nmap is not installed (apt-get install nmap)"
    ),
    pytest.mark.skipif(
        shutil.which("tcpdump") is None, reason="tcpdump is not installed (apt-get install tcpdump)"
    ),
]
SERVER_PORT = "8080"
# At the far end 10.97.0.0/24 is all there, and nothing behind 10.99.0.0/24 answers.
ONE, ALIVE, DEAD, ON_LINK = FAR_4, "10.97.0.0/26", "10.99.0.0/26", "10.98.0.0/26"
ON_LINK_6 = "2001:db8:98::/122"
LISTEN = f"""
import socket
listening = socket.create_server(('', {SERVER_PORT}), backlog=128)
print('ready', flush=True)
while True:
    listening.accept()[0].close()
"""

Scan = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """The scanner at the near end, its targets and a server at the far end."""
    with two_hosts():
        for network in ("10.97.0.0/24", "10.99.0.0/24"):
            ip("-n", NEAR, "route", "add", network, "via", ONE)
        ip("-n", FAR, "route", "add", "local", "10.97.0.0/24", "dev", "lo")
        ip("-n", FAR, "route", "add", "blackhole", "10.99.0.0/24")
        run(FAR, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv4.ip_forward=1")
        with server(FAR, LISTEN):
            yield


@pytest.fixture
def scan(network: None, tmp_path: Path) -> Scan:
    """Runs nmap at the near end; the last name of each alert's episode, by source address."""

    def scanned(*arguments: str) -> dict[str, str]:
        file = tmp_path / "scan.pcap"
        with captured(file):
            hurried = ("-n", "-T5", "--max-retries", "1", "--max-rtt-timeout", "100ms")
            run(NEAR, "nmap", *hurried, "--host-timeout", "20s", *arguments)
        return episodes_in(file)

    return scanned


def episodes_in(file: Path) -> dict[str, str]:
    analysis = Analysis(Settings())
    alerts = [alert for batch in read_capture(file) for alert in analysis.packets(batch)]
    names = {}
    for alert in alerts + analysis.finish():
        if not alert.is_anomaly:
            assert alert.source is not None
            names[alert.episode] = (alert.source.address, alert.check.id)
    assert len(set(names.values())) == len(names)
    return {name: address.hex() for address, name in names.values()}


SOURCE_4 = "00000000000000000000ffff0a620001"
SOURCE_6 = "20010db8009800000000000000000001"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-Pn", "-sS", "-p1-100", ONE], "scan.port_vertical"),
        (["-Pn", "-sT", "-p1-100", ONE], "scan.port_vertical"),
        (["-Pn", "-sU", "-p1-60", ONE], "scan.udp_icmp_unreach"),
        (["-Pn", "-sN", "-p1-30", ONE], "scan.null"),
        (["-Pn", "-sF", "-p1-30", ONE], "scan.fin"),
        (["-Pn", "-sX", "-p1-30", ONE], "scan.xmas"),
        (["-Pn", "-sM", "-p1-30", ONE], "scan.maimon"),
        (["-Pn", "-sA", "-p1-30", ONE], "scan.ack"),
        (["-Pn", "-sX", "-p1-30", "10.97.0.1-9"], "scan.xmas"),
        (["-Pn", "-sO", ONE], "scan.ip_protocols"),
        (["-Pn", "-sS", "--scanflags", "SYNFIN", "-p1-100", ONE], "scan.port_vertical"),
        (["-Pn", "-sS", "-f", "-p0-100", ONE], "scan.port_vertical"),
        (["-Pn", "-A", "-p1-100", ONE], "scan.port_vertical"),
        (["-Pn", "-sS", "-r", "-p1-30", ONE], "scan.sequential"),
        (["-Pn", "-sS", "-p445", DEAD], "scan.host_sweep"),
        (["-sn", "-PE", DEAD], "scan.icmp_sweep"),
        (["-sn", ON_LINK], "scan.arp_nd_sweep"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_nmap_is_told_once_for_what_it_does(
    scan: Scan, arguments: list[str], expected: str
) -> None:
    assert scan(*arguments) == {expected: SOURCE_4}


def test_neighbours_of_ipv6_are_asked_for_in_vain(scan: Scan) -> None:
    assert scan("-6", "-sn", ON_LINK_6) == {"scan.arp_nd_sweep": SOURCE_6}


def test_protocols_of_ipv6_are_tried(scan: Scan) -> None:
    # nmap's requests for an echo have a code that is not assigned, which is told by itself where it
    # comes before all other probes.
    protocols = "-p0-57,59-255"
    assert scan("-6", "-Pn", "-sO", protocols, FAR_6) == {"scan.ip_protocols": SOURCE_6}


@pytest.mark.parametrize(
    "arguments",
    [["-sn", "-PE", ALIVE], ["-Pn", "-sT", f"-p{SERVER_PORT}", ALIVE]],
    ids=["a monitor's pings", "a client of many servers"],
)
def test_who_is_answered_is_no_scanner(scan: Scan, arguments: list[str]) -> None:
    assert scan(*arguments) == {}
