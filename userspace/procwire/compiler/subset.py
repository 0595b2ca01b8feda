"""The Python that a rule may use, and nothing else.

A rule is interpreted abstractly: expressions have values as in values.py, loops run their bound,
branches join. Refused is what one back end could not say in the same way: names that some path
leaves unset, unbounded work, any node that is not in the tables. What `rules build` found good is
neither parsed nor interpreted again while the text of its module is the same.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from procwire import protocol_words, words
from procwire.compiler import values, vocabulary
from procwire.compiler.values import BOOL, NotInSubset, Scope, Source, Value, Values, spelling
from procwire.compiler.vocabulary import WORDS

__all__ = ["NotInSubset", "Source", "read"]

try:
    from procwire.generated.checked import DIGESTS
except ImportError:
    # Nothing is generated yet: everything is checked.
    DIGESTS = frozenset()

MOST_STEPS = 4096  # loop iterations of one rule, nested loops multiplied


def is_checked(function: Callable[..., bool]) -> bool:
    """Whether `rules build` found `function` good as it is."""
    return digest(function) in DIGESTS


def digest(function: Callable[..., bool]) -> str:
    """Of all that a check of `function` goes by: the text of its module, the ints and tuples that
    it names, and what checks it."""
    code, known = function.__code__, function.__globals__
    named = {name: known[name] for name in sorted(code.co_names) if name in known}
    values = [item for item in named.items() if type(item[1]) in (int, tuple)]
    text = f"{_THIS}{_text(code.co_filename)}{function.__name__}{values}"
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _text(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


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
    source = Source(tree, file, first_line, parameters, constants, tables)
    if not is_checked(function):
        _Checker(source, function.__globals__).check()
    return source


def least_arguments(source: Source, names: dict[str, Any]) -> dict[ast.expr, int]:
    """The least that each number may be which the rule gives to a word. names: the globals of its
    module."""
    checker = _Checker(source, names)
    checker.check()
    return checker.values.least


# The check itself and the words that it goes by.
_FILES = (
    __file__,
    values.__file__,
    vocabulary.__file__,
    words.__file__,
    protocol_words.__file__,
)
_THIS = "".join(map(_text, _FILES))


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
        self.values = Values(source, names)
        self.steps = 1
        self.breaks: list[Scope] = []

    def check(self) -> None:
        function = self.source.function
        arguments = function.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            self.values.refuse(function, "a rule takes p, or p and outer, without defaults")
        if self.source.parameters not in (("p",), ("p", "outer")):
            self.values.refuse(function, "a rule's parameters are named p, or p and outer")
        if function.name in WORDS:
            self.values.refuse(function, f"{function.name} is the name of a word")
        if ast.get_docstring(function) is None:
            self.values.refuse(function, "a rule explains itself in its docstring")
        if self.block(function.body[1:], {}) is not None:
            self.values.refuse(function, "some path ends without return")

    # A block returns the variables that its end can see, or None if its end is never reached.
    def block(self, body: list[ast.stmt], scope: Scope | None) -> Scope | None:
        for statement in body:
            if scope is None:
                self.values.refuse(statement, "this statement is never reached")
            scope = self.statement(statement, scope)
        return scope

    def statement(self, node: ast.stmt, scope: Scope) -> Scope | None:
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            self.values.refuse(node, f"{spelling(node)} is not in the subset")
        return handler(self, node, scope)

    def assign(self, node: ast.Assign, scope: Scope) -> Scope:
        if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            self.values.refuse(node, "assign to one plain name")
        return self.bind(node, node.targets[0].id, self.values.value(node.value, scope), scope)

    def augment(self, node: ast.AugAssign, scope: Scope) -> Scope:
        if not isinstance(node.target, ast.Name):
            self.values.refuse(node, "assign to one plain name")
        load = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        sum_ = ast.copy_location(ast.BinOp(load, node.op, node.value), node)
        return self.bind(node, node.target.id, self.values.value(sum_, scope), scope)

    def bind(self, node: ast.AST, name: str, value: Value, scope: Scope) -> Scope:
        if name in self.source.parameters or name in self.names:
            self.values.refuse(node, f"{name} already names something else")
        if name in scope and (scope[name] == BOOL) != (value == BOOL):
            self.values.refuse(node, f"{name} would be int and bool")
        return scope | {name: value}

    def branch(self, node: ast.If, scope: Scope) -> Scope | None:
        self.values.condition(node.test, scope)
        taken = self.block(node.body, scope)
        other = self.block(node.orelse, scope) if node.orelse else scope
        return self.join(node, taken, other)

    def loop(self, node: ast.For, scope: Scope) -> Scope | None:
        call = node.iter
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "range"
            and isinstance(node.target, ast.Name)
            and not node.orelse
        ):
            self.values.refuse(node, "loop over range(...) with one plain name and no else")
        bounds = [self.values.constant(argument, "a bound of range") for argument in call.args]
        steps = range(*bounds)
        if len(steps) == 0:
            self.values.refuse(node, "this loop never runs")
        outer_steps = self.steps
        self.steps *= len(steps)
        if self.steps > MOST_STEPS:
            self.values.refuse(node, f"more than {MOST_STEPS} loop steps")
        name = node.target.id
        if any(_assigns(statement, name) for statement in node.body):
            self.values.refuse(node, f"{name} is assigned inside its own loop")
        outer_breaks, self.breaks = self.breaks, []
        after: Scope | None = scope
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

    def leave(self, node: ast.stmt, scope: Scope) -> None:
        if isinstance(node, ast.Break):
            self.breaks.append(scope)
        elif isinstance(node, ast.Return):
            if node.value is None:
                self.values.refuse(node, "return a bool")
            self.values.condition(node.value, scope)

    def join(self, node: ast.AST, one: Scope | None, other: Scope | None) -> Scope | None:
        if one is None or other is None:
            return other if one is None else one
        joined: Scope = {}
        for name in one.keys() & other.keys():
            left, right = one[name], other[name]
            if left == BOOL or right == BOOL:
                if left != right:
                    self.values.refuse(node, f"{name} would be int and bool")
                joined[name] = BOOL
            else:
                assert isinstance(left, tuple) and isinstance(right, tuple)
                joined[name] = (min(left[0], right[0]), max(left[1], right[1]))
        return joined


def _without(name: str, scope: Scope | None) -> Scope | None:
    return scope and {key: value for key, value in scope.items() if key != name}


def _assigns(statement: ast.stmt, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(statement)
    )


_STATEMENTS: dict[type[ast.stmt], Callable[..., Scope | None]] = {
    ast.Assign: _Checker.assign,
    ast.AugAssign: _Checker.augment,
    ast.If: _Checker.branch,
    ast.For: _Checker.loop,
    ast.Break: _Checker.leave,
    ast.Return: _Checker.leave,
}
