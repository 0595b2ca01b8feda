"""Findings of a batch in groups: kernels against dictionaries, for every kind of fold."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from procwire import layers
from procwire.detect.finding_groups import BY_PAIR, BY_PROBER, BY_TARGET, Hits
from procwire.detect.folding import gather
from procwire.record import FINDING
from test_contacts import columns

PAUSE = 5
FOLDS = np.array([BY_PAIR, BY_PROBER, BY_TARGET, BY_PAIR], np.uint8)
COUNTED = np.array([False, False, False, True])
RST, SYN_RST, RST_ACK, ACK = 0x04, 0x06, 0x14, 0x10
# Halves of which each byte tells where it is.
HALVES = st.sampled_from([0, 0x0102030405060708, 0xF1F2F3F4F5F6F7F8])
ADDRESSES = st.builds(lambda hi, lo: hi << 64 | lo, HALVES, HALVES)
TRANSPORTS = st.sampled_from([0, layers.TCP, layers.ICMP4, layers.ICMP6, layers.IGMP])


@st.composite
def findings(draw):
    """A dictionary of what a finding and its packet have."""
    return {
        "gap": draw(st.sampled_from([0, 1, PAUSE - 1, PAUSE])),
        "back": draw(st.sampled_from([0, 2])),
        "rule": draw(st.integers(0, 3)),
        "in_context": draw(st.integers(0, 1)),
        "size": draw(st.sampled_from([0, 4])),
        "src": draw(ADDRESSES),
        "dst": draw(ADDRESSES),
        "src_port": draw(st.sampled_from([0, 8, 129])),
        "dst_port": draw(st.sampled_from([0, 80])),
        "network": draw(st.sampled_from([0, layers.IPV4, layers.IPV6])),
        "transport": draw(TRANSPORTS),
        "tcp_flags": draw(st.sampled_from([RST, SYN_RST, RST_ACK, ACK])),
        "payload": draw(st.sampled_from([0, 3])),
    }


def hits(made):
    """Hits of such findings, each in a packet of its own; sets what times they come to."""
    ends = [(0, one["src"], one["src_port"], one["dst"], one["dst_port"], 0, 0) for one in made]
    packets, times = columns(ends)
    for name in ("network", "transport", "tcp_flags", "payload"):
        getattr(packets, name)[:] = [one[name] for one in made]
    reached = np.cumsum([one["gap"] for one in made], dtype=np.int64)
    times = reached - [one["back"] for one in made]
    rows = np.zeros(len(made), FINDING)
    rows["row"] = np.arange(len(made))
    rows["packet"] = rows["row"] + 100
    rows["start"] = 14
    for name in ("rule", "in_context", "size"):
        rows[name] = [one[name] for one in made]
    return Hits(rows, packets, times, reached, np.zeros(len(FOLDS), np.int64))


def fold(one):
    """By what a finding folds, and whether that is its packet's destination."""
    of_ip = one["network"] in (layers.IPV4, layers.IPV6)
    is_bare = not (one["size"] or one["payload"] or one["transport"]) and of_ip
    by = BY_PROBER if is_bare else int(FOLDS[one["rule"]])
    transport, kind = one["transport"], one["src_port"]
    is_answer = (
        (transport == layers.TCP and one["tcp_flags"] in (RST, RST_ACK))
        or (transport == layers.ICMP4 and kind == 0)
        or (transport == layers.ICMP6 and kind == 129)
    )
    return by, by == BY_TARGET or is_answer


def key(one):
    """What a finding shares with its group."""
    by, is_second = fold(one)
    ends = (one["src"], one["dst"])
    shared = ends if by == BY_PAIR else (ends[is_second],)
    return one["rule"], one["in_context"], by, *shared


def grouped(made, reached, times, key_of, rows):
    """(rule, rows, time, seen, last) of each group, by dictionaries."""
    found, latest = [], {}
    for row in rows:
        group = latest.get(key_of(made[row]))
        if group is None or reached[row] - reached[group[-1]] >= PAUSE:
            group = latest[key_of(made[row])] = []
            found.append(group)
        group.append(row)
    return [
        (made[one[0]]["rule"], one, reached[one[0]], reached[one[-1]], max(times[i] for i in one))
        for one in found
    ]


def listed(groups, grouped_rows):
    """The same of what kernels say."""
    rows = groups.members["row"].tolist()
    for row, group in zip(grouped_rows, groups.of_rows.tolist(), strict=True):
        *_, start, end = groups.columns[group].tolist()
        assert row in rows[start:end]
    return [
        (rule, rows[start:end], time, seen, last)
        for _, rule, _, _, time, seen, last, start, end in groups.columns.tolist()
    ]


@given(st.lists(findings(), min_size=1, max_size=40), st.data())
def test_findings_fold_as_dictionaries_do(drawn, data):
    made = [one for one in drawn if not COUNTED[one["rule"]]]
    all_hits, tally = hits(drawn), np.zeros(len(FOLDS), np.int64)
    kept = gather(all_hits, COUNTED, FOLDS, tally)
    assert tally.tolist() == [sum(one["rule"] == rule for one in drawn) for rule in range(4)]
    if kept is None:
        assert not made
        return
    at = [row for row, one in enumerate(drawn) if not COUNTED[one["rule"]]]
    reached, times = all_hits.reached[at].tolist(), all_hits.times[at].tolist()
    assert kept.reached.tolist() == reached
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(made) - 1), min_size=1))))

    groups = kept.groups(rows, PAUSE)
    assert listed(groups, rows) == grouped(made, reached, times, key, rows.tolist())
    assert len(set(kept.keys)) == len(kept.keys) == len({key(one) for one in made})
    for number, _, by, first, *_, start, end in groups.columns.tolist():
        one = made[first]
        wanted, is_second = fold(one)
        ends = [one[name].to_bytes(16) for name in ("src", "dst")]
        assert by == wanted
        assert first == groups.members["row"][start]
        assert kept.keys[number].startswith(ends[is_second and by != BY_PAIR])
        if by != BY_PAIR:
            for address, port, transport, row in groups.members[start:end].tolist():
                other = "src" if fold(made[row])[1] else "dst"
                assert address == made[row][other].to_bytes(16)
                assert port == made[row][f"{other}_port"]
                assert transport == made[row]["transport"]

    crowds = kept.crowds(rows, PAUSE)

    def crowd(one):
        return one["rule"], one["in_context"]

    assert listed(crowds, rows) == grouped(made, reached, times, crowd, rows.tolist())
    for number, rule, _, first, *_ in crowds.columns.tolist():
        assert divmod(number, 2) == (rule, made[first]["in_context"])


@given(st.lists(findings(), min_size=1, max_size=5))
def test_a_finding_in_pythons_types_is_that_of_the_columns(drawn):
    made = hits(drawn)
    kept = gather(made, np.zeros(len(FOLDS), bool), FOLDS, np.zeros(len(FOLDS), np.int64))
    for row, one in enumerate(drawn):
        found = kept.found(row)._asdict()
        assert found.pop("source") == one["src"].to_bytes(16)
        assert found.pop("destination") == one["dst"].to_bytes(16)
        assert (found.pop("packet"), found.pop("start")) == (100 + row, 14)
        assert (found.pop("time"), found.pop("protocol")) == (made.times[row], 0)
        assert found == {name: one[name] for name in found}
