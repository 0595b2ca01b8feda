"""What the events of a scenario say otherwise than its row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from procwire.event import ARGV_SIZE, EventKind, Outcome
from procwire.record import CUT
from procwire.sensor.processes import key_of
from procwire.sensor.programs import Loader
from procwire.sensor.running import login_uid_of
from scenarios import CONNECT_RETURNS, Report, Scenario, Seen
from sensing import YEAR, Sensing, endpoint

# Of a status as wait(2) gives it; whether it is set depends on the machine's settings.
CORE_DUMPED = 0x80
# Outcomes that only a packet can have; a socket without one has no port of its own yet.
SYN_SENT = (Outcome.ESTABLISHED, Outcome.REFUSED, Outcome.TIMED_OUT)


def differences(live: Sensing, scenario: Scenario) -> list[str]:
    """Runs the scenario; what its events say otherwise than the row, a line each."""
    before = live.sensor.counters()
    pid, _ = live.run(*scenario.wrapped, *scenario.command)
    rows = live.wait("process", pid, lambda rows: EventKind.EXIT in rows["kind"])
    if EventKind.EXIT not in rows["kind"]:
        return [f"no exit among its {len(rows)} process events"]
    if scenario.threads:
        rows = rows[: np.flatnonzero(rows["kind"] == EventKind.EXIT)[0] + 1]
    live.wait("connection", pid, lambda rows: len(rows) >= len(scenario.connections))
    after = live.sensor.counters()
    compared = [
        *identity(live, scenario, rows),
        *traffic(live, scenario, pid),
        *fan_out(live, scenario, pid),
        *(
            (name, f"at least {least}", after[name] - before[name])
            for name, least in scenario.counters.items()
            if after[name] - before[name] < least
        ),
    ]
    return [f"{what}: expected {expected}, saw {saw}" for what, expected, saw in compared]


Difference = tuple[str, Any, Any]


def unequal(*compared: Difference) -> Iterator[Difference]:
    for what, expected, saw in compared:
        if expected != saw:
            yield what, expected, saw


def identity(live: Sensing, scenario: Scenario, rows: NDArray[np.void]) -> Iterator[Difference]:
    """Who ran, from fork to exit, and whom it forked."""
    # ip first, which becomes the command in its namespace.
    programs = 2 + bool(scenario.wrapped)
    counts = rows["process"]["exec_count"].astype(np.int64)
    last, status = live.table.get(key_of(rows["process"][-1])), int(rows["exit_code"][-1])
    if last is None:
        yield "process", "known by its key", last
        return
    # As it was asked for, or, of one that /proc still shows, as the file is called; in a guest,
    # behind the place where that has mounted its root.
    executable = scenario.command[0]
    named = last.exe.endswith((executable, str(Path(executable).resolve())))
    asked = "\0".join(scenario.command)
    arguments = asked if len(asked) < ARGV_SIZE else asked[:ARGV_SIZE] + CUT
    yield from unequal(
        (
            "process events",
            [EventKind.FORK, *[EventKind.EXEC] * programs, EventKind.EXIT],
            rows["kind"].tolist(),
        ),
        ("exec counts", [*range(programs + 1), programs], (counts - counts[0]).tolist()),
        ("start times", 1, len(set(rows["process"]["started_ns"].tolist()))),
        ("parents", {os.getpid()}, set(rows["parent"]["pid"].tolist())),
        ("flags", scenario.flags, int(rows["flags"][rows["kind"] == EventKind.EXEC][-1])),
        ("status", scenario.exit_code << 8 | scenario.signal, status & ~CORE_DUMPED),
        ("number", {rows["process"]["pid"][0]}, set(rows["namespace_pid"].tolist())),
        ("login user", {login_uid_of(os.getpid())}, set(rows["login_uid"].tolist())),
        ("executable", executable, executable if named else last.exe),
        ("command line", arguments, "\0".join(last.argv)),
        ("user", scenario.uid, last.uid),
        ("attribution", "kernel", last.attribution),
    )
    network = int(rows["net_namespace"][-1])
    # Of who entered it and has ended bcc's programs cannot tell.
    if network or live.sensor.loader == Loader.LIBBPF:
        yield from unequal(("network", live.namespace_id, network))
    events = np.concatenate([batch.process for batch in live.seen])
    events = events[events["parent"]["pid"] == rows["process"]["pid"][0]]
    executed = events[events["kind"] == EventKind.EXEC]["argv"]
    yield from unequal(
        (
            "children's events",
            [EventKind.FORK, EventKind.EXEC, EventKind.EXIT] * len(scenario.children),
            events["kind"].tolist(),
        ),
        ("children", ["\0".join(line).encode() for line in scenario.children], executed.tolist()),
    )


def traffic(live: Sensing, scenario: Scenario, pid: int) -> Iterator[Difference]:
    """Its connections, in order, and its sockets that need none."""
    rows, raw = live.rows("connection", pid), live.rows("socket", pid)
    namespaces = {*rows["net_namespace"].tolist(), *raw["net_namespace"].tolist()}
    seen = [
        Seen(*endpoint(row), Outcome(row["outcome"]), int(row["error"]), int(row["family"]))
        for row in rows
    ]
    yield from unequal(
        ("connections", [expected(live, one) for one in scenario.connections], seen),
        ("users of connections", [scenario.uid] * len(rows), rows["uid"].tolist()),
        ("sockets", list(scenario.sockets), raw[["family", "type", "protocol"]].tolist()),
        ("namespaces", namespaces & {live.namespace_id}, namespaces),
    )
    if len(rows) and rows["duration_ns"].min() < scenario.at_least_ns:
        yield "duration", f"at least {scenario.at_least_ns}", int(rows["duration_ns"].min())
    ports = rows["source_port"][np.isin(rows["outcome"], SYN_SENT)]
    if not np.all(ports):
        yield "source ports", "none 0", ports.tolist()


def expected(live: Sensing, seen: Seen) -> Seen:
    """As this kernel's hooks tell it."""
    if seen.returned is None or CONNECT_RETURNS in live.sensor.left_out:
        return replace(seen, returned=None)
    outcome, error = seen.returned
    return replace(seen, outcome=outcome, error=error, returned=None)


def fan_out(live: Sensing, scenario: Scenario, pid: int) -> Iterator[Difference]:
    """What was reported of it, and how far it had come then."""
    rows = live.rows("fanout", pid)
    shortest = rows[(rows["window_ns"] == YEAR) | (rows["measure"] == 0)]
    exact = {report.measure for report in scenario.reports}
    fields = ("measure", "threshold", "attempts", "established", "refused")
    reports = [
        Report(*(int(row[name]) for name in fields)) for row in shortest if row["measure"] in exact
    ]
    yield from unequal(
        ("reports", list(scenario.reports), reports),
        ("measures reported", set(scenario.crossed), set(rows["measure"].tolist())),
    )
