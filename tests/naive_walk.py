"""Twins of detect/random_walk.py and detect/coverage.py: dictionaries and sets, without bounds."""

from __future__ import annotations

import math
from collections import defaultdict

from procwire.event import Outcome

ENDLESS = (Outcome.PENDING, Outcome.SENT, Outcome.ABORTED)


def random_walk(rows, benign=0.8, scanner=0.2, error=0.01, hosts=5):
    """rows: (source, destination, outcome). Yields (source, failed, succeeded)."""
    known = set()
    walks = defaultdict(float)
    ended = defaultdict(lambda: [0, 0])
    told = defaultdict(int)
    edge = math.log((1 - error) / error)
    for source, destination, outcome in rows:
        if outcome in ENDLESS or (source, destination) in known:
            continue
        known.add((source, destination))
        success = outcome == Outcome.ESTABLISHED
        ratio = scanner / benign if success else (1 - scanner) / (1 - benign)
        walks[source] = min(edge, max(-edge, walks[source] + math.log(ratio)))
        ended[source][success] += 1
        failed, succeeded = ended[source]
        if success or walks[source] < edge or failed < succeeded:
            continue
        if failed >= max(hosts, 10 * told[source]):
            told[source] = failed
            yield source, failed, succeeded


def coverage(rows, hosts=16, share=0.5):
    """rows: (source, destination, outcome). Yields (source, network, failed, answered)."""
    failed, answered, told = defaultdict(set), defaultdict(set), defaultdict(int)
    for source, destination, outcome in rows:
        if outcome in ENDLESS:
            continue
        key = (source, destination >> 8)
        if outcome == Outcome.ESTABLISHED:
            answered[key].add(destination)
            continue
        fresh = destination not in failed[key]
        failed[key].add(destination)
        counts = len(failed[key]), len(answered[key])
        if fresh and counts[0] >= max(hosts, 10 * told[key]) and counts[0] >= share * sum(counts):
            told[key] = counts[0]
            yield *key, *counts
