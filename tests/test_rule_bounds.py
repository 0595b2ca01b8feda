"""What a rule says on either side of each bound that it names: the last that it lets pass, and the
first that it does not. Examples of the rules tell what a rule means; these, where it ends."""

from __future__ import annotations

import pytest
from dns_bounds import DNS_BOUNDS
from dns_record_bounds import DNS_RECORD_BOUNDS
from extension_bounds import EXTENSION_BOUNDS
from header_bounds import HEADER_BOUNDS
from http_body_bounds import HTTP_BODY_BOUNDS
from http_bounds import HTTP_BOUNDS
from http_chunk_bounds import HTTP_CHUNK_BOUNDS
from line_bounds import LINE_BOUNDS
from message_bounds import MESSAGE_BOUNDS
from option_bounds import OPTION_BOUNDS
from procwire.rule import example, fires
from procwire.rules import packet_rules
from smb_bounds import SMB_BOUNDS
from snmp_bounds import SNMP_BOUNDS
from tls_bounds import TLS_BOUNDS
from transport_bounds import TRANSPORT_BOUNDS

BOUNDS = (
    HEADER_BOUNDS
    | TRANSPORT_BOUNDS
    | MESSAGE_BOUNDS
    | LINE_BOUNDS
    | HTTP_BOUNDS
    | HTTP_BODY_BOUNDS
    | HTTP_CHUNK_BOUNDS
    | DNS_BOUNDS
    | DNS_RECORD_BOUNDS
    | TLS_BOUNDS
    | SMB_BOUNDS
    | OPTION_BOUNDS
    | EXTENSION_BOUNDS
    | SNMP_BOUNDS
)
LONGEST_CUT = 300  # bytes
BY_ID = {rule.id: rule for rule in packet_rules()}
# Whether a header contradicts itself, decode tells by the same lengths.
OF_WELL_FORMED = [
    name for name in BOUNDS if not any(layer.endswith("malformed") for layer in BY_ID[name].layers)
]
CASES = [
    pytest.param(name, text, wanted, id=f"{name}-{verb}-{number}")
    for name, sides in BOUNDS.items()
    for wanted, verb, texts in ((True, "fires", sides[0]), (False, "silent", sides[1]))
    for number, text in enumerate(texts)
]


@pytest.mark.parametrize(("name", "text", "wanted"), CASES)
def test_on_either_side_of_a_bound(name: str, text: str, wanted: bool) -> None:
    assert fires(BY_ID[name], *example(text)) == wanted


@pytest.mark.parametrize("name", OF_WELL_FORMED)
def test_what_a_snap_length_cuts_off_crosses_no_bound(name: str) -> None:
    for text in BOUNDS[name][1]:
        p, outer = example(text)
        cuts = (p._replace(captured=size) for size in range(min(p.captured, LONGEST_CUT)))
        assert not any(fires(BY_ID[name], cut, outer) for cut in cuts), text
