"""The bytes of one input as readers see them: a window that lies in memory.

A file is mapped, so its window is the whole file. What is unpacked or piped in has no such memory:
its window holds some megabytes, and the reader asks for more once it has used them.
"""

from __future__ import annotations

import gzip
import importlib
import io
import mmap
import stat
import sys
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from procwire.errors import InputDamaged, Unavailable, UsageError

STANDARD_INPUT = Path("-")

_WINDOW = 8 << 20
# No packet needs a larger window; a block that does has to be mapped.
_LARGEST_WINDOW = 32 << 20
_PIECE = 1 << 18

_GZIP, _ZSTD = bytes.fromhex("1f8b"), bytes.fromhex("28b52ffd")
_MAGIC_SIZE = 4


class Source:
    """data: uint8 (bytes,), the window; at: how far into it the reader has come; base: the offset
    of the window in the (unpacked) input; path: the input as the user named it.
    """

    def __init__(
        self, path: str, data: NDArray[np.uint8], stream: io.BufferedIOBase | None = None
    ) -> None:
        self.path, self.data, self.at, self.base = path, data, 0, 0
        self._stream = stream
        self._damage: InputDamaged | None = None

    def advance(self) -> bool:
        """Drop what the reader has used and append what follows; False where nothing does."""
        ended = self._stream is None or self._damage is not None
        if ended or self.data.size - self.at >= _LARGEST_WINDOW:
            return False
        pieces = [self.data[self.at :].tobytes()]
        wanted = _WINDOW
        while wanted > 0 and (piece := self._read(min(wanted, _PIECE))):
            pieces.append(piece)
            wanted -= len(piece)
        if len(pieces) == 1:
            self._stream = None
            return False
        self.base += self.at
        self.data, self.at = np.frombuffer(b"".join(pieces), np.uint8), 0
        return True

    def _read(self, size: int) -> bytes:
        assert self._stream is not None
        try:
            return self._stream.read1(size)
        except _unpacking_errors() as error:
            end = self.base + self.data.size
            problem = f"the compressed data is damaged behind this ({error}), expected more of it"
            self._damage = InputDamaged(self.path, end, problem)
            return b""

    def damaged(self, at: int, problem: str) -> InputDamaged:
        """The fault `at` bytes into the window; if the input could not be unpacked any further,
        that is the fault."""
        return self._damage or InputDamaged(self.path, self.base + at, problem)

    def check(self) -> None:
        """Raise InputDamaged if the input could not be unpacked to its end."""
        if self._damage is not None:
            raise self._damage


def open_source(path: Path) -> Source:
    """The source of a file, compressed or not, or of STANDARD_INPUT. Raises UsageError where it
    cannot be opened, Unavailable where the package that unpacks it is missing."""
    if path == STANDARD_INPUT:
        head = sys.stdin.buffer.read(_MAGIC_SIZE)
        return _streamed(path, io.BufferedReader(_Rejoined(head, sys.stdin.buffer)), head)
    try:
        # Opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path}: not a regular file; pipe it into procwire read -")
        file = path.open("rb")
        head = file.read(_MAGIC_SIZE)
        if head.startswith((_GZIP, _ZSTD)):
            file.seek(0)
            return _streamed(path, file, head)
        with file:
            if not head:
                return Source(str(path), np.empty(0, np.uint8))
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    mapped.madvise(mmap.MADV_SEQUENTIAL)
    return Source(str(path), np.frombuffer(mapped, np.uint8))


def _streamed(path: Path, file: io.BufferedIOBase, head: bytes) -> Source:
    stream: io.BufferedIOBase = file
    if head.startswith(_GZIP):
        stream = gzip.GzipFile(fileobj=file)
    elif head == _ZSTD:
        stream = _open_zstd(file)
    source = Source(str(path), np.empty(0, np.uint8), stream)
    source.advance()
    return source


def _open_zstd(file: io.BufferedIOBase) -> io.BufferedIOBase:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        remedy = "install it: pip install 'procwire[zstd]', or unpack the capture: zstd -d"
        raise Unavailable("the package zstandard, which unpacks zstd", remedy) from error
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return cast(io.BufferedIOBase, reader)


def _unpacking_errors() -> tuple[type[Exception], ...]:
    loaded = sys.modules.get("zstandard")
    return (EOFError, OSError, zlib.error, *([loaded.ZstdError] if loaded else []))


class _Rejoined(io.RawIOBase):
    """A stream of which the first bytes have been read."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._head or self._rest.read(len(buffer))
        self._head = piece[len(buffer) :]
        piece = piece[: len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)
