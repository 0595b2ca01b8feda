"""Boots a kernel in QEMU with the host's files as its root, runs one command there, and ends.

No disk, no network, no init system: the initial RAM disk holds busybox, the modules and a script;
the files come read-only over virtiofs, so that the guest runs the very interpreter, libraries and
checkout that the test runs. Without hardware virtualization QEMU interprets: ten seconds a boot.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

QEMU = "qemu-system-x86_64"
BUSYBOX = Path("/bin/busybox")
# Debian 12 ships the older of the two with QEMU; their options differ. The guest mounts its own
# /proc, /sys and /run over the host's, which it may not where it is told that they are mounts.
SHARING_DAEMONS = {
    Path("/usr/libexec/virtiofsd"): [
        *("--shared-dir=/", "--cache=always", "--sandbox=none", "--no-announce-submounts"),
    ],
    Path("/usr/lib/qemu/virtiofsd"): ["-o", "source=/,cache=always,sandbox=chroot"],
}
# /dev/kvm alone proves nothing: where a hypervisor emulates it in software these kernels hang.
HARDWARE = tuple(Path("/sys/module") / name for name in ("kvm_intel", "kvm_amd"))
MEMORY = "1024M"
# QEMU 7.2 loses flags at cmpxchg16b, and of four boots of 6.12 one died of it. Number 141 is that
# instruction (cpufeatures.h): the kernel does without, while NumPy, which insists, sees it.
KERNEL_PARAMETERS = "console=ttyS0 quiet panic=-1 clearcpuid=141"
FIXED_OPTIONS = (
    *("-machine", "q35,memory-backend=memory", "-m", MEMORY, "-smp", "1"),
    *("-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on"),
    *("-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot"),
)
SOCKET_POLLS, SOCKET_POLL_S = 500, 0.02
END_POLL_S = 0.1
CONSOLE_TAIL = 3000


@dataclass(frozen=True)
class Ran:
    """status: the command's exit code, None if the guest did not get that far; said: its output;
    console: the end of the kernel's log."""

    status: int | None
    said: str
    console: str


def unavailable() -> str | None:
    """Why no machine can be booted here; None if one can."""
    if platform.machine() != "x86_64":
        return f"the kernels are for x86-64, this is {platform.machine()}"
    if os.geteuid() != 0:
        return "needs root to share the host's files"
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed (apt-get install qemu-system-x86)"
    if not BUSYBOX.exists():
        return f"no {BUSYBOX} (apt-get install busybox-static)"
    if not any(daemon.exists() for daemon in SHARING_DAEMONS):
        return "virtiofsd is not installed (apt-get install qemu-system-common virtiofsd)"
    return None


def run(kernel: Path, command: str, seconds: float, no_more: Event) -> Ran:
    """Boot the kernel in the folder `kernel`, which packaging/kernel.py made, and run the shell
    command as root with the host's files. The guest is killed after `seconds`, or when nobody wants
    it any more."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "initrd").write_bytes(archive(initial_files(kernel, command)))
        lines = [work / name for name in ("console", "said", "status")]
        with shared_files(work / "socket") as sharing:
            guest = subprocess.Popen(
                [QEMU, *accelerator(), *FIXED_OPTIONS, *sharing]
                + [word for line in lines for word in ("-serial", f"file:{line}")]
                + ["-kernel", str(kernel / "vmlinux"), "-initrd", str(work / "initrd")]
                + ["-append", KERNEL_PARAMETERS],
                stdin=subprocess.DEVNULL,
            )
            deadline = time.monotonic() + seconds
            try:
                while guest.poll() is None and time.monotonic() < deadline:
                    if no_more.wait(END_POLL_S):
                        break
            finally:
                guest.kill()
                guest.wait()
        console, said, status = (
            line.read_text(errors="replace") if line.exists() else "" for line in lines
        )
    ended = int(status) if status.strip().isdigit() else None
    return Ran(ended, said, console[-CONSOLE_TAIL:])


def accelerator() -> list[str]:
    """The processor's own virtualization where there is one, else interpretation."""
    if any(module.exists() for module in HARDWARE) and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]


@contextmanager
def shared_files(socket: Path) -> Iterator[list[str]]:
    """Shares the host's root directory; yields the options that give it to the guest."""
    daemon, options = next(pair for pair in SHARING_DAEMONS.items() if pair[0].exists())
    server = subprocess.Popen(
        [str(daemon), f"--socket-path={socket}", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(SOCKET_POLLS):
            if socket.exists() or server.poll() is not None:
                break
            time.sleep(SOCKET_POLL_S)
        yield [
            *("-chardev", f"socket,id=files,path={socket}"),
            *("-device", "vhost-user-fs-pci,chardev=files,tag=host"),
        ]
    finally:
        server.terminate()
        server.wait()


@dataclass(frozen=True)
class Entry:
    """A file of the initial RAM disk."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def initial_files(kernel: Path, command: str) -> Iterator[Entry]:
    """What the guest starts from."""
    for folder in ("bin", "dev", "modules"):
        yield Entry(folder, stat.S_IFDIR | 0o755)
    yield Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    yield Entry("bin/busybox", stat.S_IFREG | 0o755, BUSYBOX.read_bytes())
    init = Path(__file__).with_name("init.sh")
    yield Entry("init", stat.S_IFREG | 0o755, init.read_bytes())
    yield Entry("command", stat.S_IFREG | 0o644, command.encode())
    for module in sorted(kernel.glob("*.ko")):
        yield Entry(f"modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes())


def archive(entries: Iterable[Entry]) -> bytes:
    """A cpio archive in the "newc" format (Documentation/driver-api/early-userspace)."""
    out = bytearray()
    for number, entry in enumerate((*entries, Entry("TRAILER!!!", 0)), start=1):
        name = entry.name.encode() + b"\0"
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device)
        out += b"070701" + b"".join(b"%08x" % field for field in (*fields, len(name), 0))
        for part in (name, entry.data):
            out += part
            out += bytes(-len(out) % 4)
    return bytes(out)
