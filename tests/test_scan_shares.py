"""Who shares in a scan that is known by its source address alone."""

from __future__ import annotations

import numpy as np
from procwire.alert import Alert
from procwire.detect.detector import HOST_SWEEP, XMAS_PROBES
from procwire.detect.observation import Endpoint
from procwire.event import Origin, Outcome
from procwire.owners.attribution import KERNEL, Owner
from procwire.owners.scan_shares import ScanShares
from procwire.record import CONNECTION, Attempt, Process

ME = (0xFFFF << 32) | 0x0A620001
NOW = 1_790_000_000_000_000_000
FIRST, SECOND, BROWSER = (1, 101, 1), (2, 102, 1), (3, 103, 1)


class Owners:
    """Source ports tell the processes apart."""

    def owner(self, end, peer, protocol, time):
        return Owner({1: FIRST, 2: SECOND, 3: BROWSER}[end.port], KERNEL)


def process(key):
    return Process(key, (0, 0, 0), 0, 0, "", "nmap", ("nmap",), "", None, None, None, KERNEL)


def attempts(*made, kind=Attempt.CONNECT):
    """Attempts and their ends: (source port, how many, how they ended)."""
    rows = []
    for port, count, outcome in made:
        for number in range(count):
            rows += [(port, number, Outcome.PENDING), (port, number, outcome)]
    contacts = np.zeros(len(rows), CONNECTION)
    contacts["time"], contacts["src_lo"], contacts["protocol"] = NOW, ME, 6
    contacts["src_port"] = [port for port, _, _ in rows]
    contacts["dst_lo"] = [ME + 1 + number for _, number, _ in rows]
    contacts["outcome"] = [outcome for *_, outcome in rows]
    contacts["origin"], contacts["kind"] = Origin.WIRE, kind
    return contacts


def alert(check=HOST_SWEEP):
    source = Endpoint(ME.to_bytes(16))
    said = ("F-1", "raised", check, 2, NOW, NOW, NOW, 25, source, None, 6, ())
    return Alert(*said, process=process(FIRST))


def shares(*batches, check=HOST_SWEEP):
    """What the first batch tells, and whom the later ones add."""
    kept = ScanShares(Owners())
    kept.told(alert(check), batches[0])
    found = [owner.process for rows in batches[1:] for _, owner in kept.update(rows)]
    return kept.of(alert(check)), found


def test_a_scanner_that_comes_later_is_named_once_and_has_its_share():
    first = attempts((1, 30, Outcome.REFUSED))
    both = attempts((1, 10, Outcome.REFUSED), (2, 20, Outcome.TIMED_OUT))
    listed, found = shares(first, both, both)
    assert found == [SECOND]
    assert [key for key, _ in listed] == [FIRST, SECOND]
    assert [round(count, -1) for _, count in listed] == [50, 40]


def test_who_is_answered_beside_a_scanner_has_a_share_and_no_blame():
    listed, found = shares(
        attempts((1, 30, Outcome.REFUSED)),
        attempts((3, 200, Outcome.ESTABLISHED), (3, 5, Outcome.REFUSED)),
    )
    assert found == []
    assert dict(listed)[BROWSER] == 205


def test_a_scan_by_one_process_has_no_shares():
    assert shares(attempts((1, 30, Outcome.REFUSED))) == ([], [])


def test_attempts_of_another_kind_or_source_are_no_part_of_it():
    elsewhere = attempts((2, 40, Outcome.REFUSED))
    elsewhere["src_lo"] = ME + 9
    others = attempts((2, 40, Outcome.REFUSED))
    listed, found = shares(
        attempts((1, 30, Outcome.REFUSED), kind=Attempt.XMAS),
        others,
        elsewhere,
        check=XMAS_PROBES,
    )
    assert (listed, found) == ([], [])


def test_an_ended_scan_is_forgotten():
    kept = ScanShares(Owners())
    kept.told(alert(), attempts((1, 30, Outcome.REFUSED)))
    kept.closed(alert())
    assert list(kept.update(attempts((2, 40, Outcome.REFUSED)))) == []
