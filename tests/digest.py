"""Prints a digest of all that is said of a set of packets, and of what the alerts say.

    NUMBA_DISABLE_JIT=1 .venv/bin/python tests/digest.py

The same line must come out however the kernels are run.
"""

from __future__ import annotations

import hashlib
from random import Random

import msgspec
from frames import frame
from procwire import examples
from procwire.output.eve import Source, record
from procwire.rules import packet_rules
from procwire.runs.analysis import Analysis
from procwire.settings import Settings
from test_hostile_packets import Judge, batch_of

# Small tables: plain Python goes through them slot by slot.
SETTINGS = Settings.model_validate(
    {
        "flows": {"capacity": 4096, "warm_up_s": 5.0},
        "contacts": {"capacity": 512},
        "fanout": {"subjects": 64},
        "random_walk": {"sources": 64},
        "coverage": {"networks": 64},
    }
)
RANDOM_FRAMES = 600


def digest() -> str:
    source = Random(20261121)
    packets = [
        (data, len(data), 1)
        for rule in packet_rules()
        for text in (*rule.fires_on, *rule.silent_on)
        for data in (examples.frame(rule.layers[0], text),)
    ]
    packets += [frame(source) for _ in range(RANDOM_FRAMES)]
    made = hashlib.sha256()
    for column in Judge().says(batch_of(packets)):
        # Not its bytes: what pads a record is anything.
        made.update(repr(column.tolist()).encode())
    analysis = Analysis(SETTINGS)
    for alert in (*analysis.packets(batch_of(packets)), *analysis.finish()):
        made.update(msgspec.json.encode(record(alert, Source())))
    made.update(msgspec.json.encode(analysis.counters()))
    return made.hexdigest()


if __name__ == "__main__":
    print(digest())
