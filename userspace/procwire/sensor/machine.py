"""What the machine offers the sensor: capabilities, BTF, the cgroup2 mount, the boot clock.

Each probe answers without changing anything; the loader turns a missing one into Unavailable, the
doctor into a line of its list.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from procwire.errors import Unavailable

BTF = Path("/sys/kernel/btf/vmlinux")

# Number in capability.h, name, what the sensor does with it. CAP_SYS_ADMIN stands in for each.
CAPABILITIES = (
    (39, "CAP_BPF", "loads programs and maps"),
    (38, "CAP_PERFMON", "reads kernel memory in tracepoints"),
    (12, "CAP_NET_ADMIN", "attaches the connect hooks to the cgroup"),
)
SYS_ADMIN = 21
_CGROUPS = Path("/sys/fs/cgroup")
_READINGS = 5


def missing_capabilities() -> list[str]:
    """Names of the capabilities that loading needs and this process lacks."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    held = int(found.group(1), 16) if found else 0
    if held >> SYS_ADMIN & 1:
        return []
    return [name for number, name, _ in CAPABILITIES if not held >> number & 1]


def cgroup2_mount(mountinfo: Path = Path("/proc/self/mountinfo")) -> Path | None:
    """Where the root of the cgroup2 hierarchy is mounted, per proc(5); None if nowhere."""
    for line in mountinfo.read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        if tail.split(" ", 1)[0] != "cgroup2":
            continue
        root, mount_point = fields.split(" ")[3:5]
        if root == "/":
            # mountinfo writes blank, tab, newline and backslash as octal escapes.
            text = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), mount_point)
            return Path(text)
    return None


def mount_cgroup2(cgroups: Path = _CGROUPS) -> str:
    """The command that mounts the hierarchy. `ip netns exec` hides all that lies in /sys, so there
    the folder is empty."""
    if not cgroups.is_dir() or not any(cgroups.iterdir()):
        return f"mount -t cgroup2 none {cgroups}"
    unified = cgroups / "unified"
    return f"mkdir -p {unified} && mount -t cgroup2 none {unified}"


def cgroup2_root() -> Path:
    """cgroup2_mount(), or Unavailable with the command that mends it."""
    mount = cgroup2_mount()
    if mount is None:
        raise Unavailable("no cgroup2 hierarchy is mounted", mount_cgroup2())
    return mount


def boot_epoch_ns() -> int:
    """The epoch time of boot in ns: add it to CLOCK_BOOTTIME. It follows the wall clock's steps."""
    # Whoever runs between the two readings makes the difference smaller.
    return max(
        time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        for _ in range(_READINGS)
    )
