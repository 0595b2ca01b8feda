"""Replays a record: gives the run what the live one was given, in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procwire.capture.batch import PacketBatch, joined, rows_of
from procwire.capture.open import AT_A_TIME, read_capture
from procwire.context.site import Site
from procwire.runs.joined import Emit, Joined
from procwire.runs.recorded import Recording, networks_of
from procwire.runs.recording import Networks, Packets, Translated, Turn, packets_file
from procwire.sensor.processes import ProcessTable
from procwire.settings import Settings


class Replay:
    """A run from a record in `folder`. settings: None for those of the live run; workers,
    batch_size: processor cores, and packets read at a time, which change nothing in the alerts.

    emit, site: as for a live run. Raises as Recording does.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings | None,
        emit: Emit,
        site: Site,
        workers: int = 1,
        batch_size: int = AT_A_TIME,
    ) -> None:
        self._workers = workers
        self._recording = Recording(folder)
        self.interfaces = interfaces = self._recording.interfaces
        self._processes = ProcessTable()
        self.joined = Joined(
            settings or self._recording.settings,
            interfaces,
            self._recording.namespace,
            self._processes,
            emit,
            site,
        )
        self._packets = [
            _Queue(read_capture(packets_file(folder, number), batch_size))
            for number in range(len(interfaces))
        ]

    def run(self) -> None:
        """Tell everything, to the end. Raises InputDamaged where the record is damaged; finish()
        tells what is open by then."""
        for frame in self._recording.frames():
            if isinstance(frame, Turn):
                self._processes.follow(self._recording.changes(frame))
                self.joined.events(self._recording.events(frame), frame.now, frame.set_by)
            elif isinstance(frame, Networks):
                elsewhere = {n: networks_of(one) for n, one in frame.elsewhere.items()}
                self.joined.networks(networks_of(frame.local), elsewhere)
            elif isinstance(frame, Translated):
                self.joined.translations(self._recording.translations(frame))
            elif isinstance(frame, Packets):
                batches = self._packets[frame.interface].take(frame.count)
                for _ in self.joined.packets(frame.interface, batches, self._workers):
                    pass

    def finish(self) -> None:
        """Tell what is still open."""
        self.joined.finish()


class _Queue:
    """Packets of a file, as many at a time as are asked for."""

    def __init__(self, batches: Iterator[PacketBatch]) -> None:
        self._batches = batches
        self._rest: PacketBatch | None = None

    def take(self, count: int) -> Iterator[PacketBatch]:
        """The next `count` packets, or as many as there are, as the one batch that they were: what
        comes together is told together, in order of time."""
        taken: list[PacketBatch] = []
        while count > 0:
            batch = self._rest or next(self._batches, None)
            if batch is None:
                break
            size = len(batch.time)
            taken.append(rows_of(batch, 0, min(size, count)))
            self._rest = rows_of(batch, count, size) if size > count else None
            count -= size
        if taken:
            yield joined(taken)
