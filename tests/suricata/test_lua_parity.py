"""The scripts that Suricata runs, in both of its Lua dialects and without it, against numba."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lupa.lua54
import lupa.luajit21
import numpy as np
import pytest
from example_frames import frames, mixed
from outermost import without_inner
from procwire import layers
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.compiler.to_suricata import GATE, expression
from procwire.decode.frame import decode
from procwire.evaluate import evaluate
from procwire.rules import all_rules, packet_rules

ROOT = Path(__file__).parent.parent.parent
RULES = all_rules()
SCRIPTED = {rule.sid for rule in packet_rules() if expression(rule, 8).way == "lua"}
GENERATED = ROOT / "lua" / "generated"
SCRIPTS = {str(path.relative_to(GENERATED)): path.read_text() for path in GENERATED.rglob("*.lua")}

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


def load(dialect: str, script: str, has_flow: bool) -> tuple[lupa.LuaRuntime, Run]:
    runtime, environment = DIALECTS[dialect]
    lua = runtime(encoding=None)
    lua.execute(f"has_flow = {str(has_flow).lower()}".encode())
    lua.execute(environment.encode())
    lua.execute(SCRIPTS[script].encode())
    lua.execute(b"init({}) if thread_init then thread_init() end")
    return lua, lua.globals()[b"examine"]


def found_by_numba(packets: list[bytes]) -> list[set[int]]:
    """The scripts' sids for each packet; none where no IP header is intact, as in Suricata."""
    sizes = np.array([len(packet) for packet in packets], np.int32)
    count = len(packets)
    batch = PacketBatch(
        data=np.frombuffer(b"".join(packets), np.uint8),
        start=np.cumsum(sizes, dtype=np.int64) - sizes,
        captured=sizes,
        length=sizes,
        time=np.zeros(count, np.int64),
        link=np.full(count, ETHERNET, np.uint16),
        cut=np.zeros(count, np.bool_),
        first=1,
    )
    decoded = without_inner(decode(batch))
    intact = np.isin(decoded.spans.layer, (layers.IPV4, layers.IPV6))
    over_ip = set(decoded.spans.packet[intact].tolist())
    sids: list[set[int]] = [set() for _ in packets]
    for row in evaluate(batch, decoded):
        sid = RULES[row["rule"]].sid
        if sid in SCRIPTED and int(row["row"]) in over_ip:
            sids[row["row"]].add(sid)
    return sids


def test_gate_remembers_what_fired_on_this_packet(dialect: str) -> None:
    packets = mixed(8000, seed=3)
    lua, examine = load(dialect, GATE, has_flow=True)
    for packet, wanted in zip(packets, found_by_numba(packets), strict=True):
        matched = examine(packet)
        remembered = (lua.globals()[b"variable"] or b"-").decode()
        sids = {int(sid) for sid in remembered.strip("-/").split("/") if sid}
        assert (sids, matched) == (wanted, int(bool(wanted))), packet.hex()


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != GATE])
def test_one_rule_scripts_answer_for_the_calling_rule(dialect: str, script: str) -> None:
    packets = mixed(400, seed=4)
    lua, examine = load(dialect, script, has_flow=False)
    asked = [sid for sid in sorted(SCRIPTED) if f"{{ {sid}, " in SCRIPTS[script]]
    assert asked
    for packet, wanted in zip(packets, found_by_numba(packets), strict=True):
        fired = set()
        for sid in asked:
            lua.globals()[b"sid"] = sid
            if examine(packet) == 1:
                fired.add(sid)
        assert fired == wanted & set(asked), packet.hex()


@pytest.mark.parametrize("header", LINKS, ids=LINKS.values())
def test_every_link_shows_the_same_packet(dialect: str, header: bytes) -> None:
    """An IP packet without the link that its example has, and behind those of other captures."""
    lua, examine = load(dialect, GATE, has_flow=True)
    packets = [
        packet[14:]
        for rule in packet_rules()
        for packet in frames(rule)
        if rule.layers == ("tcp",) and packet[12:14] == IPV4
    ]
    assert packets
    remembered = []
    for link in (b"", header):
        remembered.append([])
        for packet in packets:
            examine(link + packet)
            remembered[-1].append(lua.globals()[b"variable"])
    assert remembered[0] == remembered[1]
    assert len(set(remembered[0])) > 2


def test_each_script_leaves_the_other_kind_of_packet_alone(dialect: str) -> None:
    packets = mixed(200, seed=5)
    for script in SCRIPTS:
        lua, examine = load(dialect, script, has_flow=script != GATE)
        lua.globals()[b"sid"] = min(SCRIPTED)
        assert {examine(packet) for packet in packets} == {0}, script
