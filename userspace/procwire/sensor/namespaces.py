"""The addresses of other network namespaces of this host, of containers above all: where a socket
on every address has its port.

Strategy: the kernel names the namespace of each flow event; the first of a namespace has its
addresses read through /proc/PID/net of a process that waits there, which is that process's own
namespace, so nothing has to be entered.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from procwire.event import FLAG_ANY_ADDRESS

Network = IPv4Network | IPv6Network

NAMESPACES = 1024
"""Those that are known at a time; the longest known give way."""
NETWORKS = 4096
"""Of one namespace."""

# Processes of a namespace through which it is looked into.
_PROCESSES = 8
# The tables of more routes than that are no container's, and reading them would take long.
_LARGEST = 1 << 24
# Of /proc/net/fib_trie: an address, and below it what it is with how long a prefix.
_ROUTES = re.compile(
    r"^\s*\|-- (?P<address>[0-9.]+)$|^\s*/(?P<length>[0-9]+) \S+ LOCAL$", re.MULTILINE
)


class Namespaces:
    """Networks of every namespace but `home`, by inode number."""

    def __init__(self, home: int, root: Path = Path("/proc")) -> None:
        self._home, self._root = home, root
        self._processes: OrderedDict[int, deque[int]] = OrderedDict()
        self.networks: dict[int, tuple[Network, ...]] = {}

    def note(self, flows: NDArray[np.void]) -> bool:
        """Take (n,) FLOW_EVENT; whether networks of a namespace became known."""
        rows = flows[flows["flags"] & FLAG_ANY_ADDRESS != 0]
        rows = rows[(rows["net_namespace"] != self._home) & (rows["net_namespace"] != 0)]
        found = False
        pairs = zip(rows["net_namespace"].tolist(), rows["process"]["pid"].tolist(), strict=True)
        for namespace, pid in dict.fromkeys(pairs):
            waiting = self._processes.setdefault(namespace, deque(maxlen=_PROCESSES))
            if pid not in waiting:
                waiting.append(pid)
            if namespace not in self.networks:
                found |= self._read(namespace)
        while len(self._processes) > NAMESPACES:
            oldest, _ = self._processes.popitem(last=False)
            self.networks.pop(oldest, None)
        return found

    def refresh(self) -> None:
        """Read all again: addresses come and go. What cannot be read any more is left as it is."""
        for namespace in self._processes:
            self._read(namespace)

    def _read(self, namespace: int) -> bool:
        """Whether the networks of a namespace are known through one of its processes."""
        for pid in reversed(self._processes[namespace]):
            with suppress(OSError, ValueError):
                folder = self._root / str(pid)
                networks = tuple(islice(_networks(folder / "net"), NETWORKS))
                # Last, so that it covers the above: the process may have ended, and its number be
                # another's.
                if (folder / "ns" / "net").stat().st_ino == namespace:
                    self.networks[namespace] = networks
                    return True
        return False


def _networks(folder: Path) -> Iterator[Network]:
    """What a namespace takes for its own, by its own /proc/net, each once."""
    address, seen = "", set()
    for match in _ROUTES.finditer(_text(folder / "fib_trie")):
        if match["address"]:
            address = match["address"]
        elif (network := f"{address}/{match['length']}") not in seen:
            seen.add(network)
            yield ip_network(network)
    for line in _text(folder / "if_inet6").splitlines():
        yield ip_network(IPv6Address(bytes.fromhex(line[:32])))


def _text(path: Path) -> str:
    """A file of /proc, empty where the kernel has none: without IPv6 there is no if_inet6."""
    try:
        with path.open() as file:
            return file.read(_LARGEST)
    except FileNotFoundError:
        return ""
