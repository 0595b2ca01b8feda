"""The documentation back end: docs/rules.md, every rule with its reason, reference and examples."""

from __future__ import annotations

from procwire.compiler import HEADLINE
from procwire.detect.detector import Detector
from procwire.rule import TIERS, Observed, Rule


def reference(checks: tuple[Rule | Observed, ...]) -> str:
    """The text of docs/rules.md: a table of all checks, then one section for each."""
    rules = [check for check in checks if isinstance(check, Rule)]
    observed = [check for check in checks if isinstance(check, Observed)]
    lines = [
        f"<!-- {HEADLINE} -->",
        "# Packet rules",
        "",
        f"{len(checks)} checks of protocol standards. A tier A rule raises an alert, tier B an"
        " alert only where its context holds and an anomaly record otherwise, tier C a counter.",
        "",
        "| rule | sid | tier | severity | title | reference |",
        "|---|---|---|---|---|---|",
    ]
    for check in checks:
        lines.append(
            f"| [{check.id}](#{_anchor(check.id)}) | {check.sid} | {check.tier} | {check.severity}"
            f" | {check.title} | {check.reference} |"
        )
    for family in dict.fromkeys(_family(rule) for rule in rules):
        lines += ["", f"## {family}"]
        for rule in rules:
            if _family(rule) == family:
                lines += section(rule)
    if observed:
        lines += ["", "## Seen over several packets"]
        for check in observed:
            lines += section(check)
    return "\n".join([*lines, ""])


def section(check: Rule | Observed | Detector) -> list[str]:
    """The lines about one check."""
    facts = [
        f"sid {check.sid}, severity {check.severity}, tier {check.tier} ({TIERS[check.tier]})",
        f"Reference: {check.reference}",
        *(_evidence(check) if isinstance(check, Rule) else []),
        f"ATT&CK analytics: {', '.join(check.analytics)}",
    ]
    peers = [("Suricata", check.suricata), ("Zeek", check.zeek)]
    facts += [f"{peer}: `{'`, `'.join(names)}`" for peer, names in peers if names]
    if isinstance(check, Rule):
        facts += [f"Fires on `{check.fires_on[0]}`", f"Silent on `{check.silent_on[0]}`"]
    rationale = "" if isinstance(check, Detector) else " ".join(check.rationale.split())
    text = f"**{check.title}.** {rationale}".strip()
    return ["", f"### {check.id}", "", text, "", *[f"- {fact}" for fact in facts]]


def _family(rule: Rule) -> str:
    return rule.id.partition(".")[0]


def _evidence(rule: Rule) -> list[str]:
    offset, size = rule.at
    return [
        f"Layers: {', '.join(rule.layers)}; evidence: {size} byte{'s' * (size > 1)} at offset"
        f" {offset}{' of the enclosing header' * rule.at_outer}"
    ]


def _anchor(heading: str) -> str:
    return heading.replace(".", "")
