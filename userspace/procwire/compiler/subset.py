"""The Python that a rule may use, and nothing else.

check() interprets the rule abstractly: every value is a bool or an interval of ints, loops run
their bound, branches join. It refuses what one back end could not say in the same way: ints used as
conditions, ints that reach 2^53, names that some path leaves unset, unbounded work, any other node.
What `rules build` found good is not interpreted again while its text is the same.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from procwire import words
from procwire.errors import UsageError
from procwire.words import LARGEST_RUN, WORDS

try:
    from procwire.generated.checked import DIGESTS
except ImportError:
    # Nothing is generated yet: everything is checked.
    DIGESTS = frozenset()

LIMIT = 2**53  # Lua counts in doubles
MOST_STEPS = 4096  # loop iterations of one rule, nested loops multiplied
BOOL = "bool"

Value = str | tuple[int, int]  # BOOL, or the least and the greatest int


class NotInSubset(UsageError):
    """A rule uses what the subset does not have. The text names file, line and reason."""


@dataclass
class Source:
    """A rule's function as tree; `constants` are the ints, `tables` the int tuples it names;
    digest: of its text, of those, and of what checked it."""

    function: ast.FunctionDef
    digest: str
    file: str
    first_line: int
    parameters: tuple[str, ...]
    constants: dict[str, int]
    tables: dict[str, tuple[int, ...]]


def read(function: Callable[..., bool]) -> Source:
    """Parse `function`, check it against the subset and return its source.

    Raises NotInSubset with file, line and reason.
    """
    lines, first_line = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    file = inspect.getsourcefile(function) or "?"
    parameters = tuple(argument.arg for argument in tree.args.args)
    constants, tables = _named(tree, function.__globals__)
    text = f"{_THIS}{''.join(lines)}{sorted(constants.items())}{sorted(tables.items())}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    source = Source(tree, digest, file, first_line, parameters, constants, tables)
    if digest not in DIGESTS:
        _Checker(source, function.__globals__).check()
    return source


# The check itself and the table of words that it goes by.
_THIS = "".join(Path(file).read_text() for file in (__file__, words.__file__))


def _named(
    tree: ast.FunctionDef, names: dict[str, Any]
) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """The ints and the tuples of ints of the module that the function's body names."""
    known = {
        node.id: names[node.id]
        for statement in tree.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and node.id in names
    }
    constants = {name: value for name, value in known.items() if type(value) is int}
    tables = {name: value for name, value in known.items() if type(value) is tuple}
    return constants, tables


class _Checker:
    def __init__(self, source: Source, names: dict[str, Any]) -> None:
        self.source, self.names = source, names
        self.steps = 1
        self.breaks: list[dict[str, Value]] = []

    def refuse(self, node: ast.AST, reason: str) -> NoReturn:
        line = self.source.first_line + getattr(node, "lineno", 1) - 1
        raise NotInSubset(f"{self.source.file}:{line}: {self.source.function.name}: {reason}")

    def check(self) -> None:
        function = self.source.function
        arguments = function.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            self.refuse(function, "a rule takes p, or p and outer, without defaults")
        if self.source.parameters not in (("p",), ("p", "outer")):
            self.refuse(function, "a rule's parameters are named p, or p and outer")
        if function.name in WORDS:
            self.refuse(function, f"{function.name} is the name of a word")
        if ast.get_docstring(function) is None:
            self.refuse(function, "a rule explains itself in its docstring")
        if self.block(function.body[1:], {}) is not None:
            self.refuse(function, "some path ends without return")

    # A block returns the variables that its end can see, or None if its end is never reached.
    def block(
        self, body: list[ast.stmt], scope: dict[str, Value] | None
    ) -> dict[str, Value] | None:
        for statement in body:
            if scope is None:
                self.refuse(statement, "this statement is never reached")
            scope = self.statement(statement, scope)
        return scope

    def statement(self, node: ast.stmt, scope: dict[str, Value]) -> dict[str, Value] | None:
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            self.refuse(node, f"{_spelling(node)} is not in the subset")
        return handler(self, node, scope)

    def assign(self, node: ast.Assign, scope: dict[str, Value]) -> dict[str, Value]:
        if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            self.refuse(node, "assign to one plain name")
        return self.bind(node, node.targets[0].id, self.value(node.value, scope), scope)

    def augment(self, node: ast.AugAssign, scope: dict[str, Value]) -> dict[str, Value]:
        if not isinstance(node.target, ast.Name):
            self.refuse(node, "assign to one plain name")
        load = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        sum_ = ast.copy_location(ast.BinOp(load, node.op, node.value), node)
        return self.bind(node, node.target.id, self.value(sum_, scope), scope)

    def bind(
        self, node: ast.AST, name: str, value: Value, scope: dict[str, Value]
    ) -> dict[str, Value]:
        if name in self.source.parameters or name in self.names:
            self.refuse(node, f"{name} already names something else")
        if name in scope and (scope[name] == BOOL) != (value == BOOL):
            self.refuse(node, f"{name} would be int and bool")
        return scope | {name: value}

    def branch(self, node: ast.If, scope: dict[str, Value]) -> dict[str, Value] | None:
        self.condition(node.test, scope)
        taken = self.block(node.body, scope)
        other = self.block(node.orelse, scope) if node.orelse else scope
        return self.join(node, taken, other)

    def loop(self, node: ast.For, scope: dict[str, Value]) -> dict[str, Value] | None:
        call = node.iter
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "range"
            and isinstance(node.target, ast.Name)
            and not node.orelse
        ):
            self.refuse(node, "loop over range(...) with one plain name and no else")
        bounds = [self.constant(argument, "a bound of range") for argument in call.args]
        steps = range(*bounds)
        if len(steps) == 0:
            self.refuse(node, "this loop never runs")
        outer_steps = self.steps
        self.steps *= len(steps)
        if self.steps > MOST_STEPS:
            self.refuse(node, f"more than {MOST_STEPS} loop steps")
        name = node.target.id
        if any(_assigns(statement, name) for statement in node.body):
            self.refuse(node, f"{name} is assigned inside its own loop")
        outer_breaks, self.breaks = self.breaks, []
        after: dict[str, Value] | None = scope
        before = scope
        for _ in steps:
            counted = self.bind(node, name, (min(steps), max(steps)), before)
            inside = _without(name, self.block(node.body, counted))
            if inside is None or inside == before:
                break
            after = self.join(node, after, inside)
            before = inside
        for left in self.breaks:
            after = self.join(node, after, _without(name, left))
        self.steps, self.breaks = outer_steps, outer_breaks
        return after

    def leave(self, node: ast.stmt, scope: dict[str, Value]) -> None:
        if isinstance(node, ast.Break):
            self.breaks.append(scope)
        elif isinstance(node, ast.Return):
            if node.value is None:
                self.refuse(node, "return a bool")
            self.condition(node.value, scope)

    def join(
        self, node: ast.AST, one: dict[str, Value] | None, other: dict[str, Value] | None
    ) -> dict[str, Value] | None:
        if one is None or other is None:
            return other if one is None else one
        joined: dict[str, Value] = {}
        for name in one.keys() & other.keys():
            left, right = one[name], other[name]
            if left == BOOL or right == BOOL:
                if left != right:
                    self.refuse(node, f"{name} would be int and bool")
                joined[name] = BOOL
            else:
                assert isinstance(left, tuple) and isinstance(right, tuple)
                joined[name] = (min(left[0], right[0]), max(left[1], right[1]))
        return joined

    def condition(self, node: ast.expr, scope: dict[str, Value]) -> None:
        if self.value(node, scope) != BOOL:
            self.refuse(node, "an int is used as a condition; compare it")

    def integer(self, node: ast.expr, scope: dict[str, Value]) -> tuple[int, int]:
        value = self.value(node, scope)
        if not isinstance(value, tuple):
            self.refuse(node, "a bool is used as a number")
        return value

    def constant(self, node: ast.expr, what: str) -> int:
        value = self.value(node, {})
        if not isinstance(value, tuple) or value[0] != value[1]:
            self.refuse(node, f"{what} must be a constant int")
        return value[0]

    def value(self, node: ast.expr, scope: dict[str, Value]) -> Value:
        handler = _EXPRESSIONS.get(type(node))
        if handler is None:
            self.refuse(node, f"{_spelling(node)} is not in the subset")
        value: Value = handler(self, node, scope)
        if isinstance(value, tuple) and max(abs(value[0]), abs(value[1])) >= LIMIT:
            self.refuse(node, "a value may reach 2^53, where Lua's numbers end")
        return value

    def literal(self, node: ast.Constant, scope: dict[str, Value]) -> Value:
        if isinstance(node.value, bool):
            return BOOL
        if not isinstance(node.value, int):
            self.refuse(node, f"{node.value!r} is neither int nor bool")
        return (node.value, node.value)

    def name(self, node: ast.Name, scope: dict[str, Value]) -> Value:
        if node.id in scope:
            return scope[node.id]
        if node.id in self.source.parameters:
            self.refuse(node, f"{node.id} is a span; read it with a word")
        if node.id in self.source.constants:
            return (self.source.constants[node.id],) * 2
        self.refuse(node, f"{node.id} is not set on every path, nor a constant int of the module")

    def arithmetic(self, node: ast.BinOp, scope: dict[str, Value]) -> Value:
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
        self.refuse(node, f"operator {_spelling(node.op)} is not in the subset; see bits()")

    def negation(self, node: ast.UnaryOp, scope: dict[str, Value]) -> Value:
        if isinstance(node.op, ast.Not):
            self.condition(node.operand, scope)
            return BOOL
        if isinstance(node.op, ast.USub):
            least, greatest = self.integer(node.operand, scope)
            return (-greatest, -least)
        self.refuse(node, f"operator {_spelling(node.op)} is not in the subset")

    def logic(self, node: ast.BoolOp, scope: dict[str, Value]) -> Value:
        for operand in node.values:
            self.condition(operand, scope)
        return BOOL

    def comparison(self, node: ast.Compare, scope: dict[str, Value]) -> Value:
        self.integer(node.left, scope)
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                self.table(right)
            elif type(operator) in _COMPARISONS:
                self.integer(right, scope)
            else:
                self.refuse(node, f"comparison {_spelling(operator)} is not in the subset")
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

    def call(self, node: ast.Call, scope: dict[str, Value]) -> Value:
        if not isinstance(node.func, ast.Name) or node.func.id not in WORDS:
            self.refuse(node, "only the words of procwire.words can be called")
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
                self.integer(argument, scope)
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


def _spelling(node: ast.AST) -> str:
    return type(node).__name__


def _without(name: str, scope: dict[str, Value] | None) -> dict[str, Value] | None:
    return scope and {key: value for key, value in scope.items() if key != name}


def _assigns(statement: ast.stmt, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(statement)
    )


_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_STATEMENTS: dict[type[ast.stmt], Callable[..., dict[str, Value] | None]] = {
    ast.Assign: _Checker.assign,
    ast.AugAssign: _Checker.augment,
    ast.If: _Checker.branch,
    ast.For: _Checker.loop,
    ast.Break: _Checker.leave,
    ast.Return: _Checker.leave,
}
_EXPRESSIONS: dict[type[ast.expr], Callable[..., Value]] = {
    ast.Constant: _Checker.literal,
    ast.Name: _Checker.name,
    ast.BinOp: _Checker.arithmetic,
    ast.UnaryOp: _Checker.negation,
    ast.BoolOp: _Checker.logic,
    ast.Compare: _Checker.comparison,
    ast.Call: _Checker.call,
}
