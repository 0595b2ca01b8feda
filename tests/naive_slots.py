"""Twin of detect/slots.py: a table in which who is not found takes the place of another."""

from __future__ import annotations

PROBES = 8


class NaiveSlots:
    """held: what lies in each slot, None for nothing: a key and when it was last; given_way: how
    many keys gave way to others."""

    def __init__(self, count):
        self.held, self.given_way = [None] * count, 0

    def touch(self, hashed, key, time):
        """Note that a key of this hash came; the key that gave way to it, or None."""
        home = (hashed >> 32) * len(self.held) >> 32
        probed = [(home + step) % len(self.held) for step in range(PROBES)]
        known = [slot for slot in probed if self.held[slot] and self.held[slot][0] == key]
        free = [slot for slot in probed if self.held[slot] is None]
        latest = sorted(probed, key=lambda slot: self.held[slot][1] if self.held[slot] else 0)
        slot = (known or free or latest)[0]
        given_way = None if known or free else self.held[slot][0]
        self.given_way += given_way is not None
        self.held[slot] = key, time
        return given_way

    def last(self, key):
        """When a key was last, None where it is not there."""
        return next((held[1] for held in self.held if held and held[0] == key), None)
