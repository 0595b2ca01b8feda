"""Findings of a batch in groups: kernels, as in a flood each finding has a key of its own.

Strategy: what is only counted is passed over; keys are numbered as they first come, by a table of
open addressing; groups are made of rows by these numbers, and list their rows by a counting sort.
Where a key lies in the table depends on a secret of the process.
"""

from __future__ import annotations

import secrets
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire import layers
from procwire.compiled.jit import fused, kernel
from procwire.decode.columns import Packets
from procwire.decode.mix import mix64
from procwire.detect.finding_groups import (
    ADDRESS,
    BY_PAIR,
    BY_PROBER,
    BY_TARGET,
    Found,
    Group,
    Groups,
    Hits,
)

# As Found; addresses are halves in network order.
_HALVES = [(name, "u8") for name in ("src_hi", "src_lo", "dst_hi", "dst_lo")]
_FIELDS = [("time", "i8"), ("packet", "i8"), ("start", "u4"), ("rule", "u2"), ("size", "u2")]
_FIELDS += [("src_port", "u2"), ("dst_port", "u2"), ("in_context", "u1"), ("network", "u1")]
_FIELDS += [("transport", "u1"), ("protocol", "u1")]
# What findings are grouped by. reached: as in Hits; other_hi, other_lo, other_port: the other end
# of those that fold by one; key: its number.
_GROUPED = [("reached", "i8"), ("other_hi", "u8"), ("other_lo", "u8"), ("key", "i4")]
_GROUPED += [("other_port", "u2"), ("fold", "u2")]
_ROW = np.dtype(_HALVES + _FIELDS + _GROUPED, align=True)
# Every byte of it counts.
_KEY = np.dtype(
    [("hi", "u8"), ("lo", "u8"), ("other_hi", "u8"), ("other_lo", "u8")]
    + [("rule", "u4"), ("in_context", "u2"), ("fold", "u2")],
    align=True,
)
_GROUP = np.dtype([(name, "i8") for name in Group._fields], align=True)
_OF_MEMBER = [("port", "u2"), ("transport", "u2"), ("row", "u4")]
_MEMBER = np.dtype([("hi", "u8"), ("lo", "u8"), *_OF_MEMBER], align=True)
# The same as Python gets them, with addresses as bytes.
_ADDRESSES = [("source", f"V{ADDRESS}"), ("destination", f"V{ADDRESS}")]
_FOUND = np.dtype([*_ADDRESSES, *_FIELDS, ("", f"V{np.dtype(_GROUPED).itemsize}")])
_KEY_BYTES = np.dtype(f"V{_KEY.itemsize}")
_SHOWN_MEMBER = np.dtype([("address", f"V{ADDRESS}"), *_OF_MEMBER])

_SECRET = np.uint64(secrets.randbits(64))
# Neighbouring bytes, then neighbouring pairs of them, then both halves.
_SWAPS = tuple(
    (np.uint64(mask), np.uint64(shift))
    for mask, shift in ((0x00FF00FF00FF00FF, 8), (0x0000FFFF0000FFFF, 16), (0xFFFFFFFF, 32))
)
_SYN, _RST = 0x02, 0x04
# Their types: echo replies, which repeat whatever the request has.
_ECHO_REPLY_4, _ECHO_REPLY_6 = 0, 129


class Kept:
    """The findings of a batch that are not only counted, in their order. keys: by number, what
    findings share with their group: rule, context and the addresses by which they fold; reached:
    int64 (n,), as in Hits."""

    def __init__(self, rows: NDArray[np.void], keys: NDArray[np.void]) -> None:
        self._rows, self._found = rows, rows.view(_FOUND)
        self.keys: list[bytes] = keys.view(_KEY_BYTES).tolist()
        self.reached: NDArray[np.int64] = rows["reached"]

    def __len__(self) -> int:
        return len(self._rows)

    def found(self, row: int) -> Found:
        """A finding in Python's types."""
        return Found._make(self._found[row].item()[: len(Found._fields)])

    def groups(self, rows: NDArray[np.int64], pause: int) -> Groups:
        """The groups of those rows, which ascend, in order of their first findings, ended by a
        pause of so many ns."""
        return self._grouped(rows, pause, len(self.keys), False)

    def crowds(self, rows: NDArray[np.int64], pause: int) -> Groups:
        """The same where findings of a rule in the same context belong together, whatever else
        they have; number of a key: twice the rule, and 1 where its context holds."""
        most = 2 * int(self._rows["rule"].max()) + 2
        return self._grouped(rows, pause, most, True)

    def _grouped(self, rows: NDArray[np.int64], pause: int, keys: int, in_crowds: bool) -> Groups:
        groups, members = np.empty(len(rows), _GROUP), np.empty(len(rows), _MEMBER)
        of_rows, latest = np.empty(len(rows), np.int64), np.zeros(keys, np.int64)
        count = _group(self._rows, rows, pause, in_crowds, latest, of_rows, groups, members)
        columns = groups[:count].view(np.int64).reshape(count, len(Group._fields))
        return Groups(columns, members.view(_SHOWN_MEMBER), of_rows)


def gather(
    hits: Hits,
    counted: NDArray[np.bool_],
    fold: NDArray[np.uint8],
    tally: NDArray[np.int64],
) -> Kept | None:
    """The findings except of rules that are only counted; None where there are no others.

    counted: by rule, whether it is one of them; fold: uint8, by rule, by what its findings fold;
    tally: int64, by rule, raised by its findings.
    """
    count = len(hits.findings)
    rows, keys = np.empty(count, _ROW), np.empty(count, _KEY)
    table = np.zeros(1 << (2 * count).bit_length(), np.int32)
    rules = _Rules(counted, fold, tally)
    used, known = _number(hits, rules, _SECRET, table, rows, keys)
    return Kept(rows[:used], keys[:known]) if used else None


class _Rules(NamedTuple):
    """By rule, as of gather()."""

    counted: NDArray[np.bool_]
    fold: NDArray[np.uint8]
    tally: NDArray[np.int64]


@kernel
def _number(
    hits: Hits,
    rules: _Rules,
    secret: np.uint64,
    table: NDArray[np.int32],
    rows: NDArray[np.void],
    keys: NDArray[np.void],
) -> tuple[int, int]:
    """Fill `rows` and `keys`, and tell how many are used. table: zeros, a power of two of them."""
    used = known = 0
    packets = hits.packets
    for place in range(len(hits.findings)):
        finding = hits.findings[place]
        # Plain Python's records have a size of their own.
        rule, row, size = finding.rule, finding.row, finding["size"]
        rules.tally[rule] += 1
        if rules.counted[rule]:
            continue
        made = rows[used]
        made.rule, made.in_context = rule, finding.in_context
        made.packet, made.start, made.size = finding.packet, finding.start, size
        made.time, made.reached = hits.times[row], hits.reached[row]
        made.src_hi = in_network_order(packets.src_hi[row])
        made.src_lo = in_network_order(packets.src_lo[row])
        made.dst_hi = in_network_order(packets.dst_hi[row])
        made.dst_lo = in_network_order(packets.dst_lo[row])
        made.network, made.transport = packets.network[row], packets.transport[row]
        made.protocol = packets.protocol[row]
        made.src_port, made.dst_port = packets.src_port[row], packets.dst_port[row]
        fold = BY_PROBER if is_bare(packets, row, size) else rules.fold[rule]
        key = keys[known]
        made.fold = fold
        key.rule, key.in_context, key.fold = rule, finding.in_context, fold
        _set_ends(key, made, fold == BY_TARGET or is_answer(packets, row))
        number = _number_of(keys, known, secret, table)
        known += number == known
        made.key = number
        used += 1
    return used, known


@fused
def in_network_order(half: np.uint64) -> np.uint64:
    """Half of an address, in memory from its first byte to its last."""
    if sys.byteorder == "big":
        return half
    for mask, shift in _SWAPS:
        half = (half & mask) << shift | half >> shift & mask
    return half


@fused
def _set_ends(key: Any, made: Any, is_second: bool) -> None:
    """Set by what a finding folds, the destination if it is the second, and what else it has."""
    if key.fold == BY_PAIR:
        key.hi, key.lo = made.src_hi, made.src_lo
        key.other_hi, key.other_lo = made.dst_hi, made.dst_lo
        return
    key.other_hi = key.other_lo = 0
    if is_second:
        key.hi, key.lo = made.dst_hi, made.dst_lo
        made.other_hi, made.other_lo, made.other_port = made.src_hi, made.src_lo, made.src_port
    else:
        key.hi, key.lo = made.src_hi, made.src_lo
        made.other_hi, made.other_lo, made.other_port = made.dst_hi, made.dst_lo, made.dst_port


@fused
def _number_of(
    keys: NDArray[np.void], known: int, secret: np.uint64, table: NDArray[np.int32]
) -> int:
    """The number of the key behind the `known` first, which is theirs where one is the same."""
    key = keys[known]
    hashed = mix64(secret ^ np.uint64(key.rule << 16 | key.in_context << 8 | key.fold))
    hashed = mix64(mix64(hashed ^ key.hi) ^ key.lo)
    hashed = mix64(mix64(hashed ^ key.other_hi) ^ key.other_lo)
    mask = len(table) - 1
    slot = np.int64(hashed) & mask
    # Half of the table stays free. Free is 0, and a number stands there one higher.
    while table[slot] and not _is_same(keys[table[slot] - 1], key):
        slot = (slot + 1) & mask
    if not table[slot]:
        table[slot] = known + 1
    return int(table[slot]) - 1


@fused
def _is_same(one: Any, other: Any) -> bool:
    return bool(
        one.lo == other.lo
        and one.other_lo == other.other_lo
        and one.rule == other.rule
        and one.hi == other.hi
        and one.other_hi == other.other_hi
        and one.in_context == other.in_context
        and one.fold == other.fold
    )


@fused
def is_bare(packets: Packets, row: int, size: int) -> bool:
    """Whether a finding is of a header that its packet announces and does not have: nothing but the
    number of a protocol, for a host to say whether it knows that. size: bytes of evidence."""
    if size or packets.payload[row] or packets.transport[row]:
        return False
    network = int(packets.network[row])
    return network == layers.IPV4 or network == layers.IPV6


@fused
def is_answer(packets: Packets, row: int) -> bool:
    """Whether a packet, where it is of a probe, is what a host owes to who probes."""
    transport, kind = int(packets.transport[row]), int(packets.src_port[row])
    if transport == layers.TCP:
        return int(packets.tcp_flags[row]) & (_SYN | _RST) == _RST
    if transport == layers.ICMP4:
        return kind == _ECHO_REPLY_4
    return transport == layers.ICMP6 and kind == _ECHO_REPLY_6


@kernel
def _group(
    rows: NDArray[np.void],
    places: NDArray[np.int64],
    pause: int,
    in_crowds: bool,
    latest: NDArray[np.int64],
    of_places: NDArray[np.int64],
    groups: NDArray[np.void],
    members: NDArray[np.void],
) -> int:
    """Fill the groups of rows[places], the group of each place, and the members of one group after
    the other; tell how many groups there are. latest: zeros, by key."""
    count = 0
    for at in range(len(places)):
        row = rows[places[at]]
        number = 2 * row.rule + row.in_context if in_crowds else row.key
        group = latest[number] - 1
        if group < 0 or row.reached - groups[group].seen >= pause:
            group, count = count, count + 1
            latest[number] = count
            made = groups[group]
            made.key, made.rule, made.fold, made.row = number, row.rule, row.fold, places[at]
            made.time, made.last, made.end = row.reached, row.time, 0
        made = groups[group]
        made.seen, made.last = row.reached, max(made.last, row.time)
        made.end += 1
        of_places[at] = group
    before = 0
    for group in range(count):
        made = groups[group]
        made.start, before = before, before + made.end
        made.end = made.start
    for at in range(len(places)):
        made, row = groups[of_places[at]], rows[places[at]]
        member = members[made.end]
        member.row, member.transport = places[at], row.transport
        member.hi, member.lo, member.port = row.other_hi, row.other_lo, row.other_port
        made.end += 1
    return count
