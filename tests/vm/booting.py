"""When stock kernels are booted.

A guest takes minutes of one processor and needs nothing of the tests: it runs beside those whose
outcome depends on no clock.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from shlex import quote
from threading import Event

import machine
import pytest

ROOT = Path(__file__).parent.parent.parent
KERNELS = ROOT / ".cache" / "kernels"
GUEST = Path(__file__).with_name("guest.py")
COMMAND = f"cd {quote(str(ROOT))} && exec {quote(sys.executable)} {quote(str(GUEST))}"
# Two minutes are enough where QEMU interprets; the other tests may need the processors, too.
SECONDS = 1200
UNDISTURBED = "tests/live", "tests/scenarios", "tests/suricata"


def boot(kernel: Path, no_more: Event) -> machine.Ran:
    """What came of a kernel. One that ends before it says a word is booted once more: where QEMU
    interprets some do, and what is tested had no part in it."""
    ran = machine.run(kernel, COMMAND, SECONDS, no_more)
    if ran.status is None and not ran.said and not no_more.is_set():
        ran = machine.run(kernel, COMMAND, SECONDS, no_more)
    return ran


class Guests:
    """Kernels that are booted one after the other, from the first test that that cannot disturb."""

    def __init__(self, kernels: list[str]) -> None:
        self._kernels = kernels
        self._booted: dict[str, Future[machine.Ran]] = {}
        self._no_more = Event()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if not self._booted and not nodeid.startswith(UNDISTURBED):
            in_order = ThreadPoolExecutor(max_workers=1)
            for kernel in self._kernels:
                folder = KERNELS / kernel
                self._booted[kernel] = in_order.submit(boot, folder, self._no_more)

    def pytest_sessionfinish(self) -> None:
        for boot in self._booted.values():
            boot.cancel()
        self._no_more.set()

    def ran(self, kernel: str) -> machine.Ran:
        """What came of it. Skips where no guest can be booted."""
        if kernel not in self._kernels:
            pytest.skip(machine.unavailable() or f"no stock kernel {kernel} in {KERNELS}")
        return self._booted[kernel].result()
