"""A live run on made-up input, recorded, and the same run from its record.

Only what reads the machine is replaced: the sensor, the captures, the clock and the addresses.
"""

from __future__ import annotations

import errno
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conversations import START
from mixed_runs import INTERFACES, ME, ROWS, Mixture, Turn
from procwire.alert import Alert
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.context.site import Site
from procwire.context.store import FILE_NAME, Store
from procwire.output import eve
from procwire.output.eve import Source
from procwire.owners.translations import TRANSLATION
from procwire.runs import live, replay
from procwire.runs.live import Live
from procwire.runs.replay import Replay
from procwire.sensor import networks
from procwire.sensor.loader import SensorEvents, no_events
from procwire.sensor.namespaces import Network
from procwire.sensor.processes import ProcessTable
from procwire.sensor.programs import Loader

NETWORK = [ip_network(f"{ME}/32")]


class Told:
    """The bytes that a run writes."""

    def __init__(self) -> None:
        self._stream = io.BytesIO()

    def __call__(self, alerts: list[Alert], source: Source) -> None:
        self._stream.write(eve.lines(alerts, source))

    @property
    def lines(self) -> list[bytes]:
        return self._stream.getvalue().splitlines()


class _Sensor:
    """Tells what the turns hold, a turn each time it is waited for."""

    loader, left_out = Loader.LIBBPF, ()

    def __init__(self, mixture: Mixture) -> None:
        self._turns = iter(mixture.turns)
        self.turn: Turn | None = None
        self.now, self.set_by = START, 0
        self.ended = False

    def poll(self, timeout_ms: int) -> SensorEvents:
        if not timeout_ms:
            return no_events()
        self.turn = next(self._turns, None)
        self.ended = self.turn is None
        if self.turn is None:
            return no_events()
        self.now, self.set_by = self.turn.now, self.turn.set_by
        return self.turn.events

    def snapshot(self) -> None:
        return None

    def wake_by(self, descriptor: int) -> None:
        pass

    def counters(self) -> dict[str, int]:
        return {}

    def trim_memory(self) -> None:
        pass


class _Capture:
    """Brings what the turns hold for one interface, `size` packets at a time."""

    link = ETHERNET

    def __init__(self, interface: str, sensor: _Sensor, size: int) -> None:
        self.interface, self._sensor, self._size = interface, sensor, size

    def fileno(self) -> int:
        return 0

    def _batch(self) -> PacketBatch | None:
        turn = self._sensor.turn
        return turn.packets.get(self.interface) if turn is not None else None

    def ready(self) -> int:
        batch = self._batch()
        return 0 if batch is None else -(-len(batch.time) // self._size)

    def batches(self) -> Iterator[PacketBatch]:
        batch = self._batch()
        for start in range(0, 0 if batch is None else len(batch.time), self._size):
            part = {one: getattr(batch, one)[start : start + self._size] for one in ROWS}
            yield batch._replace(**part, first=batch.first + start)

    def release(self) -> None:
        pass

    def received(self) -> int:
        return 0

    dropped = received


def watched(
    mixture: Mixture,
    record: Path,
    size: int,
    workers: int,
    store: Store | None,
    interfaces: Sequence[str] = INTERFACES,
) -> list[bytes]:
    """What a live run tells of the mixture, recorded. size: packets in a batch."""
    told, sensor = Told(), _Sensor(mixture)
    captures = [_Capture(name, sensor, size) for name in interfaces]
    ticks = iter(range(10**9))
    clock = SimpleNamespace(
        time_ns=lambda: sensor.now, monotonic=lambda: next(ticks) / 4, sleep=lambda seconds: None
    )
    conntrack = SimpleNamespace(
        read=lambda: sensor.turn.translations if sensor.turn else np.zeros(0, TRANSLATION),
        close=lambda: None,
        lost=0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "time", clock)
        patch.setattr(live, "boot_epoch_ns", lambda: START + sensor.set_by)
        patch.setattr(live, "Conntrack", lambda: conntrack)
        patch.setattr(live, "processes_before", lambda rows: mixture.people[:5])
        patch.setattr(live, "ProcessTable", few_ended)
        patch.setattr(live, "_BACKLOG", 1)
        patch.setattr(networks, "interfaces_up", lambda: [])
        patch.setattr(networks, "local_networks", asked_every_other_time())
        run = Live(
            mixture.settings,
            sensor,
            captures,
            told,
            Site(store),
            record.with_name("history"),
            record,
            workers,
        )
        if store is not None:
            store.copy_to(record / FILE_NAME)

        def stopped() -> bool:
            run.denied_contacts()
            return sensor.ended

        run.run(stopped, lambda: None)
    return told.lines


def asked_every_other_time() -> Callable[[], list[Network]]:
    """The host's networks, from a kernel that does not always answer."""
    fails = itertools.cycle((False, True))

    def local_networks() -> list[Network]:
        if next(fails):
            raise OSError(errno.ENOBUFS, "no answer")
        return NETWORK

    return local_networks


def replayed(record: Path, size: int, workers: int) -> list[bytes]:
    """What the record tells, read `size` packets at a time."""
    told = Told()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(replay, "ProcessTable", few_ended)
        store = None
        if (record / FILE_NAME).exists():
            store = stack.enter_context(Store(record / FILE_NAME, read_only=True))
        run = Replay(record, None, told, Site(store), workers, size)
        run.run()
        run.finish()
    return told.lines


def few_ended() -> ProcessTable:
    """A table that soon forgets."""
    return ProcessTable(ended_limit=4)
