"""What procwire's rules and commands need of a Suricata configuration, as a table."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from procwire.compiler.to_suricata import RULES_FILE
from procwire.suricata import config_file
from procwire.suricata.program import Suricata, is_yes

MOST_ALERTS = 64
# One for each rule with a script and worker thread, of 20 kB.
LUA_STATES = 1024
_EVE = "- eve-log"


class Need(NamedTuple):
    """One setting. path: its keys; value: what it has to be; reason: what happens without; met:
    whether a Suricata has it."""

    path: tuple[str, ...]
    value: str
    reason: str
    met: Callable[[Suricata], bool]

    @property
    def name(self) -> str:
        """The path as Suricata shows it, with a star for the place of an item."""
        return ".".join(f"*.{key[2:]}" if key.startswith("- ") else key for key in self.path)


def _eve(suricata: Suricata, key: str) -> str | None:
    """A setting of the first EVE output."""
    for name, value in suricata.settings.items():
        output, _, rest = name.partition(".eve-log.")
        if output.startswith("outputs.") and rest == key:
            return value
    return None


def _is_at_least(suricata: Suricata, name: str, least: int) -> bool:
    value = suricata.settings.get(name, "")
    return value.isdigit() and int(value) >= least


def _anomalies(suricata: Suricata) -> bool:
    return any(
        name.endswith(".anomaly") and ".eve-log.types." in name for name in suricata.settings
    )


LUA = Need(
    ("security", "lua", "allow-rules"),
    "true",
    "scripts are not run",
    lambda suricata: suricata.allows_lua,
)
ALWAYS = (
    LUA,
    Need(
        ("packet-alert-max",),
        str(MOST_ALERTS),
        "of a packet that breaks many rules, alerts are lost",
        lambda suricata: _is_at_least(suricata, "packet-alert-max", MOST_ALERTS),
    ),
    Need(
        ("luajit", "states"),
        str(LUA_STATES),
        "with more than two worker threads the scripts' states lie outside of their pool",
        lambda suricata: (
            suricata.version[0] > 7 or _is_at_least(suricata, "luajit.states", LUA_STATES)
        ),
    ),
    Need(
        ("outputs", _EVE, "community-id"),
        "true",
        "`procwire enrich` has to compute what it joins records by",
        lambda suricata: is_yes(_eve(suricata, "community-id") or "no"),
    ),
    Need(
        ("outputs", _EVE, "types", "- anomaly", "enabled"),
        "true",
        "what Suricata's own decoder rejects is not in EVE",
        _anomalies,
    ),
    Need(
        ("unix-command", "enabled"),
        "true",
        "`procwire suricata feed` has no socket to speak to",
        lambda suricata: suricata.settings.get("unix-command.enabled", "auto") != "no",
    ),
)
INLINE = (
    Need(
        ("stream", "drop-invalid"),
        "false",
        "Suricata drops such packets itself, and not for the rule's reason",
        lambda suricata: suricata.settings.get("stream.drop-invalid", "yes") in ("no", "false"),
    ),
)


def unmet(suricata: Suricata, drop: bool) -> list[Need]:
    """The needs that the configuration does not meet; drop: for rules that drop."""
    return [need for need in (*ALWAYS, *(INLINE if drop else ())) if not need.met(suricata)]


class Naming(Enum):
    """What has to become of the name of the rules file in the configuration."""

    ADD = "otherwise the rules are not loaded"
    KEEP = ""
    REMOVE = "the rules are loaded twice: remove the line"


def edited(text: str, needs: list[Need], naming: Naming) -> str:
    """A configuration's text with the needs met and the rules file named as it has to be. Raises
    UsageError for a layout that cannot be edited."""
    for need in needs:
        text = config_file.with_value(text, need.path, need.value)
    if naming is Naming.ADD:
        text = config_file.with_item(text, "rule-files", RULES_FILE)
    return config_file.without_item(text, RULES_FILE) if naming is Naming.REMOVE else text


def as_lines(needs: list[Need], naming: Naming) -> list[str]:
    """The settings as lines of a configuration, each group behind the reason why."""
    lines = []
    for need in needs:
        setting = config_file.with_value("", need.path, need.value)
        lines += [f"# otherwise {need.reason}", *config_file.unmarked(setting).splitlines()]
    if naming is not Naming.KEEP:
        lines += [f"# {naming.value}", "rule-files:", f"  - {RULES_FILE}"]
    return lines
