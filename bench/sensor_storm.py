"""What it costs a program that connects to be watched: by procwire with either loader, by bpftrace
and by bcc, in one run.

A storm of refused connects in a network namespace of its own, no destination twice: by one
process, and by processes that each end after a few, as a shell's loop makes them. The rounds take
turns, so that a noisy machine is noisy for all.
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

NAMESPACE = f"procwire-bench-{os.getpid()}"
STORM = """
import os, socket, sys, time
count, each = map(int, sys.argv[1:])
before = time.process_time()
for first in range(0, count, each):
    child = os.fork() if each < count else 0
    if child:
        os.waitpid(child, 0)
        continue
    for number in range(first, first + each):
        with socket.socket() as client:
            client.connect_ex((f"127.1.{number >> 8 & 255}.{number & 255}", 9))
    if each < count:
        os._exit(0)
print((time.process_time() - before) / count)
"""
# As many as a process may have told one by one before it is only counted.
SHORT_LIVED = 16


def storm(connects: int, each: int) -> float:
    """CPU seconds per connect of the program that connects; each: connects of one process."""
    command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-I", "-S", "-c", STORM]
    counts = [str(connects), str(each)]
    ran = subprocess.run([*command, *counts], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def run_round(watcher: Watcher, connects: int) -> None:
    before = set(program_runs())
    with watcher.watching():
        storm(connects // 10, connects // 10)
        watcher.costs.append(storm(connects, connects))
        with watcher.counting(before, watcher.hooks):
            storm(connects, connects)
        with watcher.counting(before, watcher.short_lived):
            storm(connects, SHORT_LIVED)


@contextmanager
def namespace() -> Iterator[None]:
    clean_up_when_ended()
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


@click.command()
@click.option("--connects", default=20_000, show_default=True, help="Connects of one storm.")
@click.option("--rounds", default=3, show_default=True)
def main(connects: int, rounds: int) -> None:
    """Compare what watching costs a program that connects, and the watcher itself."""
    if reason := missing():
        click.echo(f"sensor_storm: left out, it {reason}")
        return
    contestants = watchers()
    with namespace():
        for number in range(rounds):
            for watcher in contestants:
                click.echo(f"round {number + 1} of {rounds}: {watcher.name}", err=True)
                run_round(watcher, connects)
                time.sleep(1)
    alone, statistic = median(contestants[0].costs), statistic_of(contestants)
    click.echo(f"{connects:,} refused connects, medians of {rounds} rounds\n")
    click.echo(f"short-lived: in programs, by processes of {SHORT_LIVED} each\n")
    click.echo(
        "watched by          connect  added  in programs  short-lived    start    idle  resident"
    )
    for watcher in contestants:
        each = median(watcher.costs)
        click.echo(
            f"{watcher.name:<18} {each * 1e6:5.1f} us {each / alone - 1:6.0%} "
            f"{spent(watcher.hooks, statistic, connects) / 1e3:9.2f} us "
            f"{spent(watcher.short_lived, statistic, connects, SHORT_LIVED) / 1e3:9.2f} us "
            f"{watcher.start:6.1f} s "
            f"{watcher.idle if watcher.command else 0:7.2%} {watcher.resident:6.0f} MB"
        )
    for watcher in contestants:
        if not watcher.name.startswith("procwire"):
            continue
        click.echo(f"\nprograms of {watcher.name}")
        click.echo("\n".join(hooks_table(watcher.hooks, statistic, connects, "connect")))
        click.echo("while processes begin and end, these programs' part in it, too")
        table = hooks_table(watcher.short_lived, statistic, connects, "connect", SHORT_LIVED)
        click.echo("\n".join(table))


if __name__ == "__main__":
    main()
