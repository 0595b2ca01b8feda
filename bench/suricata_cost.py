"""What the rules cost inside Suricata 7 and 8: processor time per packet of a capture, and latency
and throughput of a wire that Suricata stands in, each beside a Suricata without rules.

    .venv/bin/python bench/suricata_cost.py

Of the processor time start-up is deducted: what the same Suricata takes for one packet. On a busy
machine any run may take twice as long, so both take turns, and the least of each counts.
The second part needs root: it makes three network namespaces of its own.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from captures import ethernet_capture

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "suricata"))

import real_suricata  # noqa: E402
from inline_site import CLIENT, SERVER, SERVER_ADDRESS, Inline, site, within  # noqa: E402

PACKETS = 300_000
WANTED = {"7": 2.5, "8": 3.5}
PINGS, STREAM_S = 2000, 3

SERVE = """
import socket, threading
echo = socket.socket(type=socket.SOCK_DGRAM)
echo.bind(("", 7000))
sink = socket.create_server(("", 7001))
def swallow():
    client, _ = sink.accept()
    while client.recv(1 << 20):
        pass
threading.Thread(target=swallow, daemon=True).start()
print("ready", flush=True)
while True:
    data, peer = echo.recvfrom(2000)
    echo.sendto(data, peer)
"""
# Round trips of a datagram, then one stream; prints microseconds and megabits per second.
MEASURE = """
import json, socket, sys, time
host, pings, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
client = socket.socket(type=socket.SOCK_DGRAM)
client.settimeout(1)
client.connect((host, 7000))
trips = []
for _ in range(pings):
    before = time.perf_counter()
    try:
        client.send(bytes(64))
        client.recv(2000)
    except TimeoutError:
        continue
    trips.append(time.perf_counter() - before)
trips.sort()
stream = socket.create_connection((host, 7001))
block, sent, began = bytes(1 << 16), 0, time.perf_counter()
while time.perf_counter() - began < seconds:
    sent += stream.send(block)
rate = sent * 8 / (time.perf_counter() - began) / 1e6
middle, late = trips[len(trips) // 2], trips[len(trips) * 99 // 100]
print(json.dumps([middle * 1e6, late * 1e6, rate]))
"""


def settings(directory: Path, with_rules: bool) -> None:
    """Rules, or none, in `directory`."""
    real_suricata.build_rules(directory)
    if not with_rules:
        (directory / "procwire.rules").write_text("")


def processor_seconds(program: Path, directory: Path, packets: int) -> float:
    """What reading so many packets takes with the rules of `directory`."""
    text = real_suricata.SETTINGS.format(directory=directory)
    (directory / "suricata.yaml").write_text(
        text.replace("types: [alert, stats]", "types: [stats]")
    )
    command = [str(program), "-c", str(directory / "suricata.yaml"), "-l", str(directory)]
    command += ["-S", str(directory / "procwire.rules"), "--runmode", "single", "-k", "none"]
    capture = str(ethernet_capture(packets))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "-r", capture], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_a_packet(program: Path, folder: Path, rounds: int) -> tuple[float, float]:
    """Processor time of one packet in ns, without rules and with them."""
    least = {}
    for turn in range(rounds):
        for with_rules in (False, True):
            directory = folder / str(with_rules)
            if turn == 0:
                settings(directory, with_rules)
            for packets in (1, PACKETS):
                taken = processor_seconds(program, directory, packets)
                case = with_rules, packets
                least[case] = min(least.get(case, taken), taken)
    none, all_of_them = (
        (least[with_rules, PACKETS] - least[with_rules, 1]) / (PACKETS - 1) * 1e9
        for with_rules in (False, True)
    )
    return none, all_of_them


def of_a_wire(version: str, directory: Path, with_rules: bool) -> tuple[float, float, float]:
    """Round trip in microseconds, median and 99th percentile, and megabits per second."""
    settings(directory, with_rules)
    with site(routed=False), Inline(version, directory, "af-packet"):
        command = within(SERVER, sys.executable, "-c", SERVE)
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        try:
            asked = [SERVER_ADDRESS, str(PINGS), str(STREAM_S)]
            measure = within(CLIENT, sys.executable, "-c", MEASURE, *asked)
            done = subprocess.run(measure, check=True, stdout=subprocess.PIPE, timeout=120)
        finally:
            server.kill()
            server.wait()
    middle, late, rate = json.loads(done.stdout)
    return middle, late, rate


@click.command()
@click.option("--rounds", default=7, show_default=True, help="Of these the least counts.")
def main(rounds: int) -> None:
    """Compare what a packet costs Suricata, and takes in a wire, without rules and with them."""
    print(f"{'':26}{'ns/packet':>12}{'times':>8}  (wanted)")
    for version in real_suricata.VERSIONS:
        program = ROOT / ".cache" / f"suricata{version}" / "suricata"
        if not program.exists():
            print(f"Suricata {version}: missing; packaging/suricata.sh {version} {program.parent}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            none, all_of_them = of_a_packet(program, Path(folder), rounds)
        print(f"Suricata {version}, no rules      {none:12.0f}")
        times = f"{all_of_them / none:8.2f}  ({WANTED[version]})"
        print(f"Suricata {version}, procwire's    {all_of_them:12.0f}{times}")
    if os.geteuid() != 0 or shutil.which("ethtool") is None:
        print("latency and throughput: needs root and ethtool")
        return
    print(f"\n{'inline':26}{'us median':>12}{'us 99 %':>10}{'Mbit/s':>10}")
    for version in real_suricata.VERSIONS:
        for with_rules in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                middle, late, rate = of_a_wire(version, Path(folder), with_rules)
            which = "procwire's" if with_rules else "no rules"
            print(f"Suricata {version}, {which:13}{middle:12.0f}{late:10.0f}{rate:10.0f}")


if __name__ == "__main__":
    main()
