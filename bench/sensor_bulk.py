"""What watching costs a bulk transfer, and the egress hook: over a veth pair, in namespaces of its
own, by the same watchers as in sensor_storm.py.

The transfer is one TCP stream. Its CPU time differs by a tenth from one run to the next, so what is
added is told by the time inside the programs, too, as a part of what a transfer takes unwatched.
The packets are small datagrams of a socket with a peer, each of which passes the egress hook alone.
The rounds take turns, so that a noisy machine is noisy for all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import click
from watchers import (
    Watcher,
    clean_up_when_ended,
    hooks_table,
    missing,
    program_runs,
    spent,
    statistic_of,
    watchers,
)

HERE, THERE = (f"procwire-bulk-{side}-{os.getpid()}" for side in ("a", "b"))
RECEIVE = """
import socket
server, sink = socket.create_server(("10.96.0.2", 7001)), socket.socket(type=socket.SOCK_DGRAM)
sink.bind(("10.96.0.2", 7003))  # never read: what it has no room for is dropped
print("ready", flush=True)
while True:
    stream, _ = server.accept()
    while stream.recv(1 << 20): pass
    stream.close()
"""
# Prints seconds of CPU: the other end's half of the path runs in them too, up to its socket.
SEND = """
import socket, sys, time
kind, count = sys.argv[1], int(sys.argv[2])
if kind == "bytes":
    block, one = bytes(1 << 20), socket.create_connection(("10.96.0.2", 7001))
    before = time.process_time()
    for _ in range(count >> 20): one.sendall(block)
    one.shutdown(socket.SHUT_WR)
    one.recv(1)
else:
    one = socket.socket(type=socket.SOCK_DGRAM)
    one.connect(("10.96.0.2", 7003))
    before = time.process_time()
    for _ in range(count): one.send(b"x" * 64)
print(time.process_time() - before)
"""


@contextmanager
def pair() -> Iterator[None]:
    """Two namespaces joined by a veth pair, with who takes what is sent."""
    commands = (
        f"netns add {HERE}",
        f"netns add {THERE}",
        f"-n {HERE} link add near type veth peer name far netns {THERE}",
        *(
            f"-n {name} {command}"
            for name, end, number in ((HERE, "near", 1), (THERE, "far", 2))
            for command in (f"addr add 10.96.0.{number}/24 dev {end}", f"link set {end} up")
        ),
    )
    clean_up_when_ended()
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        receive = ["ip", "netns", "exec", THERE, sys.executable, "-I", "-S", "-c", RECEIVE]
        with subprocess.Popen(receive, stdout=subprocess.PIPE) as receiver:
            assert receiver.stdout is not None
            receiver.stdout.readline()
            try:
                yield
            finally:
                receiver.terminate()
    finally:
        for name in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", name], check=False)


def send(kind: str, count: int) -> float:
    """Seconds of CPU that it took."""
    command = ["ip", "netns", "exec", HERE, sys.executable, "-I", "-S", "-c", SEND]
    ran = subprocess.run([*command, kind, str(count)], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def run_round(watcher: Watcher, size: int, packets: int) -> None:
    before = set(program_runs())
    with watcher.watching():
        send("bytes", size // 10)
        watcher.costs.append(send("bytes", size))
        with watcher.counting(before, watcher.bulk):
            send("bytes", size)
        with watcher.counting(before, watcher.hooks):
            send("packets", packets)


@click.command()
@click.option("--gigabytes", default=4.0, show_default=True, help="Size of one transfer.")
@click.option("--packets", default=100_000, show_default=True, help="Datagrams of one round.")
@click.option("--rounds", default=5, show_default=True)
def main(gigabytes: float, packets: int, rounds: int) -> None:
    """Compare what watching costs a bulk transfer and each packet."""
    if reason := missing():
        click.echo(f"sensor_bulk: left out, it {reason}")
        return
    contestants = watchers()
    with pair():
        for number in range(rounds):
            for watcher in contestants:
                click.echo(f"round {number + 1} of {rounds}: {watcher.name}", err=True)
                run_round(watcher, int(gigabytes * 1e9), packets)
                time.sleep(1)
    alone, statistic = median(contestants[0].costs), statistic_of(contestants)
    click.echo(f"{gigabytes:g} GB over veth, medians of {rounds} rounds\n")
    click.echo("watched by          CPU s/GB  added  in programs")
    for watcher in contestants:
        each = median(watcher.costs)
        inside = spent(watcher.bulk, statistic, 1) / 1e9
        click.echo(
            f"{watcher.name:<18} {each / gigabytes:9.3f} {each / alone - 1:6.1%} "
            f"{inside / alone:12.2%}"
        )
    for watcher in contestants[1:2]:
        click.echo(f"\nprograms of {watcher.name}")
        click.echo("\n".join(hooks_table(watcher.hooks, statistic, packets, "packet")))


if __name__ == "__main__":
    main()
