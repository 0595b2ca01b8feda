"""Twin of detect/fanout.py that keeps every attempt and counts from scratch at every step.

`exact` beside each report holds the true numbers of hosts and pairs, which the sketches estimate.
What a window held when it turned to its next bucket is kept apart, in `turned`: the kernel does not
tell it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cache

from procwire.event import Measure, Outcome

WORD = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix64(x):
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & WORD
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


@cache
def host_hash(address):
    high, low = divmod(address, 2**64)
    return mix64(mix64((high + GOLDEN) & WORD) ^ low)


@cache
def pair_hash(address, port):
    return mix64(host_hash(address) ^ ((port + GOLDEN) & WORD))


def registers(hashes):
    """register -> highest rank, of a HyperLogLog of 512 registers."""
    ranks = defaultdict(int)
    for value in hashes:
        rest = value >> 9
        rank = 56 - rest.bit_length()
        ranks[value % 512] = max(ranks[value % 512], rank)
    return ranks


def estimate(hashes):
    ranks = registers(hashes)
    zeros = 512 - len(ranks)
    total = zeros * 2**32 + sum(2 ** (32 - min(rank, 32)) for rank in ranks.values())
    alpha_scaled = 7213 * 512 * 1000 * 512 * 512 * 2**32 // (10000 * (512 * 1000 + 1079))
    raw = alpha_scaled // total
    if raw <= 1280 and zeros > 0:
        return round(512 * math.log(512 / zeros))
    return raw


class Bucket:
    def __init__(self, start):
        self.start = self.first = start
        self.hosts, self.pairs = set(), set()
        self.host_hashes, self.pair_hashes = set(), set()
        self.attempts = self.established = self.refused = self.failures = self.run = 0


class Subject:
    def __init__(self):
        self.buckets = [[Bucket(None), Bucket(None)] for _ in range(3)]
        self.levels = defaultdict(int)
        self.run, self.step, self.previous = 0, None, None
        self.first = self.last = (0, 0)
        self.sample, self.sampled = [None] * 8, 0


class NaiveFanOut:
    def __init__(self, windows, thresholds, few=0):
        """windows: lengths in ns; thresholds: hosts, host_ports, failures, sequential_run; few: as
        many attempts have no more targets where a window is judged, whatever is estimated."""
        self.few = few
        self.windows, self.thresholds = windows, dict(zip(Measure, thresholds, strict=True))
        self.subjects = {}
        self.turned = []

    def attempt(self, time, source, address, port):
        subject = self._rolled(time, source)
        here = (address, port)
        if subject.previous is None:
            subject.run = 1
        elif subject.previous != here:
            step = (address - subject.previous[0], port - subject.previous[1])
            subject.run = subject.run + 1 if step == subject.step else 2
            subject.step = step
        subject.previous = here
        for window, buckets in enumerate(subject.buckets):
            older = min(buckets, key=lambda bucket: bucket.start)
            for bucket in buckets:
                if bucket.attempts == 0:
                    bucket.first = time
                bucket.attempts += 1
                bucket.hosts.add(address)
                bucket.pairs.add(here)
                bucket.run = max(bucket.run, subject.run)
                before = set(bucket.pair_hashes)
                bucket.host_hashes.add(host_hash(address))
                bucket.pair_hashes.add(pair_hash(address, port))
                if window == 1 and bucket is older:
                    raised = registers(before) != registers(bucket.pair_hashes)
                    if raised or bucket.attempts <= 8:
                        subject.sample[subject.sampled % 8] = here
                        subject.sampled += 1
        if subject.first == (0, 0):
            subject.first = here
        subject.last = here
        return self._judge(time, subject)

    def end(self, time, source, outcome):
        subject = self._rolled(time, source)
        for buckets in subject.buckets:
            for bucket in buckets:
                bucket.established += outcome == Outcome.ESTABLISHED
                bucket.refused += outcome == Outcome.REFUSED
                bucket.failures += outcome in (
                    Outcome.REFUSED,
                    Outcome.TIMED_OUT,
                    Outcome.UNREACHABLE,
                    Outcome.DENIED,
                )
        return self._judge(time, subject)

    def _rolled(self, time, source):
        subject = self.subjects.setdefault(source, Subject())
        for window, (length, buckets) in enumerate(zip(self.windows, subject.buckets, strict=True)):
            grid = time - time % length, time - (time + length // 2) % length
            if any(subject.levels[window, measure] for measure in Measure):
                older = min(buckets, key=lambda bucket: bucket.start)
                if older.start != grid[buckets.index(older)]:
                    report = self._report(time, subject, window, older, 0, 0)
                    self.turned.append(report)
            for index, start in enumerate(grid):
                if buckets[index].start != start:
                    buckets[index] = Bucket(start)
        return subject

    def _judge(self, time, subject):
        report = None
        for window, buckets in enumerate(subject.buckets):
            bucket = min(buckets, key=lambda bucket: bucket.start)
            most = bucket.attempts if bucket.attempts <= self.few else math.inf
            figures = {
                Measure.HOSTS: min(estimate(bucket.host_hashes), most),
                Measure.HOST_PORTS: min(estimate(bucket.pair_hashes), most),
                Measure.FAILURES: bucket.failures,
                Measure.SEQUENTIAL_RUN: bucket.run,
            }
            for measure, figure in figures.items():
                threshold = self.thresholds[measure]
                if threshold == 0:
                    continue
                if figure < threshold:
                    subject.levels[window, measure] = 0
                elif report is None and figure >= threshold * 10 ** subject.levels[window, measure]:
                    crossed = threshold * 10 ** subject.levels[window, measure]
                    report = self._report(time, subject, window, bucket, measure, crossed)
                    while figure >= threshold * 10 ** subject.levels[window, measure]:
                        subject.levels[window, measure] += 1
        return report

    def _report(self, time, subject, window, bucket, measure, threshold):
        return {
            "time_ns": time,
            "window_ns": self.windows[window],
            "window_start_ns": bucket.start,
            "first_ns": bucket.first,
            "measure": measure,
            "threshold": threshold,
            "attempts": bucket.attempts,
            "established": bucket.established,
            "refused": bucket.refused,
            "failures": bucket.failures,
            "hosts": estimate(bucket.host_hashes),
            "host_ports": estimate(bucket.pair_hashes),
            "sequential_run": bucket.run,
            "first": subject.first,
            "last": subject.last,
            "sample": tuple(subject.sample),
            "samples": min(subject.sampled, 8),
            "exact": (len(bucket.hosts), len(bucket.pairs)),
        }
