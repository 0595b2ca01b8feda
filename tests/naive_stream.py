"""Twin of decode/stream.py: a dictionary of all bytes of one direction, by sequence number."""

from __future__ import annotations


def differing(segments):
    """segments: (sequence number, payload) in order, no number wrapping. Yields whether each
    contradicts what was sent before."""
    held, high = {}, None
    for seq, payload in segments:
        if not payload:
            yield False
            continue
        if high is None or seq > high:
            held, high = {}, seq
        sent = dict(enumerate(payload, seq))
        again = {n: byte for n, byte in sent.items() if n < high}
        if len(payload) > 1 and any(held.get(n, byte) != byte for n, byte in again.items()):
            yield True
            continue
        held |= {n: byte for n, byte in sent.items() if n >= high}
        high = max(high, seq + len(payload))
        yield False
