"""What a packet rule is: a predicate over one layer's bytes, its examples and its metadata. Of
what code with state observes over several packets, it is the metadata alone.

The decorated function stays an ordinary function; the registry, filled at import, is the only
global state. Everything that back ends, tests and documentation need is read from it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from procwire.compiler import subset
from procwire.errors import UsageError
from procwire.layers import LAYER_NUMBERS
from procwire.words import Span, span

Predicate = TypeVar("Predicate", bound=Callable[..., bool])

TIERS = {"A": "alert", "B": "alert where its context holds", "C": "counter"}
FIRST_SID, LAST_SID = 9_100_000, 9_199_999


class BadRule(UsageError):
    """A rule's metadata is wrong. The text names the rule and what was expected."""


@dataclass(frozen=True)
class Rule:
    """A check of a protocol standard.

    id: dotted check name; sid: Suricata's signature id, never reused; layers: names of the layers
    whose spans it sees; needs: bytes that must be captured, else the rule is silent; at: (offset,
    size) of the evidence in the span, or in the enclosing header if at_outer; severity: 1 (highest)
    to 4; tier: a key of TIERS; suricata, zeek: peers' names for the same fault; fires_on,
    silent_on: spans in hexadecimal, "outer | span" where the rule also reads the enclosing header.
    """

    id: str
    sid: int
    title: str
    reference: str
    analytics: tuple[str, ...]
    severity: int
    needs: int
    at: tuple[int, int]
    at_outer: bool
    layers: tuple[str, ...]
    tier: str
    suricata: tuple[str, ...]
    zeek: tuple[str, ...]
    fires_on: tuple[str, ...]
    silent_on: tuple[str, ...]
    predicate: Callable[..., bool]

    @cached_property
    def source(self) -> subset.Source:
        """The predicate as back ends read it. Raises subset.NotInSubset."""
        return subset.read(self.predicate)

    @cached_property
    def least_arguments(self) -> dict[ast.expr, int]:
        """The least that each number may be which the predicate gives to a word."""
        return subset.least_arguments(self.source, self.predicate.__globals__)

    @property
    def name(self) -> str:
        """The predicate's name, which back ends reuse."""
        return self.predicate.__name__

    @property
    def reads_outer(self) -> bool:
        """Whether the predicate also reads the enclosing header."""
        return self.predicate.__code__.co_argcount == 2

    @property
    def rationale(self) -> str:
        """Why the fault matters, from the predicate's docstring."""
        return inspect.getdoc(self.predicate) or ""


@dataclass(frozen=True)
class Observed:
    """A check of several packets together, which no predicate over one span can state. The code
    that keeps their state writes its FINDING rows. Fields as in Rule; rationale: why the fault
    matters.
    """

    id: str
    sid: int
    title: str
    reference: str
    analytics: tuple[str, ...]
    severity: int
    tier: str
    suricata: tuple[str, ...]
    zeek: tuple[str, ...]
    rationale: str


def fires(rule: Rule, p: Span, outer: Span) -> bool:
    """The meaning of a rule, in plain Python: every back end must agree with this."""
    if p.captured < rule.needs:
        return False
    return rule.predicate(p, outer) if rule.reads_outer else rule.predicate(p)


def example(text: str) -> tuple[Span, Span]:
    """(span, outer) of an example; without "outer |" the outer span is empty."""
    outer, bar, inner = text.rpartition("|")
    return span(bytes.fromhex(inner)), span(bytes.fromhex(outer) if bar else b"")


_RULES: dict[int, Rule | Observed] = {}


def rule(
    *,
    id: str,
    sid: int,
    title: str,
    reference: str,
    fires_on: list[str],
    silent_on: list[str],
    needs: int = 0,
    at: tuple[int, int] = (0, 1),
    at_outer: bool = False,
    severity: int = 3,
    tier: str = "A",
    analytics: tuple[str, ...] = ("AN1962", "AN1999"),
    layers: tuple[str, ...] = (),
    suricata: tuple[str, ...] = (),
    zeek: tuple[str, ...] = (),
) -> Callable[[Predicate], Predicate]:
    """Register the decorated predicate as a rule; see Rule for the arguments.

    `layers` defaults to the name of the module. Raises subset.NotInSubset for a predicate outside
    the subset, BadRule for metadata that is wrong or taken.
    """

    def register(predicate: Predicate) -> Predicate:
        made = Rule(
            id=id,
            sid=sid,
            title=title,
            reference=reference,
            analytics=analytics,
            severity=severity,
            needs=needs,
            at=at,
            at_outer=at_outer,
            layers=layers or (predicate.__module__.rpartition(".")[2],),
            tier=tier,
            suricata=suricata,
            zeek=zeek,
            fires_on=tuple(fires_on),
            silent_on=tuple(silent_on),
            predicate=predicate,
        )
        place = f"{predicate.__code__.co_filename}:{predicate.__code__.co_firstlineno}: {id}"
        _validate(made, place)
        if not subset.is_checked(predicate):
            subset.read(predicate)
            _try_examples(made, place)
        _RULES[sid] = made
        return predicate

    return register


def observed(
    *,
    id: str,
    sid: int,
    title: str,
    reference: str,
    severity: int = 3,
    tier: str = "A",
    analytics: tuple[str, ...] = ("AN1962", "AN1999"),
    suricata: tuple[str, ...] = (),
    zeek: tuple[str, ...] = (),
    rationale: str = "",
) -> Observed:
    """Register a check that code with state reports; see Observed for the arguments.

    Raises BadRule for metadata that is wrong or taken.
    """
    made = Observed(id, sid, title, reference, analytics, severity, tier, suricata, zeek, rationale)
    _expect(id, _metadata(made))
    _RULES[sid] = made
    return made


def _metadata(made: Rule | Observed) -> dict[str, bool]:
    """What is expected of every check -> whether it holds."""
    return {
        f"its own sid, but {made.sid} is taken": made.sid not in _RULES,
        f"a sid of {FIRST_SID} to {LAST_SID}": FIRST_SID <= made.sid <= LAST_SID,
        "an id of its own": made.id not in {old.id for old in _RULES.values()},
        f"a tier among {', '.join(TIERS)}": made.tier in TIERS,
        "a severity of 1 to 4": made.severity in range(1, 5),
        "a reference": bool(made.reference),
    }


def _expect(place: str, expectations: dict[str, bool]) -> None:
    for expected, holds in expectations.items():
        if not holds:
            raise BadRule(f"{place}: expected {expected}")


def _validate(made: Rule, place: str) -> None:
    names = {old.name for old in _RULES.values() if isinstance(old, Rule)}
    expectations = {
        "a function name of its own": made.name not in names,
        "examples to fire on and to be silent on": bool(made.fires_on and made.silent_on),
        f"layers among {', '.join(LAYER_NUMBERS)}": set(made.layers) <= set(LAYER_NUMBERS),
        "evidence of at least one byte": made.at[0] >= 0 and made.at[1] > 0,
        "evidence in a header that the rule reads": made.reads_outer or not made.at_outer,
        "needs of at least 0": made.needs >= 0,
    }
    _expect(place, _metadata(made) | expectations)


def _try_examples(made: Rule, place: str) -> None:
    for wanted, texts in ((True, made.fires_on), (False, made.silent_on)):
        for text in texts:
            if fires(made, *example(text)) != wanted:
                verb = "fire on" if wanted else "be silent on"
                raise BadRule(f"{place}: expected to {verb} the example {text!r}")


def registered() -> tuple[Rule | Observed, ...]:
    """All checks registered so far, by sid. procwire.rules.all_rules() imports them first."""
    return tuple(_RULES[sid] for sid in sorted(_RULES))
