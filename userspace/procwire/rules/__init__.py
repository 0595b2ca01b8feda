"""The packet rules, one file per protocol. Importing this package imports every one of them."""

from __future__ import annotations

import importlib
import pkgutil

from procwire.rule import Rule, registered

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def all_rules() -> tuple[Rule, ...]:
    """Every rule, by sid. A FINDING's `rule` is an index into this."""
    return registered()


def rules_of(layer: str) -> tuple[Rule, ...]:
    """The rules that see spans of `layer`, by sid. A rule's place here is its bit in a verdict."""
    return tuple(rule for rule in all_rules() if layer in rule.layers)
