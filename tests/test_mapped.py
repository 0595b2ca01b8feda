"""Captures that are shown as they lie in the file: what is read is the same, and nobody changes it
meanwhile."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from captures import START, Frame, enhanced, interface, pcap, section
from procwire.capture import mapped, source
from procwire.capture.mapped import Mapped
from procwire.capture.mapped import _lease as lease
from procwire.capture.open import read_capture
from procwire.errors import InputDamaged
from reading_captures import frames_of, read, seen

FRAMES = [Frame(bytes([number]) * 700, START + 1000 * number) for number in range(200)]
SHOWN = 16 << 10


@pytest.fixture(autouse=True)
def _small_windows() -> Iterator[None]:
    with mock.patch.object(source, "_WINDOW", 4096), mock.patch.object(source, "_SHOWN", SHOWN):
        yield


@contextmanager
def counted() -> Iterator[list[int]]:
    """Sizes of the windows that show a file."""
    sizes: list[int] = []
    window = Mapped.window

    def noted(self, at, size):
        found = window(self, at, size)
        if found is not None:
            sizes.append(found.size)
        return found

    with mock.patch.object(Mapped, "window", noted):
        yield sizes


def may_write(path: Path) -> bool:
    """Whether opening the file for writing would not have to wait."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    "content",
    [pcap(FRAMES), section() + interface() + b"".join(enhanced(one.data, 1) for one in FRAMES)],
)
def test_a_file_reads_the_same_whether_it_is_shown_or_copied(write, content: bytes) -> None:
    path = write(content)
    with counted() as sizes:
        shown = read(path)
    assert sum(sizes) >= len(content) - 4096 and max(sizes) < SHOWN + 4096
    with mock.patch.object(source.Source, "map_file"):
        assert read(path) == shown
    assert len(shown) == len(FRAMES)


def test_a_kernel_without_huge_pages_shows_a_file_all_the_same(write) -> None:
    content = pcap(FRAMES)
    with counted() as sizes, mock.patch.object(mapped.mmap, "MADV_HUGEPAGE", 9999):
        assert len(read(write(content))) == len(FRAMES)
    assert sum(sizes) >= len(content) - 4096


def test_a_capture_that_is_cut_names_the_place(write) -> None:
    content = pcap(FRAMES)[:-10]
    batches = read_capture(write(content))
    packets = 0
    with pytest.raises(InputDamaged, match="10 bytes short") as problem:
        for batch in batches:
            packets += len(batch.start)
    assert packets == len(FRAMES) - 1
    assert problem.value.offset == len(content) - 700 + 10 - 16


def test_who_opens_it_for_writing_waits_until_no_window_shows_it(write) -> None:
    path = write(pcap(FRAMES))
    batches = read_capture(path)
    # What is read is nobody's business.
    found = frames_of(next(batches))
    assert may_write(path)
    batch = next(batches)
    found += frames_of(batch)
    assert not may_write(path)
    # What follows is read, but this window is still looked at.
    after = next(batches)
    found += frames_of(after)
    assert not may_write(path)
    del batch
    gc.collect()
    assert may_write(path)
    os.truncate(path, 0)
    assert found == seen(FRAMES)[: len(found)]
    with pytest.raises(InputDamaged, match="cut by the end of the file"):
        list(batches)
    assert frames_of(after) == found[-len(after.start) :]


def test_at_the_end_nobody_waits_any_more(write) -> None:
    path = write(pcap(FRAMES))
    assert len(read(path)) == len(FRAMES)
    gc.collect()
    assert may_write(path)


def test_a_lease_that_the_kernel_took_is_not_missed(write) -> None:
    path, shown = write(pcap(FRAMES)), []
    with mock.patch.object(mapped, "_lease", lambda file: shown.append(file) or lease(file)):
        batches = read_capture(path)
        # The first is read, to know what the file is.
        batch = [next(batches), next(batches)][1]
    assert not may_write(path)
    fcntl.fcntl(shown[0], fcntl.F_SETLEASE, fcntl.F_UNLCK)
    with mock.patch.object(sys, "unraisablehook") as untold:
        del batch
        assert sum(len(one.start) for one in batches) > 0
        gc.collect()
    assert not untold.called


def test_what_somebody_writes_is_copied(write) -> None:
    path = write(pcap(FRAMES))
    with path.open("ab"), counted() as sizes:
        assert read(path) == seen(FRAMES)
    assert not sizes


def test_what_cannot_be_shown_is_copied(write) -> None:
    path = write(pcap(FRAMES))
    # A kernel before 5.14, or a disk that cannot be read.
    with mock.patch.object(mapped, "_MADV_POPULATE_READ", 1 << 20), counted() as sizes:
        assert read(path) == seen(FRAMES)
    assert not sizes
