"""Builds procwire._libbpf: the libbpf calls of libbpf.h, the batch reader of drain.c, follow.c
and entry.c.

API mode, linked to libbpf.so.1: the C compiler checks every declaration, and the library stays the
distribution's.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent

ffi = FFI()
for header in ("libbpf.h", "drain.h", "follow.h", "entry.h"):
    ffi.cdef((ROOT / "bindings" / header).read_text())
ffi.set_source(
    "procwire._libbpf",
    "#include <bpf/bpf.h>\n#include <bpf/btf.h>\n#include <bpf/libbpf.h>\n"
    "#include <drain.h>\n#include <follow.h>\n#include <entry.h>\n",
    sources=["bindings/drain.c", "bindings/follow.c", "bindings/entry.c"],
    include_dirs=["bindings"],
    depends=[f"bindings/{name}.h" for name in ("drain", "follow", "entry", "libbpf")],
    libraries=["bpf"],
)
