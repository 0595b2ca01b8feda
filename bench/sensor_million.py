"""A million connects, by one thread and by many at once: that the kernel counts each of them or
says which it lost, and how few events that costs whoever reads.

Refused connects in a network namespace of their own, as fast as the machine goes.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from procwire.event import EventKind
from procwire.sensor.loader import Sensor, SensorEvents
from procwire.sensor.settings import SensorSettings
from sensor_storm import NAMESPACE, namespace
from watchers import missing

SOURCE = Path(__file__).parent.parent / "tests" / "live" / "threads.c"
# The program connects twice more at its end.
EXTRA = 2
# Longer than a run, so that the last report of the process holds all that it did.
HOUR = 3600 * 10**9
LOSSES = "lost_process_map_full", "lost_connection_map_full"
POLL_MS, RUN_S = 100, 600


def compiled(folder: Path, hosts: int) -> Path:
    """The program that connects."""
    program = folder / "threads"
    command = ["gcc", "-O2", "-pthread", f"-DHOSTS={hosts}", str(SOURCE), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def watched(sensor: Sensor, command: list[str]) -> tuple[int, list[SensorEvents]]:
    """Runs a command to its end; its pid and all events until then."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        assert running.stdin is not None
        running.stdin.close()
        seen: list[SensorEvents] = []
        until = time.monotonic() + RUN_S
        while not any(has_ended(events, running.pid) for events in seen[-1:]):
            if time.monotonic() > until:
                running.kill()
                raise SystemExit(f"{command}: no end was told of within {RUN_S} s")
            seen.append(sensor.poll(POLL_MS))
        if running.wait():
            raise SystemExit(f"{command} ended with {running.returncode}")
    return running.pid, seen


def has_ended(events: SensorEvents, pid: int) -> bool:
    rows = events.process
    return bool(np.any((rows["process"]["pid"] == pid) & (rows["kind"] == EventKind.EXIT)))


def run(program: Path, threads: int, connects: int) -> bool:
    """Prints what was counted, lost and told; whether that adds up."""
    settings = SensorSettings(window_ns=(HOUR, 2 * HOUR, 4 * HOUR))
    with Sensor(settings) as sensor:
        before, began = sensor.counters(), time.perf_counter()
        command = ["ip", "netns", "exec", NAMESPACE, str(program), str(threads)]
        pid, seen = watched(sensor, [*command, str(connects // threads)])
        took, after = time.perf_counter() - began, sensor.counters()
    told = {
        kind: np.concatenate([getattr(events, kind) for events in seen])
        for kind in SensorEvents._fields
    }
    own = {kind: rows[rows["process"]["pid"] == pid] for kind, rows in told.items()}
    totals = own["fanout"][own["fanout"]["measure"] == 0][-1]
    made = connects // threads * threads + EXTRA
    # Of all programs on the machine.
    lost = sum(after[name] - before[name] for name in LOSSES)
    events = sum(map(len, own.values()))
    click.echo(
        f"{threads:>3} threads  {made:>9,} made  {totals['attempts']:>9,} counted  "
        f"{totals['refused']:>9,} refused  {lost:>3,} lost  {totals['hosts']:>9,} hosts  "
        f"{events:>3} events  {took:5.1f} s"
    )
    return bool(made - lost <= totals["attempts"] <= made)


@click.command()
@click.option("--connects", default=1_000_000, show_default=True)
@click.option("--threads", "most", default=16, show_default=True, help="Of the second run.")
def main(connects: int, most: int) -> None:
    """Count a million connects to as many hosts, by one thread, and by many to fewer."""
    if reason := missing():
        click.echo(f"sensor_million: left out, it {reason}")
        return
    with namespace(), tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder), connects)
        sums = [run(program, threads, connects) for threads in (1, most)]
    if not all(sums):
        raise SystemExit("counts and losses are not what was made")


if __name__ == "__main__":
    main()
