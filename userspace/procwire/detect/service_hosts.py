"""Which services sources tried on which hosts, as kernels.

Strategy: per source the last hosts and what was tried there, in an open-addressing table where the
least recently active gives way.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from procwire.compiled.aligned_records import whole_lines
from procwire.compiled.jit import fused, kernel
from procwire.compiled.prefetch import AHEAD, lines_of, prefetch
from procwire.detect.row_hashes import home_of
from procwire.event import SAMPLE_TARGETS, Origin, Outcome
from procwire.record import Attempt

COUNTERS = ("evicted",)
"""Sources forgotten because the table was full around them."""

# By port, as RFC 6335 assigns it: NetBIOS carries SMB, and both of WinRM's are one service.
SERVICES = {
    22: "SSH",
    23: "Telnet",
    135: "RPC",
    139: "SMB",
    445: "SMB",
    3389: "RDP",
    5900: "VNC",
    5985: "WinRM",
    5986: "WinRM",
}
NAMES = tuple(dict.fromkeys(SERVICES.values()))
# What asks for a share asks the port mapper, too: RPC is no second service.
_SECOND = sum(1 << place for place, name in enumerate(NAMES) if name != "RPC")

HOSTS = 32
"""Hosts remembered of a source. A wider sweep is seen by what counts failures, too."""

SOURCE = whole_lines(
    [
        ("hi", "u8"),
        ("lo", "u8"),
        ("active", "i8"),
        ("told", "i8"),
        ("used", "u1"),
        ("marks", "u4", (HOSTS,)),
        ("firsts", "i8", (HOSTS,)),
        ("services", "u2", (HOSTS,)),
        ("host_hi", "u8", (HOSTS,)),
        ("host_lo", "u8", (HOSTS,)),
        ("ports", "u2", (HOSTS,)),
    ]
)
"""marks to ports: of the hosts remembered. marks: hashes, 0 where there is none; firsts: when the
first of its services was tried; services: a bit each, as in NAMES; ports: the latest."""
HOST = np.dtype([("hi", "u8"), ("lo", "u8"), ("port", "u2")], align=True)
# What is looked at before it is known which host it is.
_LINES = lines_of(dict(SOURCE.fields or {})["services"][1])
REPORT = np.dtype(
    [
        ("time", "i8"),
        ("hi", "u8"),
        ("lo", "u8"),
        ("first", "i8"),
        ("hosts", "i8"),
        ("threshold", "i8"),
        ("services", "i8"),
        ("samples", "i8"),
        ("protocol", "u1"),
    ],
    align=True,
)
"""first: ns, of the earliest host that counts; samples: how many of its targets are told."""
_PROBES = 8
_GROWTH = 10
_HALF, _TAKEN = np.uint64(32), np.uint32(1)
_TOGETHER, _WINDOW, _GRID = 0, 1, 2
# No host was tried then.
_NEVER = -(2**62)

_CONNECT, _WIRE = int(Attempt.CONNECT), int(Origin.WIRE)
_PENDING = int(Outcome.PENDING)

_Record: TypeAlias = Any
_Whole: TypeAlias = int | np.int64


class State(NamedTuple):
    """sources: SOURCE (n,); services: uint8 (65536,), a bit by port, 0 for those that count for
    nothing; counters: as in COUNTERS; limits: int64, the time for two services
    and that for one in ns, and the hosts with two."""

    sources: NDArray[np.void]
    services: NDArray[np.uint8]
    counters: NDArray[np.int64]
    limits: NDArray[np.int64]


class _Found(NamedTuple):
    """What a source's remembered hosts show. first: ns, of the earliest that counts."""

    hosts: int | np.int64
    services: int | np.int64
    first: int | np.int64


@fused
def _source(state: State, row: _Record, hashed: np.uint64) -> _Whole:
    """Slot of the row's source, of that hash: its own, a free one, or that of the least recently
    active."""
    sources = state.sources
    slot = best = home_of(hashed, len(sources))
    for _probe in range(_PROBES):
        source = sources[slot]
        if source.used and source.hi == row.src_hi and source.lo == row.src_lo:
            if row.time - source.active > state.limits[_WINDOW]:
                source.told = 0
            source.active = row.time
            return slot
        if sources[best].used and (not source.used or source.active < sources[best].active):
            best = slot
        slot += 1
        if slot == len(sources):
            slot = 0
    state.counters[0] += sources[best].used
    source = sources[best]
    source.hi = row.src_hi
    source.lo = row.src_lo
    source.active = row.time
    source.told = 0
    source.used = 1
    for place in range(HOSTS):
        source.marks[place] = 0
        source.firsts[place] = _NEVER
    return best


@fused
def _place_of(source: _Record, row: _Record, mark: np.uint32) -> _Whole:
    """Where the row's host, of that mark, is remembered; -1 where it is not."""
    for place in range(HOSTS):
        if (
            source.marks[place] == mark
            and source.host_lo[place] == row.dst_lo
            and source.host_hi[place] == row.dst_hi
        ):
            return place
    return -1


@fused
def _begun_longest_ago(source: _Record) -> _Whole:
    oldest = 0
    for place in range(1, HOSTS):
        if source.firsts[place] < source.firsts[oldest]:
            oldest = place
    return oldest


@fused
def _try(state: State, source: _Record, row: _Record, host: np.uint64, service: np.uint8) -> _Whole:
    """Note the service at the row's host, of that hash, in the place of the host that was begun
    longest ago where it has none; what was tried there."""
    mark = np.uint32(host >> _HALF) | _TAKEN
    place = _place_of(source, row, mark)
    is_over = place >= 0 and not 0 <= row.time - source.firsts[place] <= state.limits[_WINDOW]
    if place < 0:
        place = _begun_longest_ago(source)
        source.marks[place] = mark
        source.host_hi[place] = row.dst_hi
        source.host_lo[place] = row.dst_lo
        is_over = True
    if is_over:
        source.firsts[place] = row.time
        source.services[place] = 0
    source.services[place] |= service
    source.ports[place] = row.dst_port
    return np.int64(source.services[place])


@fused
def _with_service(state: State, source: _Record, time: int, service: np.uint8) -> _Found:
    """The hosts of the window on which a service was tried."""
    count, first = 0, time
    services = np.int64(0)
    for place in range(HOSTS):
        tried, begun = np.int64(source.services[place]), source.firsts[place]
        if tried & service and 0 <= time - begun <= state.limits[_WINDOW]:
            count += 1
            services |= tried
            first = min(first, begun)
    return _Found(count, services, first)


@fused
def _is_several(services: _Whole) -> bool:
    return bool(services & (services - 1))


@fused
def _with_two(state: State, source: _Record, time: int) -> _Found:
    """The hosts on each of which two services or more were tried together."""
    count, first = 0, time
    services = np.int64(0)
    for place in range(HOSTS):
        tried, begun = np.int64(source.services[place]) & _SECOND, source.firsts[place]
        if _is_several(tried) and 0 <= time - begun <= state.limits[_TOGETHER]:
            count += 1
            services |= tried
            first = min(first, begun)
    return _Found(count, services, first)


@fused
def _report(source: _Record, found: _Found, report: _Record, samples: NDArray[np.void]) -> None:
    source.told = found.hosts
    report.time = source.active
    report.hi, report.lo = source.hi, source.lo
    report.first = found.first
    report.hosts = found.hosts
    report.services = found.services
    report.samples = 0
    for place in range(HOSTS):
        if source.firsts[place] >= found.first and report.samples < SAMPLE_TARGETS:
            sample = samples[report.samples]
            sample.hi, sample.lo = source.host_hi[place], source.host_lo[place]
            sample.port = source.ports[place]
            report.samples += 1


@kernel
def follow(
    state: State,
    connections: NDArray[np.void],
    hashes: NDArray[np.void],
    service_hosts: NDArray[np.int64],
    reports: NDArray[np.void],
    samples: NDArray[np.void],
) -> int:
    """Enter the attempts among record.CONNECTION rows; the number of reports written."""
    written, count = 0, len(connections)
    for i in range(count):
        if i + AHEAD < count and state.services[connections[i + AHEAD].dst_port]:
            ahead = home_of(hashes[i + AHEAD].source, len(state.sources))
            prefetch(state.sources, ahead, 0, _LINES)
        row = connections[i]
        service = state.services[row.dst_port]
        if service == 0 or row.kind != _CONNECT:
            continue
        if row.origin == _WIRE and row.outcome != _PENDING:
            continue
        source = state.sources[_source(state, row, hashes[i].source)]
        tried = _try(state, source, row, hashes[i].host, service) & _SECOND
        threshold, found = state.limits[_GRID], _Found(0, 0, row.time)
        if _is_several(tried):
            # Only now their number may have grown.
            found = _with_two(state, source, row.time)
        if found.hosts < threshold and service_hosts[i] > 0:
            threshold = service_hosts[i]
            found = _with_service(state, source, row.time, service)
        if found.hosts < max(threshold, source.told * _GROWTH):
            continue
        report = reports[written]
        _report(source, found, report, samples[written])
        report.threshold = threshold
        report.protocol = row.protocol
        written += 1
    return written
