"""Compiles every packet kernel, or loads it from numba's cache, before a packet has to wait."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np

from procwire import examples
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.open import read_packets
from procwire.capture.ring import index_packets
from procwire.capture.rows import allocate
from procwire.capture.source import open_source
from procwire.capture.writer import CaptureWriter
from procwire.decode.flow import Flows
from procwire.event import FLOW_EVENT, PROCESS_EVENT, EventKind
from procwire.owners.flow_keys import WORDS
from procwire.owners.flow_owners import FlowOwners
from procwire.runs.analysis import Analysis
from procwire.settings import Settings

_IPV4_LINK = examples.LINK + bytes.fromhex("0800")
_FRAGMENTS = bytes.fromhex("4500 0000 0001 2000"), bytes.fromhex("4500 0000 0001 0001")
_FIN = bytes(12) + b"\x50\x01" + bytes(6)


def warm_up() -> None:
    """Send a datagram in two fragments, and the end of a connection that never began, down the path
    of live captures: what `watch` compiles."""
    frames = [
        _IPV4_LINK + examples.ipv4(header, examples.PROTOCOLS["udp"], bytes(8))
        for header in _FRAGMENTS
    ]
    frames.append(_IPV4_LINK + examples.ipv4(b"", examples.PROTOCOLS["tcp"], _FIN))
    sizes = np.array([len(frame) for frame in frames], np.int32)
    # Read-only, as captured memory is; numba compiles for each kind of array.
    data = np.frombuffer(b"".join(frames) + bytes(4096), np.uint8)
    index_packets(data, np.zeros(2, np.int64), 0, True, allocate(1), 0)
    batch = PacketBatch(
        data=data,
        start=np.cumsum(sizes, dtype=np.int64) - sizes,
        captured=sizes,
        length=sizes,
        time=np.zeros(len(frames), np.int64),
        link=np.full(len(frames), ETHERNET, np.uint16),
        cut=np.zeros(len(frames), np.bool_),
        first=1,
    )
    CaptureWriter(io.BytesIO(), "warm", ETHERNET).write(batch)
    analysis = Analysis(Settings())
    analysis.packets(batch)
    analysis.finish()
    # What only alerts ask.
    Flows().completed_handshake(bytes(16), 0)
    owners, ended = FlowOwners(0, capacity=1), np.zeros(1, PROCESS_EVENT)
    ended["kind"] = EventKind.EXIT
    owners.update(np.zeros(1, FLOW_EVENT))
    owners.processes(ended)
    owners.sureness(np.zeros((1, WORDS), np.uint64), np.zeros(1, np.int64))


def warm_up_files() -> None:
    """The same for files, both formats: all that `read` compiles."""
    warm_up()
    frames = [bytes(60)]
    for content in (examples.capture(frames), examples.capture_ng(frames)):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            analysis = Analysis(Settings())
            source = open_source(Path(file.name))
            for batch in read_packets(source, index=analysis.while_read.index):
                analysis.packets(batch)


if __name__ == "__main__":
    warm_up_files()
