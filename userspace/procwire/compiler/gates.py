"""Gates: what must hold of a header where a rule of its layer fires, as functions for kernels.

Most headers break nothing, and a few comparisons cost less than all rules. What is compared follows
from the rules themselves (cases.py), so a rule that changes changes its gate. Of each case only the
number is asked that tells most, and one question is asked of a number for all rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from procwire.compiler import HEADLINE
from procwire.compiler.cases import cases
from procwire.compiler.fields import Case, Field, Values
from procwire.compiler.keywords import HEADERS
from procwire.compiler.quiet import seen
from procwire.layers import LAYER_NAMES
from procwire.rule import Rule

# Bytes that nearly every header of a layer has; of what is shorter, all rules are asked.
SIZES = {"ethernet": 14, "vlan": 4} | {name: header.size for name, header in HEADERS.items()}
# What most headers look like, besides those without options.
_USUAL = {name: header.often[0][0] for name, header in HEADERS.items() if header.often}
_WORDS = {4: "u32", 2: "u16", 1: "u8"}
_LISTED = 2  # bytes of a number of which every value is looked at
_OR, _AND = "\n        or ", "\n        and "


class Asked(NamedTuple):
    """The number of `size` bytes at `offset`, or whether the one at `twin` equals it."""

    offset: int
    size: int
    twin: int | None = None

    @property
    def text(self) -> str:
        """How it is read."""
        return f"{_WORDS[self.size]}(p, {self.offset})"


def module(rules: tuple[Rule, ...]) -> str:
    """The text of the generated module: a function per layer, and one that asks it."""
    numbers = {number: name for number, name in LAYER_NAMES.items() if name in SIZES}
    ruled = {name for rule in rules for name in rule.layers}
    unruled = tuple(number for number, name in LAYER_NAMES.items() if name not in ruled)
    lines = [
        f'"""{HEADLINE}: which headers meet the rules of their layer."""',
        "",
        "from procwire.compiled.jit import fused",
        "from procwire.words import bits, captured, u8, u16, u32",
    ]
    for name in numbers.values():
        lines += ["", "", *_gate(name, [rule for rule in rules if name in rule.layers])]
    lines += ["", "", "@fused", "def may_break(layer, p):"]
    lines.append('    """Whether a rule of the layer may fire on the span."""')
    for number, name in numbers.items():
        lines += [f"    if layer == {number}:", f"        return {name}(p)"]
    return "\n".join([*lines, f"    return layer not in {unruled}", ""])


def _gate(name: str, rules: list[Rule]) -> list[str]:
    found = {rule: cases(rule, {}, _is_shown, least=SIZES[name]) for rule in rules}
    silent = {rule: _silent(rule, found[rule], _USUAL.get(name, b"")) for rule in rules}
    tests = _tests(case for rule in rules if not silent[rule] for case in found[rule])
    for rule, usual in silent.items():
        if usual:
            tests.append(f"({_OR.join(_tests(found[rule]))}){_AND}not ({usual})")
    return [
        "@fused",
        f"def {name}(p):",
        f'    """Whether a rule of the {name} layer may fire."""',
        f"    if captured(p) < {SIZES[name]}:",
        "        return True",
        f"    return bool(\n        {_OR.join(tests)}\n    )" if tests else "    return False",
    ]


def _is_shown(field: Field) -> bool:
    if field.span != "p":
        return False
    return field.size <= _LISTED if field.twin is None else True


def _tests(found: Iterable[Case]) -> list[str]:
    """Questions of which one is answered with yes where any of the cases holds."""
    told = [_most_telling(case) for case in found]
    wide = {asked for asked, _ in told if asked.size == _LISTED and asked.twin is None}
    numbers: dict[Asked, set[int]] = {}
    for asked, values in told:
        around = next((one for one in wide if asked.twin is None and _holds(one, asked)), asked)
        numbers.setdefault(around, set()).update(_widened(asked, values, around))
    return [_test(asked, frozenset(values)) for asked, values in numbers.items()]


def _most_telling(case: Case) -> tuple[Asked, frozenset[int]]:
    """The number that has the fewest of its values in the case, and these; of twins, 1."""
    if not case.fields:
        raise ValueError("a rule may fire whatever the header holds, so a gate would not help")
    possible: dict[Asked, frozenset[int]] = {}
    for field, values in case.fields.items():
        asked = Asked(field.offset, field.size, field.twin)
        possible[asked] = possible.get(asked, _every(asked)) & _values(asked, field, values)
    return min(possible.items(), key=lambda one: _share(*one))


def _every(asked: Asked) -> frozenset[int]:
    return frozenset(range(2 if asked.twin is not None else 1 << 8 * asked.size))


def _values(asked: Asked, field: Field, values: Values) -> frozenset[int]:
    mask = (1 << field.width) - 1
    return frozenset(
        number
        for number in _every(asked)
        if any(low <= number >> field.shift & mask <= high for low, high in values)
    )


def _share(asked: Asked, values: frozenset[int]) -> float:
    if asked.twin is None:
        return len(values) / len(_every(asked))
    equal = 1 / (1 << 8 * asked.size)
    return equal if values == {1} else 1 - equal


def _holds(wide: Asked, asked: Asked) -> bool:
    return wide.offset <= asked.offset and asked.offset + asked.size <= wide.offset + wide.size


def _widened(asked: Asked, values: frozenset[int], around: Asked) -> frozenset[int]:
    """Values of the number around it, of which it is a part."""
    if around == asked:
        return values
    shift = 8 * (around.offset + around.size - asked.offset - asked.size)
    mask = (1 << 8 * asked.size) - 1
    return frozenset(number for number in _every(around) if number >> shift & mask in values)


def _test(asked: Asked, values: frozenset[int]) -> str:
    """Whether the number has one of the values."""
    if asked.twin is not None:
        return (
            f"{asked.text} {'==' if 1 in values else '!='} {asked._replace(offset=asked.twin).text}"
        )
    for wanted, operator in ((values, "=="), (_every(asked) - values, "!=")):
        fixed = _bits_alike(wanted, 8 * asked.size)
        if len(wanted) == 1:
            return f"{asked.text} {operator} {min(wanted)}"
        if len(wanted) << fixed.bit_count() == len(_every(asked)):
            return f"{asked.text} & {fixed:#x} {operator} {min(wanted) & fixed:#x}"
    shift, width = _bits_that_tell(values, 8 * asked.size)
    text = asked.text if width == 8 * asked.size else f"bits({asked.text}, {shift}, {width})"
    top = (1 << width) - 1
    told = {number >> shift & top for number in values}
    starts = sorted(one for one in told if one - 1 not in told)
    ends = sorted(one for one in told if one + 1 not in told)
    return _OR.join(_run(text, low, high, top) for low, high in zip(starts, ends, strict=True))


def _run(text: str, low: int, high: int, top: int) -> str:
    if low == high:
        return f"{text} == {low}"
    if high == top:
        return f"{text} >= {low}"
    return f"{text} <= {high}" if low == 0 else f"{low} <= {text} <= {high}"


def _bits_that_tell(values: frozenset[int], width: int) -> tuple[int, int]:
    """Where they begin and how many they are; those below and above make no difference."""
    telling = [bit for bit in range(width) if values != {value ^ 1 << bit for value in values}]
    return telling[0], telling[-1] + 1 - telling[0]


def _bits_alike(values: frozenset[int], width: int) -> int:
    """The bits that all of the values have in common, as a mask."""
    ones, zeros = (1 << width) - 1, (1 << width) - 1
    for value in values:
        ones, zeros = ones & value, zeros & ~value
    return ones | zeros


def _silent(rule: Rule, found: tuple[Case, ...], usual: bytes) -> str:
    """What the rule reads of a usual header that one of its cases covers, and on which it is
    silent; nothing if there is no such header."""
    needed = seen(rule, usual) if any(case.holds(usual) for case in found) else None
    if needed is None:
        return ""
    read, size = needed
    tests, at = [f"captured(p) >= {size}"], 0
    while at < size:
        wide = next((wide for wide in _WORDS if read.issuperset(range(at, at + wide))), 0)
        if wide:
            number = int.from_bytes(usual[at : at + wide], "big")
            tests.append(f"{Asked(at, wide).text} == {number:#x}")
        at += wide or 1
    return " and ".join(tests)
