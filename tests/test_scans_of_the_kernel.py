"""Which figures of the kernel's windows are scans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from procwire.detect.fanout_detectors import FanoutDetectors, least_unanswered
from procwire.detect.unanswered import is_untold, unanswered
from procwire.event import FANOUT_EVENT, Origin
from procwire.record import Attempt
from procwire.settings import Settings
from test_fanout import SECOND, START


def seen_in(kind, origin, **figures):
    """What a row of the kernel raises: 60 attempts of one process at as many hosts."""
    row = np.zeros(1, FANOUT_EVENT)
    row["time_ns"], row["window_ns"], row["attempt"], row["origin"] = START, SECOND, kind, origin
    row["process"]["pid"] = 7
    for name in ("attempts", "hosts", "host_ports"):
        row[name] = 60
    for name, value in figures.items():
        row[name] = value
    return FanoutDetectors().update(row)


def of_the_kernel(kind, origin, **figures):
    """The ids of it."""
    return [seen.detector.id for seen in seen_in(kind, origin, **figures)]


@pytest.mark.parametrize(
    ("kind", "origin", "figures", "ids"),
    [
        (Attempt.CONNECT, Origin.RAW, {}, ["scan.host_sweep"]),
        (Attempt.CONNECT, Origin.RAW, {"hosts": 1}, ["scan.port_vertical"]),
        (Attempt.NULL, Origin.RAW, {"hosts": 1}, ["scan.null"]),
        (Attempt.DATAGRAM, Origin.RAW, {"hosts": 1}, ["scan.port_vertical"]),
        (Attempt.DATAGRAM, Origin.SENDMSG, {}, []),
        (Attempt.ECHO, Origin.RAW, {"sequential_run": 60}, ["scan.icmp_sweep"]),
        # A monitor's targets lie anywhere, and nobody tells whether they answered.
        (Attempt.ECHO, Origin.RAW, {}, []),
        (Attempt.ECHO, Origin.RAW, {"hosts": 1, "host_ports": 1}, []),
        (Attempt.NEIGHBOUR, Origin.RAW, {"sequential_run": 60}, ["scan.arp_nd_sweep"]),
        (Attempt.NEIGHBOUR, Origin.RAW, {}, []),
    ],
)
def test_what_leaves_through_a_raw_socket_is_judged_without_answers(kind, origin, figures, ids):
    assert of_the_kernel(kind, origin, **figures) == ids


@pytest.mark.parametrize(
    ("figures", "ids"),
    [
        # Sixty hosts by IPv6 without a route, then by IPv4 (RFC 8305): all answer, or none.
        ({"attempts": 120, "hosts": 120, "unrouted": 60, "established": 60}, []),
        ({"attempts": 120, "hosts": 120, "unrouted": 60, "failures": 60}, ["scan.host_sweep"]),
        ({"attempts": 40, "unrouted": 20, "hosts": 40, "failures": 20}, []),
        # No route at all, and more that ended in this window than began in it.
        ({"unrouted": 60, "sequential_run": 60}, []),
        ({"unrouted": 80}, []),
        # Without a route for one, the others are none the less a scan.
        ({"unrouted": 1, "failures": 59}, ["scan.host_sweep"]),
    ],
)
def test_what_finds_no_route_is_no_attempt(figures, ids):
    assert of_the_kernel(Attempt.CONNECT, Origin.CONNECT, **figures) == ids


FEW = {"attempts": 20, "hosts": 20, "host_ports": 20, "failures": 20}
AGAIN = {"attempts": 100, "hosts": 1, "host_ports": 4, "failures": 100}


@pytest.mark.parametrize(
    ("figures", "ids"),
    [
        ({"attempts": 25, "hosts": 25, "failures": 25}, ["scan.host_sweep"]),
        ({"attempts": 24, "hosts": 24, "failures": 24}, []),
        ({"hosts": 3, "host_ports": 50, "failures": 50, "attempts": 50}, ["scan.port_vertical"]),
        ({"hosts": 3, "host_ports": 49, "failures": 49, "attempts": 49}, []),
        ({"established": 30, "failures": 30}, ["scan.host_sweep"]),
        ({"established": 31, "failures": 29}, []),
        (FEW | {"sequential_run": 20}, ["scan.sequential"]),
        (FEW | {"sequential_run": 19}, []),
        # A run that began before the window.
        (FEW | {"sequential_run": 40}, ["scan.sequential"]),
        (FEW | {"sequential_run": 41}, []),
        (AGAIN, ["scan.repeated_attempts"]),
        (AGAIN | {"host_ports": 5}, []),
        (AGAIN | {"failures": 99}, []),
        (AGAIN | {"attempts": 99}, []),
        (AGAIN | {"attempts": 200, "established": 100}, ["scan.repeated_attempts"]),
        (AGAIN | {"attempts": 201, "established": 101}, []),
    ],
)
def test_a_figure_that_reaches_its_threshold_is_enough(figures, ids):
    assert of_the_kernel(Attempt.CONNECT, Origin.CONNECT, **figures) == ids


ASKED = {"attempts": 25, "hosts": 1, "host_ports": 25, "failures": 20, "established": 5}


@pytest.mark.parametrize(
    ("figures", "ids"),
    [
        (ASKED | {"refused": 10}, ["scan.udp_icmp_unreach"]),
        (ASKED | {"refused": 9}, []),
        (ASKED | {"refused": 10, "host_ports": 24}, []),
        (ASKED | {"refused": 10, "failures": 19, "established": 6}, []),
    ],
)
def test_so_many_refused_datagrams_are_a_scan(figures, ids):
    assert of_the_kernel(Attempt.DATAGRAM, Origin.WIRE, **figures) == ids


@pytest.mark.parametrize(("failures", "graver"), [(18, 1), (17, 0)])
def test_nine_in_ten_in_vain_make_a_run_in_order_graver(failures, graver):
    figures = FEW | {"failures": failures, "established": 20 - failures, "sequential_run": 20}
    (seen,) = seen_in(Attempt.CONNECT, Origin.CONNECT, **figures)
    assert seen.severity == seen.detector.severity - graver


def test_rows_of_the_kernel_are_judged_in_order_of_time():
    rows = np.zeros(2, FANOUT_EVENT)
    rows["time_ns"], rows["window_ns"] = (START, START + 1), SECOND
    rows["attempt"] = Attempt.NULL, Attempt.CONNECT
    rows["origin"], rows["attempts"], rows["hosts"], rows["host_ports"] = Origin.RAW, 60, 1, 60
    assert [seen.kind for seen in FanoutDetectors().update(rows)] == [Attempt.NULL, Attempt.CONNECT]


FIGURES = st.fixed_dictionaries(
    {
        "attempt": st.sampled_from(list(Attempt)),
        "origin": st.sampled_from([Origin.WIRE, Origin.IMPORT, Origin.RAW, Origin.CONNECT]),
        "unrouted": st.sampled_from([0, 0, 30]),
        **dict.fromkeys(
            ("attempts", "established", "failures", "refused", "hosts", "host_ports"),
            st.sampled_from([0, 1, 30, 60, 200]),
        ),
        "sequential_run": st.sampled_from([0, 20, 200]),
    }
)


@settings(max_examples=300, deadline=None)
@given(FIGURES)
def test_of_what_was_answered_too_often_no_detector_says_that_it_is_a_scan(figures):
    kind, origin, attempts = figures["attempt"], figures["origin"], figures["attempts"]
    ended = figures["established"], figures["failures"]
    counted = max(attempts - figures["unrouted"], 0), *ended
    assume(unanswered(*counted, kind, origin) < least_unanswered(Settings()))
    assume(not is_untold(*counted, origin))
    others = {name: figures[name] for name in figures if name not in ("attempt", "origin")}
    assert of_the_kernel(kind, origin, **others) == []
