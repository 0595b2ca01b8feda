"""The packet rules, one file per protocol. Importing this package imports every one of them."""

from __future__ import annotations

import importlib
import pkgutil

from procwire.rule import Observed, Rule, registered

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def all_rules() -> tuple[Rule | Observed, ...]:
    """Every check of packets, by sid. A FINDING's `rule` is an index into this."""
    return registered()


def packet_rules() -> tuple[Rule, ...]:
    """The rules that judge one packet at a time, by sid."""
    return tuple(check for check in all_rules() if isinstance(check, Rule))


def observed_checks() -> tuple[Observed, ...]:
    """The checks that code with state reports, by sid."""
    return tuple(check for check in all_rules() if isinstance(check, Observed))


def index_of(check: Observed) -> int:
    """The FINDING.rule of a check."""
    return all_rules().index(check)


def rules_of(layer: str) -> tuple[Rule, ...]:
    """The rules that see spans of `layer`, by sid. A rule's place here is its bit in a verdict."""
    return tuple(rule for rule in packet_rules() if layer in rule.layers)
