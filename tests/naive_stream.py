"""Twin of decode/stream.py: a dictionary of all bytes of one direction, by sequence number, of
which the last WINDOW count, and the segments behind its first gap."""

from __future__ import annotations

from procwire.decode.stream_table import WINDOW


class _Direction:
    def __init__(self, seq):
        self.bytes, self.high, self.early = {}, seq, []

    def take(self, seq, payload):
        """Enter what is next; whether it contradicts what came before."""
        sent = dict(enumerate(payload, seq))
        low = self.high - WINDOW
        again = {n: byte for n, byte in sent.items() if low <= n < self.high}
        keep_alive = len(payload) == 1 and seq + 1 == self.high
        differs = not keep_alive and any(self.bytes.get(n, b) != b for n, b in again.items())
        self.bytes |= {n: byte for n, byte in sent.items() if n >= self.high}
        self.high = max(self.high, seq + len(payload))
        return differs

    def hold(self, seq, payload):
        """Keep a segment behind a gap; whether it contradicts what is kept."""
        kept = {}
        for first, other, _ in reversed(self.early):
            kept |= dict(enumerate(other, first))
        differs = len(payload) > 1 and any(
            kept.get(n, byte) != byte for n, byte in enumerate(payload, seq)
        )
        if differs:
            self.early = [(first, other, True) for first, other, _ in self.early]
        self.early.append((seq, payload, differs))
        self.early.sort(key=lambda segment: segment[0])
        return differs


def differing(segments):
    """segments: (sequence number, payload) in order, no number wrapping, none acknowledged. Yields
    whether each contradicts an earlier one, or lets one be delivered that does and was not told."""
    direction = None
    for seq, payload in segments:
        if not payload:
            yield False
            continue
        direction = direction or _Direction(seq)
        if seq > direction.high:
            yield direction.hold(seq, payload)
            continue
        found = direction.take(seq, payload)
        while direction.early and direction.early[0][0] <= direction.high:
            seq, payload, told = direction.early.pop(0)
            found |= direction.take(seq, payload) and not told
        yield found
