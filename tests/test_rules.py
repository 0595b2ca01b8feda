"""Every rule on its own examples, in every back end; and what @rule refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lupa.lua54
import lupa.luajit21
import pytest
from lua_words import lua_rules
from procwire.compiler.build import artefacts
from procwire.judging.evaluate import compiled_verdict
from procwire.rule import BadRule, Observed, Rule, example, fires, observed, rule
from procwire.rules import all_rules, index_of, packet_rules

ROOT = Path(__file__).parent.parent
LONGEST_CUT = 300  # bytes
Backend = Callable[[Rule, str], bool]


def in_python(checked: Rule, text: str) -> bool:
    return fires(checked, *example(text))


def in_lua(runtime: type) -> Backend:
    functions: dict[int, Any] = {}
    # Lua 5.1 allows a function, the main chunk too, 200 local names.
    for first in range(0, len(packet_rules()), 50):
        functions |= lua_rules(runtime, packet_rules()[first : first + 50])

    def run(checked: Rule, text: str) -> bool:
        p, outer = example(text)
        verdict = functions[checked.sid](p.data, outer.data)
        assert isinstance(verdict, bool)
        return verdict

    return run


BACKENDS: dict[str, Backend] = {
    "python": in_python,
    "numba": compiled_verdict,
    "lua54": in_lua(lupa.lua54.LuaRuntime),
    "luajit": in_lua(lupa.luajit21.LuaRuntime),
}
EXAMPLES = [
    pytest.param(checked, text, wanted, id=f"{checked.id}-{verb}-{number}")
    for checked in packet_rules()
    for wanted, verb, texts in (
        (True, "fires", checked.fires_on),
        (False, "silent", checked.silent_on),
    )
    for number, text in enumerate(texts)
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("checked", "text", "wanted"), EXAMPLES)
def test_example(checked: Rule, text: str, wanted: bool, backend: str) -> None:
    assert BACKENDS[backend](checked, text) == wanted


# Whether a header contradicts itself, decode tells by the same lengths.
WELL_FORMED = sorted(
    {
        layer
        for checked in packet_rules()
        for layer in checked.layers
        if not layer.endswith("malformed")
    }
)


@pytest.mark.parametrize("layer", WELL_FORMED)
def test_what_a_snap_length_cuts_off_is_no_fault(layer: str) -> None:
    """What no rule minds in a message, it does not mind in the beginning of it."""
    rules = [checked for checked in packet_rules() if layer in checked.layers]
    for text in {text for checked in rules for text in checked.silent_on}:
        p, outer = example(text)
        for checked in rules:
            if not fires(checked, p, outer):
                cuts = (p._replace(captured=size) for size in range(min(p.captured, LONGEST_CUT)))
                assert not any(fires(checked, cut, outer) for cut in cuts), (checked.id, text)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "header",
    ["0200 0000", "0000 0304 0006 0000 0000 0000 0000 0800", f"0800 {'00' * 6} 0304 {'00' * 10}"],
)
def test_what_a_host_sends_itself_is_no_land(header: str, backend: str) -> None:
    """As captures without Ethernet headers have it, which are no frames of the examples."""
    (land,) = (checked for checked in packet_rules() if checked.id == "ipv4.land")
    packet = land.fires_on[0].rpartition("|")[2]
    assert BACKENDS[backend](land, packet)
    assert not BACKENDS[backend](land, f"{header} | {packet}")


def test_generated_files_are_those_of_the_rules() -> None:
    for path, text in artefacts(all_rules(), ROOT).items():
        assert (ROOT / path).read_text() == text, f"{path}: run `procwire rules build`"


def test_a_rule_of_intact_and_of_malformed_headers_asks_for_the_bytes_it_reads() -> None:
    for checked in packet_rules():
        twins = {layer.removesuffix("_malformed") for layer in checked.layers}
        assert len(twins) == len(checked.layers) or checked.needs > 0, checked.id


GOOD = {
    "id": "test.rule",
    "sid": 9199000,
    "title": "A test",
    "reference": "none",
    "layers": ("udp",),
    "fires_on": ["01"],
    "silent_on": ["00"],
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sid": 9100301}, "its own sid"),
        ({"sid": 1}, "a sid of"),
        ({"id": "udp.truncated"}, "of its own"),
        ({"fires_on": []}, "examples"),
        ({"silent_on": []}, "examples"),
        ({"layers": ("carrier_pigeon",)}, "layers among"),
        ({"tier": "Z"}, "a tier among"),
        ({"severity": 0}, "a severity"),
        ({"at": (0, 0)}, "evidence"),
        ({"reference": ""}, "a reference"),
        ({"fires_on": ["00"]}, "fire on the example '00'"),
        ({"silent_on": ["01"]}, "silent on the example '01'"),
    ],
)
def test_wrong_metadata_is_refused_with_its_place(change: dict, expected: str) -> None:
    from procwire.words import u8

    def first_byte_is_one(p):
        """A rule for this test."""
        return u8(p, 0) == 1

    first_byte_is_one.__globals__.setdefault("u8", u8)
    with pytest.raises(BadRule, match=expected) as refusal:
        rule(**{**GOOD, **change})(first_byte_is_one)
    assert f"{__file__}:" in str(refusal.value)


OBSERVED = {"id": "test.seen", "sid": 9199001, "title": "A test", "reference": "none"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sid": 9100301}, "its own sid"),
        ({"id": "udp.truncated"}, "an id of its own"),
        ({"tier": "Z"}, "a tier among"),
        ({"reference": ""}, "a reference"),
    ],
)
def test_wrong_metadata_of_an_observed_check_is_refused(change: dict, expected: str) -> None:
    with pytest.raises(BadRule, match=expected):
        observed(**{**OBSERVED, **change})


def test_every_check_is_a_rule_or_observed_and_has_an_index() -> None:
    for place, check in enumerate(all_rules()):
        assert isinstance(check, Rule) or index_of(check) == place
        assert isinstance(check, Rule) != isinstance(check, Observed)
