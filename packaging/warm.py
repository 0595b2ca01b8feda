"""Compiles the packet kernels into numba's cache, once, before anyone waits for them."""

from __future__ import annotations

import numpy as np
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.decode.frame import decode
from procwire.evaluate import evaluate

frame = np.zeros(60, np.uint8)
frame.setflags(write=False)  # as a mapped file is; numba compiles for each kind of array
batch = PacketBatch(
    data=frame,
    start=np.zeros(1, np.int64),
    captured=np.full(1, frame.size, np.int32),
    length=np.full(1, frame.size, np.int32),
    time=np.zeros(1, np.int64),
    link=np.full(1, ETHERNET, np.uint16),
    first=1,
)
evaluate(batch, decode(batch))
