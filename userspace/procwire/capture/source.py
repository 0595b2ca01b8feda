"""The bytes of one input as readers see them: a window of some megabytes that lies in memory.

What follows is read into the next window; captures that are files are mapped instead where that is
safe (mapped.py).
"""

from __future__ import annotations

import gzip
import importlib
import io
import mmap
import select
import stat
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from procwire.capture.mapped import Mapped
from procwire.compiled.memory import Reused
from procwire.errors import InputDamaged, Unavailable, UsageError

STANDARD_INPUT = Path("-")

# With what a packet at its end leaves for the next, a few huge pages.
_WINDOW = (8 << 20) - (256 << 10)
# What is only shown need not lie in the caches beside what is made of it.
_SHOWN = 12 << 20
# What comes through a pipe is handed on after so long, even if it fills no window.
_PATIENCE_S = 0.2
BLOCK_LIMIT = 32 << 20
"""Bytes of the largest block that is waited for. No packet comes near it."""
_PIECE = 1 << 20
# Of what zstd has packed: it may become 32 MB, as four bytes may stand for a block of 128 KB.
_PACKED = 1 << 10

_GZIP, _ZSTD = bytes.fromhex("1f8b"), bytes.fromhex("28b52ffd")
ZIP = b"PK\x03\x04"
_MAGIC_SIZE = 4


class Source:
    """data: uint8 (bytes,), the window; at: how far into it the reader has come; base: the offset
    of the window in the (unpacked) input; path: the input as the user named it. stream: what
    follows `data`; pipe: the descriptor that it reads, and may wait for.
    """

    def __init__(
        self,
        path: str,
        data: NDArray[np.uint8],
        stream: io.BufferedIOBase | None = None,
        pipe: int | None = None,
    ) -> None:
        self.path, self.data, self.at, self.base = path, data, 0, 0
        self._stream, self._pipe = stream, pipe
        self._memory = Reused()
        self._mapped: Mapped | None = None
        self._damage: InputDamaged | None = None

    def map_file(self) -> None:
        """Have the windows to come show the input without a copy, if it is a file that can be
        leased until it is read."""
        if isinstance(self._stream, io.BufferedReader) and self._pipe is None:
            self._mapped = Mapped(self._stream)

    def advance(self) -> bool:
        """Drop what the reader has used and append what follows; False where nothing does."""
        ended = self._stream is None or self._damage is not None
        left = self.data[self.at :]
        if ended or left.size > BLOCK_LIMIT:
            return False
        if self._mapped is not None and self._show(left.size):
            return True
        # A new window: batches may still show the one before. The kernel copies whole pages faster
        # to where pages begin.
        start = -left.size % mmap.PAGESIZE
        filled = start + left.size
        window = self._memory.take(filled + _WINDOW)
        window[start:filled] = left
        deadline = None
        while filled < window.size:
            end = self.base + self.at + filled - start
            read = self._read(window[filled : filled + _PIECE], end)
            if not read:
                break
            filled += read
            deadline = deadline or time.monotonic() + _PATIENCE_S
            if not self._comes_by(deadline):
                break
        if filled == start + left.size:
            self._stream = None
            return False
        self.base += self.at
        self.data, self.at = window[start:filled], 0
        self.data.flags.writeable = False
        return True

    def _show(self, left: int) -> bool:
        """Append what follows the last `left` bytes of the window by mapping both; False where that
        cannot be, and they are to be read."""
        assert self._mapped is not None and self._stream is not None
        window = self._mapped.window(self.base + self.at, left + _SHOWN)
        if window is None or window.size <= left:
            self._mapped = None
            self._stream.seek(self.base + self.data.size)
            return False
        self.base += self.at
        self.data, self.at = window, 0
        return True

    def _read(self, piece: NDArray[np.uint8], end: int) -> int:
        """Fill `piece` with what comes next, as far as it is there; 0 at the end. end: offset of
        the piece in the unpacked input."""
        assert self._stream is not None
        try:
            return self._stream.readinto1(piece.data)
        except _unpacking_errors() as error:
            problem = f"the compressed data is damaged behind this ({error}), expected more of it"
            self._damage = InputDamaged(self.path, end, problem)
            return 0

    def _comes_by(self, deadline: float) -> bool:
        """Whether there is more to read, or the end, before that time of the monotonic clock."""
        if self._pipe is None:
            return True
        left = max(0.0, deadline - time.monotonic())
        return bool(select.select((self._pipe,), (), (), left)[0])

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
        # Not sys.stdin's own buffer: a thread that waits for more would hold it when Python ends.
        piped = _Piped(sys.stdin.fileno())
        return _streamed(path, io.BufferedReader(piped), piped.head, piped.fileno())
    check_file(path)
    try:
        file = path.open("rb")
        head = file.read(_MAGIC_SIZE)
        file.seek(0)
        return _streamed(path, file, head)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def check_file(path: Path) -> None:
    """Raises UsageError where there is no file, or one that is not read as a file."""
    try:
        # Opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path}: not a regular file; pipe it into procwire read -")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def plain_size(path: Path) -> int | None:
    """Bytes of a file that is read as it lies there; None for what is unpacked or piped in."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        packed = file.read(_MAGIC_SIZE).startswith((_GZIP, _ZSTD, ZIP))
    return None if packed else path.stat().st_size


def _streamed(path: Path, file: io.BufferedIOBase, head: bytes, pipe: int | None = None) -> Source:
    # What unpacks holds back what it has read, so nobody can say whether it will have to wait.
    if head.startswith(_GZIP):
        return stream_source(str(path), gzip.GzipFile(fileobj=file))
    if head == _ZSTD:
        return stream_source(str(path), _open_zstd(file))
    return stream_source(str(path), file, pipe)


def stream_source(name: str, stream: io.BufferedIOBase, pipe: int | None = None) -> Source:
    """The source of what a stream yields, which is taken as it is. name: as the user would; pipe:
    as of Source."""
    source = Source(name, np.empty(0, np.uint8), stream, pipe)
    source.advance()
    return source


def _open_zstd(file: io.BufferedIOBase) -> io.BufferedIOBase:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        remedy = "install it: pip install 'procwire[zstd]', or unpack the capture: zstd -d"
        raise Unavailable("the package zstandard, which unpacks zstd", remedy) from error
    return _OfZstd(file, zstandard.ZstdDecompressor())


def _unpacking_errors() -> tuple[type[Exception], ...]:
    loaded = sys.modules.get("zstandard")
    return (
        EOFError,
        OSError,
        zlib.error,
        zipfile.BadZipFile,
        *([loaded.ZstdError] if loaded else []),
    )


class _Piped(io.FileIO):
    """What comes through a descriptor. head: its first bytes, which are read again."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, closefd=False)
        self.head = self._again = b""
        while len(self.head) < _MAGIC_SIZE and (more := self._wait(_MAGIC_SIZE - len(self.head))):
            self.head += more
        self._again = self.head

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._again or self._wait(len(buffer))
        self._again = piece[len(buffer) :]
        piece = piece[: len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def _wait(self, size: int) -> bytes:
        # Whoever shares a pipe may have made it one that does not wait.
        while (piece := self.read(size)) is None:
            select.select((self,), (), ())
        return piece


class _OfZstd(io.BufferedIOBase):
    """What frames of zstd hold (RFC 8878). The package's own reader does not tell a frame that is
    cut short from one that ends."""

    def __init__(self, file: io.BufferedIOBase, decompressor: Any) -> None:
        self._file, self._decompressor = file, decompressor
        self._frame: Any = None
        self._packed, self._unpacked = b"", memoryview(b"")

    def readinto1(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._unpacked:
            piece = self._packed or self._file.read1(_PACKED)
            if not piece:
                if self._frame is not None:
                    raise EOFError("the file ends inside a frame of zstd")
                return 0
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            self._unpacked = memoryview(self._frame.decompress(piece))
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._unpacked))
        buffer[:size] = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return size
