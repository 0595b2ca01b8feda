"""What must hold of a span's fixed fields where a rule fires, found by walking the rule's paths.

Each path that returns True is a case: field -> values that it may have. What no field can say (the
sum of two fields, a loop's further rounds, most words) is left out, so the cases cover every span
on which the rule fires; a case that leaves nothing out is exact. Cases do not overlap.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import reduce

from procwire.compiler.fields import (
    ALL,
    UNKNOWN,
    Case,
    Field,
    Number,
    Truth,
    Values,
    constant,
    length_of,
    meet,
    negation,
    shared,
    union,
)
from procwire.compiler.vocabulary import LARGEST_PACKET, WORDS
from procwire.protocol_words import EXTENSIONS
from procwire.rule import Rule

ROUNDS = 2  # of a loop that are walked; what comes behind may be anything
MOST_STATEMENTS = 3000
MOST_CASES = 3  # that a rule may have; more are covered by one

Scope = dict[str, Number | Truth]
# How a path leaves a statement, what it knows then, and the case that it is in.
Way = tuple[str, Scope, Case]
ON, BREAK, FIRES = "on", "break", "fires"
_READ = {"u8": 1, "u16": 2, "u32": 4}


def cases(
    rule: Rule,
    known: dict[Field, Values],
    shown: Callable[[Field], bool],
    least: int | None = None,
) -> tuple[Case, ...]:
    """The cases that cover the spans on which `rule` fires, each without the others.

    known: what holds of each span that the rule is shown; shown: whether a case may name the field;
    least: bytes of the span that are captured, of which more may be cut; None: all spans are whole.
    """
    guarded = rule.needs > 0 and least is None
    enough = Case({length_of("p"): ((rule.needs, LARGEST_PACKET),)} if guarded else {})
    start = meet(Case(known), enough)
    ways = _Walk(rule, least).block(rule.source.function.body[1:], {}, start) if start else ()
    return _few([_told(case, known, shown) for how, _, case in ways if how == FIRES])


def _told(case: Case, known: dict[Field, Values], shown: Callable[[Field], bool]) -> Case:
    """The case without what is always so and what must not be named."""
    telling = {
        field: values
        for field, values in case.fields.items()
        if values != known.get(field, field.all)
    }
    named = {field: values for field, values in telling.items() if shown(field)}
    return Case(named, case.exact and len(named) == len(telling))


class _Walk:
    def __init__(self, rule: Rule, least: int | None) -> None:
        self.source, self.least, self.statements = rule.source, least, 0

    def block(self, body: list[ast.stmt], scope: Scope, case: Case) -> Iterator[Way]:
        if not body:
            yield ON, scope, case
            return
        for how, after, narrowed in self.statement(body[0], scope, case):
            if how == ON:
                yield from self.block(body[1:], after, narrowed)
            else:
                yield how, after, narrowed

    def statement(self, node: ast.stmt, scope: Scope, case: Case) -> Iterator[Way]:
        self.statements += 1
        if self.statements > MOST_STATEMENTS:
            yield FIRES, scope, case.vague()
            return
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield ON, scope | {name: self.evaluate(value, scope)}, case
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                changed = self.arithmetic(operator, scope[name], self.evaluate(value, scope))
                yield ON, scope | {name: changed}, case
            case ast.If(test=test, body=body, orelse=orelse):
                truth = self.truth(test, scope)
                for branch, ways in ((body, truth.yes), (orelse, truth.no)):
                    for way in ways:
                        narrowed = meet(case, way)
                        if narrowed is not None:
                            yield from self.block(branch, scope, narrowed)
            case ast.For(target=ast.Name(id=name), iter=ast.Call(args=bounds), body=body):
                steps = range(*[self.bound(bound) for bound in bounds])
                yield from self.rounds(name, steps, body, scope, case)
            case ast.Return(value=ast.expr() as value):
                for way in self.truth(value, scope).yes:
                    narrowed = meet(case, way)
                    if narrowed is not None:
                        yield FIRES, scope, narrowed
            case ast.Break():
                yield BREAK, scope, case

    def rounds(
        self, name: str, steps: range, body: list[ast.stmt], scope: Scope, case: Case, done: int = 0
    ) -> Iterator[Way]:
        if done == len(steps):
            yield ON, scope, case
            return
        if done == ROUNDS:
            yield FIRES, scope, case.vague()
            return
        counted = scope | {name: constant(steps[done])}
        for how, after, narrowed in self.block(body, counted, case):
            if how == BREAK:
                yield ON, after, narrowed
            elif how == ON:
                yield from self.rounds(name, steps, body, after, narrowed, done + 1)
            else:
                yield how, after, narrowed

    def bound(self, node: ast.expr) -> int:
        if isinstance(node, ast.Name):
            return self.source.constants[node.id]
        return int(ast.literal_eval(node))

    def truth(self, node: ast.expr, scope: Scope) -> Truth:
        value = self.evaluate(node, scope)
        return value if isinstance(value, Truth) else UNKNOWN

    def number(self, node: ast.expr, scope: Scope) -> Number:
        value = self.evaluate(node, scope)
        return value if isinstance(value, Number) else ALL

    def evaluate(self, node: ast.expr, scope: Scope) -> Number | Truth:
        match node:
            case ast.Constant(value=bool() as value):
                return Truth.of(value)
            case ast.Constant(value=int() as value):
                return constant(value)
            case ast.Name(id=name) if name in self.source.constants:
                return constant(self.source.constants[name])
            case ast.Name(id=name):
                return scope[name]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return negation(self.truth(operand, scope))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return constant(0).minus(self.number(operand, scope))
            case ast.BinOp(left=left, op=operator, right=right):
                return self.arithmetic(
                    operator, self.number(left, scope), self.number(right, scope)
                )
            case ast.BoolOp(op=operator, values=values):
                truths = [self.truth(value, scope) for value in values]
                return Truth.all(truths) if isinstance(operator, ast.And) else Truth.any(truths)
            case ast.Compare(ops=[ast.In() | ast.NotIn() as operator], left=left):
                (table,) = node.comparators
                assert isinstance(table, ast.Name)
                listed = self.number(left, scope).is_among(self.source.tables[table.id])
                return listed if isinstance(operator, ast.In) else negation(listed)
            case ast.Compare(left=left, ops=operators, comparators=comparators):
                terms = [self.number(term, scope) for term in (left, *comparators)]
                pairs = zip(terms, operators, terms[1:], strict=False)
                return Truth.all([one.compared(type(op), other) for one, op, other in pairs])
            case ast.Call(func=ast.Name(id=word), args=arguments):
                return self.call(word, arguments, scope)
        return ALL

    def arithmetic(
        self, operator: ast.operator, left: Number | Truth, right: Number | Truth
    ) -> Number:
        assert isinstance(left, Number) and isinstance(right, Number)
        match operator:
            case ast.Add():
                return left.plus(right)
            case ast.Sub():
                return left.minus(right)
            case ast.Mult():
                return left.times(right)
            case ast.Mod():
                return Number(0, right.high - 1)
        return ALL

    def call(self, word: str, arguments: list[ast.expr], scope: Scope) -> Number | Truth:
        returns = WORDS[word].returns
        if isinstance(returns, str):
            return UNKNOWN
        if word == "bits":
            taken, shift, width = (self.number(argument, scope) for argument in arguments)
            return taken.bits(shift.low, width.low)
        span = arguments[0]
        assert isinstance(span, ast.Name)
        if word in ("length", "captured"):
            if self.least is None:
                return Number.of(length_of(span.id))
            return Number(self.least if span.id == "p" else 0, LARGEST_PACKET)
        if word in _READ:
            offset = self.number(arguments[1], scope)
            if offset.low == offset.high:
                return Number.of(Field(span.id, offset.low, _READ[word], 0, 8 * _READ[word]))
        # Both search what is there only if something is, and give 0 where they find nothing.
        if word == "option":
            options = self.number(arguments[1], scope).compared(ast.Gt, constant(20))
            return Number(0, returns, above_zero=options)
        if word == "extension":
            extended = Number.of(Field(span.id, 6, 1, 0, 8)).is_among(EXTENSIONS)
            return Number(0, returns, above_zero=extended)
        return Number(0, returns)


def _few(cases: list[Case]) -> tuple[Case, ...]:
    """MOST_CASES at most that cover the same, none of which overlaps another."""
    kept, at = list(cases), 0
    while at < len(kept):
        # No two of those before can be joined, and one that has changed meets them again.
        for place in (*range(at), *range(at + 1, len(kept))):
            first, second = sorted((at, place))
            both = _joined(kept[first], kept[second])
            if both is not None:
                kept[first], at = both, first
                del kept[second]
                break
        else:
            at += 1
    if len(kept) <= MOST_CASES:
        return tuple(kept)
    return (reduce(_cover, kept),)


def _joined(one: Case, other: Case) -> Case | None:
    """One case for both, if that says no less than they do or they overlap."""
    differing = [
        field
        for field in one.fields.keys() | other.fields.keys()
        if one.fields.get(field) != other.fields.get(field)
    ]
    if len(differing) <= 1 and one.exact == other.exact:
        return _cover(one, other)
    for wide, narrow in ((one, other), (other, one)):
        if all(
            field in narrow.fields and shared(values, narrow.fields[field]) == narrow.fields[field]
            for field, values in wide.fields.items()
        ):
            return wide
    return None if meet(one, other) is None else _cover(one, other).vague()


def _cover(one: Case, other: Case) -> Case:
    fields = {
        field: union(values, other.fields[field])
        for field, values in one.fields.items()
        if field in other.fields
    }
    same = one.fields.keys() == other.fields.keys()
    differing = sum(one.fields.get(field) != values for field, values in other.fields.items())
    known = {field: values for field, values in fields.items() if values != field.all}
    return Case(known, one.exact and other.exact and same and differing <= 1)
