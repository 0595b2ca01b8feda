"""The documentation back end: docs/rules.md, every rule with its reason, reference and examples."""

from __future__ import annotations

from itertools import groupby

from procwire.compiler import HEADLINE
from procwire.rule import TIERS, Rule


def reference(rules: tuple[Rule, ...]) -> str:
    """The text of docs/rules.md: a table of all rules, then one section a rule."""
    lines = [
        f"<!-- {HEADLINE} -->",
        "# Packet rules",
        "",
        f"{len(rules)} checks of protocol standards. A tier A rule raises an alert, tier B an alert"
        " only where its context holds and an anomaly record otherwise, tier C a counter.",
        "",
        "| rule | sid | tier | severity | title | reference |",
        "|---|---|---|---|---|---|",
    ]
    for rule in rules:
        lines.append(
            f"| [{rule.id}](#{_anchor(rule.id)}) | {rule.sid} | {rule.tier} | {rule.severity} |"
            f" {rule.title} | {rule.reference} |"
        )
    for file, group in groupby(rules, key=lambda rule: rule.predicate.__module__):
        lines += ["", f"## {file.rpartition('.')[2]}"]
        for rule in group:
            lines += section(rule)
    return "\n".join([*lines, ""])


def section(rule: Rule) -> list[str]:
    """The lines about one rule."""
    offset, size = rule.at
    facts = [
        f"sid {rule.sid}, severity {rule.severity}, tier {rule.tier} ({TIERS[rule.tier]})",
        f"Reference: {rule.reference}",
        f"Layers: {', '.join(rule.layers)}; evidence: {size} byte{'s' * (size > 1)} at offset"
        f" {offset}{' of the enclosing header' * rule.at_outer}",
        f"ATT&CK analytics: {', '.join(rule.analytics)}",
    ]
    peers = [("Suricata", rule.suricata), ("Zeek", rule.zeek)]
    facts += [f"{peer}: `{'`, `'.join(names)}`" for peer, names in peers if names]
    return [
        "",
        f"### {rule.id}",
        "",
        f"**{rule.title}.** {' '.join(rule.rationale.split())}",
        "",
        *[f"- {fact}" for fact in facts],
        f"- Fires on `{rule.fires_on[0]}`",
        f"- Silent on `{rule.silent_on[0]}`",
    ]


def _anchor(heading: str) -> str:
    return heading.replace(".", "")
