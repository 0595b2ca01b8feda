"""Runs a command under a system call filter as systemd makes one: confined.py FILTER COMMAND...

FILTER is the value of SystemCallFilter=, names and @sets; everything else fails with EPERM. A
program of its own, since a filter cannot be taken off again.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

UNISTD = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm/unistd_64.h")
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER_MODE = 22, 38, 2
# Classic BPF (bpf_common.h, seccomp.h): load the call's number, compare, return.
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
EPERM = 1


def system_calls(wanted: list[str]) -> set[str]:
    """The names in a filter, sets resolved by systemd itself."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True
    ).stdout
    sets: dict[str, list[str]] = {}
    for line in listed.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())
    names: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name.startswith("@"):
            pending += sets[name]
        else:
            names.add(name)
    return names


def confine(names: set[str]) -> None:
    """Lets this process, and what it becomes, make these system calls only."""
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", UNISTD.read_text()))
    program = [struct.pack("HBBI", LOAD, 0, 0, 0)]
    for name in names & numbers.keys():
        program.append(struct.pack("HBBI", JUMP_IF_EQUAL, 0, 1, int(numbers[name])))
        program.append(struct.pack("HBBI", RETURN, 0, 0, ALLOW))
    program.append(struct.pack("HBBI", RETURN, 0, 0, FAIL | EPERM))
    code = ctypes.create_string_buffer(b"".join(program))
    filter_program = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, FILTER_MODE, filter_program)):
        if libc.prctl(*arguments, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    confine(system_calls(sys.argv[1].split()))
    os.execv(sys.argv[2], sys.argv[2:])
