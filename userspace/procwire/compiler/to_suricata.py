"""The Suricata back end: a rules file and Lua scripts that give each packet its exact sids.

A call of a script costs more than a packet, so native keywords select what a script has to see: a
rule's own necessary condition, or for messages where one may begin. Rules that keywords say wholly
need no script. A script can only say yes or no: of a rule on a header it answers for the rule that
called. The many rules of a protocol's messages share one, the gate, which writes the sids that
fired into a flow variable; a native rule per sid looks for its own there, and behind them all the
variable is swept. What Suricata rejects before any script is found by its decoder events.

Inline, Suricata 8 judges headers, and asks for blocked hosts, before it looks for a packet's flow:
what is dropped there makes none, so a flood of forged packets fills no flow table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from procwire.compiler import HEADLINE
from procwire.compiler.keywords import HEADERS
from procwire.compiler.sights import (
    MESSAGES,
    NATIVE,
    NATIVE_8,
    PARTLY_NATIVE,
    REJECTED,
    SEEN_EARLY,
    STATE_EVENTS,
    STREAM_LAYERS,
    UNSCRIPTED,
    VERSIONS,
    Selection,
    expression,
    is_scripted,
    natives,
    observation,
    signature,
)
from procwire.compiler.texts import needed_text
from procwire.compiler.to_lua import lua_function, lua_layers, lua_string
from procwire.layers import TCP_PORTS, UDP_PORTS
from procwire.rule import Observed, Rule
from procwire.suricata.commands import BLOCKED

GATE_SID, BLOCKED_SID = 9_199_999, 9_199_998
BLOCKED_PEER_SID, SWEEP_SID = 9_199_997, 9_199_996
RULES_FILE = "procwire.rules"
SCRIPTS = "lua/procwire"  # from Suricata's rule directory
SWEEP = f"{SCRIPTS}/sweep.lua"
LAST = 255  # the priority of what runs behind all else
BEFORE_FLOWS = ":pre_flow"  # behind the protocol of a rule
SINCE_8, BEFORE_8 = "requires:version >= 8.0.0;", "requires:version < 8.0.0;"
# The parts of scripts below lua/, in their order.
WORDS, PROTOCOL_WORDS = "words", "protocol_words"
SURICATA, MESSAGE_STARTS, WALK = "suricata", "messages", "walk"
ONE_RULE, GATE, SWEEPS = "one_rule", "gate", "sweep"
SOURCES = (WORDS, PROTOCOL_WORDS, SURICATA, MESSAGE_STARTS, WALK, ONE_RULE, GATE, SWEEPS)


def artefacts(
    checks: tuple[Rule | Observed, ...], sources: dict[str, str], drop: bool = False
) -> dict[Path, str]:
    """Path below Suricata's rule directory -> text of every file.

    sources: the text of lua/NAME.lua for each NAME in SOURCES; drop: rules of tier A drop their
    packets, for an inline Suricata. What a lawful packet may break, tier B, only alerts.
    """
    layers = scripted_layers(checks)
    files = {Path(RULES_FILE): _rules_file(checks, layers, drop)}
    for layer, rules in layers.items():
        let_through = [rule.sid for rule in rules if drop and rule.tier != "A"]
        files[Path(_script_of(layer))] = _script(layer, rules, sources, let_through)
    parts = [f"-- {HEADLINE}", "local REMEMBERS = true", sources[SURICATA], sources[SWEEPS]]
    files[Path(SWEEP)] = _joined(parts)
    return files


def scripted_layers(checks: Iterable[Rule | Observed]) -> dict[str, list[Rule]]:
    """The layers that have a script -> the rules that it tries."""
    layers: dict[str, list[Rule]] = {}
    for check in checks:
        if isinstance(check, Rule) and _is_scripted(check):
            for layer in _seen_layers(check):
                if is_scripted(check, layer):
                    layers.setdefault(layer, []).append(check)
    return layers


def is_gated(layer: str, rules: Sequence[Rule]) -> bool:
    """Whether one call of the layer's script tries all of its rules."""
    return layer in MESSAGES and len(rules) > 1


def _script_of(layer: str) -> str:
    return f"{SCRIPTS}/{layer}.lua"


def _script(
    layer: str, rules: list[Rule], sources: dict[str, str], let_through: Sequence[int]
) -> str:
    gated = is_gated(layer, rules)
    parts = [
        f"-- {HEADLINE}",
        sources[WORDS],
        sources[PROTOCOL_WORDS],
        f"local REMEMBERS = {str(gated).lower()}",
        sources[SURICATA],
        f"local LET_THROUGH = {{ {', '.join(f'[{sid}] = true' for sid in let_through)} }}",
        f"local RULES, ANSWERS = {{ {layer} = {{}} }}, {{}}",
        f"local OF_MESSAGES = {str(layer in MESSAGES).lower()}",
    ]
    for rule in rules:
        entry = f"ANSWERS[{rule.sid}] = {rule.name}"
        if gated:
            needs = needed_text(rule)
            only = "" if needs is None else f", {lua_string(needs)}"
            entry = f"RULES.{layer}[#RULES.{layer} + 1] = {{ {rule.sid}, {rule.name}{only} }}"
        # A block each: Lua 5.1 allows a function, the main chunk too, 200 local names.
        parts.append("\n".join(["do", lua_function(rule), entry, "end"]))
    ending = sources[GATE if gated else ONE_RULE]
    ports = [lua_layers("OVER_UDP", UDP_PORTS), lua_layers("OVER_TCP", TCP_PORTS)]
    return _joined([*parts, *ports, sources[MESSAGE_STARTS], sources[WALK], ending])


def _joined(parts: list[str]) -> str:
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _is_scripted(rule: Rule) -> bool:
    return any(expression(rule, version).way == "lua" for version in VERSIONS)


def _seen_layers(rule: Rule) -> list[str]:
    return [layer for layer in rule.layers if layer not in STREAM_LAYERS]


def _rules_file(
    checks: tuple[Rule | Observed, ...], layers: dict[str, list[Rule]], drop: bool
) -> str:
    lines = [f"# {HEADLINE}", *_machinery(layers, drop)]
    for check in checks:
        if isinstance(check, Observed):
            shown = observation(check)
            chosen = STATE_EVENTS.get(check.id, ())
            signatures = [text for one in chosen for text in one.signatures()]
        else:
            # The version that sees least.
            shown, signatures = expression(check, min(VERSIONS)), _signatures(check, layers)
        if shown.way == "host":
            only = f" (version {min(VERSIONS)})" if signatures else ""
            lines.append(f"# {check.id}{only}: {shown.reason}")
        drops = drop and check.tier == "A"
        if drops:
            signatures = [early for text in signatures for early in _early(text)]
        filled = {
            "action": "drop" if drops else "alert",
            "hook": "",
            "unseen": "",
            # Of rules of one action, what sets a flow bit runs before what reads it; rules that
            # drop run before all others. So the gates come first.
            "gate": "flowbits:isset,procwire;" if drops == drop else "",
        }
        # A sid may come once in each group, and a rule can say only "and", never "or".
        for group, text in enumerate(signatures, 1):
            lines.append(text.format(tail=_tail(check, group), **filled))
    return "\n".join([*lines, ""])


def _machinery(layers: dict[str, list[Rule]], drop: bool) -> list[str]:
    """The rules that raise no alerts: gates, what sweeps behind them, and the blocked hosts."""
    gates = [
        (layer, gate)
        for layer, rules in layers.items()
        if is_gated(layer, rules)
        for chosen in MESSAGES[layer]
        for gate in chosen.signatures(f"lua:{_script_of(layer)}; flowbits:set,procwire; noalert;")
    ]
    lines = []
    for group, (layer, gate) in enumerate(gates, 1):
        tail = f'msg:"procwire: {layer}"; gid:{group}; sid:{GATE_SID}; rev:1;'
        lines.append(gate.format(action="drop" if drop else "alert", tail=tail))
    (sweep,) = Selection("ip").signatures(f'flowvar:procwire,"/"; lua:{SWEEP}; noalert;')
    tail = f'msg:"procwire: sweep"; priority:{LAST}; sid:{SWEEP_SID}; rev:1;'
    lines.append(sweep.format(action="alert", tail=tail))
    if drop:
        lines += [
            _blocked(end, hook, form, f"{keywords} sid:{sid};")
            for hook, form, keywords in (
                ("", "", f"{BEFORE_8} gid:1;"),
                (
                    BEFORE_FLOWS,
                    ",format json,value_key ip,context_key process",
                    f"{SINCE_8} gid:2;",
                ),
            )
            for end, sid in (("src", BLOCKED_SID), ("dst", BLOCKED_PEER_SID))
        ]
    return lines


def _blocked(end: str, hook: str, form: str, keywords: str) -> str:
    """A rule that drops what a blocked host sends (src) or is sent (dst)."""
    return (
        f'drop ip{hook} any any -> any any (msg:"procwire: blocked host"; ip.{end};'
        f" dataset:isset,{BLOCKED},type ip{form}; {keywords} rev:1;)"
    )


def _signatures(rule: Rule, layers: dict[str, list[Rule]]) -> list[str]:
    """The Suricata rules that together show `rule`, with {action}, {tail} (the metadata), {gate}
    (what makes it run behind the gates), and {hook} (where it is asked) or {unseen} (where no
    script sees it) to be filled in."""
    signatures = []
    shown = any(expression(rule, version).way != "host" for version in VERSIONS)
    if shown and rule.id not in NATIVE and rule.id not in NATIVE_8:
        for layer in _seen_layers(rule):
            signatures += _of_layer(rule, layer, layers.get(layer, []))
    for event in NATIVE.get(rule.id, ()) + PARTLY_NATIVE.get(rule.id, ()):
        signatures += _on_event(event, hook="{unseen}" if rule.id in SEEN_EARLY else "{hook}")
    for event in NATIVE_8.get(rule.id, ()):
        signatures += _on_event(event, SINCE_8)
    return signatures


def _early(text: str) -> list[str]:
    """The same for a rule that drops: one on headers, in 8, before it looks for the flow."""
    if "{unseen}" in text:
        return [_only(BEFORE_8, text)]
    if "{hook}" not in text or SINCE_8 in text:
        return [text.replace("{hook}", BEFORE_FLOWS)]
    return [_only(BEFORE_8, text), _only(SINCE_8, text.replace("{hook}", BEFORE_FLOWS))]


def _only(version: str, text: str) -> str:
    return f"{text.removesuffix(')')} {version})"


def _on_event(event: str, keywords: str = "", hook: str = "{hook}") -> list[str]:
    return _hooked(Selection("pkthdr", "any", f"decode-event:{event};"), keywords, hook)


def _hooked(packets: Selection, keywords: str, hook: str = "{hook}") -> list[str]:
    return packets._replace(protocol=packets.protocol + hook).signatures(keywords)


def _of_layer(rule: Rule, layer: str, rules: list[Rule]) -> list[str]:
    script = f"lua:{_script_of(layer)};"
    if layer in HEADERS:
        protocol = HEADERS[layer].protocol
        shown = [
            signature(f"{protocol}{{hook}}", *head[:2], words, "" if exact else script)
            for words, exact, head in natives(rule, layer)
        ]
        return shown + (_hooked(REJECTED[layer], script) if layer in REJECTED else [])
    if layer in REJECTED:
        return _hooked(REJECTED[layer], script)
    if not is_gated(layer, rules):
        return [text for chosen in MESSAGES[layer] for text in chosen.signatures(script)]
    # The variable is swept behind the packet, so no other reaches them.
    found = f'{{gate}} flowvar:procwire,"/{rule.sid}/";'
    return [
        text for chosen in UNSCRIPTED[layer] for text in chosen.signatures(found, scripted=False)
    ]


def _tail(rule: Rule | Observed, group: int) -> str:
    metadata = [f"rule {rule.id}", *[f"analytic {name}" for name in rule.analytics]]
    metadata.append(f"tier {rule.tier}")
    return (
        f'msg:"{rule.title}"; metadata:{", ".join(metadata)}; priority:{rule.severity};'
        f" gid:{group}; sid:{rule.sid}; rev:1;"
    )
