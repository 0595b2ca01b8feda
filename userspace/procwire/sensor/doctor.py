"""What this machine lets the sensor see: one line per requirement, with the command that mends it.

Nothing is assumed from a version number where it can be tried: the last check loads the programs,
attaches every hook and runs the self-test.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from procwire.compiled.jit import kernel
from procwire.compiled.kernel_cache import KernelCache
from procwire.errors import Unavailable
from procwire.event import ABI_VERSION
from procwire.sensor import bcc_compiler
from procwire.sensor.blind_spots import BlindSpot, of_programs
from procwire.sensor.counters import EXPLANATIONS, Counter
from procwire.sensor.coverage import LOSSES, ON_PURPOSE, Unseen
from procwire.sensor.libbpf_loader import OBJECT, OPTIONAL, REBUILD, VARIANTS
from procwire.sensor.loader import Sensor
from procwire.sensor.machine import (
    BTF,
    CAPABILITIES,
    cgroup2_mount,
    missing_capabilities,
    mount_cgroup2,
)
from procwire.sensor.programs import Libbpf

# The oldest that the object was booted on.
_OLDEST_KERNEL = (5, 10)
_JIT = Path("/proc/sys/net/core/bpf_jit_enable")


@dataclass(frozen=True)
class Hook:
    """One hook. found: by whom it is attached, or why not; remedy: what mends that."""

    name: str
    ok: bool
    found: str
    remedy: str


@dataclass(frozen=True)
class Check:
    """One requirement. found: what is there, for people; remedy: the command that mends it, empty
    where ok; required: whether `watch` cannot run without it; not_seen: what stays unseen where it
    is met; hooks: one by one, where it is about these; losses: what is counted as lost or left out,
    with what the self-test lost."""

    name: str
    ok: bool
    found: str
    remedy: str
    required: bool = True
    not_seen: tuple[BlindSpot, ...] = ()
    hooks: tuple[Hook, ...] = ()
    losses: tuple[Unseen, ...] = ()


def checks() -> list[Check]:
    """All checks, in the order in which they would stop the sensor. Raises nothing."""
    return [check() for check in _CHECKS]


def _privilege() -> Check:
    missing = missing_capabilities()
    names = ", ".join(missing or [name for _, name, _ in CAPABILITIES])
    found = f"missing {names}" if missing else f"user {os.geteuid()} has {names}"
    return Check("privilege", not missing, found, "run as root, e.g. with sudo" if missing else "")


def _kernel() -> Check:
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    ok = numbers is not None and (int(numbers[1]), int(numbers[2])) >= _OLDEST_KERNEL
    return Check("kernel", ok, release, "" if ok else "boot Linux 5.10 or later", required=False)


def _btf() -> Check:
    ok = BTF.exists()
    found = f"{BTF}, {BTF.stat().st_size >> 10} KiB" if ok else f"no {BTF}, so bcc loads the sensor"
    remedy = "" if ok else "boot a kernel with CONFIG_DEBUG_INFO_BTF=y"
    return Check("BTF", ok, found, remedy, required=False)


def _cgroup2() -> Check:
    mount = cgroup2_mount()
    found = str(mount or "not mounted")
    return Check("cgroup2", mount is not None, found, "" if mount else mount_cgroup2())


def _libbpf() -> Check:
    try:
        bpf = Libbpf()
    except Unavailable as error:
        return Check("libbpf", False, error.missing, error.remedy)
    return Check("libbpf", True, bpf.text(bpf.lib.libbpf_version_string()), "")


def _object() -> Check:
    ok = OBJECT.exists()
    found = f"{OBJECT}, event ABI {ABI_VERSION}" if ok else f"no {OBJECT}"
    return Check("eBPF object", ok, found, "" if ok else REBUILD, required=BTF.exists())


def _hooks() -> Check:
    try:
        with Sensor() as sensor:
            counted = sensor.counters()
    except Unavailable as error:
        return Check("hooks", False, error.missing, error.remedy)
    hooks = (
        *(Hook(name, True, f"attached by {sensor.loader}", "") for name in sensor.attached),
        *(_left_out(name, why) for name, why in sensor.left_out.items()),
    )
    losses = tuple(
        Unseen(counter.label, counted[counter.label], EXPLANATIONS[counter])
        for counter in Counter
        if counter.label.startswith((*LOSSES, *ON_PURPOSE))
    )
    seen = counted[Counter.COUNT_ATTEMPTS.label]
    noun = "connection" if seen == 1 else "connections"
    count = f"{len(sensor.attached)} of {len(hooks)}"
    found = f"{count} attached by {sensor.loader}, self-test passed ({seen} {noun} seen)"
    not_seen = of_programs(sensor.loader, sensor.left_out)
    return Check("hooks", True, found, "", not_seen=not_seen, hooks=hooks, losses=losses)


def _left_out(name: str, why: str) -> Hook:
    if name in OPTIONAL:
        return Hook(name, False, why, f"boot Linux {OPTIONAL[name]} or later")
    remedy = "boot Linux with fentry and fexit, as distributions build it"
    return Hook(name, False, f"{why}, so {VARIANTS[name]}", remedy)


def _bpf_jit() -> Check:
    try:
        ok = _JIT.read_text().strip() != "0"
    except OSError:
        return Check("BPF JIT", True, "always on in this kernel", "", required=False)
    remedy = "" if ok else "sysctl net.core.bpf_jit_enable=1"
    return Check("BPF JIT", ok, "on" if ok else "off: programs are interpreted", remedy, False)


def _bcc() -> Check:
    version = bcc_compiler.version()
    found = version or "not installed; needed only on kernels without BTF"
    remedy = "" if version else bcc_compiler.REMEDY
    return Check("bcc", version is not None, found, remedy, required=not BTF.exists())


def _numba_cache() -> Check:
    """Without a place for compiled kernels every start compiles them again."""
    try:
        folder = KernelCache(kernel).cache_path
    except RuntimeError:
        found = "no folder for it can be written: each start that reads packets takes minutes"
        remedy = "set NUMBA_CACHE_DIR to a folder you may write"
        return Check("numba cache", False, found, remedy, required=False)
    return Check("numba cache", True, folder, "", required=False)


_CHECKS: tuple[Callable[[], Check], ...] = (
    _privilege,
    _kernel,
    _btf,
    _cgroup2,
    _libbpf,
    _object,
    _hooks,
    _bpf_jit,
    _bcc,
    _numba_cache,
)
