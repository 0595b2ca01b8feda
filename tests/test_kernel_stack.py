"""How deep the sensor's programs go: the kernel refuses a chain of calls that needs more than 512
bytes of stack, and another compiler may need some more for each."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache

import pytest
from procwire.sensor.libbpf_loader import OBJECT

# MAX_BPF_STACK, and what check_max_stack_depth (kernel/bpf/verifier.c) rounds each frame up to.
LIMIT, STEP = 512, 32
RESERVE = 32

INSTRUCTION_SIZE = 8
SECTION = re.compile(r"Disassembly of section (\S+):")
FUNCTION = re.compile(r"([0-9a-f]+) <(?!LBB)(.+)>:")
CALL = re.compile(r"\s*(\d+):\s+85 10 00 00 ((?:[0-9a-f]{2}\s){4})")
RELOCATION = re.compile(r"\s+[0-9a-f]+:\s+R_BPF_64_32\s+(\S+)")
ACCESS = re.compile(r"r10 - (0x[0-9a-f]+|\d+)")
COPY = re.compile(r"(r\d) = r10$")


class Functions:
    """own: bytes of stack of each function; calls: section, place, number and symbol of each call;
    at: functions by section and place."""

    def __init__(self, listing: str) -> None:
        self.own: dict[str, int] = {}
        self.calls: dict[str, list[tuple[str, int, int, str]]] = {}
        self.at: dict[tuple[str, int], str] = {}
        section = name = copy = ""
        for line in listing.splitlines():
            if found := SECTION.match(line):
                section, name = found[1], ""
            elif found := FUNCTION.match(line):
                name = found[2]
                self.at[section, int(found[1], 16) // INSTRUCTION_SIZE] = name
                self.own[name], self.calls[name] = 0, []
            elif found := CALL.match(line):
                number = int.from_bytes(bytes.fromhex(found[2]), "little", signed=True)
                self.calls[name].append((section, int(found[1]), number, ""))
            elif found := RELOCATION.match(line):
                self.calls[name][-1] = (*self.calls[name][-1][:3], found[1])
            elif name:
                below = copy and re.search(rf"{copy} \+= -(0x[0-9a-f]+|\d+)$", line)
                if found := ACCESS.search(line) or below:
                    self.own[name] = max(self.own[name], int(found[1], 0))
                copied = COPY.search(line)
                copy = copied[1] if copied else ""

    def called(self, section: str, place: int, number: int, symbol: str) -> str:
        """By a function, a place in a section, or counted from the next instruction."""
        if symbol in self.own:
            return symbol
        return self.at[(symbol, number + 1) if symbol else (section, place + 1 + number)]

    @cache  # noqa: B019
    def chain(self, name: str) -> tuple[int, tuple[str, ...]]:
        """The deepest one that begins with the function: bytes, and who calls whom."""
        depths = (self.chain(self.called(*call)) for call in self.calls[name])
        deepest, names = max(depths, default=(0, ()))
        return deepest + -(-max(self.own[name], 1) // STEP) * STEP, (name, *names)


@pytest.mark.skipif(
    shutil.which("llvm-objdump") is None,
    reason="llvm-objdump is not installed (apt-get install llvm)",
)
@pytest.mark.skipif(not OBJECT.exists(), reason="the eBPF object was not built")
def test_every_chain_of_calls_leaves_some_of_the_stack() -> None:
    command = ["llvm-objdump", "-d", "-r", str(OBJECT)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    functions = Functions(listing)
    chains = sorted(map(functions.chain, functions.own), reverse=True)
    # Or calls were overlooked.
    assert len(chains[0][1]) > 3
    assert chains[0][0] <= LIMIT - RESERVE, chains[:3]
