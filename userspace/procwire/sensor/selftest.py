"""The last step of start-up: one loopback connection must come back as an event.

A tracepoint can attach and stay silent after a kernel change; without this test that would look
like a machine on which nothing happens.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from procwire.errors import Unavailable
from procwire.event import Outcome
from procwire.sensor.counters import Counter

if TYPE_CHECKING:
    from procwire.sensor.loader import SensorEvents

_POLLS = 30
_REPORT = "run procwire doctor and report its output with the kernel release"


def loopback_connection(
    poll: Callable[[], SensorEvents], counters: Callable[[], dict[str, int]]
) -> list[SensorEvents]:
    """Every batch up to the one that holds the test's own connection.

    poll: returns the next batch, after a tenth of a second at most. Raises Unavailable, naming the
    hook that stayed silent.
    """
    before = counters()
    port = _connect()
    batches: list[SensorEvents] = []
    for _ in range(_POLLS):
        batches.append(poll())
        rows = batches[-1].connection
        own = rows[(rows["destination_port"] == port) & (rows["outcome"] == Outcome.ESTABLISHED)]
        if len(own):
            return batches
    after = counters()
    for counter, silent in (
        (Counter.COUNT_ATTEMPTS, "cgroup/connect4 and inet_sock_set_state saw no attempt"),
        (Counter.COUNT_OUTCOMES, "inet_sock_set_state reported no outcome"),
    ):
        if after[counter.label] == before[counter.label]:
            raise Unavailable(f"self-test: {silent} of a loopback connection", _REPORT)
    raise Unavailable("self-test: the event of a loopback connection did not arrive", _REPORT)


def _connect() -> int:
    """One TCP connection to this process; its destination port."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                return port
    except OSError as error:
        raise Unavailable(
            f"self-test: no loopback connection: {error}", "ip link set lo up"
        ) from error
