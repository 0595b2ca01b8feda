"""Opens a capture file: maps it, and hands it to the reader that its first bytes call for."""

from __future__ import annotations

import mmap
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from procwire.capture import pcap, pcapng
from procwire.capture.batch import PacketBatch
from procwire.errors import InputDamaged, UsageError

# First bytes of compressed files, what they are, and the command that unpacks them.
_COMPRESSED = {
    bytes.fromhex("1f8b"): ("gzip", "zcat"),
    bytes.fromhex("28b52ffd"): ("zstd", "zstd -dc"),
}


def read_capture(path: str | Path, batch_size: int = 65536) -> Iterator[PacketBatch]:
    """Packets of a pcap or pcapng file, in batches of at most `batch_size`.

    The batches are views of the mapped file, which must not shrink while they are in use; memory
    of a batch that was left behind is given back, so that resident memory stays flat. Raises
    UsageError where the file cannot be opened; the iterator raises InputDamaged where the file is
    damaged, after it has yielded every packet before.
    """
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}: expected at least 1")
    return _batches(str(path), _map(Path(path)), batch_size)


def _map(path: Path) -> NDArray[np.uint8]:
    try:
        # Opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path}: not a regular file; write the capture into one first")
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                return np.empty(0, np.uint8)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    mapped.madvise(mmap.MADV_SEQUENTIAL)
    return np.frombuffer(mapped, np.uint8)


def _given_back(data: NDArray[np.uint8], batches: Iterator[PacketBatch]) -> Iterator[PacketBatch]:
    """The same batches; pages before a batch are unmapped when it is asked for. A later look at an
    earlier batch reads them from the file again."""
    assert isinstance(data.base, memoryview) and isinstance(data.base.obj, mmap.mmap)
    mapped, done = data.base.obj, 0
    for batch in batches:
        yield batch
        end = int(batch.start[-1]) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > done:
            mapped.madvise(mmap.MADV_DONTNEED, done, end - done)
            done = end


def _batches(path: str, data: NDArray[np.uint8], batch_size: int) -> Iterator[PacketBatch]:
    head = data[:4].tobytes()
    if not head:
        raise InputDamaged(path, 0, "found an empty file, expected a pcap or pcapng capture")
    for magic, (name, command) in _COMPRESSED.items():
        if head.startswith(magic):
            remedy = f"unpack it first: {command} {path} > capture.pcap"
            raise InputDamaged(path, 0, f"found {name} data, expected a capture; {remedy}")
    if head in pcap.MODIFIED_MAGICS:
        problem = "found the modified pcap format (magic a1b2cd34), expected pcap or pcapng"
        raise InputDamaged(path, 0, f"{problem}; convert it: editcap {path} capture.pcapng")
    if head in pcap.MAGICS:
        yield from _given_back(data, pcap.read_pcap(path, data, batch_size))
    elif head == pcapng.MAGIC:
        yield from _given_back(data, pcapng.read_pcapng(path, data, batch_size))
    else:
        problem = f"found {head.hex(' ')}, expected the magic number of a pcap or pcapng capture"
        raise InputDamaged(path, 0, problem)
