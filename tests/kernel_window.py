"""kernel/window*.h, the text the sensor runs, compiled for this machine: a process's fan-out as the
kernel counts it, one attempt at a time and at whatever time one says."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from cffi import FFI
from naive_fanout import GOLDEN
from procwire.event import SAMPLE_TARGETS, Measure

ROOT = Path(__file__).parent.parent
KERNEL = ROOT / "kernel"
SECOND = 1_000_000_000
WINDOWS = (10 * SECOND, 60 * SECOND, 600 * SECOND)
FIGURES = (
    "window_ns",
    "threshold",
    "attempts",
    "established",
    "refused",
    "failures",
    "hosts",
    "host_ports",
    "sequential_run",
)


def parsed(header: Path) -> str:
    """The integer #defines, enums and structs of a header; cffi reads no functions' bodies."""
    text = header.read_text()
    text = text.replace("BUCKETS]", "6]").replace("FANOUT_WINDOWS * MEASURES]", "12]")
    return "\n".join(
        re.findall(r"^#define \w+ \d+$", text, re.MULTILINE)
        + re.findall(r"^(?:enum|struct) \w+ \{.*?^\};", text, re.MULTILINE | re.DOTALL)
    )


def compiled(folder: Path) -> Any:
    """The module, built in `folder`."""
    ffi = FFI()
    ffi.cdef((ROOT / "bindings" / "fixed_width.h").read_text())
    for name in ("event.h", "linear_count.h", "distinct.h", "window.h", "window_report.h"):
        ffi.cdef(parsed(KERNEL / name))
    ffi.cdef((ROOT / "tests" / "window_probe.h").read_text())
    ffi.set_source(
        "window_probe",
        '#include "window_report.h"\n#include "window_probe.h"\n',
        sources=[str(ROOT / "tests" / "window_probe.c")],
        include_dirs=[str(KERNEL), str(ROOT / "tests")],
    )
    ffi.compile(tmpdir=str(folder))
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("window_probe")
    finally:
        sys.path.remove(str(folder))


class KernelFanOut:
    """One process's state in the kernel, with the oracle's interface."""

    def __init__(
        self, window, windows=WINDOWS, thresholds=(25, 50, 100, 20), detail_limit=32, seed=GOLDEN
    ):
        self.ffi, self.lib = window.ffi, window.lib
        self.state = self.ffi.new("struct fanout_state *")
        self.settings = self.ffi.new("struct fanout_settings *")
        self.settings.window_ns = windows
        self.settings.hosts, self.settings.host_ports = thresholds[:2]
        self.settings.failures, self.settings.sequential_run = thresholds[2:]
        self.settings.detail_limit, self.settings.hash_seed = detail_limit, seed
        self.crossing = self.ffi.new("struct fanout_crossing *")
        self.is_new = False

    def attempt(self, time, address, port):
        row = self.target(address, port)
        self.is_new = bool(
            self.lib.probe_attempt(self.state, self.settings, row, time, self.crossing)
        )
        return self.report(time)

    def target(self, address, port):
        halves = {"hi": address >> 64, "lo": address & (2**64 - 1)}
        return self.ffi.new("struct fanout_target *", halves | {"port": port, "protocol": 6})

    def sweep(self, time, address, stride, count, pause=1):
        """Refused attempts at hosts a stride apart; how many events they make."""
        target = {"hi": address >> 64, "lo": address & (2**64 - 1), "port": 80, "protocol": 6}
        first = self.ffi.new("struct fanout_target *", target)
        return self.lib.probe_sweep(self.state, self.settings, first, stride, count, time, pause)

    def end(self, time, outcome):
        self.lib.probe_outcome(self.state, self.settings, outcome, time, self.crossing)
        return self.report(time)

    def figures(self, window):
        """What the reported bucket of a window holds."""
        figures = self.ffi.new("struct fanout_crossing *")
        self.lib.probe_figures(self.state, window, figures)
        return figures

    def inherit(self, time, child):
        self.lib.probe_inherit(self.state, self.settings, child.state, time, self.crossing)
        return self.report(time)

    def detail(self, time):
        """Whether one more connection may be told."""
        return bool(self.lib.probe_detail(self.state, self.settings, time))

    def final(self, time):
        """Whether there are totals to tell at the end; they are in `crossing`."""
        return bool(self.lib.probe_final(self.state, self.settings, time, self.crossing))

    def report(self, time):
        crossing = self.crossing
        if crossing.measure == 0:
            return None
        wrapped = {name: getattr(crossing, name) for name in ("window_start_ns", "first_ns")}
        sampled = min(self.state.sampled, SAMPLE_TARGETS)
        return {name: getattr(crossing, name) for name in FIGURES} | {
            "time_ns": time,
            "measure": Measure(crossing.measure),
            **{name: at if at < 2**63 else at - 2**64 for name, at in wrapped.items()},
            "first": self.pair(self.state.first),
            "last": self.pair(self.state.last),
            "samples": sampled,
            "sample": tuple(self.pair(self.state.sample[i]) for i in range(sampled)),
        }

    @staticmethod
    def pair(target):
        return target.hi << 64 | target.lo, target.port
