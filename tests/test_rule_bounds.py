"""What a rule says on either side of each bound that it names: the last that it lets pass, and the
first that it does not. Examples of the rules tell what a rule means; these, where it ends."""

from __future__ import annotations

import pytest
from header_bounds import HEADER_BOUNDS
from message_bounds import MESSAGE_BOUNDS
from procwire.rule import example, fires
from procwire.rules import packet_rules
from transport_bounds import TRANSPORT_BOUNDS

BOUNDS = HEADER_BOUNDS | TRANSPORT_BOUNDS | MESSAGE_BOUNDS
BY_ID = {rule.id: rule for rule in packet_rules()}
CASES = [
    pytest.param(name, text, wanted, id=f"{name}-{verb}-{number}")
    for name, sides in BOUNDS.items()
    for wanted, verb, texts in ((True, "fires", sides[0]), (False, "silent", sides[1]))
    for number, text in enumerate(texts)
]


@pytest.mark.parametrize(("name", "text", "wanted"), CASES)
def test_on_either_side_of_a_bound(name: str, text: str, wanted: bool) -> None:
    assert fires(BY_ID[name], *example(text)) == wanted
