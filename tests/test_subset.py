"""What a rule may not be: each refusal names file, line and reason."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
from procwire.compiler.subset import NotInSubset, least_arguments, read

REFUSED = {
    "an int is a condition": ("if u8(p, 0):\n        return True\n    return False", "condition"),
    "an int is returned": ("return u8(p, 0)", "condition"),
    "a bool is a number": ("return (u8(p, 0) == 1) + 1 == 2", "bool is used as a number"),
    "division": ("return u8(p, 0) // 2 == 1", "FloorDiv"),
    "a bit operator": ("return u8(p, 0) & 1 == 1", "BitAnd"),
    "an attribute": ("return p.captured == 1", "Attribute"),
    "a foreign call": ("return abs(u8(p, 0)) == 1", "only the words"),
    "an unset name": ("if u8(p, 0) == 1:\n        a = 1\n    return a == 1", "not set on every"),
    "two types": ("a = 1\n    a = True\n    return a", "int and bool"),
    "no return": ("if u8(p, 0) == 1:\n        return True", "without return"),
    "dead code": ("return True\n    return False", "never reached"),
    "while": ("while True:\n        return True\n    return False", "While"),
    "an open loop": (
        "for i in range(u8(p, 0)):\n        return True\n    return False",
        "must be a constant",
    ),
    "too many steps": (
        "for i in range(100):\n        for j in range(100):\n            break\n    return True",
        "loop steps",
    ),
    "an assigned counter": (
        "for i in range(9):\n        i = 2\n    return True",
        "inside its own loop",
    ),
    "a counter after its loop": (
        "for i in range(9):\n        break\n    return i == 0",
        "not set on every path",
    ),
    "a large number": ("return u32(p, 0) * u32(p, 4) == 1", "2\\^53"),
    "a growing number": (
        "a = 2\n    for i in range(60):\n        a = a * 2\n    return a == 0",
        "2\\^53",
    ),
    "an unknown modulus": ("return u8(p, 0) % u8(p, 1) == 1", "constant above 0"),
    "a list": ("return u8(p, 0) in [1, 2]", "tuple of ints"),
    "a variable width": ("return bits(u8(p, 0), 0, u8(p, 1)) == 1", "constant"),
    "a wide width": ("return bits(u8(p, 0), 0, 33) == 1", "width of 1 to 32"),
    "no width": ("return bits(u8(p, 0), 0, 0) == 1", "width of 1 to 32"),
    "a far shift": ("return bits(u8(p, 0), 33, 1) == 1", "shift of 0 to 32"),
    "a shift to the left": ("return bits(u8(p, 0), -1, 1) == 1", "shift of 0 to 32"),
    "no run": ("return same(p, 0, 4, 0)", "1 to 64 bytes"),
    "a long run": ("return filled(p, 0, 65, 0)", "1 to 64 bytes"),
    "a string": ("return 'a' == 'a'", "neither int nor bool"),
    "a named word": ("u8 = 1\n    return u8 == 1", "already names"),
    "wrong arguments": ("return u8(p) == 1", "takes 2 arguments"),
    "a number as a span": ("return u8(1, 2) == 1", "reads a span"),
    "a tuple assignment": ("a, b = 1, 2\n    return a == b", "one plain name"),
    "an expression": ("u8(p, 0)\n    return True", "Expr"),
    "a lambda": ("return (lambda: True)()", "only the words"),
}
ACCEPTED = {
    "a bounded walk": (
        "offset = 0\n    for _ in range(40):\n        size = u8(p, offset)\n"
        "        if size == 0:\n            break\n        offset += size\n"
        "    return offset > 10"
    ),
    "a table": "return u8(p, 0) in TABLE and u8(p, 1) not in TABLE",
    "the widest field": "return bits(u32(p, 0), 0, 32) == bits(u32(p, 0), 32, 1)",
    "the longest run": "return same(p, 0, 64, 64) and filled(p, 0, 1, 0)",
    "a chain": "return 1 < u8(p, 0) <= 3",
    "a break keeps what was set": (
        "found = False\n    for i in range(9):\n        if u8(p, i) == 7:\n"
        "            found = True\n            break\n    return found"
    ),
}


def written(tmp_path: Path, body: str, head: str = "def checked(p):"):
    """The function with that body, in a module of its own."""
    path = tmp_path / "written.py"
    words = "from procwire.words import bits, captured, filled, length, same, u8, u16, u32\n"
    path.write_text(f'{words}\nTABLE = (1, 2, 3)\n\n\n{head}\n    """A rule."""\n    {body}\n')
    spec = importlib.util.spec_from_file_location("written", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.checked


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    body, reason = REFUSED[name]
    with pytest.raises(NotInSubset, match=reason) as refusal:
        read(written(tmp_path, body))
    place, _, _ = str(refusal.value).partition(": ")
    file, _, line = place.rpartition(":")
    assert file.endswith("written.py")
    assert 6 <= int(line) <= 12


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str, tmp_path: Path) -> None:
    read(written(tmp_path, ACCEPTED[name]))


@pytest.mark.parametrize(
    ("offset", "least"),
    [
        ("u8(p, 0) + u8(p, 1) - 3", -3),
        ("5 - u8(p, 0)", -250),
        ("-u8(p, 0)", -255),
        ("7 + u16(p, 0) + bits(u8(p, 2), 4, 4)", 7),
        ("(u8(p, 0) - 2) * (u8(p, 1) - 3)", -3 * 253),
        ("(3 - u8(p, 0)) * (u8(p, 1) - 3)", -252 * 252),
        ("u8(p, 0) % 7 - 1", -1),
    ],
)
def test_how_far_below_zero_a_rule_may_read_is_known(
    offset: str, least: int, tmp_path: Path
) -> None:
    """Lua counts such offsets from the end."""
    function = written(tmp_path, f"return u8(p, {offset}) == 1")
    known = least_arguments(read(function), function.__globals__)
    assert {ast.unparse(node): low for node, low in known.items()}[offset] == least


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("def checked(q):", "named p"),
        ("def checked(p, outer, more):", "named p"),
        ("def checked(p=1):", "without defaults"),
        ("def checked(*p):", "without defaults"),
    ],
)
def test_parameters(head: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NotInSubset, match=reason):
        read(written(tmp_path, "return True", head))


def test_a_rule_explains_itself(tmp_path: Path) -> None:
    function = written(tmp_path, "return True")
    source = Path(function.__code__.co_filename)
    source.write_text(source.read_text().replace('    """A rule."""\n', ""))
    spec = importlib.util.spec_from_file_location("bare", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(NotInSubset, match="docstring"):
        read(module.checked)
