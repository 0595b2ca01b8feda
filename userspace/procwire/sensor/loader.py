"""The running sensor: has the programs loaded and reads their events in batches.

Strategy: one NumPy array per kind of event, filled by C. Start-up ends with a self-test, because a
hook that attaches and never fires looks like a quiet machine.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.memory import sparse_zeros
from procwire.errors import Unavailable, UsageError
from procwire.event import (
    CONNECTION_EVENT,
    FANOUT_EVENT,
    FLOW_EVENT,
    PROCESS_EVENT,
    SOCKET_EVENT,
    cut_process_event,
)
from procwire.sensor.counters import Counter
from procwire.sensor.libbpf_loader import LibbpfPrograms
from procwire.sensor.machine import BTF, boot_epoch_ns, missing_capabilities
from procwire.sensor.programs import Libbpf, Loader, Programs
from procwire.sensor.selftest import loopback_connection
from procwire.sensor.settings import SensorSettings

LANES = (
    ("fanout_ring", FANOUT_EVENT, 512 << 10),
    ("connection_ring", CONNECTION_EVENT, 1 << 20),
    ("socket_ring", SOCKET_EVENT, 128 << 10),
    ("flow_ring", FLOW_EVENT, 8 << 20),
    ("process_ring", PROCESS_EVENT, 4 << 20),
)
"""Rings, what they hold, and bytes of the memory that each is read into. A process event must be
read no later than the events that name the process: its ring is read last, and each lane has twice
the room of its ring, so that none stops the reading early. What stays unused costs no memory."""
_TEST_POLL_MS = 100
_SCRIPT = b"#!"


class SensorEvents(NamedTuple):
    """One batch, each array in the order of its ring. Times are ns since the epoch, except
    started_ns of process keys, which stays on the boot clock: it is an identity."""

    process: NDArray[np.void]
    socket: NDArray[np.void]
    connection: NDArray[np.void]
    fanout: NDArray[np.void]
    flow: NDArray[np.void]


def no_events() -> SensorEvents:
    """A batch without rows."""
    return SensorEvents(
        process=np.zeros(0, PROCESS_EVENT),
        socket=np.zeros(0, SOCKET_EVENT),
        connection=np.zeros(0, CONNECTION_EVENT),
        fanout=np.zeros(0, FANOUT_EVENT),
        flow=np.zeros(0, FLOW_EVENT),
    )


class Sensor:
    """A running sensor: `with Sensor(SensorSettings()) as sensor: sensor.poll(1000)`.

    loader: who loaded the programs; gaps: what these do not see and those of libbpf do. Raises
    Unavailable, naming what is missing and the command that mends it.
    """

    def __init__(
        self,
        settings: SensorSettings | None = None,
        self_test: bool = True,
        loader: Loader = Loader.AUTO,
    ) -> None:
        missing = missing_capabilities()
        if missing:
            raise Unavailable(f"missing {', '.join(missing)}", "run as root, e.g. with sudo")
        self._bpf = Libbpf()
        self._ffi, self._lib = self._bpf.ffi, self._bpf.lib
        self._cleanup = ExitStack()
        try:
            chosen = settings or SensorSettings()
            row = chosen.row()
            self._hold(chosen.skip_programs)
            self._programs = _load(row) if loader == Loader.AUTO else _LOADERS[loader](row)
            self.loader, self.gaps = self._programs.loader, self._programs.gaps
            self._cleanup.callback(self._programs.close)
            self._open_rings()
            # Hooks are attached already: a socket made now is found twice, never not at all.
            older = self._programs.find_files()
            self._waiting = [_in_epoch(no_events()._replace(flow=older))]
            self._waiting += self._test() if self_test else []
        except BaseException:
            self._cleanup.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def trim_memory(self) -> None:
        """Gives back what starting took and freed, of which glibc would keep ten megabytes."""
        self._lib.memory_trim()

    def close(self) -> None:
        """Detaches every hook; the kernel frees programs and maps. May be called twice."""
        self._cleanup.close()

    def poll(self, timeout_ms: int) -> SensorEvents:
        """Waits up to timeout_ms for events and returns those there are, possibly none.

        The arrays are the caller's: (n,) PROCESS_EVENT, with argv cut to what the longest one
        needs, SOCKET_EVENT, CONNECTION_EVENT, FANOUT_EVENT and FLOW_EVENT. A batch is bounded; poll
        again for the rest.
        """
        if self._waiting:
            return self._waiting.pop(0)
        return self._drain(timeout_ms)

    def wake_by(self, descriptor: int) -> None:
        """Let poll() wait no longer than until `descriptor`, which stays open, is readable."""
        error = self._lib.drain_wake_by(self._rings, descriptor)
        if error:
            self._bpf.fail("wait for packets, too", -error)

    def counters(self) -> dict[str, int]:
        """Every counter by its label, summed over the CPUs, since the sensor started."""
        return {counter.label: self._programs.counter(counter) for counter in Counter}

    @property
    def attached(self) -> tuple[str, ...]:
        """The hooks that are attached, by section."""
        return self._programs.attached

    @property
    def left_out(self) -> Mapping[str, str]:
        """Sections of the programs for which this kernel has no hook, and why."""
        return self._programs.left_out

    def snapshot(self) -> NDArray[np.void]:
        """The processes that run now: (n,) PROCESS_EVENT without exe and argv, which only their
        exec shows. Keys are those of the events."""
        rows = self._programs.snapshot()
        rows["time_ns"] += np.uint64(boot_epoch_ns())
        return rows

    def _hold(self, programs: tuple[str, ...]) -> None:
        """Keeps the executables open: so the programs know them from all other files."""
        for path in programs:
            try:
                held = os.open(path, os.O_PATH)
                self._cleanup.callback(os.close, held)
                # What is no file may wait for a writer as it is opened to be read.
                if not stat.S_ISREG(os.fstat(held).st_mode):
                    raise ValueError("no regular file")
                with open(f"/proc/self/fd/{held}", "rb") as program:  # noqa: PTH123
                    is_script = program.read(2) == _SCRIPT
            except (OSError, ValueError) as error:
                problem = getattr(error, "strerror", error)
                raise UsageError(
                    f"fanout.skip_programs: {path}: {problem}; name an executable's file"
                ) from None
            if is_script:
                raise UsageError(
                    f"fanout.skip_programs: {path} is a script, which its interpreter executes; "
                    "name a program that is compiled"
                )

    def _open_rings(self) -> None:
        self._memory = [sparse_zeros((size,), np.uint8) for _, _, size in LANES]
        self._lanes = self._ffi.new("struct drain_lane[]", len(LANES))
        for lane, memory, (name, dtype, size) in zip(self._lanes, self._memory, LANES, strict=True):
            lane.memory = self._ffi.cast("char *", memory.ctypes.data)
            lane.room, lane.largest = size, dtype.itemsize
            lane.map = self._programs.ring(name)
        self._rings = self._lib.drain_open(self._lanes, len(LANES))
        if self._rings == self._ffi.NULL:
            self._bpf.fail("open the rings", self._ffi.errno)
        self._cleanup.callback(self._lib.drain_close, self._rings)

    def _drain(self, timeout_ms: int) -> SensorEvents:
        stored = self._lib.drain(self._rings, self._lanes, len(LANES), timeout_ms)
        if stored < 0 and stored != -errno.EINTR:
            self._bpf.fail("read the rings", -stored)
        fanout, connection, socket, flow, process = (
            self._rows(place, dtype) for place, (_, dtype, _) in enumerate(LANES)
        )
        process = self._programs.complete(process, socket, connection, fanout, flow)
        return _in_epoch(SensorEvents(process, socket, connection, fanout, flow))

    def _rows(self, place: int, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        """What the last drain left in a lane."""
        lane = self._ffi.addressof(self._lanes, place)
        if dtype is PROCESS_EVENT:
            dtype = cut_process_event(lane.longest)
        rows = np.empty(lane.count, dtype)
        self._lib.drain_rows(lane, self._ffi.cast("char *", rows.ctypes.data), rows.itemsize)
        return rows

    def _test(self) -> list[SensorEvents]:
        """Everything read until the self-test's own connection arrived, for the first polls."""
        return loopback_connection(lambda: self._drain(_TEST_POLL_MS), self.counters)


def _in_epoch(events: SensorEvents) -> SensorEvents:
    """The same rows, from times since boot to times since the epoch."""
    boot = np.uint64(boot_epoch_ns())
    for rows in events:
        rows["time_ns"] += boot
    # A window that began before boot wrapped around; adding wraps it back.
    events.fanout["window_start_ns"] += boot
    events.fanout["first_ns"] += boot
    return events


def _by_bcc(settings: NDArray[np.void]) -> Programs:
    # Few kernels need it.
    from procwire.sensor.bcc_loader import BccPrograms

    return BccPrograms(settings)


_LOADERS: dict[Loader, Callable[[NDArray[np.void]], Programs]] = {
    Loader.LIBBPF: LibbpfPrograms,
    Loader.BCC: _by_bcc,
}


def _load(settings: NDArray[np.void]) -> Programs:
    if BTF.exists():
        return LibbpfPrograms(settings)
    try:
        return _by_bcc(settings)
    except Unavailable as error:
        raise Unavailable(
            f"no {BTF}: the kernel has no BTF; {error.missing}", error.remedy
        ) from error
