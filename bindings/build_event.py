"""Builds procwire._event: cffi reads kernel/event.h itself, so the ABI is written down once.

Only the preprocessor lines that cffi cannot parse are dropped: include guards and includes. The C
compiler then checks what cffi understood against the real header.
"""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent

# An integer #define is a declaration to cffi; every other directive it refuses.
DIRECTIVE = re.compile(r"^\s*#(?!\s*define\s+\w+\s+\d).*$", re.MULTILINE)


def declarations(header: Path) -> str:
    """The declarations of a header written in the intersection of C and cffi."""
    return DIRECTIVE.sub("", header.read_text())


ffi = FFI()
for header in ("bindings/fixed_width.h", "kernel/counter.h", "kernel/event.h"):
    ffi.cdef(declarations(ROOT / header))
ffi.set_source("procwire._event", '#include "event.h"', include_dirs=["kernel"])
