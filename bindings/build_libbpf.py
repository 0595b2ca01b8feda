"""Builds procwire._libbpf: the libbpf calls of libbpf.h and the batch reader of drain.c.

API mode, linked to libbpf.so.1: the C compiler checks every declaration, and the library stays the
distribution's.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent

ffi = FFI()
for header in ("libbpf.h", "drain.h"):
    ffi.cdef((ROOT / "bindings" / header).read_text())
ffi.set_source(
    "procwire._libbpf",
    "#include <bpf/bpf.h>\n#include <bpf/libbpf.h>\n#include <drain.h>\n",
    sources=["bindings/drain.c"],
    include_dirs=["bindings"],
    depends=["bindings/drain.h", "bindings/libbpf.h"],
    libraries=["bpf"],
)
