"""The value of each expression of a rule: a bool, or the interval that an int stays in.

What one back end could not compute in the same way is refused: ints used as conditions and bools as
numbers, ints that may reach 2^53, calls of anything but a word.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from procwire.compiler.vocabulary import LARGEST_RUN, WORDS
from procwire.errors import UsageError

LIMIT = 2**53  # Lua counts in doubles
BOOL = "bool"

Value = str | tuple[int, int]  # BOOL, or the least and the greatest int
Scope = dict[str, Value]  # the variables set, by name


class NotInSubset(UsageError):
    """A rule uses what the subset does not have. The text names file, line and reason."""


@dataclass
class Source:
    """A rule's function as tree; `constants` are the ints, `tables` the int tuples it names."""

    function: ast.FunctionDef
    file: str
    first_line: int
    parameters: tuple[str, ...]
    constants: dict[str, int]
    tables: dict[str, tuple[int, ...]]


class Values:
    """Evaluates the expressions of one rule. names: the globals of its module.

    refuse() raises NotInSubset with file, line and reason.
    """

    def __init__(self, source: Source, names: dict[str, Any]) -> None:
        self.source, self.names = source, names
        self.least: dict[ast.expr, int] = {}  # of each argument of a word, over all paths

    def refuse(self, node: ast.AST, reason: str) -> NoReturn:
        line = self.source.first_line + getattr(node, "lineno", 1) - 1
        raise NotInSubset(f"{self.source.file}:{line}: {self.source.function.name}: {reason}")

    def condition(self, node: ast.expr, scope: Scope) -> None:
        if self.value(node, scope) != BOOL:
            self.refuse(node, "an int is used as a condition; compare it")

    def integer(self, node: ast.expr, scope: Scope) -> tuple[int, int]:
        value = self.value(node, scope)
        if not isinstance(value, tuple):
            self.refuse(node, "a bool is used as a number")
        return value

    def constant(self, node: ast.expr, what: str) -> int:
        value = self.value(node, {})
        if not isinstance(value, tuple) or value[0] != value[1]:
            self.refuse(node, f"{what} must be a constant int")
        return value[0]

    def value(self, node: ast.expr, scope: Scope) -> Value:
        handler = _EXPRESSIONS.get(type(node))
        if handler is None:
            self.refuse(node, f"{spelling(node)} is not in the subset")
        value: Value = handler(self, node, scope)
        if isinstance(value, tuple) and max(abs(value[0]), abs(value[1])) >= LIMIT:
            self.refuse(node, "a value may reach 2^53, where Lua's numbers end")
        return value

    def literal(self, node: ast.Constant, scope: Scope) -> Value:
        if isinstance(node.value, bool):
            return BOOL
        if not isinstance(node.value, int):
            self.refuse(node, f"{node.value!r} is neither int nor bool")
        return (node.value, node.value)

    def name(self, node: ast.Name, scope: Scope) -> Value:
        if node.id in scope:
            return scope[node.id]
        if node.id in self.source.parameters:
            self.refuse(node, f"{node.id} is a span; read it with a word")
        if node.id in self.source.constants:
            return (self.source.constants[node.id],) * 2
        self.refuse(node, f"{node.id} is not set on every path, nor a constant int of the module")

    def arithmetic(self, node: ast.BinOp, scope: Scope) -> Value:
        left, right = self.integer(node.left, scope), self.integer(node.right, scope)
        if isinstance(node.op, ast.Add):
            return (left[0] + right[0], left[1] + right[1])
        if isinstance(node.op, ast.Sub):
            return (left[0] - right[1], left[1] - right[0])
        if isinstance(node.op, ast.Mult):
            corners = [a * b for a in left for b in right]
            return (min(corners), max(corners))
        if isinstance(node.op, ast.Mod):
            if right[0] != right[1] or right[0] <= 0:
                self.refuse(node, "the right side of % must be a constant above 0")
            return (0, right[0] - 1)
        self.refuse(node, f"operator {spelling(node.op)} is not in the subset; see bits()")

    def negation(self, node: ast.UnaryOp, scope: Scope) -> Value:
        if isinstance(node.op, ast.Not):
            self.condition(node.operand, scope)
            return BOOL
        if isinstance(node.op, ast.USub):
            least, greatest = self.integer(node.operand, scope)
            return (-greatest, -least)
        self.refuse(node, f"operator {spelling(node.op)} is not in the subset")

    def logic(self, node: ast.BoolOp, scope: Scope) -> Value:
        for operand in node.values:
            self.condition(operand, scope)
        return BOOL

    def comparison(self, node: ast.Compare, scope: Scope) -> Value:
        self.integer(node.left, scope)
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                self.table(right)
            elif type(operator) in _COMPARISONS:
                self.integer(right, scope)
            else:
                self.refuse(node, f"comparison {spelling(operator)} is not in the subset")
        if len(node.ops) > 1 and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            self.refuse(node, "do not chain `in`")
        return BOOL

    def table(self, node: ast.expr) -> None:
        known = self.names.get(node.id) if isinstance(node, ast.Name) else None
        if (
            not isinstance(node, ast.Name)
            or not isinstance(known, tuple)
            or not known
            or not all(type(item) is int for item in known)
        ):
            self.refuse(node, "the right side of `in` must name a tuple of ints of the module")

    def call(self, node: ast.Call, scope: Scope) -> Value:
        if not isinstance(node.func, ast.Name) or node.func.id not in WORDS:
            self.refuse(node, "only the words of procwire.compiler.vocabulary can be called")
        word = WORDS[node.func.id]
        if node.keywords or len(node.args) != len(word.arguments):
            self.refuse(node, f"{node.func.id} takes {len(word.arguments)} arguments")
        for position, (kind, argument) in enumerate(zip(word.arguments, node.args, strict=True)):
            if kind == "span":
                if not isinstance(argument, ast.Name) or argument.id not in self.source.parameters:
                    self.refuse(argument, f"{node.func.id} reads a span: p or outer")
            elif position in word.constant:
                self.constant(argument, f"argument {position + 1} of {node.func.id}")
            else:
                low, _ = self.integer(argument, scope)
                self.least[argument] = min(low, self.least.get(argument, low))
        if node.func.id == "bits":
            width = self.constant(node.args[2], "the width")
            if not 0 < width <= 32 or not 0 <= self.constant(node.args[1], "the shift") <= 32:
                self.refuse(node, "bits() takes a shift of 0 to 32 and a width of 1 to 32")
            return (0, 2**width - 1)
        if node.func.id in ("same", "filled"):
            run = self.constant(node.args[3 if node.func.id == "same" else 2], "the count")
            if not 0 < run <= LARGEST_RUN:
                self.refuse(node, f"{node.func.id}() compares 1 to {LARGEST_RUN} bytes")
        return BOOL if isinstance(word.returns, str) else (0, word.returns)


def spelling(node: ast.AST) -> str:
    return type(node).__name__


_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_EXPRESSIONS: dict[type[ast.expr], Callable[..., Value]] = {
    ast.Constant: Values.literal,
    ast.Name: Values.name,
    ast.BinOp: Values.arithmetic,
    ast.UnaryOp: Values.negation,
    ast.BoolOp: Values.logic,
    ast.Compare: Values.comparison,
    ast.Call: Values.call,
}
