"""Opens a capture and hands it to the reader that its first bytes call for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procwire.capture import pcap, pcapng
from procwire.capture.batch import PacketBatch
from procwire.capture.rows import Index
from procwire.capture.source import Source, open_source
from procwire.errors import UsageError

AT_A_TIME = 40_960
"""The most packets of a batch. Their columns take 250 bytes a packet, and findings more; a window
of ordinary packets holds fewer."""


def read_capture(path: str | Path, batch_size: int = AT_A_TIME) -> Iterator[PacketBatch]:
    """Packets of a pcap or pcapng capture, in batches of at most `batch_size`. The file may be
    compressed with gzip or zstd; "-" is standard input.

    The batches are views of windows of some megabytes. Raises UsageError where the file cannot
    be opened, Unavailable where unpacking it needs a package; the iterator raises InputDamaged
    where the capture is damaged, after it has yielded every packet before.
    """
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}: expected at least 1")
    return read_packets(open_source(Path(path)), batch_size)


def is_capture(head: bytes) -> bool:
    """Whether an input that begins so is a capture, or one in a form that no reader knows."""
    return head[:4] in (*pcap.MAGICS, *pcap.MODIFIED_MAGICS, pcapng.MAGIC)


def read_packets(
    source: Source, batch_size: int = AT_A_TIME, index: Index | None = None
) -> Iterator[PacketBatch]:
    """The same of a source that is open already. index: as of read_pcap()."""
    head = source.data[:4].tobytes()
    if not head:
        raise source.damaged(0, "found an empty file, expected a pcap or pcapng capture")
    if head in pcap.MODIFIED_MAGICS:
        problem = "found the modified pcap format (magic a1b2cd34), expected pcap or pcapng"
        raise source.damaged(0, f"{problem}; convert it: editcap {source.path} capture.pcapng")
    source.map_file()
    if head in pcap.MAGICS:
        batches = pcap.read_pcap(source, batch_size, index)
    elif head == pcapng.MAGIC:
        batches = pcapng.read_pcapng(source, batch_size, index)
    else:
        problem = f"found {head.hex(' ')}, expected the magic number of a pcap or pcapng capture"
        raise source.damaged(0, problem)
    yield from batches
    source.check()
