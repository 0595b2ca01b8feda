"""Fields at fixed places of a span, sets of their values, and what follows from comparing them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from procwire.compiler.vocabulary import LARGEST_PACKET

Values = tuple[tuple[int, int], ...]  # disjoint intervals in ascending order, ends included


class Field(NamedTuple):
    """`width` bits, after dropping the lowest `shift`, of the big-endian number of `size` bytes at
    `offset` of a span, p or outer; with a size of 0 the span's length. twin: not that number, but
    whether the one at offset `twin` equals it, as 1 or 0."""

    span: str
    offset: int
    size: int
    shift: int
    width: int
    twin: int | None = None

    @property
    def all(self) -> Values:
        """Every value that it can have."""
        return ((0, (1 << self.width) - 1),)

    def is_alike(self, other: Field) -> bool:
        """Whether it is one of the same span and size, elsewhere."""
        return (self.span, *self[2:]) == (other.span, *other[2:])

    def value(self, data: bytes) -> int:
        """Its value where the span is `data`."""
        if self.size == 0:
            return len(data)
        number = int.from_bytes(data[self.offset : self.offset + self.size], "big")
        if self.twin is not None:
            return int(data[self.offset :][: self.size] == data[self.twin :][: self.size])
        return number >> self.shift & ((1 << self.width) - 1)

    def among(self, values: Values) -> Truth:
        """Whether its value is one of `values`."""
        inside = shared(values, self.all)
        cases = ({self: inside}, {self: others(self, inside)})
        yes, no = (tuple(Case(fields) for fields in (case,) if case[self]) for case in cases)
        return Truth(yes, no)


def length_of(span: str) -> Field:
    """The length of the span p or outer, of which all is captured."""
    return Field(span, 0, 0, 0, LARGEST_PACKET.bit_length())


def union(one: Values, other: Values) -> Values:
    """The values that are in either."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(one + other):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def shared(one: Values, other: Values) -> Values:
    """The values that are in both."""
    pairs = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return tuple(sorted(pair for pair in pairs if pair[0] <= pair[1]))


def others(field: Field, values: Values) -> Values:
    """The values of `field` that are not in `values`."""
    left, at = [], 0
    for low, high in values:
        if low > at:
            left.append((at, low - 1))
        at = high + 1
    top = field.all[0][1]
    return tuple([*left, (at, top)] if at <= top else left)


@dataclass(frozen=True)
class Case:
    """What the fields may be. exact: whether nothing else is asked of the span."""

    fields: dict[Field, Values]
    exact: bool = True

    def holds(self, data: bytes) -> bool:
        """Whether the fields of the span p are so where it is `data`, and no other is asked for."""
        return all(
            field.span == "p" and any(low <= field.value(data) <= high for low, high in values)
            for field, values in self.fields.items()
        )

    def vague(self) -> Case:
        """The same, when more is asked."""
        return Case(self.fields, False)


def meet(one: Case, other: Case) -> Case | None:
    """What both say; None if that cannot be."""
    fields = dict(one.fields)
    for field, values in other.fields.items():
        fields[field] = shared(fields.get(field, field.all), values)
        if not fields[field]:
            return None
    return Case(fields, one.exact and other.exact)


def _meet_any(ones: Iterable[Case], others_: Iterable[Case]) -> tuple[Case, ...]:
    pairs = [meet(one, other) for one in ones for other in others_]
    return tuple(pair for pair in pairs if pair is not None)


class Truth(NamedTuple):
    """When a condition holds and when it does not: the cases of each."""

    yes: tuple[Case, ...]
    no: tuple[Case, ...]

    @staticmethod
    def of(value: bool) -> Truth:
        """That of a constant."""
        return Truth((Case({}),), ()) if value else Truth((), (Case({}),))

    @staticmethod
    def all(truths: list[Truth]) -> Truth:
        """Of "and". A condition counts where those before it hold, so that cases do not overlap."""
        return reduce(
            lambda one, other: Truth(
                _meet_any(one.yes, other.yes), one.no + _meet_any(one.yes, other.no)
            ),
            truths,
        )

    @staticmethod
    def any(truths: list[Truth]) -> Truth:
        """Of "or"."""
        return negation(Truth.all([negation(truth) for truth in truths]))


UNKNOWN = Truth((Case({}, False),), (Case({}, False),))


def negation(truth: Truth) -> Truth:
    """Of "not"."""
    return Truth(truth.no, truth.yes)


class Number(NamedTuple):
    """An integer of low to high: factor * field + added, or if it has no field one of which no more
    is known. above_zero: what holds if it is above 0, as far as fields tell."""

    low: int
    high: int
    field: Field | None = None
    factor: int = 1
    added: int = 0
    above_zero: Truth | None = None

    @staticmethod
    def of(field: Field) -> Number:
        """The field's own value."""
        return Number(*field.all[0], field)

    def plus(self, other: Number) -> Number:
        """Their sum."""
        low, high = self.low + other.low, self.high + other.high
        if other.field is None and other.low == other.high and self.field:
            return Number(low, high, self.field, self.factor, self.added + other.low)
        if self.low == self.high and other.field:
            return Number(low, high, other.field, other.factor, other.added + self.low)
        return Number(low, high)

    def minus(self, other: Number) -> Number:
        """Their difference."""
        if other.low == other.high:
            return self.plus(constant(-other.low))
        return Number(self.low - other.high, self.high - other.low)

    def times(self, other: Number) -> Number:
        """Their product."""
        if self.low == self.high:
            return other.times(self) if other.low != other.high else constant(self.low * other.low)
        corners = [one * two for one in (self.low, self.high) for two in (other.low, other.high)]
        if other.low == other.high > 0 and self.field:
            factor, added = self.factor * other.low, self.added * other.low
            return Number(min(corners), max(corners), self.field, factor, added)
        return Number(min(corners), max(corners))

    def bits(self, shift: int, width: int) -> Number:
        """`width` bits of it, after dropping the lowest `shift`."""
        field = self.field
        if field is None or self.factor != 1 or self.added != 0 or shift >= field.width:
            return Number(0, (1 << width) - 1)
        width = min(width, field.width - shift)
        return Number.of(field._replace(shift=field.shift + shift, width=width))

    def is_among(self, table: tuple[int, ...]) -> Truth:
        """Whether it is one of the numbers of `table`."""
        return Truth.any([self.compared(ast.Eq, constant(number)) for number in sorted(table)])

    def compared(self, operator: type[ast.cmpop], other: Number) -> Truth:
        """What the comparison says."""
        if operator in _NEGATED:
            return negation(self.compared(_NEGATED[operator], other))
        if operator is ast.Lt:
            return other._is_greater(self)
        return self._is_greater(other) if operator is ast.Gt else self._equals(other)

    def _is_greater(self, other: Number) -> Truth:
        if self.low > other.high:
            return Truth.of(True)
        if self.high <= other.low:
            return Truth.of(False)
        if other.low == other.high and self.field is not None:
            return self._field_is_greater(other.low)
        if other.low == other.high == 0 and self.above_zero is not None:
            return self._is_above_zero()
        if self.low == self.high and other.field is not None:
            return negation(other._field_is_greater(self.low - 1))
        return UNKNOWN

    def _is_above_zero(self) -> Truth:
        assert self.above_zero is not None
        return Truth(tuple(case.vague() for case in self.above_zero.yes), UNKNOWN.no)

    def _equals(self, other: Number) -> Truth:
        if self.low > other.high or other.low > self.high:
            return Truth.of(False)
        if self.low == self.high == other.low == other.high:
            return Truth.of(True)
        if self.low == self.high:
            return other._equals(self)
        one, two = self.field, other.field
        if one and other.low == other.high:
            value, rest = divmod(other.low - self.added, self.factor)
            return one.among(((value, value),)) if rest == 0 else Truth.of(False)
        if other.low == other.high == 0 and self.low == 0 and self.above_zero is not None:
            return negation(self._is_above_zero())
        if one and two and self[3:] == other[3:] == (1, 0, None) and one.is_alike(two):
            return one._replace(twin=two.offset, shift=0, width=1).among(((1, 1),))
        return UNKNOWN

    def _field_is_greater(self, number: int) -> Truth:
        assert self.field is not None
        top = self.field.all[0][1]
        return self.field.among((((number - self.added) // self.factor + 1, top),))


def constant(value: int) -> Number:
    """The number itself."""
    return Number(value, value)


ALL = Number(-(2**53), 2**53)
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.NotEq: ast.Eq,
    ast.LtE: ast.Gt,
    ast.GtE: ast.Lt,
}
