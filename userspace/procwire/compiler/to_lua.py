"""The Lua back end: prints a rule's tree as Lua that reads the same in 5.1 (LuaJIT) and 5.4.

A visitor with a table of spellings; a node without one is refused. A span is a Lua string, and the
words are those of lua/words.lua and lua/protocol_words.lua. Rules use no bit operators, no integer
division, no goto.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from procwire.layers import LAYER_NAMES
from procwire.rule import Rule

INDENT = "  "


def lua_function(rule: Rule) -> str:
    """The rule's predicate with its length guard, as a Lua function of (p, outer)."""
    body = rule.source.function.body[1:]
    names = sorted(map(_name, _assigned(rule.source.function)))
    lines = [f"-- {rule.id}: {rule.title} ({rule.reference})"]
    for table, values in sorted(rule.source.tables.items()):
        entries = ", ".join(f"[{value}] = true" for value in values)
        lines.append(f"local {rule.name}_{table} = {{ {entries} }}")
    lines.append(f"local function {rule.name}(p, outer)")
    if names:
        lines.append(f"{INDENT}local {', '.join(names)}")
    if rule.needs:
        lines.append(f"{INDENT}if #p < {rule.needs} then return false end")
    printer = _Printer(rule)
    lines += [INDENT + line for statement in body for line in printer.statement(statement)]
    return "\n".join([*lines, "end"])


def lua_string(text: bytes) -> str:
    """The bytes as a literal that both versions read alike."""
    return '"' + "".join(chr(b) if chr(b).isalnum() or b == 45 else f"\\{b:03}" for b in text) + '"'


def lua_layers(name: str, layers: Mapping[int, int]) -> str:
    """The table `name` that has a layer's name at each port."""
    entries = (f'[{port}] = "{LAYER_NAMES[number]}"' for port, number in layers.items())
    return f"local {name} = {{ {', '.join(entries)} }}"


def _assigned(function: ast.FunctionDef) -> set[str]:
    """The names that it assigns, but for the counters of its loops."""
    nodes = list(ast.walk(function))
    loops = [node.target for node in nodes if isinstance(node, ast.For)]
    counters = {target.id for target in loops if isinstance(target, ast.Name)}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Store)} - counters


def _name(name: str) -> str:
    return f"{name}_" if name in _RESERVED else name


class _Printer:
    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.known: dict[str, str] = {}  # a word's call -> the local name that has its value

    def refuse(self, node: ast.AST) -> str:
        raise ValueError(f"{self.rule.id}: {type(node).__name__} has no spelling in Lua")

    def block(self, body: list[ast.stmt]) -> list[str]:
        return [INDENT + line for statement in body for line in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[str]:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return [f"{_name(name)} = {self.value(value)}"]
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                variable = _name(name)
                operator = _OPERATORS[type(op)]
                return [f"{variable} = {variable} {operator} {self.value(value)}"]
            case ast.If(test=test, body=body, orelse=orelse):
                other = ["else", *self.block(orelse)] if orelse else []
                return [f"if {self.value(test)} then", *self.block(body), *other, "end"]
            case ast.For(target=ast.Name(id=name), iter=ast.Call(args=bounds), body=body):
                steps = range(*[self.constant(bound) for bound in bounds])
                head = f"for {_name(name)} = {steps[0]}, {steps[-1]}, {steps.step} do"
                before = self.known
                lines = [*self.read_once(body), head, *self.block(body), "end"]
                self.known = before
                return lines
            # In Lua 5.1 both end their block, so they get a block of their own.
            case ast.Break():
                return ["do break end"]
            case ast.Return(value=ast.expr() as value):
                return [f"do return {self.value(value)} end"]
        return [self.refuse(node)]

    def byte_at(self, span: str, offset: int) -> str:
        sure = span == self.rule.source.parameters[0] and offset < self.rule.needs
        return f"byte({span}, {offset + 1})" if sure else f"(byte({span}, {offset + 1}) or 0)"

    def read_once(self, body: list[ast.stmt]) -> list[str]:
        """What a loop reads at fixed places, before it begins: spans never change."""
        lines, self.known = [], dict(self.known)
        for node in (node for statement in body for node in ast.walk(statement)):
            match node:
                case ast.Call(
                    func=ast.Name(id="u8" | "u16" | "u32" as word),
                    args=[ast.Name(id=span), ast.Constant(value=int(offset))],
                ) if ast.unparse(node) not in self.known:
                    name = f"{span}_{word}_{offset}"
                    lines.append(f"local {name} = {self.value(node)}")
                    self.known[ast.unparse(node)] = name
        return lines

    def constant(self, node: ast.expr) -> int:
        if isinstance(node, ast.Name):
            return self.rule.source.constants[node.id]
        return int(ast.literal_eval(node))

    def value(self, node: ast.expr) -> str:
        match node:
            case ast.Call() if ast.unparse(node) in self.known:
                return self.known[ast.unparse(node)]
            case ast.Constant(value=bool() as value):
                return "true" if value else "false"
            case ast.Constant(value=int() as value):
                return str(value)
            case ast.Name(id=name) if name in self.rule.source.constants:
                return str(self.rule.source.constants[name])
            case ast.Name(id=name):
                return _name(name)
            case ast.BinOp(left=left, op=op, right=right):
                return f"({self.value(left)} {_OPERATORS[type(op)]} {self.value(right)})"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return f"(not {self.value(operand)})"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"(-{self.value(operand)})"
            case ast.BoolOp(op=op, values=values):
                word = f" {_OPERATORS[type(op)]} "
                return f"({word.join(self.value(value) for value in values)})"
            case ast.Compare(ops=[ast.In()], left=left, comparators=[ast.Name(id=table)]):
                return f"({self.rule.name}_{table}[{self.value(left)}] == true)"
            case ast.Compare(ops=[ast.NotIn()], left=left, comparators=[ast.Name(id=table)]):
                return f"({self.rule.name}_{table}[{self.value(left)}] == nil)"
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                terms = [self.value(term) for term in (left, *comparators)]
                pairs = zip(terms, ops, terms[1:], strict=False)
                tests = [f"{one} {_OPERATORS[type(op)]} {other}" for one, op, other in pairs]
                return f"({' and '.join(tests)})"
            # What rules ask for most, without a call: flags, lower halves, single bytes.
            case ast.Call(
                func=ast.Name(id="bits"),
                args=[taken, ast.Constant(value=0), ast.Constant(value=int(width))],
            ):
                return f"({self.value(taken)} % {1 << width})"
            case ast.Call(
                func=ast.Name(id="u8"),
                args=[ast.Name(id=span), ast.Constant(value=int(offset))],
            ) if offset >= 0:
                return self.byte_at(span, offset)
            case ast.Call(
                func=ast.Name(id="u16"),
                args=[ast.Name(id=span), ast.Constant(value=int(offset))],
            ) if offset >= 0:
                return f"({self.byte_at(span, offset)} * 256 + {self.byte_at(span, offset + 1)})"
            # Offsets below that count from a string's end.
            case ast.Call(func=ast.Name(id="u8"), args=[ast.Name(id=span), offset]) if (
                self.rule.least_arguments[offset] >= 0
            ):
                return f"(byte({span}, {self.value(offset)} + 1) or 0)"
            case ast.Call(func=ast.Name(id="length" | "captured"), args=[ast.Name(id=span)]):
                return f"#{span}"
            case ast.Call(func=ast.Name(id="find"), args=[ast.Name(id=span), offset, wanted]) if (
                self.rule.least_arguments[offset] >= 0
            ):
                sought = f'"\\{self.constant(wanted)}"'
                start = f"{self.value(offset)} + 1"
                return f"((seek({span}, {sought}, {start}, true) or #{span} + 1) - 1)"
            case ast.Call(
                func=ast.Name(id="bits"),
                args=[
                    ast.Name(id=name),
                    ast.Constant(value=int(shift)),
                    ast.Constant(value=int(width)),
                ],
            ) if name not in self.rule.source.constants:
                unit, number = 1 << shift, _name(name)
                return f"(({number} - {number} % {unit}) / {unit} % {1 << width})"
            case ast.Call(func=ast.Name(id=word), args=arguments):
                return f"{word}({', '.join(self.value(argument) for argument in arguments)})"
        return self.refuse(node)


# Words of Lua that Python leaves free.
_RESERVED = frozenset(
    ("do", "else", "elseif", "end", "function", "goto", "local", "nil", "repeat", "then", "until")
)
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Mod: "%",
    ast.And: "and",
    ast.Or: "or",
    ast.Eq: "==",
    ast.NotEq: "~=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
