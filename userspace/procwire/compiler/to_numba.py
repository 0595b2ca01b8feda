"""The numba back end: one module per layer that tests all of its rules, and one that dispatches.

numba compiles the rule's own function; what is generated is only the sequence of calls, behind the
length guards. A layer's verdict is a bit mask: bit i is rule i of rules_of(layer).
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import groupby

from procwire.compiler import HEADLINE, gates
from procwire.compiler.subset import digest
from procwire.compiler.texts import LEAST_HEADER, needed_text
from procwire.layers import LAYER_NAMES
from procwire.rule import Rule

MOST_RULES = 63  # bits of a verdict
# Rules with so many loops are compiled by themselves: in one function LLVM's limits leave those of
# several so badly optimised that they take three times as long. Small ones would pay for the call.
_MANY_LOOPS = 3
# All of most heads of HTTP; what is longer rules mostly do not walk through.
_LINES_AHEAD = 8


def modules(rules: tuple[Rule, ...]) -> dict[str, str]:
    """File name -> text of the generated modules, for every layer that has rules."""
    texts = {}
    for name in LAYER_NAMES.values():
        seen = [rule for rule in rules if name in rule.layers]
        if seen:
            texts[f"{name}.py"] = _layer(name, seen)
    texts["dispatch.py"] = _dispatch(
        {number: name for number, name in LAYER_NAMES.items() if f"{name}.py" in texts}
    )
    texts["gates.py"] = gates.module(rules)
    texts["checked.py"] = _checked(rules)
    texts["__init__.py"] = f'"""{HEADLINE}: the compiled form of the rules."""\n'
    return texts


def _checked(rules: tuple[Rule, ...]) -> str:
    lines = [
        f'"""{HEADLINE}: digests of the rules found good."""',
        "",
        "DIGESTS = frozenset(",
        "    (",
        *[f'        "{checked}",' for checked in sorted(digest(rule.predicate) for rule in rules)],
        "    )",
        ")",
        "",
    ]
    return "\n".join(lines)


def _layer(name: str, rules: list[Rule]) -> str:
    if len(rules) > MOST_RULES:
        raise ValueError(f"layer {name}: {len(rules)} rules, at most {MOST_RULES} fit a verdict")
    files = sorted({rule.predicate.__module__.rpartition(".")[2] for rule in rules})
    ways = {rule.name: _compiled(rule) for rule in rules}
    search = ["from procwire.compiled.byte_search import may_hold"] * any(map(needed_text, rules))
    lines = [
        f'"""{HEADLINE}: the rules of the {name} layer."""',
        "",
        *search,
        f"from procwire.compiled.jit import {', '.join(sorted({*ways.values(), 'kernel'}))}",
        f"from procwire.rules import {', '.join(files)}",
        "",
        "RULES = (",
        *[f'    "{rule.id}",' for rule in rules],
        ")",
        "",
    ]
    for rule in rules:
        file = rule.predicate.__module__.rpartition(".")[2]
        lines.append(f"{rule.name} = {ways[rule.name]}({file}.{rule.name})")
    lines += [
        "",
        "",
        "@kernel",
        "def verdict(p, outer):",
        '    """Bit i is set if rule i of RULES fires on the span."""',
        "    hits = 0",
    ]
    numbered = sorted(enumerate(rules), key=lambda item: item[1].needs)
    for needs, group in groupby(numbered, key=lambda item: item[1].needs):
        lines += ["    if p.captured < " + str(needs) + ":", "        return hits"] if needs else []
        for bit, rule in group:
            lines += [*_asked(rule), f"        hits |= {1 << bit}"]
    return "\n".join([*lines, "    return hits", ""])


def _asked(rule: Rule) -> list[str]:
    """The question whether a rule fires; only where the text may be without which it is silent."""
    arguments = "p, outer" if rule.reads_outer else "p"
    call, text = f"{rule.name}({arguments})", needed_text(rule)
    if text is None:
        return [f"    if {call}:"]
    may_fire = f"(outer.length < {LEAST_HEADER} or may_fire)" if rule.reads_outer else "may_fire"
    return [
        f"    may_fire = may_hold(p.data, p.start, p.start + p.captured, {text!r})",
        f"    if {may_fire} and {call}:",
    ]


def _compiled(rule: Rule) -> str:
    """The way of jit.py in which a rule is compiled."""
    text = ast.parse(textwrap.dedent(inspect.getsource(rule.predicate)))
    loops = sum(isinstance(node, ast.For) for node in ast.walk(text))
    return "called" if loops >= _MANY_LOOPS else "fused"


def _dispatch(layers: dict[int, str]) -> str:
    lines = [
        f'"""{HEADLINE}: which layer\'s rules a span meets."""',
        "",
        "from procwire.compiled.jit import kernel",
        "from procwire.compiled.prefetch import AHEAD, CACHE_LINE, prefetch",
        "from procwire.decode.columns import span_at",
        "from procwire.generated import (",
        *[f"    {name}," for name in sorted(layers.values())],
        ")",
        "",
        "LAYERS = {",
        *[f"    {number}: {name}.RULES," for number, name in layers.items()],
        "}",
        *[f"{name}_verdict = {name}.verdict" for name in layers.values()],
        "",
        "",
        "@kernel",
        "def verdicts(data, spans, rows, broken, hits):",
        '    """Write which of the spans in rows, int32 (n,), break rules into broken, int32, and '
        "the",
        '    verdict of each, a bit mask, into hits, int64, both (n,). Returns how many."""',
        "    used, count = 0, rows.size",
        "    for place in range(count):",
        "        coming = rows[min(place + AHEAD, count - 1)]",
        "        lines = int(spans.captured[coming]) // CACHE_LINE + 1",
        f"        prefetch(data, spans.start[coming], 0, min(lines, {_LINES_AHEAD}))",
        "        row = int(rows[place])",
        "        layer, verdict = spans.layer[row], 0",
        "        p = span_at(data, spans, row)",
    ]
    for position, (number, name) in enumerate(layers.items()):
        outer = "span_at(data, spans, int(spans.outer[row]))"
        lines += [
            f"        {'elif' if position else 'if'} layer == {number}:",
            f"            verdict = {name}_verdict(p, {outer})",
        ]
    lines += [
        "        if verdict:",
        "            broken[used] = row",
        "            hits[used] = verdict",
        "            used += 1",
        "    return used",
        "",
    ]
    return "\n".join(lines)
