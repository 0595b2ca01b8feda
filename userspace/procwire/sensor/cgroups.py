"""The path of a cgroup by the id that every process event carries.

The kernel says where a process was when it forked or executed; /proc says where it is now, if it is
still there, and most processes of a container's health checks are not. A cgroup's id is the inode
number of its directory, so the tree is walked once for each id that is new.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from procwire.sensor.machine import cgroup2_mount

REMEMBERED = 8192

# Runtimes name a container's cgroup after its id: docker-ID.scope, cri-containerd-ID.scope,
# libpod-ID.scope, crio-ID.scope, or the bare ID.
_CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE)


def container_of(paths: str) -> str | None:
    """The id of the container that a cgroup's path names, or one of several, a line each."""
    found = _CONTAINER.search(paths)
    return found.group(1) if found else None


class CgroupPaths:
    """Paths from the root of the cgroup2 hierarchy, which is "/". root: where that is mounted."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or cgroup2_mount()
        self._paths: dict[int, str | None] = {}

    def path_of(self, number: int) -> str | None:
        """The path of the cgroup with that id; None if there is none (any more)."""
        if number not in self._paths:
            if len(self._paths) >= REMEMBERED:
                self._paths.clear()
            # An id that is not found is remembered too: ids are not given out again.
            self._paths[number] = None
            self._walk()
        return self._paths[number]

    def _walk(self) -> None:
        if self._root is None:
            return
        start = str(self._root)
        for folder, _, _ in os.walk(start):
            try:
                number = Path(folder).stat().st_ino
            except OSError:
                # Removed while we walk.
                continue
            self._paths[number] = folder.removeprefix(start) or "/"
