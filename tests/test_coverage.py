"""What the sensor says it cannot see: named, with reasons, and tied to hooks that exist."""

from __future__ import annotations

import re
from pathlib import Path

from procwire.sensor.coverage import BLIND_SPOTS, blind_spots

SECTIONS = re.findall(
    r'^SEC\("(\S+)"\)$', (Path(__file__).parent.parent / "kernel/sensor.bpf.c").read_text(), re.M
)


def test_each_blind_spot_has_a_name_and_a_reason():
    assert all(spot.name and spot.reason for spot in BLIND_SPOTS)
    assert len({spot.name for spot in BLIND_SPOTS}) == len(BLIND_SPOTS)


def test_what_a_missing_hook_hides_is_said_only_where_it_is_missing():
    tied = {spot.without for spot in BLIND_SPOTS} - {""}
    assert tied
    assert tied <= set(SECTIONS)
    assert set(blind_spots(tied)) == set(BLIND_SPOTS)
    assert {spot.without for spot in blind_spots(())} == {""}
