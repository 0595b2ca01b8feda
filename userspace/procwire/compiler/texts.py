"""A text without which a rule is silent, found by walking the rule as if the text were never read.

Where a comparison with a text never holds, constants are followed through all branches and loops;
if none of them leads to True, the text is needed. One search then does for a loop: a C function's
in Suricata, one of many places at a time in kernels.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from procwire.rule import Rule
from procwire.words import folded, span

Scope = dict[str, int | None]  # what is known of a name's value; None: anything
_COMPARISONS = {
    ast.Eq: int.__eq__,
    ast.NotEq: int.__ne__,
    ast.Lt: int.__lt__,
    ast.LtE: int.__le__,
    ast.Gt: int.__gt__,
    ast.GtE: int.__ge__,
}
_OUTER = ast.dump(ast.parse("length(outer)", mode="eval").body)
LEAST_HEADER = 8
"""A message lies in a datagram or a segment, so a test for less than its header has one answer."""


def needed_text(rule: Rule) -> bytes | None:
    """A text, in small letters, that each message holds on which `rule` fires, whatever its
    letters; None if there is none, or if the rule has no loop to be saved."""
    nodes = list(ast.walk(rule.source.function))
    if not any(isinstance(node, ast.For) for node in nodes):
        return None
    for word, number, text in sorted(set(_compared(rule, nodes)), key=lambda one: -len(one[2])):
        if _Walk(rule, word, number).is_silent():
            return text
    return None


def _compared(rule: Rule, nodes: list[ast.AST]) -> Iterator[tuple[str, int, bytes]]:
    """The texts that the rule looks for at places that are not fixed: word, number, text."""
    texts = _texts(Path(rule.source.file).parent)
    for node in nodes:
        match node:
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="folded" | "u16" as word), args=[_, offset, *_]),
                ops=[ast.Eq()],
                comparators=[wanted],
            ) if not isinstance(offset, ast.Constant):
                number = _constant(rule, wanted)
                if word == "folded" and number in texts:
                    yield word, number, texts[number]
                # Beyond the span are zeros, so only a text that ends in none lies in it.
                if word == "u16" and number and number % 256 and rule.least_arguments[offset] >= 0:
                    yield word, number, number.to_bytes(2, "big").lower()


@functools.cache
def _texts(folder: Path) -> dict[int, bytes]:
    """The texts that the modules of a folder name, by the numbers that stand for them in rules."""
    texts = [
        text.encode()
        for file in folder.glob("*.py")
        for text in re.findall(r'folded\(span\(b"([^"\\]+)"\)', file.read_text())
    ]
    return {folded(span(text), 0, len(text)): text for text in texts}


def _constant(rule: Rule, node: ast.expr) -> int | None:
    if isinstance(node, ast.Name):
        return rule.source.constants.get(node.id)
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, int) else None


class _Walk:
    """Through a rule in which no `word` ever reads `number`."""

    def __init__(self, rule: Rule, word: str, number: int) -> None:
        self.rule, self.word, self.number = rule, word, number
        self.fires = False
        self.breaks: list[Scope] = []

    def is_silent(self) -> bool:
        self.block(self.rule.source.function.body[1:], {})
        return not self.fires

    def block(self, body: list[ast.stmt], scope: Scope) -> Scope | None:
        """What is known behind it; None if nothing comes behind."""
        after: Scope | None = scope
        for node in body:
            if after is None:
                break
            after = self.statement(node, after)
        return after

    def statement(self, node: ast.stmt, scope: Scope) -> Scope | None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return scope | {name: self.value(value, scope)}
            case ast.AugAssign(target=ast.Name(id=name)):
                return scope | {name: None}
            case ast.If(test=test, body=body, orelse=orelse):
                truth = self.value(test, scope)
                met = None if truth == 0 else self.block(body, scope)
                unmet = self.block(orelse, scope) if not truth else None
                return _joined(met, unmet)
            case ast.For(target=ast.Name(id=name), body=body):
                return self.loop(name, body, scope)
            case ast.Return(value=ast.expr() as value):
                self.fires = self.fires or self.value(value, scope) != 0
                return None
            case ast.Break():
                self.breaks.append(scope)
                return None
        raise AssertionError(ast.unparse(node))

    def loop(self, name: str, body: list[ast.stmt], scope: Scope) -> Scope | None:
        outside, before = self.breaks, None
        entered: Scope = scope | {name: None}
        while before != entered:
            before, self.breaks = entered, []
            again = self.block(body, entered)
            entered = _joined(entered, again) or entered
        after: Scope | None = entered
        for scope in self.breaks:
            after = _joined(after, scope)
        self.breaks = outside
        return after

    def value(self, node: ast.expr, scope: Scope) -> int | None:
        match node:
            case ast.Constant(value=bool() | int() as value):
                return int(value)
            case ast.Name(id=name):
                return self.rule.source.constants.get(name, scope.get(name))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                truth = self.value(operand, scope)
                return None if truth is None else int(not truth)
            case ast.BoolOp(op=operator, values=values):
                known = [self.value(value, scope) for value in values]
                decides = isinstance(operator, ast.Or)
                if any(value is not None and bool(value) == decides for value in known):
                    return int(decides)
                return None if None in known else int(not decides)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self.comparison(left, operator, right, scope)
        return None

    def comparison(
        self, left: ast.expr, operator: ast.cmpop, right: ast.expr, scope: Scope
    ) -> int | None:
        one, other = self.value(left, scope), self.value(right, scope)
        if ast.dump(left) == _OUTER and isinstance(operator, ast.Gt) and other is not None:
            return 1 if other < LEAST_HEADER else None
        match left:
            case ast.Call(func=ast.Name(id=self.word)) if other == self.number:
                return {ast.Eq: 0, ast.NotEq: 1}.get(type(operator))
        if one is None or other is None or type(operator) not in _COMPARISONS:
            return None
        return int(_COMPARISONS[type(operator)](one, other))


def _joined(one: Scope | None, other: Scope | None) -> Scope | None:
    """What holds either way."""
    if one is None or other is None:
        return other if one is None else one
    names = one.keys() | other.keys()
    return {name: one.get(name) if one.get(name) == other.get(name) else None for name in names}
