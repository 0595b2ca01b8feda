"""Loads the CO-RE object and attaches its hooks: the loader wherever the kernel has BTF.

Strategy: libbpf through cffi. Hooks are links, which the kernel removes with their descriptors, so
that not even a crash leaves one attached.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from mmap import PAGESIZE
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.errors import Unavailable
from procwire.event import ABI_VERSION, FLOW_EVENT, PROCESS_EVENT, PROCESS_HEADER
from procwire.sensor.blind_spots import BlindSpot
from procwire.sensor.counters import Counter
from procwire.sensor.machine import BTF, cgroup2_root
from procwire.sensor.programs import Libbpf, Loader

OBJECT = Path(__file__).parent.parent / "sensor.bpf.o"
REBUILD = "pip install --force-reinstall procwire"

OPTIONAL = {"tp_btf/inet_sk_error_report": "5.14", "tp_btf/sock_send_length": "6.3"}
"""Hooks and the Linux that first had them. Without one the sensor sees less, see blind_spots.py."""
VARIANTS = {
    "fexit/security_socket_connect": "connects that a security module refuses are not seen",
    "fexit/__sys_connect_file": "a connect that sends no packet is told when its socket ends or "
    "tries again, without its error",
    "fentry/__dev_direct_xmit": "of frames with PACKET_QDISC_BYPASS the sender is told, not where "
    "they go",
}
"""Programs at functions of the kernel, which see more than the hooks that every kernel has, and
what holds without them. A function is no interface: each is tried."""
_WHY = {errno.ENOENT: "this kernel does not have it"}
# Where no packets keep the reader, it comes ten times a second. A ring's pages are mapped twice and
# count as resident.
_WITHOUT_FLOWS = {"flow_ring": PAGESIZE, "process_ring": 1 << 20}


def require_object() -> None:
    """Raises Unavailable for the first thing without which loading would only fail obscurely."""
    if not BTF.exists():
        raise Unavailable(
            f"no {BTF}: the kernel has no BTF",
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, e.g. apt-get install linux-image-"
            + os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        )
    if not OBJECT.exists():
        raise Unavailable(f"no {OBJECT}: the eBPF object was not built", REBUILD)


class LibbpfPrograms:
    """The programs of sensor.bpf.o, attached; see Programs.

    settings: (1,) FANOUT_SETTINGS, written into the programs' read-only data before they load.
    Raises Unavailable, naming what is missing and the command that mends it.
    """

    loader = Loader.LIBBPF
    gaps: tuple[BlindSpot, ...] = ()

    def __init__(self, settings: NDArray[np.void]) -> None:
        require_object()
        self._bpf = Libbpf()
        self._ffi, self._lib = self._bpf.ffi, self._bpf.lib
        self._cleanup = ExitStack()
        try:
            self._object = self._open()
            self.left_out: Mapping[str, str] = self._leave_out()
            self._load(settings)
            self._counters = self._map("counters")
            self._walks = self._attach()
            self.attached = tuple(
                section for _, _, section in self._each_program() if section not in self.left_out
            )
        except BaseException:
            self._cleanup.close()
            raise

    def close(self) -> None:
        self._cleanup.close()

    def ring(self, name: str) -> int:
        descriptor: int = self._lib.bpf_map__fd(self._map(name))
        return descriptor

    def counter(self, counter: Counter) -> int:
        per_cpu = np.zeros(self._lib.libbpf_num_possible_cpus(), np.uint64)
        key = self._ffi.new("unsigned int *", int(counter))
        self._bpf.check(
            self._lib.bpf_map__lookup_elem(
                self._counters, key, 4, self._ffi.from_buffer(per_cpu), per_cpu.nbytes, 0
            ),
            f"read counter {counter.label}",
        )
        return int(per_cpu.sum())

    def snapshot(self) -> NDArray[np.void]:
        """See Programs. The kernel's own task list is walked."""
        data = self._read_walk("walk_processes")
        rows = np.zeros(len(data) // PROCESS_HEADER, PROCESS_EVENT)
        raw = rows.view(np.uint8).reshape(len(rows), PROCESS_EVENT.itemsize)
        headers = np.frombuffer(data, np.uint8, len(rows) * PROCESS_HEADER)
        raw[:, :PROCESS_HEADER] = headers.reshape(len(rows), PROCESS_HEADER)
        return rows

    def find_files(self) -> NDArray[np.void]:
        """See Programs. The open files of all tasks are walked."""
        return np.frombuffer(bytearray(self._read_walk("walk_files")), FLOW_EVENT)

    def complete(self, processes: NDArray[np.void], *_: NDArray[np.void]) -> NDArray[np.void]:
        """See Programs. The kernel has told all."""
        return processes

    def _read_walk(self, name: str) -> bytes:
        """Runs an iterator program over everything it walks; what it wrote."""
        descriptor = self._lib.bpf_iter_create(self._lib.bpf_link__fd(self._walks[name]))
        if descriptor < 0:
            self._bpf.fail(name.replace("_", " "), -descriptor)
        with os.fdopen(descriptor, "rb", buffering=0) as walk:
            return b"".join(iter(lambda: walk.read(1 << 16), b""))

    def _each_program(self) -> Iterator[tuple[Any, str, str]]:
        """Every program of the object with its name and section."""
        program = self._lib.bpf_object__next_program(self._object, self._ffi.NULL)
        while program != self._ffi.NULL:
            name = self._bpf.text(self._lib.bpf_program__name(program))
            yield program, name, self._bpf.text(self._lib.bpf_program__section_name(program))
            program = self._lib.bpf_object__next_program(self._object, program)

    def _leave_out(self) -> dict[str, str]:
        """Marks the programs for which this kernel has no hook; why, by section."""
        types = self._lib.btf__load_vmlinux_btf()
        if types == self._ffi.NULL:
            self._bpf.fail(f"read {BTF}", self._ffi.errno)
        missing = {}
        try:
            for program, _, section in self._each_program():
                error = self._refused(types, *section.split("/"))
                if not error:
                    continue
                if section not in (*OPTIONAL, *VARIANTS):
                    self._bpf.fail(f"attach {section}", error)
                missing[section] = _WHY.get(error, f"the kernel refuses it: {os.strerror(error)}")
                self._bpf.check(
                    self._lib.bpf_program__set_autoload(program, False), f"leave out {section}"
                )
        finally:
            self._lib.btf__free(types)
        return missing

    def _refused(self, types: Any, kind: str, hook: str) -> int:
        """The errno for which a program cannot be attached; 0 if it can, as far as can be tried."""
        if kind == "tp_btf":
            tracepoint = f"btf_trace_{hook}".encode()
            found = self._lib.btf__find_by_name_kind(types, tracepoint, self._lib.BTF_KIND_TYPEDEF)
            return max(0, int(-found))
        if kind not in ("fentry", "fexit"):
            return 0
        function = self._lib.btf__find_by_name_kind(types, hook.encode(), self._lib.BTF_KIND_FUNC)
        if function < 0:
            return int(-function)
        return int(-self._lib.follow_function(function, kind == "fexit"))

    def _open(self) -> Any:
        opened = self._lib.bpf_object__open_file(str(OBJECT).encode(), self._ffi.NULL)
        if opened == self._ffi.NULL:
            self._bpf.fail(f"open {OBJECT}", self._ffi.errno)
        self._cleanup.callback(self._lib.bpf_object__close, opened)
        return opened

    def _load(self, settings: NDArray[np.void]) -> None:
        version = self._ffi.cast(
            "unsigned int *",
            self._lib.bpf_map__initial_value(self._map(".rodata.abi"), self._ffi.new("size_t *")),
        )
        if version[0] != ABI_VERSION:
            raise Unavailable(
                f"{OBJECT} has event ABI {version[0]}, this program {ABI_VERSION}", REBUILD
            )
        self._bpf.check(
            self._lib.bpf_map__set_initial_value(
                self._map(".rodata.settings"), self._ffi.from_buffer(settings), settings.nbytes
            ),
            "write the settings",
        )
        if not settings["flows"][0]:
            for ring, size in _WITHOUT_FLOWS.items():
                self._bpf.check(
                    self._lib.bpf_map__set_max_entries(self._map(ring), size), f"shrink {ring}"
                )
        self._bpf.check(self._lib.bpf_object__load(self._object), "load the programs")

    def _attach(self) -> dict[str, Any]:
        """Attaches every program; returns the links of the walks, which are read, not fired."""
        cgroup = os.open(cgroup2_root(), os.O_RDONLY | os.O_DIRECTORY)
        walks = {}
        try:
            for program, name, section in self._each_program():
                if section in self.left_out:
                    continue
                if section.startswith("cgroup/"):
                    link = self._lib.bpf_program__attach_cgroup(program, cgroup)
                elif section.startswith("iter/"):
                    link = walks[name] = self._lib.bpf_program__attach_iter(program, self._ffi.NULL)
                else:
                    link = self._lib.bpf_program__attach(program)
                if link == self._ffi.NULL:
                    self._bpf.fail(f"attach {section}", self._ffi.errno)
                self._cleanup.callback(self._lib.bpf_link__destroy, link)
        finally:
            os.close(cgroup)
        return walks

    def _map(self, name: str) -> Any:
        found = self._lib.bpf_object__find_map_by_name(self._object, name.encode())
        if found == self._ffi.NULL:
            raise Unavailable(f"{OBJECT} has no map {name}: it is of another build", REBUILD)
        return found
