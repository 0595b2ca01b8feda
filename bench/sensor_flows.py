"""Of how many short flows `procwire watch -i` knows the process, by their rate.

Processes between two network namespaces of its own begin flows at a steady rate: datagrams, each
from a socket of its own, connects that are refused, and connects that are accepted. Beside each
share stand what was lost on the way, and the processor time of the watcher for a flow.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from procwire.output.statistics import last_statistics
from watchers import clean_up_when_ended, cpu_seconds, resident_megabytes

NEAR, FAR = (f"procwire-bench-{side}-{os.getpid()}" for side in ("near", "far"))
WIRE, PEER, NETWORK = "veth0", "10.97.0.2", "10.97.0"
PROCWIRE = Path(sys.executable).with_name("procwire")
OPEN, CLOSED, SINK = 7000, 7009, 7010
# A process begins its share of a hundredth of a second at once, then sleeps.
LOAD = f"""
import os, socket, struct, sys, time
kind, rate, seconds, processes = sys.argv[1], *map(int, sys.argv[2:])
for number in range(processes):
    if os.fork() == 0:
        break
else:
    for _ in range(processes):
        os.wait()
    sys.exit()
reset = struct.pack("ii", 1, 0)
began, count, wanted = time.monotonic(), 0, rate * seconds // processes
while count < wanted:
    due = (time.monotonic() - began) * rate / processes
    for _ in range(min(wanted, int(due) + 1) - count):
        if kind == "UDP":
            with socket.socket(type=socket.SOCK_DGRAM) as one:
                one.bind(("", 0))
                # The kernel gives a port again soon; each flow is another.
                one.sendto(b"x", ({PEER!r}, {SINK} + count % 1000))
        else:
            with socket.socket() as one:
                # Ports of what was closed by a reset are free at once.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                one.connect_ex(({PEER!r}, {OPEN} if kind == "TCP" else {CLOSED}))
        count += 1
    time.sleep(0.01)
os.write(1, f"{{time.monotonic() - began}} ".encode())
os._exit(0)
"""
SERVER = f"""
import socket
listener = socket.create_server(({PEER!r}, {OPEN}), backlog=4096)
kept = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(1000)]
for number, sink in enumerate(kept):
    sink.bind(({PEER!r}, {SINK} + number))
print("ready", flush=True)
while True:
    listener.accept()[0].close()
"""


def within(namespace: str, *command: str) -> list[str]:
    # Unlike ip netns exec, it leaves the mounts alone, among them that of the cgroups.
    return ["nsenter", f"--net=/run/netns/{namespace}", *command]


@contextmanager
def two_hosts() -> Iterator[None]:
    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    clean_up_when_ended()
    try:
        ip("netns", "add", NEAR)
        ip("netns", "add", FAR)
        ends = (WIRE, "netns", NEAR, "type", "veth", "peer", "name", WIRE)
        ip("link", "add", *ends, "netns", FAR)
        for namespace, address in ((NEAR, f"{NETWORK}.1"), (FAR, PEER)):
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "address", "add", f"{address}/24", "dev", WIRE)
            ip("-n", namespace, "link", "set", WIRE, "up")
        with subprocess.Popen(
            within(FAR, sys.executable, "-c", SERVER), stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                server.stdout.readline()
                yield
            finally:
                server.kill()
    finally:
        for namespace in (NEAR, FAR):
            subprocess.run(["ip", "netns", "del", namespace], check=False)


def watched(kind: str, rate: int, seconds: int, processes: int, folder: Path) -> str:
    """A line of the table."""
    results = folder / "results.json"
    results.unlink(missing_ok=True)
    watch = within(NEAR, str(PROCWIRE), "watch", "-i", WIRE)
    arguments = ["-o", str(results), "--context", str(folder / "context.db")]
    with subprocess.Popen(
        [*watch, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            if not any("ends it" in line for line in process.stderr):
                raise SystemExit("procwire watch ended")
            time.sleep(1)
            before = cpu_seconds(process.pid)
            counts = [str(number) for number in (rate, seconds, processes)]
            load = [sys.executable, "-I", "-S", "-c", LOAD, kind, *counts]
            ran = subprocess.run(within(NEAR, *load), capture_output=True, text=True, check=True)
            time.sleep(1)
            spent, resident = cpu_seconds(process.pid) - before, resident_megabytes(process.pid)
        finally:
            process.terminate()
            process.communicate(timeout=120)
    return line_of(kind, rate, processes, ran.stdout, spent, resident, results)


def line_of(
    kind: str, rate: int, processes: int, took: str, spent: float, resident: float, results: Path
) -> str:
    counts = last_statistics(results).counters
    ways = {
        name.removeprefix("correlate.originated_"): count
        for name, count in counts.items()
        if name.startswith("correlate.originated_") and count
    }
    total = sum(ways.values())
    known = total - ways.get("none", 0)
    lost = counts.get("kernel.lost_flow_ring_full", 0)
    dropped = counts.get(f"capture.{WIRE}.dropped", 0)
    did = total / max(map(float, took.split()))
    return (
        f"{kind:12} {rate:7,} {did:7,.0f} {processes:5} {known / total:8.2%} {lost:8,} "
        f"{dropped:8,} {spent / total * 1e6:6.1f} us {resident:5.0f} MB  {ways}"
    )


@click.command()
@click.option("--rate", "rates", multiple=True, type=int, default=(1000, 10_000), show_default=True)
@click.option("--seconds", default=5, show_default=True)
@click.option("--processes", multiple=True, type=int, default=(1, 20), show_default=True)
@click.option("--kind", "kinds", multiple=True, default=("UDP", "TCP refused", "TCP"))
def main(
    rates: tuple[int, ...], seconds: int, processes: tuple[int, ...], kinds: tuple[str, ...]
) -> None:
    """Print the share of flows whose process is known."""
    click.echo("flows         wanted  a second  by   known     lost  dropped  watcher/flow")
    with two_hosts(), tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            for rate in rates:
                for number in processes:
                    click.echo(watched(kind, rate, seconds, number, Path(folder)))


if __name__ == "__main__":
    main()
