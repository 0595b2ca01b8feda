"""Every kind of scan that nmap knows, between two namespaces, captured by tcpdump and read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from procwire.analysis import Analysis
from procwire.capture.open import read_capture
from procwire.config import Settings

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
SCANNER, TARGET = (f"pwtest-{side}-{os.getpid()}" for side in ("scanner", "target"))
SERVER_PORT = "8080"
# In the target's namespace 10.97.0.0/24 is all there, and nothing behind 10.99.0.0/24 answers.
ONE, ALIVE, DEAD, ON_LINK = "10.98.0.2", "10.97.0.0/26", "10.99.0.0/26", "10.98.0.0/26"
ON_LINK_6 = "2001:db8:98::/122"

# With a buffer in which a whole scan has room: nothing may be lost.
SNIFFER = ("tcpdump", "-Z", "root", "--immediate-mode", "-B16384", "-i", "veth0", "-U", "-w")
# The last packet of a capture, so that all before it are known to be there.
GOODBYE = b"that was the scan"
SAY_GOODBYE = f"""
import socket
socket.socket(type=socket.SOCK_DGRAM).sendto({GOODBYE!r}, ({ONE!r}, 9))
"""

Scan = Callable[..., dict[str, str]]


def within(namespace: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *command]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """Scanner 10.98.0.1 and target 10.98.0.2, beside each other, and a server in the target."""
    ip("netns", "add", SCANNER)
    ip("netns", "add", TARGET)
    server = None
    try:
        ends = ("veth0", "netns", SCANNER, "type", "veth", "peer", "name", "veth0")
        ip("link", "add", *ends, "netns", TARGET)
        for namespace, host in ((SCANNER, 1), (TARGET, 2)):
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "address", "add", f"10.98.0.{host}/24", "dev", "veth0")
            local = f"2001:db8:98::{host}/64"
            ip("-n", namespace, "address", "add", local, "dev", "veth0", "nodad")
            ip("-n", namespace, "link", "set", "veth0", "up")
        for network in ("10.97.0.0/24", "10.99.0.0/24"):
            ip("-n", SCANNER, "route", "add", network, "via", ONE)
        ip("-n", TARGET, "route", "add", "local", "10.97.0.0/24", "dev", "lo")
        ip("-n", TARGET, "route", "add", "blackhole", "10.99.0.0/24")
        unlimited = ["net.ipv4.icmp_ratelimit=0", "net.ipv4.ip_forward=1"]
        subprocess.run(within(TARGET, "sysctl", "-qw", *unlimited), check=True)
        listen = f"import socket; s = socket.create_server(('', {SERVER_PORT}), backlog=128)"
        listen += "; print('ready', flush=True)\nwhile True: s.accept()[0].close()"
        server = subprocess.Popen(
            within(TARGET, sys.executable, "-c", listen), stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        if server is not None:
            server.kill()
            server.wait()
        ip("netns", "del", SCANNER)
        ip("netns", "del", TARGET)


@pytest.fixture
def scan(network: None, tmp_path: Path) -> Scan:
    """Runs nmap in the scanner's namespace; the last name of each episode, by source address."""

    def run(*arguments: str) -> dict[str, str]:
        file = tmp_path / "scan.pcap"
        sniffer = subprocess.Popen(
            within(SCANNER, *SNIFFER, str(file)),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert sniffer.stderr is not None
        assert any("listening" in line for line in sniffer.stderr)
        command = ["nmap", "-n", "-T5", "--max-retries", "1", "--host-timeout", "20s", *arguments]
        subprocess.run(within(SCANNER, *command), check=True, capture_output=True, timeout=60)
        subprocess.run(within(SCANNER, sys.executable, "-c", SAY_GOODBYE), check=True)
        deadline = time.monotonic() + 30
        while GOODBYE not in file.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.05)
        sniffer.terminate()
        sniffer.communicate(timeout=30)
        return scans_in(file)

    return run


def scans_in(file: Path) -> dict[str, str]:
    analysis = Analysis(Settings())
    alerts = [alert for batch in read_capture(file) for alert in analysis.packets(batch)]
    names = {}
    for alert in alerts + analysis.finish():
        if alert.check.id.startswith("scan."):
            assert alert.source is not None
            names[alert.episode] = (alert.source.address, alert.check.id)
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
        (["-Pn", "-sS", "-r", "-p1-30", ONE], "scan.sequential"),
        (["-Pn", "-sS", "-p445", DEAD], "scan.host_sweep"),
        (["-sn", "-PE", DEAD], "scan.icmp_sweep"),
        (["-sn", ON_LINK], "scan.arp_nd_sweep"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_nmap_is_seen_for_what_it_does(scan: Scan, arguments: list[str], expected: str) -> None:
    assert scan(*arguments) == {expected: SOURCE_4}


def test_neighbours_of_ipv6_are_asked_for_in_vain(scan: Scan) -> None:
    assert scan("-6", "-sn", ON_LINK_6) == {"scan.arp_nd_sweep": SOURCE_6}


@pytest.mark.parametrize(
    "arguments",
    [["-sn", "-PE", ALIVE], ["-Pn", "-sT", f"-p{SERVER_PORT}", ALIVE]],
    ids=["a monitor's pings", "a client of many servers"],
)
def test_who_is_answered_is_no_scanner(scan: Scan, arguments: list[str]) -> None:
    assert scan(*arguments) == {}
