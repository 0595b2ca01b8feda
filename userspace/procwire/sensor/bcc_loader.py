"""Has bcc compile and load the programs: the loader for kernels without BTF.

Strategy: bcc_child.py does it under the distribution's Python and hands over the descriptors of
maps, programs and attached tracepoints; everything is detached when they close, however that comes
about. What the programs cannot read of a process, this module reads from /proc before the first
connection is watched.
"""

from __future__ import annotations

import errno
import json
import math
import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from procwire.errors import Unavailable
from procwire.event import COMM_SIZE, FLOW_EVENT, PROCESS_EVENT, PROCESS_KEY, EventKind
from procwire.sensor.counters import Counter
from procwire.sensor.coverage import BCC_GAPS
from procwire.sensor.machine import cgroup2_root
from procwire.sensor.proc import started_ns
from procwire.sensor.programs import Libbpf, Loader
from procwire.sensor.running import Running, running_processes

SOURCES = Path(__file__).parent.parent / "sensor_bcc"
PYTHON = Path("/usr/bin/python3")
CHILD = Path(__file__).parent / "bcc_child.py"
REMEDY = "apt-get install python3-bpfcc"
REBUILD = "pip install --force-reinstall procwire"
_OLDEST_KERNEL = "boot Linux 5.14 or later with CONFIG_FTRACE_SYSCALLS=y"
_REPORT = "run procwire doctor; bcc is tried on Linux 6.1 and later"

CGROUP_HOOKS = {
    "on_socket": 2,
    "on_release": 34,
    "on_connect4": 10,
    "on_connect6": 11,
    "on_sendmsg4": 14,
    "on_sendmsg6": 15,
}
"""Program and the enum bpf_attach_type it is made for."""
UNMATCHED = ("fexit/security_socket_connect", "fentry/__dev_direct_xmit")
"""Hooks of libbpf's programs that none of these stands for. What connect returns is seen."""

# struct known_process of kernel/bcc/types.h.
_KNOWN_PROCESS = np.dtype(
    [
        ("key", PROCESS_KEY),
        ("parent", PROCESS_KEY),
        ("job", [("number", "u8"), ("kind", "u8")]),
        ("threads", "u4"),
        ("session", "u4"),
        ("comm", f"S{COMM_SIZE}"),
    ]
)
_REGISTERS = 512
_NOT_EXISTING = 1
_COMPILE_SECONDS, _ASK_SECONDS = 120, 30
_MOST_DESCRIPTORS = 64
_LOG_SIZE, _LOG_LINES = 1 << 20, 12


def version() -> str | None:
    """The version of the distribution's bcc; None if it has none. PyPI's bcc is another library."""
    ask = "import bcc; print(bcc.BPF and bcc.__version__)"
    try:
        said = subprocess.run(
            [PYTHON, "-I", "-c", ask], capture_output=True, text=True, timeout=_ASK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None


class BccPrograms:
    """The programs of sensor_bcc.c, attached; see Programs.

    settings: (1,) FANOUT_SETTINGS. Raises Unavailable, naming what is missing and the command that
    mends it.
    """

    loader = Loader.BCC
    gaps = BCC_GAPS
    left_out: Mapping[str, str] = dict.fromkeys(UNMATCHED, "bcc's programs have none like it")

    def __init__(self, settings: NDArray[np.void]) -> None:
        self._bpf = Libbpf()
        self._ffi, self._lib = self._bpf.ffi, self._bpf.lib
        self._descriptors: dict[str, int] = {}
        self._cleanup = ExitStack()
        try:
            self._load(settings)
        except BaseException:
            self._cleanup.close()
            raise

    def close(self) -> None:
        self._cleanup.close()

    def ring(self, name: str) -> int:
        return self._descriptors[name]

    def counter(self, counter: Counter) -> int:
        per_cpu = np.zeros(self._lib.libbpf_num_possible_cpus(), np.uint64)
        self._look_up("counters", int(counter), per_cpu)
        return int(per_cpu.sum())

    def snapshot(self) -> NDArray[np.void]:
        """See Programs. /proc is walked, and keys are completed with the execs seen since."""
        running = list(running_processes())
        keys = {process.pid: self._key_of(process) for process in running}
        rows = np.zeros(len(running), PROCESS_EVENT)
        for row, process in zip(rows, running, strict=True):
            row["kind"] = EventKind.FORK
            row["time_ns"] = process.started
            row["process"] = keys[process.pid]
            row["parent"] = keys.get(process.ppid, (0, 0, 0))
            row["uid"], row["gid"], row["session"] = process.uid, process.gid, process.session
            row["comm"] = process.comm
        return rows

    def find_files(self) -> NDArray[np.void]:
        """Nothing: what a process has open cannot be read without BTF."""
        return np.zeros(0, FLOW_EVENT)

    def _load(self, settings: NDArray[np.void]) -> None:
        with _Child() as child:
            self._receive(child)
            self._update("settings", 0, settings)
            for zeros in range(1, _REGISTERS + 1):
                estimate = round(_REGISTERS * math.log(_REGISTERS / zeros))
                self._update("linear_counts", zeros, np.array([estimate], np.uint32))
            self._tell_of_processes()
            child.go_on()
            self._receive(child)
        cgroup = os.open(cgroup2_root(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, kind in CGROUP_HOOKS.items():
                link = self._lib.bpf_link_create(
                    self._descriptors[name], cgroup, kind, self._ffi.NULL
                )
                if link < 0:
                    self._bpf.fail(f"attach {name} to the cgroup", -link)
                self._cleanup.callback(os.close, link)
        finally:
            os.close(cgroup)
        self.attached = (
            *(f"cgroup/{name.removeprefix('on_')}" for name in CGROUP_HOOKS),
            *(f"tracepoint/{hook}" for hook in self._descriptors if ":" in hook),
        )

    def _receive(self, child: _Child) -> None:
        received = child.receive()
        for descriptor in received.values():
            self._cleanup.callback(os.close, descriptor)
        self._descriptors.update(received)

    def _tell_of_processes(self) -> None:
        """Forks, execs and exits are followed already: what they say of a process counts."""
        running = list(running_processes())
        keys = {process.pid: self._key_of(process) for process in running}
        for process in running:
            key = keys[process.pid]
            row = np.zeros(1, _KNOWN_PROCESS)
            row["key"], row["parent"] = key, keys.get(process.ppid, (0, 0, 0))
            row["threads"], row["session"] = process.threads, process.session
            row["job"] = process.job
            row["comm"] = process.comm
            self._update("processes", process.pid, row, _NOT_EXISTING)
            if started_ns(process.pid) is None:
                number = self._ffi.new("unsigned int *", process.pid)
                self._lib.bpf_map_delete_elem(self._descriptors["processes"], number)

    def _key_of(self, process: Running) -> tuple[int, int, int]:
        known = np.zeros(1, _KNOWN_PROCESS)
        if self._look_up("processes", process.pid, known):
            key = known["key"][0]
            return int(key["started_ns"]), process.pid, int(key["exec_count"])
        return process.started, process.pid, 0

    def _look_up(self, table: str, key: int, into: NDArray[np.generic]) -> bool:
        number = self._ffi.new("unsigned int *", key)
        found: int = self._lib.bpf_map_lookup_elem(
            self._descriptors[table], number, self._ffi.from_buffer(into)
        )
        return found == 0

    def _update(self, table: str, key: int, row: NDArray[np.generic], flags: int = 0) -> None:
        number = self._ffi.new("unsigned int *", key)
        failed = self._lib.bpf_map_update_elem(
            self._descriptors[table], number, self._ffi.from_buffer(row), flags
        )
        if failed < 0 and failed != -errno.EEXIST:
            self._bpf.fail(f"write map {table}", -failed)


class _Child:
    """bcc_child.py at work. Leaving the context ends it."""

    def __init__(self) -> None:
        if not (SOURCES / "sensor_bcc.c").exists():
            raise Unavailable(f"no {SOURCES}: the source for bcc was not built", REBUILD)
        if not PYTHON.exists():
            raise Unavailable(f"no {PYTHON}, under which bcc runs", REMEDY)
        self._cleanup = ExitStack()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_COMPILE_SECONDS)
        self._log = os.memfd_create("bcc")
        self._cleanup.callback(os.close, self._log)
        self._cleanup.enter_context(self._socket)
        with theirs:
            self._process = subprocess.Popen(
                [PYTHON, "-I", CHILD, str(theirs.fileno()), SOURCES],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                env={
                    "PATH": "/usr/sbin:/usr/bin",
                    "BCC_KERNEL_SOURCE": str(SOURCES / "bcc" / "headers"),
                },
            )
        self._cleanup.enter_context(self._process)
        self._cleanup.callback(self._process.kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def receive(self) -> dict[str, int]:
        """The descriptors it hands over, by name. Raises Unavailable with what it said."""
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._socket, 1 << 16, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except TimeoutError:
            self._fail(f"bcc did not finish in {_COMPILE_SECONDS} seconds")
        if not data:
            self._fail("bcc could not load the programs")
        answer = json.loads(data)
        if "missing" in answer:
            raise Unavailable(answer["missing"], REMEDY)
        if "absent" in answer:
            absent = ", ".join(answer["absent"])
            raise Unavailable(f"the kernel has no tracepoint {absent}", _OLDEST_KERNEL)
        return dict(zip(answer["descriptors"], descriptors, strict=True))

    def go_on(self) -> None:
        """Lets it attach the hooks of connections."""
        self._socket.sendall(b"\n")

    def _fail(self, problem: str) -> NoReturn:
        self._process.kill()
        self._process.wait()
        said = os.pread(self._log, _LOG_SIZE, 0).decode(errors="replace")
        lines = said.splitlines()[-_LOG_LINES:]
        raise Unavailable(problem + "".join(f"\n  {line}" for line in lines), _REPORT)
