"""Compiles every packet kernel, or loads it from numba's cache, before a packet has to wait."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from procwire import examples
from procwire.analysis import Analysis
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.capture.live import index_block
from procwire.capture.open import read_capture
from procwire.capture.rows import allocate
from procwire.config import Settings


def warm_up() -> None:
    """Send one packet down the path of live captures: all that `watch` compiles."""
    frame = np.zeros(4096, np.uint8)
    # As captured memory is; numba compiles for each kind of array.
    frame.flags.writeable = False
    index_block(frame, 0, 0, True, allocate(1))
    one = np.ones(1, np.int32)
    batch = PacketBatch(
        data=frame,
        start=np.zeros(1, np.int64),
        captured=one * 60,
        length=one * 60,
        time=np.zeros(1, np.int64),
        link=np.full(1, ETHERNET, np.uint16),
        first=1,
    )
    Analysis(Settings()).packets(batch)


def warm_up_files() -> None:
    """The same for files, both formats: all that `read` compiles."""
    warm_up()
    frames = [bytes(60)]
    for content in (examples.capture(frames), examples.capture_ng(frames)):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            for batch in read_capture(Path(file.name)):
                Analysis(Settings()).packets(batch)


if __name__ == "__main__":
    warm_up_files()
