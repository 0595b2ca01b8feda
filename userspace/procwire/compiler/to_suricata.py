"""The Suricata back end: a rules file and Lua scripts that give each packet its exact sids.

A script can only say yes or no, and one script per rule costs twelve times the CPU. So one script,
run once per packet, writes the sids that fired into a flow variable, and a native rule per sid
looks for its own there. A packet without a flow cannot hold one: natively selected, it is shown to
one script per rule. What Suricata rejects before any script is found by its decoder events.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from procwire.compiler import HEADLINE
from procwire.compiler.to_lua import lua_function
from procwire.rule import Observed, Rule
from procwire.suricata.commands import BLOCKED

VERSIONS = (7, 8)
GATE_SID, BLOCKED_SID, BLOCKED_PEER_SID = 9_199_999, 9_199_998, 9_199_997
RULES_FILE = "procwire.rules"
SCRIPTS = "lua/procwire"  # from Suricata's rule directory
GATE = f"{SCRIPTS}/packet.lua"


class Selection(NamedTuple):
    """The packets that a rule looks at, in Suricata's words: protocol, ports, further keywords."""

    protocol: str
    ports: str = "any"
    keywords: str = ""


# Packets that get no flow in Suricata 7, each kind selected by stateless keywords.
_REJECTED_TRANSPORT = Selection("ip", "0")  # whose ports Suricata leaves at 0
_FRAGMENT_4 = Selection("ipv4", "any", "ipv4.hdr; byte_test:2,&,0x3fff,6;")
# ESP and SCTP always have a flow. With ip_proto, the protocol "ipv4" or "ipv6" would match nothing.
_OTHER_PROTOCOL = Selection("ip", "any", "ip_proto:!6; ip_proto:!17; ip_proto:!50; ip_proto:!132;")
_OTHER_OVER_4 = Selection("ip", "any", f"{_OTHER_PROTOCOL.keywords} ipv4.hdr; byte_test:1,>,0,0;")
# An IPv6 fragment's protocol is 44.
_OTHER_OVER_6 = Selection("ip", "any", f"{_OTHER_PROTOCOL.keywords} ipv6.hdr; byte_test:1,>,0,0;")
_ICMP_ERROR = Selection("icmp", "any", "itype:2<>13;")


class Sight(NamedTuple):
    """How scripts see a layer: the rule header of its packets with a flow (None: they never have
    one), and the selections that cover those without."""

    flow: str | None
    flowless: tuple[Selection, ...]


SIGHTS = {
    "ethernet": Sight("ip", (_REJECTED_TRANSPORT, _FRAGMENT_4, _OTHER_PROTOCOL)),
    "ipv4": Sight("ipv4", (_REJECTED_TRANSPORT, _FRAGMENT_4, _OTHER_OVER_4)),
    "ipv6": Sight("ipv6", (_REJECTED_TRANSPORT, _OTHER_OVER_6)),
    "icmp4": Sight("icmp", (_ICMP_ERROR,)),
    "icmp6": Sight("icmp", ()),
    "tcp": Sight("tcp", ()),
    "udp": Sight("udp", (Selection("udp", "0"),)),
    "tcp_malformed": Sight(None, (Selection("tcp", "0"),)),
    "udp_malformed": Sight(None, (Selection("udp", "0"),)),
    # An intact datagram or segment from or to a port other than 0 always has a flow.
    "dns": Sight("ip", ()),
    "ntp": Sight("udp", ()),
    "dhcp": Sight("udp", ()),
    "snmp": Sight("udp", ()),
    "modbus": Sight("tcp", ()),
    "dnp3": Sight("ip", ()),
    "http1": Sight("tcp", ()),
    "tls": Sight("tcp", ()),
    "ssh": Sight("tcp", ()),
    "smb": Sight("tcp", ()),
    "smtp": Sight("tcp", ()),
}

# Rules on what Suricata's decoder rejects, and its events for the same fault. It reports the first
# fault it meets, in this order. Three differences remain: an IPv6 header below 40 bytes raises no
# event, and lengths of 0 (segmentation offload, jumbograms) are faults to it. It does not know of
# snap lengths: whatever a capture cut is truncated to it.
NATIVE = {
    "eth.truncated": ("ethernet.pkt_too_small",),
    "vlan.truncated": ("vlan.header_too_small",),
    "vlan.too_many_tags": ("vlan.too_many_layers",),
    "ipv4.bad_version": ("ipv4.wrong_ip_version",),
    "ipv4.bad_hlen": ("ipv4.hlen_too_small",),
    "ipv4.len_lt_hlen": ("ipv4.iplen_smaller_than_hlen",),
    "ipv4.truncated": ("ipv4.pkt_too_small", "ipv4.trunc_pkt"),
    "ipv6.bad_version": ("ipv6.wrong_ip_version",),
    "ipv6.truncated": ("ipv6.trunc_pkt",),
    "ipv6.exthdr_truncated": ("ipv6.trunc_exthdr",),
    "gre.bad_header": (
        "gre.pkt_too_small",
        "gre.wrong_version",
        "gre.version0_hdr_too_big",
        "gre.version1_chksum",
        "gre.version1_route",
        "gre.version1_ssr",
        "gre.version1_recur",
        "gre.version1_flags",
        "gre.version1_no_key",
        "gre.version1_wrong_protocol",
        "gre.version1_hdr_too_big",
    ),
    "icmp4.truncated": ("icmpv4.pkt_too_small",),
    "icmp6.truncated": ("icmpv6.pkt_too_small",),
}
# Rules whose packets it rejects in some cases only: shown both ways.
PARTLY_NATIVE = {
    "ipv4.opt_malformed": ("ipv4.opt_invalid_len",),
    "ipv6.carries_icmpv4": ("ipv6.icmpv4",),
}

# What only the decoder of 8 tells, in its order; 7 skips these rules.
NATIVE_8 = {
    "arp.bad_sizes": ("arp.invalid_hardware_size", "arp.invalid_protocol_size"),
    "arp.truncated": ("arp.pkt_too_small", "arp.invalid_pkt"),
    "arp.bad_opcode": ("arp.unsupported_opcode",),
}

# A packet that breaks one of these may reach no script: Suricata could not decode its IP header.
# Nor does one with an IPv6 extension header behind which nothing follows.
HIDING = (*(name for name in NATIVE if not name.startswith("icmp")), *PARTLY_NATIVE)

HOST_ONLY_LAYERS = {
    "arp": "Suricata shows ARP to no rule",
    "inner_ip_malformed": "Suricata judges it as a packet of its own, by IPv4's and IPv6's rules",
}

# Parts of messages that only a reader of streams finds: scripts are shown one segment at a time.
STREAM_LAYERS = ("http1_chunk",)

# Layers whose messages may lie in several TCP segments.
STREAMED = frozenset(("dns", "dnp3", "http1", "modbus", "smb", "smtp", "ssh", "tls"))
SEGMENTWISE = "over TCP a script judges the message that a segment begins with, as far as it goes"

# Checks over several packets that Suricata makes, too, by its events. It keeps state of its own,
# with other limits, so it may find more or fewer.
STATE_EVENTS = {
    "ipv4.frag_overlap": (Selection("pkthdr", "any", "decode-event:ipv4.frag_overlap;"),),
    "ipv6.frag_overlap": (Selection("pkthdr", "any", "decode-event:ipv6.frag_overlap;"),),
    "app.protocol_mismatch": tuple(
        Selection("ip", "any", f"app-layer-event:{event};")
        for event in (
            "applayer_mismatch_protocol_both_directions",
            "applayer_unexpected_protocol",
            "applayer_no_tls_after_starttls",
        )
    ),
}
COUNTED = "a counter: Suricata keeps none for a rule"
NO_SCRIPT = "counts over many packets, which no Suricata script can hold"


class Expression(NamedTuple):
    """How Suricata shows a rule. way: "lua", "native" (by its decoder's events) or "host" (not at
    all); reason: why not, for "host", and for "lua" what a script judges otherwise, if anything.
    """

    way: str
    reason: str = ""


def expression(rule: Rule, version: int) -> Expression:
    """How Suricata `version`, one of VERSIONS, shows `rule`. Raises ValueError if no table has an
    answer."""
    if rule.tier == "C":
        return Expression("host", COUNTED)
    if rule.id in NATIVE or (version == 8 and rule.id in NATIVE_8):
        return Expression("native")
    if all(layer in SIGHTS or layer in STREAM_LAYERS for layer in rule.layers):
        return Expression("lua", "" if STREAMED.isdisjoint(rule.layers) else SEGMENTWISE)
    for layer in rule.layers:
        if layer in HOST_ONLY_LAYERS:
            return Expression("host", HOST_ONLY_LAYERS[layer])
    raise ValueError(f"{rule.id}: no Suricata table tells how to see {', '.join(rule.layers)}")


def observation(check: Observed) -> Expression:
    """How Suricata shows a check of several packets."""
    return Expression("native") if check.id in STATE_EVENTS else Expression("host", NO_SCRIPT)


def artefacts(
    checks: tuple[Rule | Observed, ...], words: str, hook: str, drop: bool = False
) -> dict[Path, str]:
    """Path below Suricata's rule directory -> text of every file.

    words, hook: the texts of lua/words.lua and lua/hook.lua; drop: rules of tier A drop their
    packets, for an inline Suricata. What a lawful packet may break, tier B, only alerts.
    """
    rules = [check for check in checks if isinstance(check, Rule)]
    scripted = [rule for rule in rules if _is_scripted(rule)]
    files = {Path(RULES_FILE): _rules_file(checks, drop)}
    let_through = [rule.sid for rule in scripted if drop and rule.tier != "A"]
    files[Path(GATE)] = _script(scripted, words, hook, False, let_through)
    for layer, sight in SIGHTS.items():
        seen = [rule for rule in scripted if layer in rule.layers]
        if seen and sight.flowless:
            files[Path(_single(layer))] = _script(seen, words, hook, one_rule=True)
    return files


def _single(layer: str) -> str:
    return f"{SCRIPTS}/{layer}.lua"


def _script(
    rules: list[Rule], words: str, hook: str, one_rule: bool, let_through: Sequence[int] = ()
) -> str:
    layers = sorted({layer for rule in rules for layer in _seen_layers(rule)})
    parts = [
        f"-- {HEADLINE}",
        words.strip(),
        f"local ONE_RULE = {str(one_rule).lower()}",
        f"local LET_THROUGH = {{ {', '.join(f'[{sid}] = true' for sid in let_through)} }}",
        f"local RULES = {{ {', '.join(f'{layer} = {{}}' for layer in layers)} }}",
    ]
    for rule in rules:
        places = [f"RULES.{layer}[#RULES.{layer} + 1]" for layer in _seen_layers(rule)]
        entries = [f"{place} = {{ {rule.sid}, {rule.name} }}" for place in places]
        # A block each: Lua 5.1 allows a function, the main chunk too, 200 local names.
        parts.append("\n".join(["do", lua_function(rule), *entries, "end"]))
    return "\n\n".join([*parts, hook])


def _is_scripted(rule: Rule) -> bool:
    return any(expression(rule, version).way == "lua" for version in VERSIONS)


def _rules_file(checks: tuple[Rule | Observed, ...], drop: bool) -> str:
    gate = f'any any -> any any (msg:"procwire: all rules"; lua:{GATE}; flowbits:set,procwire;'
    lines = [
        f"# {HEADLINE}",
        f"{'drop' if drop else 'alert'} ip {gate} noalert; sid:{GATE_SID}; rev:1;)",
    ]
    if drop:
        lines += [
            _blocked(end, form, f"{keywords} sid:{sid};")
            for form, keywords in (
                ("", "requires:version < 8.0.0; gid:1;"),
                (
                    ",format json,value_key ip,context_key process",
                    "requires:version >= 8.0.0; gid:2;",
                ),
            )
            for end, sid in (("src", BLOCKED_SID), ("dst", BLOCKED_PEER_SID))
        ]
    for check in checks:
        if isinstance(check, Observed):
            shown, signatures = observation(check), _state_signatures(check)
        else:
            # The version that sees least.
            shown, signatures = expression(check, min(VERSIONS)), _signatures(check)
        if shown.way == "host":
            only = f" (version {min(VERSIONS)})" if signatures else ""
            lines.append(f"# {check.id}{only}: {shown.reason}")
        drops = drop and check.tier == "A"
        filled = {
            "action": "drop" if drops else "alert",
            # Of rules of one action, what sets a flow bit runs before what reads it; rules that
            # drop run before all others. So the gate comes first.
            "gate": "flowbits:isset,procwire; " if drops == drop else "",
        }
        # A sid may come once in each group, and a rule can say only "and", never "or".
        for group, signature in enumerate(signatures, 1):
            lines.append(signature.format(tail=_tail(check, group), **filled))
    return "\n".join([*lines, ""])


def _blocked(end: str, form: str, keywords: str) -> str:
    """A rule that drops what a blocked host sends (src) or is sent (dst)."""
    return (
        f'drop ip any any -> any any (msg:"procwire: blocked host"; ip.{end};'
        f" dataset:isset,{BLOCKED},type ip{form}; {keywords} rev:1;)"
    )


def _seen_layers(rule: Rule) -> list[str]:
    return [layer for layer in rule.layers if layer not in STREAM_LAYERS]


def _state_signatures(check: Observed) -> list[str]:
    return [_signature(selection) for selection in STATE_EVENTS.get(check.id, ())]


def _signatures(rule: Rule) -> list[str]:
    """The Suricata rules that together show `rule`, with {action}, {tail} (the metadata) and
    {gate} (what makes it run behind the gate) to be filled in."""
    events = NATIVE.get(rule.id, ()) + PARTLY_NATIVE.get(rule.id, ())
    native = [_signature(Selection("pkthdr"), f"decode-event:{event};") for event in events]
    native += [
        _signature(Selection("pkthdr"), f"decode-event:{event}; requires:version >= 8.0.0;")
        for event in NATIVE_8.get(rule.id, ())
    ]
    return _scripted(rule) + native if _is_scripted(rule) else native


def _scripted(rule: Rule) -> list[str]:
    sights = {layer: SIGHTS[layer] for layer in _seen_layers(rule)}
    signatures = []
    flows = sorted({sight.flow for sight in sights.values() if sight.flow})
    if flows:
        found = f'{{gate}}flowvar:procwire,"/{rule.sid}/";'
        protocol = flows[0] if len(flows) == 1 else "ip"
        signatures.append(_signature(Selection(protocol), found))
    for layer, sight in sights.items():
        for selection in sight.flowless:
            signatures.append(_signature(selection, f"lua:{_single(layer)};"))
    return signatures


def _signature(selection: Selection, condition: str = "") -> str:
    protocol, ports, keywords = selection
    options = " ".join(filter(None, ("{tail}", keywords, condition)))
    return f"{{action}} {protocol} any {ports} -> any {ports} ({options})"


def _tail(rule: Rule | Observed, group: int) -> str:
    metadata = [f"rule {rule.id}", *[f"analytic {name}" for name in rule.analytics]]
    metadata.append(f"tier {rule.tier}")
    return (
        f'msg:"{rule.title}"; metadata:{", ".join(metadata)}; priority:{rule.severity};'
        f" gid:{group}; sid:{rule.sid}; rev:1;"
    )
