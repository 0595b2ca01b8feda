"""The process that compiles and loads sensor_bcc.c: bcc_child.py, under the Python that has bcc."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, Self

from procwire.errors import Unavailable

SOURCES = Path(__file__).parent.parent / "sensor_bcc"
PYTHON = Path("/usr/bin/python3")
CHILD = Path(__file__).parent / "bcc_child.py"
REMEDY = "apt-get install python3-bpfcc"
REBUILD = "pip install --force-reinstall procwire"
_OLDEST_KERNEL = "boot Linux 5.10 or later with CONFIG_FTRACE_SYSCALLS=y"
_REPORT = "run procwire doctor; bcc is tried on Linux 5.10 and later"
_COMPILE_SECONDS, _ASK_SECONDS = 300, 30
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


class Child:
    """bcc_child.py at work. Leaving the context ends it. root_cgroup: the id of the hierarchy's
    root; flows: whether they are told of."""

    def __init__(self, root_cgroup: int, flows: bool) -> None:
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
        arguments = map(str, (theirs.fileno(), SOURCES, root_cgroup, int(flows)))
        with theirs:
            self._process = subprocess.Popen(
                [PYTHON, "-I", CHILD, *arguments],
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
