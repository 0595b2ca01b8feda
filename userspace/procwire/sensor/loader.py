"""Loads the sensor object, attaches its hooks and reads its events in batches.

Strategy: libbpf through cffi; one NumPy array per kind of event, filled by C. Start-up ends with a
self-test, because a hook that attaches and never fires looks like a quiet machine.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from procwire.errors import Unavailable, UsageError
from procwire.event import (
    ABI_VERSION,
    CONNECTION_EVENT,
    FANOUT_EVENT,
    FANOUT_SETTINGS,
    FANOUT_WINDOWS,
    PROCESS_EVENT,
    SOCKET_EVENT,
)
from procwire.sensor.counters import Counter
from procwire.sensor.machine import BTF, boot_epoch_ns, cgroup2_mount, missing_capabilities
from procwire.sensor.selftest import loopback_connection

OBJECT = Path(__file__).parent.parent / "sensor.bpf.o"

# A process event must be read no later than the events that name the process: its ring is read
# last, and each array holds more than its ring can, so that none stops the reading early. Rows that
# stay unused cost no memory.
_LANES = (
    ("fanout_ring", FANOUT_EVENT, 2048),
    ("connection_ring", CONNECTION_EVENT, 24_576),
    ("socket_ring", SOCKET_EVENT, 1024),
    ("process_ring", PROCESS_EVENT, 12_288),
)
_SNAPSHOT_ROW = PROCESS_EVENT.fields["argv"][1] if PROCESS_EVENT.fields else 0
_LOG_LINES = 12
_TEST_POLL_MS = 100
_U32_LIMIT = 2**32

REBUILD = "pip install --force-reinstall procwire"
_KERNEL = "run procwire doctor; the sensor is tested from Linux 6.1 on"
_MOUNT_CGROUP2 = "mount -t cgroup2 none /sys/fs/cgroup/unified"


@dataclass(frozen=True)
class SensorSettings:
    """Written into the programs' read-only data before they load.

    window_ns: lengths of the windows; thresholds: distinct hosts, distinct host:port pairs, failed
    attempts, attempts in unbroken order; 0 is off. detail_limit: connection events that one process
    may send per shortest window.
    """

    window_ns: tuple[int, int, int] = (10_000_000_000, 60_000_000_000, 600_000_000_000)
    hosts: int = 25
    host_ports: int = 50
    failures: int = 100
    sequential_run: int = 20
    detail_limit: int = 32

    def __post_init__(self) -> None:
        if len(self.window_ns) != FANOUT_WINDOWS or any(length < 2 for length in self.window_ns):
            raise UsageError(f"window_ns: give {FANOUT_WINDOWS} lengths of at least 2 ns")
        for name in ("hosts", "host_ports", "failures", "sequential_run", "detail_limit"):
            if not 0 <= getattr(self, name) < _U32_LIMIT:
                raise UsageError(f"{name}: {getattr(self, name)} is not in 0..{_U32_LIMIT - 1}")


class SensorEvents(NamedTuple):
    """One batch, each array in the order of its ring. Times are ns since the epoch, except
    started_ns of process keys, which stays on the boot clock: it is an identity."""

    process: NDArray[np.void]
    socket: NDArray[np.void]
    connection: NDArray[np.void]
    fanout: NDArray[np.void]


def require_machine() -> None:
    """Raises Unavailable for the first thing without which loading would only fail obscurely."""
    missing = missing_capabilities()
    if missing:
        raise Unavailable(f"missing {', '.join(missing)}", "run as root, e.g. with sudo")
    if not BTF.exists():
        raise Unavailable(
            f"no {BTF}: the kernel has no BTF",
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, e.g. apt-get install linux-image-"
            + os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        )
    if not OBJECT.exists():
        raise Unavailable(f"no {OBJECT}: the eBPF object was not built", REBUILD)


def load_libbpf() -> tuple[Any, Any]:
    """cffi's ffi and lib of procwire._libbpf. Raises Unavailable where libbpf.so.1 is missing."""
    try:
        from procwire._libbpf import ffi, lib
    except ImportError as error:
        raise Unavailable(f"libbpf cannot be loaded: {error}", "apt-get install libbpf1") from error
    return ffi, lib


class Sensor:
    """A running sensor: `with Sensor(SensorSettings()) as sensor: sensor.poll(1000)`.

    Raises Unavailable, naming what is missing and the command that mends it.
    """

    def __init__(self, settings: SensorSettings | None = None, self_test: bool = True) -> None:
        require_machine()
        self._ffi, self._lib = load_libbpf()
        self._lib.log_keep()
        self._lib.log_clear()
        self._cleanup = ExitStack()
        try:
            self._object = self._load(settings or SensorSettings())
            self._counters = self._map("counters")
            self._walk = self._attach()
            self._open_rings()
            self._waiting = self._test() if self_test else []
        except BaseException:
            self._cleanup.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Detaches every hook; the kernel frees programs and maps. May be called twice."""
        self._cleanup.close()

    def poll(self, timeout_ms: int) -> SensorEvents:
        """Waits up to timeout_ms for events and returns those there are, possibly none.

        The arrays are the caller's: (n,) PROCESS_EVENT, SOCKET_EVENT, CONNECTION_EVENT and
        FANOUT_EVENT. A batch is bounded; poll again for the rest.
        """
        if self._waiting:
            return self._waiting.pop(0)
        return self._drain(timeout_ms)

    def counters(self) -> dict[str, int]:
        """Every counter by its label, summed over the CPUs, since the sensor started."""
        per_cpu = np.zeros(self._lib.libbpf_num_possible_cpus(), np.uint64)
        sums = {}
        for counter in Counter:
            key = self._ffi.new("unsigned int *", int(counter))
            self._check(
                self._lib.bpf_map__lookup_elem(
                    self._counters, key, 4, self._ffi.from_buffer(per_cpu), per_cpu.nbytes, 0
                ),
                f"read counter {counter.label}",
            )
            sums[counter.label] = int(per_cpu.sum())
        return sums

    def snapshot(self) -> NDArray[np.void]:
        """The processes that run now: (n,) PROCESS_EVENT without exe and argv, which only their
        exec shows. Keys are exact, because the kernel's own task list is walked."""
        descriptor = self._lib.bpf_iter_create(self._lib.bpf_link__fd(self._walk))
        if descriptor < 0:
            self._fail("walk the tasks", -descriptor)
        with os.fdopen(descriptor, "rb", buffering=0) as walk:
            data = b"".join(iter(lambda: walk.read(1 << 16), b""))
        rows = np.zeros(len(data) // _SNAPSHOT_ROW, PROCESS_EVENT)
        raw = rows.view(np.uint8).reshape(len(rows), PROCESS_EVENT.itemsize)
        headers = np.frombuffer(data, np.uint8, len(rows) * _SNAPSHOT_ROW)
        raw[:, :_SNAPSHOT_ROW] = headers.reshape(len(rows), _SNAPSHOT_ROW)
        rows["time_ns"] += np.uint64(boot_epoch_ns())
        return rows

    def _load(self, settings: SensorSettings) -> Any:
        opened = self._lib.bpf_object__open_file(str(OBJECT).encode(), self._ffi.NULL)
        if opened == self._ffi.NULL:
            self._fail(f"open {OBJECT}", self._ffi.errno)
        self._cleanup.callback(self._lib.bpf_object__close, opened)
        self._object = opened
        version = self._ffi.cast(
            "unsigned int *",
            self._lib.bpf_map__initial_value(self._map(".rodata.abi"), self._ffi.new("size_t *")),
        )
        if version[0] != ABI_VERSION:
            raise Unavailable(
                f"{OBJECT} has event ABI {version[0]}, this program {ABI_VERSION}", REBUILD
            )
        row = np.zeros(1, FANOUT_SETTINGS)
        row["window_ns"] = settings.window_ns
        for name in ("hosts", "host_ports", "failures", "sequential_run", "detail_limit"):
            row[name] = getattr(settings, name)
        self._check(
            self._lib.bpf_map__set_initial_value(
                self._map(".rodata.settings"), self._ffi.from_buffer(row), row.nbytes
            ),
            "write the settings",
        )
        self._check(self._lib.bpf_object__load(opened), "load the programs")
        return opened

    def _attach(self) -> Any:
        """Attaches every program; returns the link of the task walk, which is read, not fired."""
        mount = cgroup2_mount()
        if mount is None:
            raise Unavailable("no cgroup2 hierarchy is mounted", _MOUNT_CGROUP2)
        cgroup = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
        walk = None
        try:
            program = self._lib.bpf_object__next_program(self._object, self._ffi.NULL)
            while program != self._ffi.NULL:
                section = self._text(self._lib.bpf_program__section_name(program))
                if section.startswith("cgroup/"):
                    link = self._lib.bpf_program__attach_cgroup(program, cgroup)
                elif section.startswith("iter/"):
                    link = walk = self._lib.bpf_program__attach_iter(program, self._ffi.NULL)
                else:
                    link = self._lib.bpf_program__attach(program)
                if link == self._ffi.NULL:
                    self._fail(f"attach {section}", self._ffi.errno)
                self._cleanup.callback(self._lib.bpf_link__destroy, link)
                program = self._lib.bpf_object__next_program(self._object, program)
        finally:
            os.close(cgroup)
        return walk

    def _open_rings(self) -> None:
        self._rows = [np.zeros(capacity, dtype) for _, dtype, capacity in _LANES]
        self._lanes = self._ffi.new("struct drain_lane[]", len(_LANES))
        for lane, rows, (name, dtype, capacity) in zip(
            self._lanes, self._rows, _LANES, strict=True
        ):
            lane.rows = self._ffi.cast("char *", rows.ctypes.data)
            lane.row_size, lane.capacity = dtype.itemsize, capacity
            lane.map = self._lib.bpf_map__fd(self._map(name))
        self._rings = self._lib.drain_open(self._lanes, len(_LANES))
        if self._rings == self._ffi.NULL:
            self._fail("open the rings", self._ffi.errno)
        self._cleanup.callback(self._lib.drain_close, self._rings)
        self._full = self._ffi.new("int *")

    def _drain(self, timeout_ms: int) -> SensorEvents:
        stored = self._lib.drain(self._rings, self._lanes, len(_LANES), timeout_ms, self._full)
        if stored < 0 and stored != -errno.EINTR:
            self._fail("read the rings", -stored)
        fanout, connection, socket, process = (
            rows[: lane.count].copy() for rows, lane in zip(self._rows, self._lanes, strict=True)
        )
        boot = np.uint64(boot_epoch_ns())
        for events in (fanout, connection, socket, process):
            events["time_ns"] += boot
        # A window that began before boot wrapped around; adding wraps it back.
        fanout["window_start_ns"] += boot
        fanout["first_ns"] += boot
        return SensorEvents(process, socket, connection, fanout)

    def _test(self) -> list[SensorEvents]:
        """Everything read until the self-test's own connection arrived, for the first polls."""
        return loopback_connection(lambda: self._drain(_TEST_POLL_MS), self.counters)

    def _map(self, name: str) -> Any:
        found = self._lib.bpf_object__find_map_by_name(self._object, name.encode())
        if found == self._ffi.NULL:
            raise Unavailable(f"{OBJECT} has no map {name}: it is of another build", REBUILD)
        return found

    def _text(self, value: Any) -> str:
        text: bytes = self._ffi.string(value)
        return text.decode(errors="replace")

    def _check(self, result: int, action: str) -> None:
        if result < 0:
            self._fail(action, -result)

    def _fail(self, action: str, error: int) -> None:
        lines = self._text(self._lib.log_text()).splitlines()[-_LOG_LINES:]
        said = "".join(f"\n  {line}" for line in lines)
        raise Unavailable(f"cannot {action}: {os.strerror(error)}{said}", _KERNEL)
