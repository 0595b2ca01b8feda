"""Builds what Python alone cannot: the cffi modules and the eBPF object.

Metadata is in pyproject.toml. The object is compiled by clang and shipped as package data; it needs
no compiler and no kernel headers where it runs. What bcc compiles at start-up and what Suricata's
scripts are made of is shipped as source.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

SOURCE = Path("kernel/sensor.bpf.c")
OBJECT = "procwire/sensor.bpf.o"
BCC_FOLDER = "procwire/sensor_bcc"
BCC_SOURCES = [
    *(path for path in sorted(Path("kernel").glob("*.h")) if not path.name.endswith(".bpf.h")),
    Path("kernel/sensor_bcc.c"),
    *sorted(Path("kernel/bcc").rglob("*.h")),
]
# In a checkout they are read where they are.
LUA_FOLDER = "procwire/lua"
LUA_SOURCES = sorted(Path("lua").glob("*.lua"))
# clang's BPF target knows no host, so it does not look where Debian keeps asm/types.h.
HOST_INCLUDES = Path("/usr/include") / (sysconfig.get_config_var("MULTIARCH") or "")
NEEDED = {
    Path("/usr/include/bpf/bpf_helpers.h"): "libbpf-dev",
    HOST_INCLUDES / "asm/types.h": "linux-libc-dev",
}


class BuildWithSensor(build_ext):
    """The extension modules, then the object beside them."""

    def run(self) -> None:
        missing = [package for header, package in NEEDED.items() if not header.exists()]
        if shutil.which("clang") is None:
            missing.append("clang")
        if missing:
            raise SystemExit(
                f"procwire: cannot build {SOURCE}: missing {', '.join(missing)}; "
                f"apt-get install {' '.join(missing)}"
            )
        super().run()
        root = Path("userspace") if self.inplace else Path(self.build_lib)
        target = root / OBJECT
        target.parent.mkdir(parents=True, exist_ok=True)
        command = ["clang", "-O2", "-g", "-target", "bpf", "-Wall"]
        command += [f"-I{HOST_INCLUDES}", f"-ffile-prefix-map={Path.cwd()}=."]
        subprocess.run([*command, "-c", str(SOURCE), "-o", str(target)], check=True)
        for source in BCC_SOURCES:
            copy = root / BCC_FOLDER / source.relative_to("kernel")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        if not self.inplace:
            folder = root / LUA_FOLDER
            folder.mkdir(parents=True, exist_ok=True)
            for source in LUA_SOURCES:
                shutil.copyfile(source, folder / source.name)

    def get_outputs(self) -> list[str]:
        """Installers copy the object and the sources with the modules."""
        sources = [Path(BCC_FOLDER) / source.relative_to("kernel") for source in BCC_SOURCES]
        sources += [Path(LUA_FOLDER) / source.name for source in LUA_SOURCES]
        return [
            *super().get_outputs(),
            *(str(Path(self.build_lib) / p) for p in (OBJECT, *sources)),
        ]


setup(
    cffi_modules=["bindings/build_event.py:ffi", "bindings/build_libbpf.py:ffi"],
    cmdclass={"build_ext": BuildWithSensor},
)
