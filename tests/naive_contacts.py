"""Twin of decode/contacts.py without bounds: dictionaries of flows, searched for what is due."""

from __future__ import annotations

from procwire.event import Outcome
from procwire.record import Attempt

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
TCP, UDP = 6, 17
PROBES = {
    0: Attempt.NULL,
    FIN: Attempt.FIN,
    FIN | PSH | URG: Attempt.XMAS,
    FIN | ACK: Attempt.MAIMON,
    ACK: Attempt.ACK,
}


# Kinds whose silence tells nothing where answers are not captured.
BY_ANSWERS = (Attempt.DATAGRAM, Attempt.ECHO, Attempt.ACK, Attempt.MAIMON)
EVERYBODY = None


class Attempts:
    def __init__(self, timeout, reply):
        self.timeouts = [timeout, reply]
        self.attempts = {}
        self.settled = set()
        self.clock = self.order = 0
        self.answers = {EVERYBODY: {True: 0, False: 0}}

    def note_answer(self, source, seen):
        own = self.answers.setdefault(source, {True: 0, False: 0})
        if sum(own.values()) < 2:
            self.answers[EVERYBODY][seen] += 1
        own[seen] += 1

    def tells_nothing(self, source, kind):
        own, every = self.answers.get(source, {True: 0, False: 0}), self.answers[EVERYBODY]
        one_sided = own[False] >= 2 and own[False] > own[True]
        return one_sided and every[False] > every[True] and kind in BY_ANSWERS

    def due(self):
        """The attempts whose time is over, soonest first, but those that tell nothing; each ring
        only up to its first that is not."""
        found = []
        for ring, timeout in enumerate(self.timeouts):
            waiting = [
                (entry["order"], key, entry)
                for key, entry in self.attempts.items()
                if entry["open"] and (entry["kind"] != Attempt.CONNECT) == ring
            ]
            for _, key, entry in sorted(waiting, key=lambda one: one[0]):
                if entry["time"] + timeout > self.clock:
                    break
                entry["open"] = False
                if not self.tells_nothing(key[1], entry["kind"]):
                    found.append((entry["time"] + timeout, ring, key))
        return merged(found)

    def ask(self, key, kind, flags, number):
        known = self.attempts.get(key)
        if known is not None:
            if known["open"] or kind != Attempt.CONNECT:
                return []
            if known["kind"] == Attempt.CONNECT and known["number"] == number:
                return []
        self.order += 1
        self.attempts[key] = {
            "time": self.clock,
            "kind": kind,
            "flags": flags,
            "number": number,
            "open": True,
            "order": self.order,
        }
        return [(self.clock, *key[1:], Outcome.PENDING)]

    def answer(self, key, outcome, own=False):
        known = self.attempts.get(key)
        if known is None or not known["open"]:
            return []
        known["open"] = False
        if not own and key[1] != key[3]:
            self.note_answer(key[1], True)
        return [(self.clock, *key[1:], outcome)]

    def packet(self, protocol, src, sport, dst, dport, flags, seq, payload, ack):
        there, back = (protocol, src, sport, dst, dport), (protocol, dst, dport, src, sport)
        flow = frozenset((there, back))
        if flags & (SYN | RST):
            if flags & RST:
                return self.answer(back, Outcome.REFUSED)
            if flags & ACK:
                if back not in self.attempts:
                    self.note_answer(src, False)
                return self.answer(back, Outcome.ESTABLISHED)
            self.settled.discard(flow)
            return self.ask(there, Attempt.CONNECT, flags, seq)
        if flow in self.settled:
            return []
        if back in self.attempts:
            self.settled.add(flow)
            return self.answer(back, Outcome.ESTABLISHED)
        if there in self.attempts:
            known = self.attempts[there]
            goes_on = known["kind"] not in (Attempt.CONNECT, Attempt.DATAGRAM) and (
                flags != known["flags"] or payload
            )
            advanced = (ack - known["number"]) % (1 << 32)
            acknowledges = flags & ACK and (
                known["kind"] == Attempt.CONNECT
                or (known["kind"] == Attempt.ACK and 0 < advanced < 1 << 24)
            )
            if known["open"] and acknowledges:
                self.note_answer(src, False)
            elif known["open"] and not goes_on:
                return []
            self.settled.add(flow)
            return self.answer(there, Outcome.ESTABLISHED, own=True)
        kind = PROBES.get(flags) if protocol == TCP else Attempt.DATAGRAM
        to_client = sport < 32768 <= dport
        if (payload or to_client) and flags & ACK:
            kind = None
        if protocol == UDP and (sport < 1024 <= dport or to_client):
            kind = None
        if kind is None:
            self.settled.add(flow)
            return []
        return self.ask(there, kind, flags, ack)


def merged(found):
    """One list of (time, ring, key) per ring, merged by time as they stand."""
    rings = [[one for one in found if one[1] == ring] for ring in (0, 1)]
    while any(rings):
        ring = min((ring for ring in rings if ring), key=lambda ring: ring[0][0])
        yield ring.pop(0)


def contacts(packets, timeout, reply):
    """packets: (time reached, protocol, source, source port, destination, destination port, flags,
    seq, payload, ack) in order.

    Yields (time, source, source port, destination, destination port, outcome)."""
    table = Attempts(timeout, reply)
    for table.clock, *packet in packets:
        for due, _, key in table.due():
            yield due, *key[1:], Outcome.TIMED_OUT
        yield from table.packet(*packet)
