"""Cases of a rule in Suricata's own keywords: tests of bytes in the header that it shows.

What the keywords cannot say is left out, so they match wherever the case holds.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from procwire.compiler.cases import cases
from procwire.compiler.fields import Case, Field, Values, length_of, union
from procwire.compiler.heads import Head, head
from procwire.compiler.quiet import pattern
from procwire.compiler.vocabulary import LARGEST_PACKET
from procwire.rule import Rule

MOST_HOLES = 8  # values that a range of keywords may leave out one by one


class Header(NamedTuple):
    """A layer whose header Suricata shows.

    protocol: of its rules; buffer: the header's; size: bytes that every intact header has; known:
    what else holds of it; outer, outer_size: the header around it; often: what most look like;
    common: a field -> what it is in most.
    """

    protocol: str
    buffer: str
    size: int
    known: dict[Field, Values] = {}
    outer: str = ""
    outer_size: int = 20
    often: tuple[tuple[bytes, ...], ...] = ()
    common: dict[Field, tuple[int, ...]] = {}


def _bits(offset: int, shift: int, *values: tuple[int, int]) -> dict[Field, Values]:
    return {Field("p", offset, 1, shift, 4): values}


# Segments with a time stamp or selective acknowledgements, and SYNs, with and without ACK, as
# common systems send them, with every scale of their windows.
_SEGMENT = "0400 0050 0000 0001 0000 0001"
_STAMP = "080a 0000 0001 0000 0001"
_BLOCK = "0000 0001 0000 0002"
_SCALES = range(15)
_SYN_OPTIONS = (
    f"0204 05b4 0402 {_STAMP} 0103 03{{scale:02x}}",
    f"0204 05b4 0103 03{{scale:02x}} 0101 {_STAMP} 0402 0000",
    f"0204 05b4 0103 03{{scale:02x}} 0402 {_STAMP}",
    f"0204 05b4 0101 {_STAMP} 0103 03{{scale:02x}}",
    "0204 05b4 0103 03{scale:02x} 0101 0402",
    "0204 05b4 0101 0402 0103 03{scale:02x}",
    "0204 05b4 0103 03{scale:02x}",
    "0204 05b4 0101 0402",
    "0204 05b4",
)
_ACK_OPTIONS = (
    f"0101 {_STAMP}",
    *(f"0101 {_STAMP} 0101 05{2 + 8 * blocks:02x} {_BLOCK * blocks}" for blocks in (1, 2, 3)),
    *(f"0101 05{2 + 8 * blocks:02x} {_BLOCK * blocks}" for blocks in (1, 2, 3, 4)),
)


def _segment(flags: str, options: str) -> bytes:
    words = 5 + len(bytes.fromhex(options)) // 4
    return bytes.fromhex(f"{_SEGMENT} {words:x}0{flags} 2000 0000 0000 {options}")


_SEGMENTS = (
    *((_segment("10", options),) for options in _ACK_OPTIONS),
    *(
        tuple(_segment(flags, options.format(scale=scale)) for scale in _SCALES)
        for options in _SYN_OPTIONS
        for flags in ("02", "12")
    ),
)

# What decode and Suricata ask of a header before either takes it for one.
HEADERS = {
    "ipv4": Header("ipv4", "ipv4.hdr", 20, _bits(0, 4, (4, 4)) | _bits(0, 0, (5, 15))),
    "ipv6": Header(
        "ipv6", "ipv6.hdr", 40, _bits(0, 4, (6, 6)), common={Field("p", 6, 1, 0, 8): (6, 17)}
    ),
    "icmp4": Header("icmp", "icmpv4.hdr", 8, outer="ipv4.hdr"),
    "icmp6": Header("icmp", "icmpv6.hdr", 8, outer="ipv6.hdr", outer_size=40),
    "tcp": Header("tcp", "tcp.hdr", 20, _bits(12, 4, (5, 15)), often=_SEGMENTS),
    "udp": Header("udp", "udp.hdr", 8),
}
_OUTER_VERSION = Field("outer", 0, 1, 4, 4)
_NETWORKS: dict[Values, str] = {((4, 4),): "ipv4.hdr", ((6, 6),): "ipv6.hdr"}
# Whether the two addresses of an IPv4 header are the same.
_SAME_ADDRESSES = Field("p", 12, 4, 0, 1, twin=16)
# Where a header says how many words of 32 bits it has: offset, size, shift, width.
_WORDS = {"ipv4.hdr": (0, 1, 0, 4), "tcp.hdr": (12, 1, 4, 4)}
# Headers that are searched, and how many bytes tell enough: single ones are in every second.
_LEAST = {"tcp.hdr": 2, "udp.hdr": 2, "ipv6.hdr": 1}
_FLAGS, _FLAG_LETTERS = ("p", 13, 1), "FSRPAU"
_TIME_TO_LIVE = ("p", 8, 1)


class Native(NamedTuple):
    """A rule's head and keywords that match wherever a rule fires on a layer. exact: and nowhere
    else."""

    keywords: str
    exact: bool
    head: Head = Head()


def native(rule: Rule, layer: str) -> list[Native]:
    """The keywords of each of the rule's cases; none if its layer has no header in HEADERS."""
    if layer not in HEADERS:
        return []
    header = HEADERS[layer]
    sizes = {"p": header.size, "outer": header.outer_size if rule.reads_outer else 0}
    known = dict(header.known)
    for span, size in sizes.items():
        known[length_of(span)] = ((size, LARGEST_PACKET),)
    if layer == "ipv4":
        sizes["outer"] = 0

    def shown(field: Field) -> bool:
        if field.twin is not None:
            return layer == "ipv4" and field == _SAME_ADDRESSES
        return field.size > 0 and field.offset + field.size <= sizes[field.span]

    return [_native(case, header, rule) for case in cases(rule, known, shown)]


def _silent(rule: Rule, case: Case, header: Header) -> str:
    """What leaves out headers that are seen often, in the case, and keep the rule silent."""
    alike = [spans for spans in header.often if all(case.holds(data) for data in spans)]
    known = [*dict.fromkeys(filter(None, [pattern(rule, spans) for spans in alike]))]
    if not known:
        return ""
    unread = min(len(one) - len(one.lstrip(".")) for one in known)
    return f'pcre:!"/^.{{{{{unread}}}}}(?:{"|".join(one[unread:] for one in known)})/s";'


def _native(case: Case, header: Header, rule: Rule) -> Native:
    outer = header.outer or _NETWORKS.get(case.fields.get(_OUTER_VERSION, ()), "")
    first = head(case, header.buffer)
    exact, words = case.exact, list(first.keywords)
    tests: dict[str, list[str]] = {outer: [], header.buffer: []}
    if _SAME_ADDRESSES in case.fields:
        # So few have them that no more is asked.
        return Native("sameip;", False, first)
    for field, values in case.fields.items():
        own = _own_keyword(field, values, header)
        if own:
            words.append(own)
            continue
        cheaper = _of_buffer(field, values, header) if field.span == "p" else ""
        if cheaper:
            tests[header.buffer].append(cheaper)
            continue
        tested, wholly = _tests(field, values, header.common)
        tests[header.buffer if field.span == "p" else outer].append(tested)
        exact = exact and wholly and (field.span == "p" or outer != "")
    if not exact:
        tests[header.buffer] += filter(None, [_silent(rule, case, header)])
    for buffer, found in tests.items():
        if buffer and found:
            words += [f"{buffer};", *found]
    return Native(" ".join(words), exact, first)


def _own_keyword(field: Field, values: Values, header: Header) -> str:
    """The keyword that costs less than a test of the field's bytes, if there is one."""
    wanted = values[0][0]
    if header.buffer == "tcp.hdr" and field[:3] == _FLAGS and values == ((field.all[0][1],) * 2,):
        flags = _FLAG_LETTERS[field.shift : field.shift + field.width]
        return f"flags:+{flags};" if len(flags) == field.width else ""
    if header.buffer == "ipv4.hdr" and field[:3] == _TIME_TO_LIVE and values == ((wanted, wanted),):
        return f"ttl:{wanted}; prefilter;"
    return ""


def _of_buffer(field: Field, values: Values, header: Header) -> str:
    """What says of the header's buffer what a test of the field's bytes would: that it goes on
    behind its shortest, or a text for which one search does for all rules."""
    low, high = values[0]
    if field[1:5] == _WORDS.get(header.buffer) and values == ((low, field.all[0][1]),):
        return f"isdataat:{4 * low - 4};"
    whole = field.width == 8 * field.size and field.twin is None
    if whole and values == ((low, low),) and field.size >= _LEAST.get(header.buffer, 5):
        return searched(low, field.size, field.offset)
    return ""


def _tests(field: Field, values: Values, common: dict[Field, tuple[int, ...]]) -> tuple[str, bool]:
    """The tests of one field, and whether they say all. common: what it is in most packets."""
    holes = [hole for low, high in _between(values) for hole in range(low, high + 1)]
    if len(holes) > MOST_HOLES and field.size == 1:
        # A test of bytes costs less than a regular expression.
        others = [value for value in common.get(field, ()) if value in holes]
        left_out = [_byte_test(field, "!=", value) for value in others]
        return " ".join([*left_out, _class(field, values)]), True
    low, high = values[0][0], values[-1][1]
    top = field.all[0][1]
    if low == high:
        tests = [("=", low)]
    else:
        tests = [(">=", low)] if low > 0 else []
        tests += [("<=", high)] if high < top else []
    if len(holes) <= MOST_HOLES:
        tests += [("!=", hole) for hole in holes]
    return " ".join(_byte_test(field, *test) for test in tests), len(holes) <= MOST_HOLES


def _between(values: Values) -> list[tuple[int, int]]:
    return [(one[1] + 1, two[0] - 1) for one, two in zip(values, values[1:], strict=False)]


def searched(number: int, size: int, offset: int) -> str:
    """The keywords for a number of `size` bytes at an offset of the buffer."""
    digits = number.to_bytes(size, "big").hex(" ")
    return f'content:"|{digits}|"; offset:{offset}; depth:{size};'


def _byte_test(field: Field, operator: str, number: int) -> str:
    whole = field.width == 8 * field.size
    mask = "" if whole else f",bitmask {((1 << field.width) - 1) << field.shift:#x}"
    return f"byte_test:{field.size},{operator},{number},{field.offset}{mask};"


def _class(field: Field, values: Values) -> str:
    """A byte among many, as a regular expression's character class."""
    mask = (1 << field.width) - 1
    wanted = [
        byte
        for byte in range(256)
        if any(low <= byte >> field.shift & mask <= high for low, high in values)
    ]
    single: list[Values] = [((byte, byte),) for byte in wanted]
    runs = reduce(union, single)
    characters = "".join(f"\\x{low:02x}-\\x{high:02x}" for low, high in runs)
    return f'pcre:"/^{"." * field.offset}[{characters}]/s";'
