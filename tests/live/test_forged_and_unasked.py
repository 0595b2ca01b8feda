"""What nobody asked for and what no host may send, made by real tools on a wire of its own.

Each case is one capture: ordinary questions and answers first, which are the context that checks of
tier B need, then the tool. Nothing but what is listed may be found in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ordinary
import pytest
from procwire.capture.open import read_capture
from procwire.output.eve import Source, record
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from two_hosts import (
    FAR,
    FAR_4,
    FAR_6,
    FAR_MAC,
    NEAR,
    NEAR_4,
    NEAR_6,
    NEAR_MAC,
    WIRE,
    captured,
    run,
    server,
    two_hosts,
    within,
)

TOOLS = ("arping", "hping3", "nmap", "nping", "ping", "tcpdump")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
if "arping" not in MISSING:
    # That of iputils has the name and other options.
    version = subprocess.run(["arping", "-V"], capture_output=True, check=False).stdout
    MISSING += ["Thomas Habets' arping"] if b"iputils" in version else []
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (packaging/apt-test.txt)"
    ),
]

ALERT, ANOMALY = "alert", "anomaly"
# A closed port resets what belongs to no connection; the capture saw none, and says so.
ANSWERED = {"stream.rst_no_session": ANOMALY}
LONE_FIN = {"stream.fin_no_session": ANOMALY}
# A third address and who claims it; no frame to it leaves the wire.
THIRD_4, ONE_MAC, OTHER_MAC = "10.98.0.77", "02:00:00:00:98:66", "02:00:00:00:98:67"
CLIENT_PORT = "40000"
# So many neighbours have to be asked for before an unasked answer is evidence.
ENOUGH = 9

ASK_NEIGHBOURS = f"""
for _ in $(seq {ENOUGH}); do
    ip neighbour flush dev {WIRE}
    ping -q -c1 {FAR_4} && ping -q -c1 {FAR_6} || exit 1
done
"""

# Where the machine is busy, a tool's timer sometimes ends it before it has sent; it says so.
UNTIL_SENT = """
for _ in 1 2 3 4 5; do
    "$@" | grep -q "$0" && exit
done
"""

Command = tuple[str, ...]


def hping3(*arguments: str) -> Command:
    return ("hping3", "-q", "-n", "-c", "1", "-i", "u1000", *arguments, FAR_4)


def arping(*arguments: str) -> Command:
    told = "1 packets transmitted"
    options = ("-i", WIRE, "-c", "1", "-w", "0.1")
    return ("sh", "-c", UNTIL_SENT, told, "arping", *options, *arguments)


def nmap(*arguments: str) -> Command:
    return ("nmap", "-n", "-Pn", "-T5", "--max-retries", "0", *arguments, FAR_4)


def claim(address: str, mac: str) -> Command:
    return arping("-S", address, "-s", mac, FAR_4)


def unasked(port: int) -> Command:
    """An answer of a service that was not asked, with the ports that a real one has."""
    payload = ordinary.answer(port, ordinary.question(port, 999))
    client = str(ordinary.DHCP_CLIENT) if port == ordinary.DHCP else CLIENT_PORT
    return (
        *("sh", "-c", UNTIL_SENT, "packets sent: 1 ", "nping", "-N", "-c", "1", "--udp"),
        *("-g", str(port)),
        *("-p", client, "--data", payload.hex(), FAR_4),
    )


def scapy(message: str) -> Command:
    """No packaged tool forges these. With both link addresses given, nothing is looked up."""
    sent = f"Ether(src={NEAR_MAC!r}, dst={FAR_MAC!r}) / {message}"
    script = f"from scapy.all import *; sendp({sent}, iface={WIRE!r}, verbose=False)"
    return (sys.executable, "-c", script)


SOLICITATION = f"ICMPv6ND_NS(tgt={FAR_6!r}) / ICMPv6NDOptSrcLLAddr(lladdr={NEAR_MAC!r})"
ADVERTISEMENT = f"ICMPv6ND_NA(tgt={NEAR_6!r}, S=1) / ICMPv6NDOptDstLLAddr(lladdr={NEAR_MAC!r})"

CASES: dict[str, tuple[list[Command], dict[str, str]]] = {
    "ordinary traffic alone": ([], {}),
    "gratuitous ARP request": ([arping("-U", NEAR_4)], {"arp.gratuitous": ANOMALY}),
    "gratuitous ARP reply": ([arping("-U", "-P", NEAR_4)], {"arp.gratuitous": ANOMALY}),
    "ARP request of a third host": ([claim(THIRD_4, ONE_MAC)], {}),
    "unasked ARP reply": (
        [arping("-P", "-S", THIRD_4, "-s", ONE_MAC, "-t", FAR_MAC, FAR_4)],
        {"arp.unsolicited_reply": ALERT},
    ),
    "an address that moves": (
        [claim(THIRD_4, ONE_MAC), claim(THIRD_4, OTHER_MAC)],
        {"arp.ip_mac_flip": ANOMALY},
    ),
    "an address that two claim in turn": (
        [claim(THIRD_4, ONE_MAC), claim(THIRD_4, OTHER_MAC), claim(THIRD_4, ONE_MAC)],
        {"arp.ip_mac_flip": ALERT},
    ),
    "unasked echo reply": (
        [hping3("-1", "-C", "0")],
        {"icmp4.unsolicited_echo_reply": ALERT},
    ),
    "echo request": ([hping3("-1", "-C", "8")], {}),
    "unasked DNS answer": ([unasked(ordinary.DNS)], {"dns.unsolicited_response": ALERT}),
    "unasked NTP answer": ([unasked(ordinary.NTP)], {"ntp.unsolicited": ALERT}),
    "unasked DHCP answer": ([unasked(ordinary.DHCP)], {"dhcp.unsolicited_or_rogue": ALERT}),
    "unasked SNMP answer": ([unasked(ordinary.SNMP)], {"udp.unsolicited_response": ALERT}),
    "unasked SYN-ACK": (
        [hping3("-S", "-A", "-p", "80")],
        {"stream.synack_unsolicited": ALERT} | ANSWERED,
    ),
    "LAND": (
        [hping3("-S", "-a", FAR_4, "-s", "80", "-k", "-p", "80")],
        {"ipv4.land": ALERT},
    ),
    "NULL": ([nmap("-sN", "-p80")], {"tcp.flags_null_xmas": ALERT} | ANSWERED),
    "XMAS": ([nmap("-sX", "-p80")], {"tcp.flags_null_xmas": ALERT} | ANSWERED | LONE_FIN),
    "FIN, PSH and URG by another tool": (
        [hping3("-F", "-P", "-U", "-p", "80")],
        {"tcp.flags_null_xmas": ALERT} | ANSWERED | LONE_FIN,
    ),
    "SYN and RST": ([hping3("-S", "-R", "-p", "80")], {"tcp.flags_syn_rst": ALERT} | ANSWERED),
    "SYN and FIN": (
        [nmap("--scanflags", "SYNFIN", "-p80")],
        {"tcp.flags_syn_fin": ALERT} | LONE_FIN,
    ),
    "SYN alone": ([nmap("-sS", "-p80")], {}),
    "TCP to port 0": ([hping3("-S", "-p", "0")], {"l4.port_zero": ALERT}),
    "UDP to port 0": ([hping3("-2", "-p", "0")], {"l4.port_zero": ALERT}),
    "UDP from port 0, which is lawful": ([hping3("-2", "-s", "0", "-k", "-p", "9")], {}),
    "TTL 0": ([hping3("-S", "-t", "0", "-p", "80")], {"ipv4.ttl_zero": ALERT}),
    "TTL 1": ([hping3("-S", "-t", "1", "-p", "80")], {}),
    "from loopback": ([hping3("-S", "-a", "127.0.0.1", "-p", "80")], {"ipv4.martian_src": ALERT}),
    "from a group": ([hping3("-2", "-a", "224.0.0.9", "-p", "9")], {"ipv4.martian_src": ALERT}),
    "from class E": ([hping3("-S", "-a", "240.0.0.9", "-p", "80")], {"ipv4.martian_src": ALERT}),
    "solicitation from afar": (
        [scapy(f"IPv6(src={NEAR_6!r}, dst={FAR_6!r}, hlim=64) / {SOLICITATION}")],
        {"icmp6.nd_hlim": ALERT},
    ),
    "solicitation from the link": (
        [scapy(f"IPv6(src={NEAR_6!r}, dst={FAR_6!r}, hlim=255) / {SOLICITATION}")],
        {},
    ),
    "unasked advertisement": (
        [scapy(f"IPv6(src={NEAR_6!r}, dst={FAR_6!r}, hlim=255) / {ADVERTISEMENT}")],
        {"icmp6.unsolicited_na": ALERT},
    ),
}


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    with two_hosts():
        serve = Path(ordinary.__file__).read_text().replace("sys.argv[1]", "'serve'")
        with server(FAR, serve):
            yield


@pytest.mark.parametrize(("tools", "expected"), CASES.values(), ids=CASES.keys())
def test_what_a_tool_forges_is_found_and_nothing_else(
    network: None, tmp_path: Path, tools: list[Command], expected: dict[str, str]
) -> None:
    file = tmp_path / "forged.pcap"
    with captured(file):
        run(NEAR, sys.executable, ordinary.__file__, "ask", FAR_4)
        run(NEAR, "sh", "-c", ASK_NEIGHBOURS)
        for tool in tools:
            # Some call it an error that nobody answers.
            subprocess.run(within(NEAR, *tool), capture_output=True, timeout=30, check=False)
    assert raised(file) == expected


def raised(file: Path) -> dict[str, str]:
    """Check -> event type of what a capture shows; an alert where there is one of several."""
    # The warm-up is over before the tool begins.
    analysis = Analysis(Settings.model_validate({"flows": {"warm_up_s": 0.01}}))
    alerts = [alert for batch in read_capture(file) for alert in analysis.packets(batch)]
    found: dict[str, str] = {}
    for alert in (*alerts, *analysis.finish()):
        kind = record(alert, Source())["event_type"]
        if found.get(alert.check.id) != ALERT:
            found[alert.check.id] = kind
    return found
