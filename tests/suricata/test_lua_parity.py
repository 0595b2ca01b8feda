"""The scripts that Suricata runs, in both of its Lua dialects and without it, against numba."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lupa.lua54
import lupa.luajit21
import numpy as np
import pytest
from batches import batch_of
from example_frames import frames, mixed
from outermost import without_inner
from procwire import layers
from procwire.compiler.to_suricata import SCRIPTS, SWEEP, is_gated, scripted_layers
from procwire.decode.frame import decode
from procwire.judging.evaluate import evaluate
from procwire.rules import all_rules

ROOT = Path(__file__).parent.parent.parent
RULES = all_rules()
GENERATED = ROOT / "lua" / "generated"
SCRIPTED = scripted_layers(RULES)
GATES = [layer for layer, rules in SCRIPTED.items() if is_gated(layer, rules)]
OTHERS = [layer for layer in SCRIPTED if layer not in GATES]

# What the scripts call, as Suricata 7 has it in globals and Suricata 8 in modules.
STANDS_FOR_7 = """
function SCFlowTuple() if has_flow then return 4 end return nil, "no flow" end
function SCRuleIds() return sid, 1, 1 end
function SCFlowvarGet(index) return variable end
function SCFlowvarSet(index, value, size) variable = value end
function examine(frame) return match({ packet = frame }) end
"""
STANDS_FOR_8 = """
local current
local modules = {
  ["suricata.packet"] = { get = function()
    return { packet = function() return current end }
  end },
  ["suricata.flow"] = { get = function() return has_flow and {} or nil end },
  ["suricata.rule"] = { get_rule = function() return { sid = function() return sid end } end },
  ["suricata.flowvar"] = { register = function() end, get = function()
    return {
      value = function() return variable end,
      set = function(_, value) variable = value end,
    }
  end },
}
function require(name) return modules[name] end
function examine(frame)
  current = frame
  return match({})
end
"""
DIALECTS = {
    "luajit": (lupa.luajit21.LuaRuntime, STANDS_FOR_7),
    "lua54": (lupa.lua54.LuaRuntime, STANDS_FOR_8),
}
Run = Callable[[bytes], int]
IPV4 = b"\x08\0"
LINKS = {
    bytes.fromhex("02000000"): "BSD loopback",
    bytes.fromhex("00000002"): "BSD loopback, big-endian",
    bytes.fromhex("ff030021"): "PPP",
    bytes.fromhex("0004 0001 0006 0200 0000 0001 0000 0800"): "Linux cooked",
}


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def load(dialect: str, script: str, has_flow: bool = True) -> tuple[lupa.LuaRuntime, Run]:
    """The script of a layer, or at a path, and what shows it a frame."""
    runtime, environment = DIALECTS[dialect]
    path = GENERATED / (script if "/" in script else f"{SCRIPTS}/{script}.lua")
    lua = runtime(encoding=None)
    lua.execute(f"has_flow = {str(has_flow).lower()}".encode())
    lua.execute(environment.encode())
    lua.execute(path.read_bytes())
    lua.execute(b"init({}) if thread_init then thread_init() end")
    return lua, lua.globals()[b"examine"]


def found_by_numba(packets: list[bytes], layer: str) -> list[set[int]]:
    """The sids of the layer's script for each packet; none where no IP header is intact, as in
    Suricata."""
    batch = batch_of(packets)
    decoded = without_inner(decode(batch))
    spans = decoded.spans
    over_ip = set(spans.packet[np.isin(spans.layer, (layers.IPV4, layers.IPV6))].tolist())
    kept = np.where(spans.layer == layers.LAYER_NUMBERS[layer], spans.layer, 0)
    scripted = {rule.sid for rule in SCRIPTED[layer]}
    sids: list[set[int]] = [set() for _ in packets]
    for row in evaluate(batch, decoded._replace(spans=spans._replace(layer=kept))):
        sid = RULES[row["rule"]].sid
        if sid in scripted and int(row["row"]) in over_ip:
            sids[row["row"]].add(sid)
    return sids


def of_layer(layer: str, count: int, seed: int) -> list[bytes]:
    """Frames of all kinds, and many of the layer's rules."""
    own = [packet for rule in SCRIPTED[layer] for packet in frames(rule)]
    return [*mixed(count, seed), *own]


@pytest.mark.parametrize("layer", GATES)
def test_gate_remembers_what_fired_on_this_packet(dialect: str, layer: str) -> None:
    packets = of_layer(layer, 1500, seed=3)
    lua, examine = load(dialect, layer)
    seen = set()
    for packet, wanted in zip(packets, found_by_numba(packets, layer), strict=True):
        lua.globals()[b"variable"] = b"-"
        matched = examine(packet)
        remembered = lua.globals()[b"variable"].decode()
        sids = {int(sid) for sid in remembered.strip("-/").split("/") if sid}
        assert (sids, matched) == (wanted, int(bool(wanted))), packet.hex()
        seen |= sids
    assert seen == {rule.sid for rule in SCRIPTED[layer]}


@pytest.mark.parametrize("layer", OTHERS)
def test_script_answers_for_the_calling_rule(dialect: str, layer: str) -> None:
    packets = of_layer(layer, 300, seed=4)
    lua, examine = load(dialect, layer)
    asked = [rule.sid for rule in SCRIPTED[layer]]
    for packet, wanted in zip(packets, found_by_numba(packets, layer), strict=True):
        fired = set()
        for sid in asked:
            lua.globals()[b"sid"] = sid
            if examine(packet) == 1:
                fired.add(sid)
        assert fired == wanted, packet.hex()


def test_gates_add_to_what_others_found_and_the_sweep_ends_it(dialect: str) -> None:
    lua, examine = load(dialect, "dns")
    broken = [packet for rule in SCRIPTED["dns"] for packet in frames(rule) if examine(packet) == 1]
    lua.globals()[b"variable"] = b"/9100001/"
    examine(broken[0])
    found = lua.globals()[b"variable"]
    assert found.startswith(b"/9100001/") and len(found) > len(b"/9100001/")
    swept, sweep = load(dialect, SWEEP)
    swept.globals()[b"variable"] = found
    assert sweep(broken[0]) == 0
    assert swept.globals()[b"variable"] == b"-"


@pytest.mark.parametrize("layer", GATES)
def test_gate_leaves_packets_without_a_flow_alone(dialect: str, layer: str) -> None:
    _, examine = load(dialect, layer, has_flow=False)
    assert {examine(packet) for packet in of_layer(layer, 100, seed=5)} == {0}


@pytest.mark.parametrize("header", LINKS, ids=LINKS.values())
def test_every_link_shows_the_same_packet(dialect: str, header: bytes) -> None:
    """An IP packet without the link that its example has, and behind those of other captures."""
    lua, examine = load(dialect, "tcp")
    rules = SCRIPTED["tcp"]
    packets = [packet[14:] for rule in rules for packet in frames(rule) if packet[12:14] == IPV4]
    answers = []
    for link in (b"", header):
        answers.append([])
        for rule in rules:
            lua.globals()[b"sid"] = rule.sid
            answers[-1].append([examine(link + packet) for packet in packets])
    assert answers[0] == answers[1]
    assert all(1 in of_rule and 0 in of_rule for of_rule in answers[0])
