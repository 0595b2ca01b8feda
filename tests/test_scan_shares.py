"""Who shares in a scan that is known by its source address alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from procwire.alert import Alert
from procwire.detect.detector import FIN_PROBES, HOST_SWEEP, XMAS_PROBES
from procwire.detect.flag_probes import DETECTORS_BY_KIND
from procwire.event import Origin, Outcome
from procwire.owners.attribution import KERNEL, Owner
from procwire.owners.scan_shares import ScanShares
from procwire.record import CONNECTION, Attempt, Endpoint, Process

ME = (0xFFFF << 32) | 0x0A620001
NOW = 1_790_000_000_000_000_000
FIRST, SECOND, BROWSER = (1, 101, 1), (2, 102, 1), (3, 103, 1)


BY_PORT = {1: FIRST, 2: SECOND, 3: BROWSER}


class Owners:
    """Source ports tell the processes apart; nobody is known to have a fourth. asked: how many
    flows were asked about each time."""

    def __init__(self):
        self.asked = []

    def owners(self, keys, times):
        self.asked.append(len(keys))
        ports = (keys[:, 4] >> np.uint64(32)).tolist()
        return [Owner(BY_PORT[port], KERNEL) if port in BY_PORT else None for port in ports]


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


def alert(check=HOST_SWEEP, episode="F-1", source=ME, protocol=6):
    source = Endpoint(source.to_bytes(16))
    said = (episode, "raised", check, 2, NOW, NOW, NOW, 25, source, None, protocol, ())
    return Alert(*said, process=process(FIRST))


def shares(*batches, check=HOST_SWEEP):
    """What the first batch tells, and whom the later ones add."""
    kept = ScanShares(Owners())
    kept.told([alert(check)], batches[0])
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
    kept.told([alert()], attempts((1, 30, Outcome.REFUSED)))
    kept.closed(alert())
    assert list(kept.update(attempts((2, 40, Outcome.REFUSED)))) == []


def test_all_open_scans_are_asked_about_at_once_and_none_that_a_batch_has_no_rows_of():
    owners = Owners()
    kept = ScanShares(owners)
    kept.told([alert(episode=f"F-{n}", source=ME + n) for n in range(1000)], attempts())
    assert owners.asked == []
    rows = attempts((1, 200, Outcome.REFUSED))
    rows["src_lo"] += np.arange(len(rows), dtype=np.uint64) // 100
    assert list(kept.update(rows)) == []
    # Of four scans, 32 of 50 attempts at the most and as many failures.
    assert owners.asked == [4 * 2 * 25]


SCANS = st.tuples(
    st.sampled_from((HOST_SWEEP, XMAS_PROBES, FIN_PROBES)),
    st.sampled_from((0, 1, 1 << 64, (1 << 64) + 1)),
    st.sampled_from((6, 17)),
)
ROWS = st.tuples(
    st.sampled_from((0, 1, 2, 1 << 64, (1 << 64) + 1)),
    st.sampled_from((1, 6, 17)),
    st.sampled_from((Attempt.CONNECT, Attempt.DATAGRAM, Attempt.XMAS, Attempt.FIN, Attempt.ACK)),
    st.sampled_from(Outcome),
    st.integers(1, 4),
)


def contacts_of(rows):
    contacts = np.zeros(len(rows), CONNECTION)
    for row, (source, protocol, kind, outcome, port) in zip(contacts, rows, strict=True):
        row["src_hi"], row["src_lo"] = ME + source >> 64, ME + source & (1 << 64) - 1
        row["protocol"], row["kind"], row["outcome"] = protocol, kind, outcome
        row["src_port"] = port
    return contacts


def naive_counts(scan, rows):
    """Attempts and failures by process of one scan: row by row, without samples."""
    check, source, protocol = scan
    kinds = {one.id: kind for kind, one in DETECTORS_BY_KIND.items()}
    made, failed = {}, {}
    for its_source, its_protocol, kind, outcome, port in rows:
        lone = kind if kind in DETECTORS_BY_KIND else None
        same = (its_source, its_protocol, lone) == (source, protocol, kinds.get(check.id))
        if not same or port not in BY_PORT:
            continue
        if outcome is Outcome.PENDING:
            made[BY_PORT[port]] = made.get(BY_PORT[port], 0) + 1
        elif outcome in (Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.UNREACHABLE):
            failed[BY_PORT[port]] = failed.get(BY_PORT[port], 0) + 1
    return made, failed


@given(st.lists(SCANS, min_size=1, max_size=6), st.lists(st.lists(ROWS, max_size=30), max_size=4))
def test_rows_go_to_their_scans_as_they_do_one_by_one(scans, batches):
    kept = ScanShares(Owners())
    told = [
        alert(check, f"F-{number}", ME + source, protocol)
        for number, (check, source, protocol) in enumerate(scans)
    ]
    kept.told(told, contacts_of([]))
    found = [
        (one.episode, owner.process)
        for rows in batches
        for one, owner in kept.update(contacts_of(rows))
    ]
    rows = [row for batch in batches for row in batch]
    counts = [naive_counts(scan, rows) for scan in scans]
    for one, (made, _) in zip(told, counts, strict=True):
        assert dict(kept.of(one)) == (made if len(made) > 1 else {})
    assert sorted(found) == sorted(
        (one.episode, key)
        for one, (_, failed) in zip(told, counts, strict=True)
        for key, number in failed.items()
        if number >= 16 and key != FIRST
    )
