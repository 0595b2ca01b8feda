"""Reads and decodes damaged copies of every capture in a folder, in plain Python.

Run with NUMBA_DISABLE_JIT=1, where an index outside an array raises; compiled code would read on.
Arguments: the folder of captures, a seed. Anything but InputDamaged ends it.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
from procwire.capture.batch import PacketBatch
from procwire.capture.open import read_capture
from procwire.decode.frame import decode
from procwire.errors import InputDamaged

CAPTURE_BYTES = 1000
SUFFIXES = (".pcap", ".pcapng")
# Headers of files, blocks and packets lie at the start; numbers that overflow hide in these bytes.
INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFF)


def damaged(content: bytes, source: random.Random) -> Iterator[bytes]:
    """The start of a capture, copies of it cut anywhere, and copies with changed bytes."""
    yield content
    yield content[: source.randrange(len(content))]
    for changes in (1, 8):
        copy = bytearray(content)
        for _ in range(changes):
            copy[source.randrange(len(copy))] = source.choice((*INTERESTING, source.randrange(256)))
        yield bytes(copy)


def ending_with_its_packet(batch: PacketBatch, captured: int) -> PacketBatch:
    """The one packet of a batch, so cut that a read behind it is a read outside the data."""
    data = batch.data[: batch.start[0] + captured]
    return batch._replace(data=data, captured=np.array([captured], np.int32))


def main(folder: Path, seed: int) -> None:
    source = random.Random(seed)
    scratch = os.memfd_create("capture")
    files = packets = refused = 0
    for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES):
        with path.open("rb") as capture:
            start = capture.read(CAPTURE_BYTES)
        for content in damaged(start, source):
            os.truncate(scratch, 0)
            os.pwrite(scratch, content, 0)
            files += 1
            try:
                for batch in read_capture(f"/proc/self/fd/{scratch}", 1):
                    decode(ending_with_its_packet(batch, int(batch.captured[0])))
                    decode(ending_with_its_packet(batch, source.randint(0, int(batch.captured[0]))))
                    packets += 1
            except InputDamaged:
                refused += 1
    print(files, packets, refused)


if __name__ == "__main__":
    if not numba.config.DISABLE_JIT:
        sys.exit("set NUMBA_DISABLE_JIT=1: compiled code does not notice a wrong index")
    main(Path(sys.argv[1]), int(sys.argv[2]))
