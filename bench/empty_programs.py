"""Attaches a program that does nothing to each hook of the sensor, until it is ended: what the
kernel's statistics say of these is what a run's statistic itself costs."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from procwire.sensor.libbpf_loader import OBJECT
from procwire.sensor.machine import cgroup2_root
from procwire.sensor.programs import Libbpf

# Of a cgroup's program 1 means that the call may go on; to tracepoints it is nothing.
PROGRAM = 'SEC("{section}") int {name}(void *context) {{ return 1; }}\n'
SOURCE = (
    '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar LICENSE[] SEC("license") = "GPL";\n'
)
INCLUDES = f"-I/usr/include/{os.uname().machine}-linux-gnu"


def programs(bpf: Libbpf, opened: Any) -> Iterator[tuple[Any, str, str]]:
    """Each program of an object with its name and section."""
    program = bpf.lib.bpf_object__next_program(opened, bpf.ffi.NULL)
    while program != bpf.ffi.NULL:
        section = bpf.text(bpf.lib.bpf_program__section_name(program))
        yield program, bpf.text(bpf.lib.bpf_program__name(program)), section
        program = bpf.lib.bpf_object__next_program(opened, program)


def is_hook(bpf: Libbpf, types: Any, section: str) -> bool:
    """Whether it is one that fires, and this kernel has it. types: the kernel's."""
    kind, _, hook = section.partition("/")
    if kind != "tp_btf":
        return kind == "cgroup"
    tracepoint, wanted = f"btf_trace_{hook}".encode(), bpf.lib.BTF_KIND_TYPEDEF
    return int(bpf.lib.btf__find_by_name_kind(types, tracepoint, wanted)) > 0


def opened(bpf: Libbpf, path: Path) -> Any:
    found = bpf.lib.bpf_object__open_file(str(path).encode(), bpf.ffi.NULL)
    if found == bpf.ffi.NULL:
        bpf.fail(f"open {path}", bpf.ffi.errno)
    return found


def main() -> None:
    bpf = Libbpf()
    types = bpf.lib.btf__load_vmlinux_btf()
    if types == bpf.ffi.NULL:
        bpf.fail("read the kernel's types", bpf.ffi.errno)
    text = SOURCE + "".join(
        PROGRAM.format(name=name, section=section)
        for _, name, section in programs(bpf, opened(bpf, OBJECT))
        if is_hook(bpf, types, section)
    )
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "empty.o"
        command = ["clang", "-O2", "-g", "-target", "bpf", INCLUDES, "-x", "c", "-", "-c", "-o"]
        subprocess.run([*command, str(built)], input=text, text=True, check=True)
        empty = opened(bpf, built)
    bpf.check(bpf.lib.bpf_object__load(empty), "load empty programs")
    cgroup = os.open(cgroup2_root(), os.O_RDONLY | os.O_DIRECTORY)
    for program, _, section in programs(bpf, empty):
        if section.startswith("cgroup/"):
            link = bpf.lib.bpf_program__attach_cgroup(program, cgroup)
        else:
            link = bpf.lib.bpf_program__attach(program)
        if link == bpf.ffi.NULL:
            bpf.fail(f"attach {section}", bpf.ffi.errno)
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
