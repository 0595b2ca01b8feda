"""A fuzz target for atheris: capture files of every form, and packets of every link type, through
decoding, rules, reassembly, flows, streams, attempts and scans to the records that are written.

    NUMBA_DISABLE_JIT=1 .venv/bin/python tests/fuzz_target.py [libFuzzer's options] CORPUS_FOLDER

Kernels run as plain Python: an index outside an array raises, and atheris sees every branch. The
first byte of an input chooses what the rest is. A folder without inputs is filled with seeds.
"""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from random import Random
from typing import Any

import atheris

with atheris.instrument_imports(include=["procwire"]):
    from procwire.decode import stream_table

    # Small tables: they are scanned in plain Python, and collide as large ones do under load.
    stream_table.DIRECTIONS = 64

    from procwire import examples
    from procwire.capture.batch import PacketBatch
    from procwire.capture.open import read_capture
    from procwire.errors import InputDamaged
    from procwire.output.eve import Source, encode, record
    from procwire.output.text import text
    from procwire.rules import packet_rules
    from procwire.runs.analysis import Analysis
    from procwire.settings import Settings

import numba
import numpy as np
from frames import LINKS, frame

CAPTURE, GZIPPED, PACKETS = range(3)
KINDS = 3
SETTINGS = Settings.model_validate(
    {
        "flows": {"capacity": 64, "warm_up_s": 1.0},
        "contacts": {"capacity": 64},
        "fanout": {"subjects": 8, "hosts": 3, "host_ports": 4},
        "random_walk": {"sources": 8, "hosts": 2},
        "coverage": {"networks": 8, "hosts": 3},
        "episodes": {"open": 8, "per_rule": 3},
    }
)
SEED_FRAMES = 300
SECOND = 1_000_000_000


class Guarded(np.ndarray):
    """Bytes in which an index before the first raises too."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer) and index < 0:
            raise IndexError(f"read at {index}")
        return super().__getitem__(index)


def analyse(batches: Any) -> None:
    analysis = Analysis(SETTINGS)
    for batch in batches:
        told(analysis.packets(batch))
    told(analysis.finish())
    analysis.counters()


def told(alerts: Any) -> None:
    for alert in alerts:
        encode(record(alert, Source(pcap_filename="fuzz")))
        text(alert)


def packets(data: bytes) -> PacketBatch | None:
    """Packets out of any bytes: link type, seconds since the one before, captured bytes, and how
    many more were on the wire."""
    at, rows, clock = 0, [], 0
    while at + 4 <= len(data):
        link, seconds, size, more = data[at : at + 4]
        size = min(size, len(data) - at - 4)
        clock += (seconds - 8) * SECOND // 8
        rows.append((at + 4, size, size + more, clock, LINKS[link % len(LINKS)]))
        at += 4 + size
    if not rows:
        return None
    start, captured, length, time, link = zip(*rows, strict=True)
    return PacketBatch(
        data=np.frombuffer(data[:at], np.uint8).view(Guarded),
        start=np.array(start, np.int64),
        captured=np.array(captured, np.int32),
        length=np.array(length, np.int32),
        time=np.array(time, np.int64),
        link=np.array(link, np.uint16),
        first=1,
        cut=np.array(captured) < np.array(length),
    )


def captured_file(content: bytes) -> None:
    """Content as a capture file, in memory."""
    number = os.memfd_create("fuzz")
    try:
        os.write(number, content)
        analyse(read_capture(f"/proc/self/fd/{number}", 7))
    except InputDamaged:
        return
    finally:
        os.close(number)


def one_input(data: bytes) -> None:
    """What atheris calls."""
    if not data:
        return
    kind, rest = data[0] % KINDS, data[1:]
    if kind == CAPTURE:
        captured_file(rest)
    elif kind == GZIPPED:
        captured_file(gzip.compress(rest, 1))
    else:
        batch = packets(rest)
        if batch is not None:
            analyse([batch])


def seeds(folder: Path) -> None:
    """An input per rule and per random frame, and both kinds of files."""
    source = Random(20261121)
    frames = [
        (examples.frame(rule.layers[0], text), 1)
        for rule in packet_rules()
        for text in rule.fires_on
    ]
    frames += [(data, link) for data, _, link in (frame(source) for _ in range(SEED_FRAMES))]
    for number in range(0, len(frames), 3):
        content = bytes([PACKETS])
        for data, link in frames[number : number + 3]:
            content += bytes([LINKS.index(link), 9, min(len(data), 255), 0]) + data[:255]
        (folder / f"packets-{number}").write_bytes(content)
    some = [data for data, link in frames if link == 1][:8]
    for name, content in (
        ("pcap", examples.capture(some)),
        ("pcapng", examples.capture_ng(some)),
    ):
        (folder / name).write_bytes(bytes([CAPTURE]) + content)
        (folder / f"{name}-gzipped").write_bytes(bytes([GZIPPED]) + content)


def main() -> None:
    if not numba.config.DISABLE_JIT:
        sys.exit("set NUMBA_DISABLE_JIT=1: atheris sees nothing of compiled code")
    folder = Path(sys.argv[-1])
    if not any(folder.iterdir()):
        seeds(folder)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
