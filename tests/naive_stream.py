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
        differs = len(payload) > 1 and any(self.bytes.get(n, b) != b for n, b in again.items())
        self.bytes |= {n: byte for n, byte in sent.items() if n >= self.high}
        self.high = max(self.high, seq + len(payload))
        return differs


def differing(segments):
    """segments: (sequence number, payload) in order, no number wrapping, none acknowledged. Yields
    whether each contradicts an earlier one, or lets one be delivered that does."""
    direction = None
    for seq, payload in segments:
        if not payload:
            yield False
            continue
        direction = direction or _Direction(seq)
        direction.early.append((seq, payload))
        direction.early.sort(key=lambda segment: segment[0])
        found = False
        while direction.early and direction.early[0][0] <= direction.high:
            found |= direction.take(*direction.early.pop(0))
        yield found
